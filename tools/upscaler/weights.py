"""The published ncnn file, checked, as the layers the network has. Knows nothing of torch or pictures.

The file holds layer after layer without names: a convolution is a mark (0x01306B47 for f16), its weights in torch's order, its bias in
f32; a parametric ReLU is its slopes in f32.
"""
import hashlib
import struct
from pathlib import Path

import numpy as np

SHA256 = "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"

FEATURES, DEEP, SCALE = 64, 16, 4
"""Channels of the hidden layers, how many of those follow the first, and by what the network enlarges."""

_F16 = 0x01306B47


def layers(path):
    """Names to arrays: `body.{n}.weight` (f16 `[O, I, 3, 3]`, slopes f32 `[64]`) and `body.{n}.bias` (f32)."""
    content = Path(path).read_bytes()
    got = hashlib.sha256(content).hexdigest()
    if got != SHA256:
        raise SystemExit(f"{path} has SHA-256 {got}, expected {SHA256}")
    at, tensors = 0, {}

    def take(dtype, count):
        nonlocal at
        values = np.frombuffer(content, dtype, count, at)
        at += values.nbytes + -values.nbytes % 4
        return values

    channels = [3] + [FEATURES] * (DEEP + 1) + [3 * SCALE**2]
    for index, (inputs, outputs) in enumerate(zip(channels, channels[1:])):
        mark, = struct.unpack_from("<I", content, at)
        at += 4
        if mark != _F16:
            raise SystemExit(f"convolution {index} has mark {mark:#x}, expected {_F16:#x}")
        name = f"body.{2 * index}"
        tensors[f"{name}.weight"] = take("<f2", outputs * inputs * 9).reshape(outputs, inputs, 3, 3)
        tensors[f"{name}.bias"] = take("<f4", outputs)
        if index <= DEEP:
            tensors[f"body.{2 * index + 1}.weight"] = take("<f4", outputs)
    if at != len(content):
        raise SystemExit(f"{path} has {len(content)} bytes, expected {at}")
    return tensors
