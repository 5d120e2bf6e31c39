"""Weights that a formula gives: networks on them need no weight files, only a list of their tensors.

Number `i` of the tensor called `name` is `mean + spread * u`, rounded to float32. `u` is in -1..1 and exact: the high 24 bits of
SplitMix64's answer for counter `i`, seeded with the FNV-1a hash of the name's bytes, over 2^23, less 1. `conformance/src/weights.rs` computes
the same, to the bit. The list gives each tensor's shape, mean and spread, so that no parameter is neutral and activations stay near one.
"""
import numpy as np
import torch

GOLDEN = 0x9E3779B97F4A7C15


def _seed(name):
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def numbers(name, count):
    """The first `count` values of u, float64."""
    with np.errstate(over="ignore"):
        state = np.uint64(_seed(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def _spread(network, name, parameter, norms):
    """Mean and spread of one parameter; the variance of u is 1/3."""
    owner, kind = name.rsplit(".", 1) if "." in name else ("", name)
    if owner in norms:
        return (1.0, 0.5) if kind == "weight" else (0.0, 0.35)
    if kind == "bias":
        return 0.0, 0.35
    if "Embedding" in type(network.get_submodule(owner)).__name__:
        return 0.0, 0.85
    return 0.0, round(float((3 / parameter[0].numel()) ** 0.5), 6)


@torch.no_grad()
def fill(network, prefix="", dtype=torch.float32):
    """Overwrites every parameter of `network` with the formula's numbers, rounded to `dtype`; gives the list of its tensors.

    `prefix` comes before the names in the hash, so that equal names of two networks differ.
    """
    norms = {name for name, module in network.named_modules() if "Norm" in type(module).__name__}
    tensors = {}
    for name, parameter in sorted(network.named_parameters()):
        mean, spread = _spread(network, name, parameter, norms)
        values = (mean + spread * numbers(prefix + name, parameter.numel())).astype(np.float32)
        parameter.copy_(torch.from_numpy(values).reshape(parameter.shape).to(dtype))
        tensors[name] = [list(parameter.shape), mean, spread]
    return tensors
