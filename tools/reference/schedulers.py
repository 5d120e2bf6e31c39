"""Timesteps and sigmas of diffusers' schedulers for the configurations of scheduler_configs.py.

    python tools/reference/schedulers.py

Writes schedulers.json. diffusers holds sigmas, betas and their products in float32; numbers are those values, exactly.
`alphas_cumprod.*.float64` is the same formula in float64 throughout. `sigmas` is null where the class has none (DDIM).
`final_alpha_cumprod` is what DDIM takes below timestep 0.
"""
import math

import numpy as np
from diffusers import DDIMScheduler

from output import origin, save_json
from scheduler_configs import CONFIGS, SCHEDULERS, start_index

STEPS = (1, 2, 3, 5, 10, 14, 15, 20, 30, 50)
STRENGTHS = (0.1, 0.25, 0.35, 0.5, 0.58, 0.65, 0.75, 0.9, 1.0)
INDICES = (0, 1, 2, 10, 100, 250, 421, 500, 750, 900, 998, 999)


def alphas_cumprod(config):
    """The products of 1 - beta of one configuration, float64 [num_train_timesteps]."""
    count, first, last = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    match config["beta_schedule"]:
        case "linear":
            betas = np.linspace(first, last, count)
        case "scaled_linear":
            betas = np.linspace(first**0.5, last**0.5, count) ** 2
        case "squaredcos_cap_v2":
            share = [math.cos((index / count + 0.008) / 1.008 * math.pi / 2) ** 2 for index in range(count + 1)]
            betas = np.array([min(1 - after / before, 0.999) for before, after in zip(share, share[1:])])
    return np.cumprod(1 - betas)


def products(config):
    """Products at INDICES in both precisions."""
    scheduler, exact = DDIMScheduler.from_config(config), alphas_cumprod(config)
    held = scheduler.alphas_cumprod.numpy()
    if not np.allclose(held, exact, rtol=2e-4, atol=1e-9):
        raise ValueError(f"alphas_cumprod differs from diffusers' by {np.abs(held / exact - 1).max()}")
    return {
        "index": list(INDICES),
        "float32": [float(held[index]) for index in INDICES],
        "float64": [float(exact[index]) for index in INDICES],
        "final_alpha_cumprod": float(scheduler.final_alpha_cumprod),
    }


def schedule(scheduler_class, config, steps):
    """Timesteps and sigmas of one scheduler."""
    scheduler = scheduler_class.from_config(config)
    scheduler.set_timesteps(steps)
    return {
        "timesteps": scheduler.timesteps.tolist(),
        "sigmas": scheduler.sigmas.tolist() if hasattr(scheduler, "sigmas") else None,
        "init_noise_sigma": float(scheduler.init_noise_sigma),
    }


def main():
    save_json("schedulers.json", {
        "origin": origin(__file__),
        "configs": CONFIGS,
        "alphas_cumprod": {name: products(config) for name, config in CONFIGS.items()},
        "schedules": [
            {"config": name, "scheduler": scheduler_class.__name__, "steps": steps} | schedule(scheduler_class, config, steps)
            for name, config in CONFIGS.items()
            if name != "G"  # differs from B in the clamp alone
            for scheduler_class in SCHEDULERS
            for steps in STEPS
        ],
        "img2img_start": [
            {"steps": steps, "strength": strength, "t_start": start_index(steps, strength)}
            for steps in STEPS
            for strength in STRENGTHS
        ],
    })


if __name__ == "__main__":
    main()
