"""Whole runs of the tiny Stable Diffusion model of pipelines.py with every scheduler of diffusers that has a sampler here.

    python tools/reference/pipeline_samplers.py

Writes pipeline_samplers.json, `runs`: requests as in pipelines.py, with `schedule` and `eta` where they are not the sampler's own; and
pipeline_samplers.safetensors: for each run `RUN.picture` u8 [H, W, 3]. The weights are those of pipeline_sd.json. Run in float32.
"""
import json

import numpy as np
import torch
from diffusers import (
    DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
    HeunDiscreteScheduler, KDPM2AncestralDiscreteScheduler, KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler,
    StableDiffusionImg2ImgPipeline, TCDScheduler, UniPCMultistepScheduler,
)
from PIL import Image

from all_samplers import SDE
from formula_weights import fill
from output import origin, save_json, save_tensors
from pipelines import NEGATIVE, SOURCE, run, sd, tokenizers

# Our name of a sampler, its class, what it is made with, the name of its schedule and its share of fresh noise.
METHODS = [
    ("ddim", DDIMScheduler, {}, None, None),
    ("ddim", DDIMScheduler, {}, None, 1.0),
    ("pndm", PNDMScheduler, dict(skip_prk_steps=True), None, None),
    ("euler", EulerDiscreteScheduler, {}, None, None),
    ("euler", EulerDiscreteScheduler, dict(use_karras_sigmas=True), "karras", None),
    ("euler_a", EulerAncestralDiscreteScheduler, {}, None, None),
    ("heun", HeunDiscreteScheduler, {}, None, None),
    ("lms", LMSDiscreteScheduler, {}, None, None),
    ("dpm2", KDPM2DiscreteScheduler, {}, None, None),
    ("dpm2_a", KDPM2AncestralDiscreteScheduler, {}, None, None),
    ("dpmpp_2m", DPMSolverMultistepScheduler, {}, None, None),
    ("dpmpp_2m", DPMSolverMultistepScheduler, dict(use_karras_sigmas=True), "karras", None),
    ("dpmpp_2m_sde", DPMSolverMultistepScheduler, SDE, None, None),
    ("unipc", UniPCMultistepScheduler, {}, None, None),
    ("deis", DEISMultistepScheduler, {}, None, None),
    ("lcm", LCMScheduler, {}, None, None),
    ("tcd", TCDScheduler, {}, None, 0.3),
    ("ddpm", DDPMScheduler, {}, None, None),
]


@torch.no_grad()
def main():
    parts, scheduler, _ = sd()
    for name, part in parts.items():
        fill(part.eval(), f"sd.{name}.", torch.float16)
    components = parts | tokenizers(parts) | dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    # As from the model's file, which says more than the classes' own defaults.
    config = json.loads(scheduler.to_json_string())
    runs, tensors = [], {}
    for sampler, kind, settings, schedule, eta in METHODS:
        name = "_".join([sampler, *([schedule] if schedule else []), *([f"eta{eta:g}"] if eta is not None else [])])
        request = run(name, sampler, 6, 0.7, NEGATIVE) | dict(schedule=schedule, eta=eta)
        pipeline = StableDiffusionImg2ImgPipeline(scheduler=kind.from_config(config | settings), **components)
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            prompt=request["prompt"], negative_prompt=request["negative"], image=Image.open(SOURCE).convert("RGB"), strength=request["strength"],
            num_inference_steps=request["steps"], guidance_scale=request["guidance"], eta=eta if eta is not None else 0.0,
            generator=torch.Generator().manual_seed(request["seed"]),
        ).images[0]
        tensors[f"{name}.picture"] = torch.from_numpy(np.array(made))
        runs.append(request)
        print(f"  {name}: spread {np.array(made).std():.1f}")
    save_tensors("pipeline_samplers.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("pipeline_samplers.json", {"origin": origin(__file__), "runs": runs})


if __name__ == "__main__":
    main()
