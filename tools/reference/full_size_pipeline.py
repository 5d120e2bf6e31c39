"""A whole run of a model of full size on random weights, by diffusers in float32 and by imagegen: the same picture?

    python tools/reference/full_size_pipeline.py KIND FOLDER [--binary target/release/imagegen] [--steps 4] [--strength 0.5] [--size 512]

KIND is sd1, sd2 (velocity, 768 pixels) or sdxl. Writes the model into FOLDER (float16, 2 to 7 GB) where it is not there yet, makes one picture
from examples/landscape.jpg with diffusers' image-to-image pipeline and one with the binary under the rule `diffusers`, and prints the
difference in grey levels, seconds and peak memory of both processes. diffusers keeps weights as float32: sdxl needs 24 GB for it; with
`--only-ours` imagegen alone runs. Nothing of it is kept in the repository: `docs/models.md` has the figures.
"""
import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from formula_weights import fill
from full_size import FOUR, NETWORKS, SDXL_UNET
from output import REPOSITORY
from pipelines import BETAS
from tokenizer import clip_tokenizer

PROMPT, NEGATIVE = "oil painting of a lake, warm palette", "blurry, low contrast"


def text(kind, **config):
    config = CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, eos_token_id=49407, bos_token_id=49406, **config)
    config.architectures = [kind.__name__]
    return kind(config)


def clip_l(**config):
    return text(CLIPTextModel, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu", **config)


def big_g():
    return text(
        CLIPTextModelWithProjection, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu",
        projection_dim=1280,
    )


KINDS = {
    "sd1": dict(
        pipeline=StableDiffusionImg2ImgPipeline, size=512, scheduler=lambda: DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False),
        parts={"text_encoder": clip_l, "unet": NETWORKS["sd1_unet"], "vae": NETWORKS["sd_vae"]}, options={},
    ),
    "sd2": dict(
        pipeline=StableDiffusionImg2ImgPipeline, size=768,
        scheduler=lambda: DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"),
        parts={
            "text_encoder": NETWORKS["open_clip_h"], "vae": NETWORKS["sd_vae"],
            "unet": lambda: UNet2DConditionModel(
                **(FOUR | dict(sample_size=96)), cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
            ),
        },
        options={},
    ),
    "sdxl": dict(
        pipeline=StableDiffusionXLImg2ImgPipeline, size=1024, scheduler=lambda: EulerDiscreteScheduler(**BETAS, timestep_spacing="leading"),
        parts={
            "text_encoder": clip_l, "text_encoder_2": big_g, "unet": lambda: UNet2DConditionModel(**SDXL_UNET),
            "vae": lambda: AutoencoderKL(**(dict(NETWORKS["sd_vae"]().config) | dict(scaling_factor=0.13025))),
        },
        options=dict(force_zeros_for_empty_prompt=True),
    ),
}


@torch.no_grad()
def write(kind, folder):
    """A model's folder as diffusers would save it, network by network so that one at a time is in memory."""
    facts = KINDS[kind]
    index = {"_class_name": facts["pipeline"].__name__, "safety_checker": [None, None], **facts["options"]}
    for name, make in facts["parts"].items():
        network = make().eval()
        fill(network, f"{kind}.{name}.", torch.float16)
        network.half().save_pretrained(folder / name)
        index[name] = [type(network).__module__.split(".")[0], type(network).__name__]
        if name.startswith("text_encoder"):
            words = name.replace("text_encoder", "tokenizer")
            tokenizer = clip_tokenizer(folder)
            tokenizer.model_max_length = 77
            tokenizer.save_pretrained(folder / words)
            index[words] = ["transformers", "CLIPTokenizer"]
    facts["scheduler"]().save_pretrained(folder / "scheduler")
    index["scheduler"] = ["diffusers", type(facts["scheduler"]()).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))


@torch.no_grad()
def diffusers_picture(kind, folder, source, arguments):
    """Runs the pipeline in this process and writes FOLDER/diffusers.png."""
    torch.set_num_threads(os.cpu_count())
    options = dict(safety_checker=None) if kind != "sdxl" else dict(add_watermarker=False)
    start = time.perf_counter()
    pipeline = KINDS[kind]["pipeline"].from_pretrained(folder, torch_dtype=torch.float32, **options)
    pipeline.set_progress_bar_config(disable=True)
    loaded = time.perf_counter()
    made = pipeline(
        prompt=PROMPT, negative_prompt=NEGATIVE, image=Image.open(source), strength=arguments.strength, num_inference_steps=arguments.steps,
        guidance_scale=7.5, generator=torch.Generator().manual_seed(11),
    ).images[0]
    made.save(folder / "diffusers.png")
    took = time.perf_counter() - loaded
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"diffusers: loaded in {loaded - start:.1f} s, ran {took:.1f} s, peak {peak:.2f} GiB", flush=True)


def our_picture(folder, source, arguments):
    """Runs the binary and writes FOLDER/imagegen.png."""
    (folder / "imagegen.png").unlink(missing_ok=True)
    start = time.perf_counter()
    subprocess.run(
        [
            arguments.binary, "transform", source, "-p", PROMPT, "--negative", NEGATIVE, "--model", folder, "--strength", str(arguments.strength),
            "--steps", str(arguments.steps), "--guidance", "7.5", "--seed", "11", "--strength-rule", "diffusers", "--prompt-mode", "plain",
            "-o", folder / "imagegen.png",
        ],
        check=True,
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"imagegen: whole process {time.perf_counter() - start:.1f} s, peak {peak:.2f} GiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description="One picture by diffusers and by imagegen, from a model of full size on random weights.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--binary", default=REPOSITORY / "target" / "release" / "imagegen")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--size", type=int, help="side in pixels; the model's own where absent")
    parser.add_argument("--only-ours", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model_index.json").exists():
        write(arguments.kind, folder)
    size = arguments.size or KINDS[arguments.kind]["size"]
    source = folder / "source.png"
    Image.open(REPOSITORY / "examples" / "landscape.jpg").convert("RGB").resize((size, size), Image.LANCZOS).save(source)
    our_picture(folder, source, arguments)
    if arguments.only_ours:
        return
    # A process of its own, so that its memory is its own.
    other = multiprocessing.get_context("spawn").Process(target=diffusers_picture, args=(arguments.kind, folder, source, arguments))
    other.start()
    other.join()
    ours, theirs = (np.asarray(Image.open(folder / f"{name}.png").convert("RGB"), float) for name in ("imagegen", "diffusers"))
    off = ours - theirs
    print(f"{arguments.kind} {size}x{size}: rms {np.sqrt((off**2).mean()):.3f} grey levels, largest {abs(off).max():.0f}, spread {theirs.std():.1f}")


if __name__ == "__main__":
    main()
