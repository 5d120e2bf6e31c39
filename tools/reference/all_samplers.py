"""Step-by-step runs of the other schedulers of diffusers, and of all of them on spacings by sigma.

    python tools/reference/all_samplers.py

Writes all_samplers.safetensors and its index all_samplers.json: what samplers.py does for four schedulers, on smaller latents. The network
is its formula. Keys: `clean`, `noise` [1, 2, 3, 4]; `draws` [20, 1, 2, 3, 4], the draws in order of torch.Generator().manual_seed(7), of
which every run with fresh noise takes the first ones; `run.N` [k + 1, 1, 2, 3, 4], what the network is fed by the k calls of a run before
`scale_model_input`, and the result. `timesteps` of the index are what the network is told.
"""
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from diffusers.utils.torch_utils import randn_tensor

from output import origin, save_json, save_tensors
from samplers import network
from scheduler_configs import CONFIGS, start_index

SHAPE = (1, 2, 3, 4)
DRAWS, DRAW_SEED = 20, 7
# Entered at the start, at the second timestep and later; few steps, and more than the 15 that some count as many.
STEPS_AND_STRENGTHS = [(1, 1.0), (2, 1.0), (3, 0.7), (5, 0.8), (5, 1.0), (10, 0.6), (16, 1.0)]
SPACED_STEPS_AND_STRENGTHS = [(4, 1.0), (10, 0.6)]
SPACINGS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas", "beta": "use_beta_sigmas"}
SDE = {"algorithm_type": "sde-dpmsolver++"}

# Configuration C with zero terminal SNR, as models of velocity are tuned.
ALL_CONFIGS = CONFIGS | {"H": CONFIGS["C"] | {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}}

# Our name of a sampler, its class, what it is made with beside the configuration, what its steps are given, and its configurations.
METHODS = [
    ("ddim", DDIMScheduler, {}, {"eta": 0.5}, "AB"),
    ("ddim", DDIMScheduler, {}, {"eta": 1.0}, "BCD"),
    ("pndm", PNDMScheduler, {"skip_prk_steps": True}, {}, "BCD"),
    ("heun", HeunDiscreteScheduler, {}, {}, "BCD"),
    ("lms", LMSDiscreteScheduler, {}, {}, "BCD"),
    ("dpm2", KDPM2DiscreteScheduler, {}, {}, "BCD"),
    ("dpm2_a", KDPM2AncestralDiscreteScheduler, {}, {}, "BCD"),
    ("dpmpp_2m_sde", DPMSolverMultistepScheduler, SDE, {}, "ABCD"),
    ("unipc", UniPCMultistepScheduler, {}, {}, "ABCDH"),
    ("deis", DEISMultistepScheduler, {}, {}, "ABCD"),
    ("lcm", LCMScheduler, {}, {}, "ABCH"),
    ("tcd", TCDScheduler, {}, {"eta": 0.3}, "ABCH"),
    ("tcd", TCDScheduler, {}, {"eta": 0.0}, "B"),
    ("tcd", TCDScheduler, {}, {"eta": 1.0}, "B"),
    ("ddpm", DDPMScheduler, {}, {}, "ABCDGH"),
]
SPACED = [
    ("euler", EulerDiscreteScheduler, {}, {}),
    ("heun", HeunDiscreteScheduler, {}, {}),
    ("lms", LMSDiscreteScheduler, {}, {}),
    ("dpm2", KDPM2DiscreteScheduler, {}, {}),
    ("dpm2_a", KDPM2AncestralDiscreteScheduler, {}, {}),
    ("dpmpp_2m", DPMSolverMultistepScheduler, {}, {}),
    ("dpmpp_2m_sde", DPMSolverMultistepScheduler, SDE, {}),
    ("unipc", UniPCMultistepScheduler, {}, {}),
    ("deis", DEISMultistepScheduler, {}, {}),
]
# Those whose steps draw noise.
DRAWING = {"ddim", "dpm2_a", "dpmpp_2m_sde", "lcm", "tcd", "ddpm"}


def cases():
    """Sampler, class, settings, step options, configuration, spacing, steps and strength of every run."""
    for name, scheduler_class, settings, options, configs in METHODS:
        for config in configs:
            for steps, strength in STEPS_AND_STRENGTHS:
                yield name, scheduler_class, settings, options, config, "model", steps, strength
    for name, scheduler_class, settings, options in SPACED:
        for spacing, key in SPACINGS.items():
            for config in "BC":
                for steps, strength in SPACED_STEPS_AND_STRENGTHS:
                    yield name, scheduler_class, settings | {key: True}, options, config, spacing, steps, strength


def run(scheduler, steps, strength, latents_of, options):
    """Timesteps that are told, and the latents before each call and after the last."""
    scheduler.set_timesteps(steps)
    start = start_index(steps, strength) * scheduler.order
    timesteps = scheduler.timesteps[start:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    latents = latents_of(scheduler, timesteps)
    trail = [latents]
    for timestep in timesteps:
        output = network(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(output, timestep, latents, **options).prev_sample
        trail.append(latents)
    return timesteps.tolist(), torch.stack(trail)


def main():
    clean = 0.8 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(DRAW_SEED)
    draws = torch.stack([randn_tensor(SHAPE, generator=generator, dtype=torch.float32) for _ in range(DRAWS)])
    tensors, runs = {"clean": clean, "noise": noise, "draws": draws}, []
    for name, scheduler_class, settings, options, config, spacing, steps, strength in cases():
        scheduler = scheduler_class.from_config(ALL_CONFIGS[config] | settings)

        def latents_of(scheduler, timesteps):
            return scheduler.add_noise(clean, noise, timesteps[:1]) if strength < 1 else noise * scheduler.init_noise_sigma

        drawing = {"generator": torch.Generator().manual_seed(DRAW_SEED)} if name in DRAWING else {}
        key = f"run.{len(runs)}"
        timesteps, tensors[key] = run(scheduler, steps, strength, latents_of, options | drawing)
        runs.append({
            "key": key,
            "sampler": name,
            "scheduler": scheduler_class.__name__,
            "eta": options.get("eta"),
            "config": config,
            "spacing": spacing,
            "steps": steps,
            "strength": strength,
            "timesteps": timesteps,
        })
    facts = origin(__file__, seed=f"clean 1, noise 2, draws {DRAW_SEED}", arithmetic="float32, as diffusers")
    save_tensors("all_samplers.safetensors", tensors, facts)
    save_json("all_samplers.json", {"origin": facts, "configs": {name: ALL_CONFIGS[name] for name in "ABCDGH"}, "runs": runs})


if __name__ == "__main__":
    main()
