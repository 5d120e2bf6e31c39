"""Step-by-step runs of diffusers' schedulers with a network that is a formula.

    python tools/reference/samplers.py

Writes samplers.safetensors and its index samplers.json. The network, in float32 and elementwise:

    network(fed, t) = tanh(0.7 * fed + 0.1 * sin(t / 100)) * 0.9

where `fed` is the sample after `scale_model_input` and 0.1 * sin(t / 100) is rounded to float32 once. Its answer counts as the
configuration's prediction type says. Keys: `clean`, `noise` [1, 4, 6, 8]; `ancestral_noise` [20, 1, 4, 6, 8], the draws in order of
torch.Generator().manual_seed(7), of which every ancestral run takes the first ones, one a step, the last step included;
`run.N` [k + 1, 1, 4, 6, 8], the latents at the start and after each of k steps. A run of strength below 1 starts as
StableDiffusionImg2ImgPipeline does: `add_noise(clean, noise, timesteps[t_start])`; one of strength 1 from noise * init_noise_sigma.
"""
import math

import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor

from output import origin, save_json, save_tensors
from scheduler_configs import CONFIGS, SCHEDULERS, start_index

SHAPE = (1, 4, 6, 8)
ANCESTRAL_SEED = 7
# 20 steps take the paths that schedulers keep for 15 steps and more.
STEPS_AND_STRENGTHS = [(2, 0.6), (2, 1.0), (5, 0.3), (5, 0.6), (5, 1.0), (10, 0.3), (10, 0.6), (10, 1.0), (20, 0.3), (20, 1.0)]


def network(fed, timestep):
    """The formula above."""
    shift = torch.tensor(0.1 * math.sin(float(timestep) / 100), dtype=torch.float32)
    return torch.tanh(0.7 * fed + shift) * 0.9


def cases():
    """Scheduler class and configuration name of every run; a clamp only where the class has one."""
    for scheduler_class in SCHEDULERS:
        for name in "ABCD":
            if not (scheduler_class is EulerAncestralDiscreteScheduler and CONFIGS[name]["prediction_type"] == "sample"):
                yield scheduler_class, name
    yield DDIMScheduler, "G"


def run(scheduler_class, config, steps, strength, clean, noise):
    """Timesteps that run, and the latents at the start and after each of them."""
    scheduler = scheduler_class.from_config(config)
    scheduler.set_timesteps(steps)
    start = start_index(steps, strength)
    timesteps = scheduler.timesteps[start:]
    if strength < 1:
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(start)
        latents = scheduler.add_noise(clean, noise, timesteps[:1])
    else:
        latents = noise * scheduler.init_noise_sigma
    draws = {"generator": torch.Generator().manual_seed(ANCESTRAL_SEED)} if scheduler_class is EulerAncestralDiscreteScheduler else {}
    trail = [latents]
    for timestep in timesteps:
        output = network(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(output, timestep, latents, **draws).prev_sample
        trail.append(latents)
    return timesteps.tolist(), torch.stack(trail)


def main():
    clean = 0.8 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    ancestral = torch.Generator().manual_seed(ANCESTRAL_SEED)
    draws = torch.stack([randn_tensor(SHAPE, generator=ancestral, dtype=torch.float32) for _ in range(20)])
    tensors, runs = {"clean": clean, "noise": noise, "ancestral_noise": draws}, []
    for scheduler_class, name in cases():
        for steps, strength in STEPS_AND_STRENGTHS:
            key = f"run.{len(runs)}"
            timesteps, tensors[key] = run(scheduler_class, CONFIGS[name], steps, strength, clean, noise)
            runs.append({
                "key": key,
                "scheduler": scheduler_class.__name__,
                "config": name,
                "prediction_type": CONFIGS[name]["prediction_type"],
                "steps": steps,
                "strength": strength,
                "t_start": start_index(steps, strength),
                "timesteps": timesteps,
            })
    facts = origin(__file__, seed="clean 1, noise 2, ancestral 7", arithmetic="float32, as diffusers")
    save_tensors("samplers.safetensors", tensors, facts)
    save_json("samplers.json", {"origin": facts, "configs": {name: CONFIGS[name] for name in "ABCDG"}, "runs": runs})


if __name__ == "__main__":
    main()
