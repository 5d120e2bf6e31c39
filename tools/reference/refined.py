"""Whole runs of the tiny SDXL model that hands over to the tiny refiner, by diffusers' pipelines: clean estimates, latents, pictures.

    python tools/reference/refined.py

Writes refined.json: `runs` (the requests; `at` is `denoising_end` of the first pipeline and `denoising_start` of the second; `before` is how
many steps the first one ran). The models are those of pipeline_sdxl.json and pipeline_refiner.json; the first one's autoencoder decodes, as
in diffusers' documentation. And refined.safetensors: for each run `RUN.denoised.N` [1, C, h, w], counted through both models, and `RUN.picture`
u8 [H, W, 3].
Both pipelines draw from one generator. Run in float32. The source is starter_source.png.
"""
import functools
import json

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline, UniPCMultistepScheduler,
)
from PIL import Image

from formula_weights import fill
from output import origin, save_json, save_tensors
from pipelines import KINDS, NEGATIVE, SOURCE, run, tokenizers

SAMPLERS = {
    "euler": EulerDiscreteScheduler, "unipc": UniPCMultistepScheduler, "dpmpp_2m": DPMSolverMultistepScheduler, "euler_a": EulerAncestralDiscreteScheduler,
}
RUNS = [
    run("text", "euler", 5, None, NEGATIVE, at=0.6), run("solver", "dpmpp_2m", 6, None, NEGATIVE, at=0.5),
    run("changed", "unipc", 6, 0.8, NEGATIVE, at=0.7), run("noise", "euler_a", 5, None, None, at=0.8),
]


def parts_of(kind):
    facts = KINDS[kind]
    parts, scheduler, options = facts["make"]()
    for name, part in parts.items():
        fill(part.eval(), f"{kind}.{name}.", {"F16": torch.float16, "F32": torch.float32}[facts["dtype"]])
    return parts, scheduler, options | dict(add_watermarker=False)


@torch.no_grad()
def watched(pipeline, estimates, **request):
    """Runs a pipeline: its latents."""
    pipeline.set_progress_bar_config(disable=True)
    step = pipeline.scheduler.step

    @functools.wraps(step)  # pipelines look for the generator in its signature
    def kept(*positional, **named):
        # Solvers do not give the estimate; they keep it.
        result = step(*positional, **named)
        estimates.append(result[1] if len(result) > 1 else pipeline.scheduler.model_outputs[-1])
        return result

    pipeline.scheduler.step = kept
    return pipeline(output_type="latent", **request).images


def main():
    base, base_scheduler, base_options = parts_of("sdxl")
    refiner, refiner_scheduler, refiner_options = parts_of("refiner")
    tensors, before = {}, {}
    for request in RUNS:
        def scheduler(config):
            return SAMPLERS[request["sampler"]].from_config(json.loads(config.to_json_string()))

        shared = dict(
            prompt=request["prompt"], negative_prompt=request["negative"], num_inference_steps=request["steps"],
            guidance_scale=request["guidance"], generator=torch.Generator().manual_seed(request["seed"]),
        )
        components = base | tokenizers(base) | base_options | {"scheduler": scheduler(base_scheduler)}
        estimates = []
        if request["strength"] is None:
            first = StableDiffusionXLPipeline(**components)
            more = dict(width=96, height=64)
        else:
            first = StableDiffusionXLImg2ImgPipeline(**components)
            more = dict(image=Image.open(SOURCE).convert("RGB"), strength=request["strength"])
        latents = watched(first, estimates, denoising_end=request["at"], **more, **shared)
        before[request["name"]] = len(estimates)
        components = refiner | tokenizers(refiner) | refiner_options | {
            "scheduler": scheduler(refiner_scheduler), "vae": base["vae"], "text_encoder": None, "tokenizer": None,
        }
        second = StableDiffusionXLImg2ImgPipeline(**components)
        latents = watched(second, estimates, denoising_start=request["at"], image=latents, **shared)
        with torch.no_grad():
            decoded = base["vae"].decode(latents / base["vae"].config.scaling_factor, return_dict=False)[0]
        picture = second.image_processor.postprocess(decoded, output_type="pil")[0]
        name = request["name"]
        tensors |= {f"{name}.denoised.{index}": estimate for index, estimate in enumerate(estimates)}
        tensors[f"{name}.picture"] = torch.from_numpy(np.array(picture))
        print(f"  {name}: {before[name]} of {len(estimates)} steps before, spread {latents.std().item():.2f}")
    save_tensors("refined.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("refined.json", {"origin": origin(__file__), "runs": [request | dict(before=before[request["name"]]) for request in RUNS]})


if __name__ == "__main__":
    main()
