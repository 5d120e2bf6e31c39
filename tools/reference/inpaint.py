"""Inpainting with diffusers' schedulers as StableDiffusionInpaintPipeline does it with an ordinary UNet, the network being a formula.

    python tools/reference/inpaint.py

Writes inpaint.safetensors and its index inpaint.json. Latents are the pixels themselves, 4 x 4 of them as channels (pixel_unshuffle), so
there is no posterior to draw from. Keys: `pixels` [1, 3, 16, 24] in -1..1; `mask` [1, 1, 16, 24], 0 or 1 and the same all over each
4 x 4; `run.N` [1, 3, 16, 24], what comes out, clamped to -1..1. The network is that of samplers.py.

As the pipeline: the start is `add_noise(image, noise, timesteps[0])`, at strength 1 noise alone; after each step what is kept becomes
`add_noise(image, noise, next timestep)` with the same noise, after the last one the image. One generator draws the noise of the start,
then that of the steps.
"""
import torch
from diffusers import EulerAncestralDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from output import origin, save_json, save_tensors
from samplers import cases, network
from scheduler_configs import CONFIGS, start_index

SIDES = (16, 24)
PATCH = 4
SEED = 11
STEPS_AND_STRENGTHS = [(5, 0.6), (5, 1.0), (10, 0.3), (20, 0.75)]


def run(scheduler_class, config, steps, strength, image, mask):
    """What comes out, as latents."""
    generator = torch.Generator().manual_seed(SEED)
    scheduler = scheduler_class.from_config(config)
    scheduler.set_timesteps(steps)
    start = start_index(steps, strength)
    timesteps = scheduler.timesteps[start:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    noise = randn_tensor(image.shape, generator=generator, dtype=torch.float32)
    latents = noise * scheduler.init_noise_sigma if strength == 1 else scheduler.add_noise(image, noise, timesteps[:1])
    draws = {"generator": generator} if scheduler_class is EulerAncestralDiscreteScheduler else {}
    for i, timestep in enumerate(timesteps):
        output = network(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(output, timestep, latents, **draws).prev_sample
        kept = scheduler.add_noise(image, noise, timesteps[i + 1 : i + 2]) if i + 1 < len(timesteps) else image
        latents = (1 - mask) * kept + mask * latents
    return latents


def main():
    pixels = (0.5 * torch.randn((1, 3, *SIDES), generator=torch.Generator().manual_seed(3))).clamp(-1, 1)
    mask = torch.zeros((1, 1, *SIDES))
    mask[..., 4:12, 8:20] = 1
    image, cells = pixel_unshuffle(pixels, PATCH), mask[..., ::PATCH, ::PATCH]
    tensors, runs = {"pixels": pixels, "mask": mask}, []
    for scheduler_class, name in cases():
        for steps, strength in STEPS_AND_STRENGTHS:
            key = f"run.{len(runs)}"
            latents = run(scheduler_class, CONFIGS[name], steps, strength, image, cells)
            tensors[key] = pixel_shuffle(latents, PATCH).clamp(-1, 1)
            runs.append({"key": key, "scheduler": scheduler_class.__name__, "config": name, "steps": steps, "strength": strength})
    facts = origin(__file__, seed=f"pixels 3, noise {SEED}", arithmetic="float32, as diffusers")
    save_tensors("inpaint.safetensors", tensors, facts)
    save_json("inpaint.json", {"origin": facts, "configs": {name: CONFIGS[name] for name in "ABCDG"}, "runs": runs})


if __name__ == "__main__":
    main()
