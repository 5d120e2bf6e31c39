"""Runs of k-diffusion's samplers on the spacings of k-diffusion, AUTOMATIC1111 and ComfyUI, in float64.

    python tools/reference/k_samplers.py

Needs k-diffusion 0.1.1.post1 (`pip install --no-deps k-diffusion==0.1.1.post1`): its file of samplers is loaded by itself, since the rest of
the package wants libraries that no sampler uses. The network is the formula of samplers.py in float64; it is told the timestep of a sigma
interpolated in log sigma, as k-diffusion does for models of discrete time. Spacings are written out here in numpy from their definitions.

Writes k_samplers.safetensors and its index k_samplers.json. Keys: `draws` [24, 1, 2, 3, 4], taken in order by samplers with fresh noise, each
draw independent of the others; `run.N` [k + 1, 1, 2, 3, 4], what the network is fed by the k calls of a run, and the result. A run starts at
sigma `sigmas[0]` from `run.N[0]`. `levels` of the index hold every spacing for some step counts, without the 0 at the end.
"""
import importlib.metadata
import importlib.util
import math
import sys
import types

import numpy as np
import scipy.stats
import torch

from output import origin, rounded, save_json, save_tensors
from schedulers import alphas_cumprod
from scheduler_configs import CONFIGS

SHAPE = (1, 2, 3, 4)
DRAWS = 24
STEPS = (1, 2, 5, 12)
LEVEL_STEPS = (1, 2, 3, 7, 10, 20, 50)
# Our name of a sampler, its function, and what it is given.
METHODS = [
    ("euler", "sample_euler", [{}]),
    ("euler_a", "sample_euler_ancestral", [{"eta": 1.0}, {"eta": 0.5}]),
    ("heun", "sample_heun", [{}]),
    ("lms", "sample_lms", [{}]),
    ("dpm2", "sample_dpm_2", [{}]),
    ("dpm2_a", "sample_dpm_2_ancestral", [{"eta": 1.0}, {"eta": 0.5}]),
    ("dpmpp_2s_a", "sample_dpmpp_2s_ancestral", [{"eta": 1.0}, {"eta": 0.5}]),
    ("dpmpp_2m", "sample_dpmpp_2m", [{}]),
    ("dpmpp_sde", "sample_dpmpp_sde", [{"eta": 1.0}, {"eta": 0.5}]),
    ("dpmpp_2m_sde", "sample_dpmpp_2m_sde", [{"eta": 1.0}, {"eta": 0.5}]),
]


def k_diffusion_sampling():
    """k_diffusion.sampling, by itself: stand-ins take the place of modules it imports and no sampler here uses."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(importlib.metadata.distribution("k-diffusion").locate_file("k_diffusion"))]
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda value, dimensions: value[(...,) + (None,) * (dimensions - value.ndim)]
    package.utils = utils
    differential = types.ModuleType("torchdiffeq")
    differential.odeint = None
    sys.modules |= {
        "k_diffusion": package,
        "k_diffusion.utils": utils,
        "torchdiffeq": differential,
        "torchsde": types.ModuleType("torchsde"),
    }
    return importlib.import_module("k_diffusion.sampling")


def training_sigmas(config):
    """Sigmas of the training scale, rising, float64 [num_train_timesteps]."""
    products = alphas_cumprod(config)
    return ((1 - products) / products) ** 0.5


def timestep_of(table, sigma):
    """The timestep of a sigma, interpolated in log sigma."""
    return float(np.interp(math.log(sigma), np.log(table), np.arange(len(table))))


def sigma_of(table, timestep):
    """The sigma of a timestep, interpolated in log sigma."""
    return np.exp(np.interp(timestep, np.arange(len(table)), np.log(table)))


def levels(spacing, table, steps):
    """`steps` sigmas of a spacing, falling."""
    least, most = float(table[0]), float(table[-1])
    ramp = np.linspace(0, 1, steps)
    match spacing:
        case "karras":
            high, low = most ** (1 / 7), least ** (1 / 7)
            return (high + ramp * (low - high)) ** 7
        case "exponential":
            return np.exp(np.linspace(math.log(most), math.log(least), steps))
        case "polyexponential":
            return np.exp((1 - ramp) ** 1.0 * (math.log(most) - math.log(least)) + math.log(least))
        case "sgm_uniform":
            return sigma_of(table, np.linspace(len(table) - 1, 0, steps + 1)[:-1])
        case "simple":
            return np.array([table[-(1 + int(step * (len(table) / steps)))] for step in range(steps)])
        case "beta":
            return least + scipy.stats.beta.ppf(1 - ramp, 0.6, 0.6) * (most - least)


SPACINGS = ("karras", "exponential", "polyexponential", "sgm_uniform", "simple", "beta")


class Denoiser:
    """The formula as a denoiser that keeps what it is fed."""

    def __init__(self, table, prediction):
        self.table, self.prediction, self.fed = table, prediction, []

    def __call__(self, noised, sigma):
        self.fed.append(noised)
        sigma = float(sigma)
        variance = sigma**2 + 1
        shift = 0.1 * math.sin(timestep_of(self.table, sigma) / 100)
        output = torch.tanh(0.7 * noised / variance**0.5 + shift) * 0.9
        if self.prediction == "epsilon":
            return noised - sigma * output
        return noised / variance - sigma / variance**0.5 * output


def main():
    sampling = k_diffusion_sampling()
    generator = torch.Generator().manual_seed(7)
    draws = torch.randn((DRAWS, *SHAPE), generator=generator).double()
    clean = 0.8 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).double()
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2)).double()
    tensors, runs = {"draws": draws}, []
    for config in "BC":
        table = training_sigmas(CONFIGS[config])
        for name, function, options in METHODS:
            for spacing in SPACINGS:
                for given in options:
                    for steps in STEPS:
                        if (name, steps) == ("dpmpp_2m_sde", 1):
                            continue  # k-diffusion fails: it names the length of a step that has none
                        # Twelve steps are entered in their middle.
                        first = 5 if steps == 12 else 0
                        sigmas = torch.tensor(np.append(levels(spacing, table, steps)[first:], 0.0))
                        start = (clean if first else 0) + noise * sigmas[0]
                        denoiser, left = Denoiser(table, CONFIGS[config]["prediction_type"]), list(draws)
                        drawing = {"noise_sampler": lambda *_: left.pop(0)} if given else {}
                        end = getattr(sampling, function)(denoiser, start, sigmas, disable=True, **given, **drawing)
                        key = f"run.{len(runs)}"
                        tensors[key] = torch.stack([*denoiser.fed, end])
                        runs.append({
                            "key": key,
                            "sampler": name,
                            "function": function,
                            "eta": given.get("eta"),
                            "config": config,
                            "spacing": spacing,
                            "steps": steps,
                            "first": first,
                        })
    spaced = [
        {"config": config, "spacing": spacing, "steps": steps, "sigmas": levels(spacing, training_sigmas(CONFIGS[config]), steps).tolist()}
        for config in "BE"
        for spacing in SPACINGS
        for steps in LEVEL_STEPS
    ]
    version = importlib.metadata.version("k-diffusion")
    facts = origin(__file__, k_diffusion=version, seed="clean 1, noise 2, draws 7", arithmetic="float64, rounded")
    save_tensors("k_samplers.safetensors", {key: rounded(value) for key, value in tensors.items()}, facts)
    save_json("k_samplers.json", {"origin": facts, "configs": {name: CONFIGS[name] for name in "BCE"}, "levels": spaced, "runs": runs})


if __name__ == "__main__":
    main()
