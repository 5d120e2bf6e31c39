"""Scheduler configurations that models in the field carry, as their scheduler_config.json says them, and the classes run on them."""
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)

SCHEDULERS = (DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler)

_STABLE_DIFFUSION = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "clip_sample": False,
}

CONFIGS = {
    # The starter.
    "A": {
        "num_train_timesteps": 1000,
        "beta_start": 0.0025,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "steps_offset": 0,
        "timestep_spacing": "linspace",
        "prediction_type": "sample",
        "set_alpha_to_one": True,
        "clip_sample": True,
        "clip_sample_range": 1.7,
    },
    # Stable Diffusion 1, then 2 with velocity, then 1 with trailing timesteps.
    "B": _STABLE_DIFFUSION,
    "C": _STABLE_DIFFUSION | {"prediction_type": "v_prediction"},
    "D": _STABLE_DIFFUSION | {"timestep_spacing": "trailing"},
    # Cosine betas: the last sigma is far above all others.
    "E": _STABLE_DIFFUSION | {"beta_schedule": "squaredcos_cap_v2"},
    # Stable Diffusion 1 as first published: spacing, prediction and offset are what the class that is asked for defaults to.
    "F": {
        key: _STABLE_DIFFUSION[key]
        for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "set_alpha_to_one", "clip_sample")
    },
    # B with a clamp that does bite.
    "G": _STABLE_DIFFUSION | {"clip_sample": True, "clip_sample_range": 1.0},
}


def start_index(steps, strength):
    """Index of the first timestep that runs, by StableDiffusionImg2ImgPipeline.get_timesteps; `steps` if none does."""
    return max(steps - min(int(steps * strength), steps), 0)
