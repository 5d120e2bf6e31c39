"""Whole runs of the starter model on a small photo, and what the reference computes on the way.

    python tools/reference/starter_end_to_end.py --model crates/starter/model

Reads starter_source.png (96 x 64, made once by `--photo`) and starter_drawing_source.png (128 x 96, made by `--drawing`), writes
starter_NAME.safetensors and the picture starter_NAME.png for every run of RUNS. The model's files are not copied: their hashes are in the metadata. Run in float64 and stored as float32;
`f32_error` is how far a float32 run's last latents are from it, `f32_bytes` how many of the picture's bytes that moves.
Keys: `noise`, `source_latents`, `source_channels`, `start` [1, 48, 16, 24], `cond`, `uncond` [1, 77, C], `pooled_cond`,
`pooled_uncond` [1, C], `timesteps`, `denoised.N` (guided, before the clamp) and `latents.N` after step N, `picture` u8 [64, 96, 3].
To stay small, a run keeps only what its entry in RUNS names, besides timesteps and picture.
"""
import argparse
import hashlib
import json
from pathlib import Path

import torch
from PIL import Image

from output import FOLDER, REPOSITORY, STARTER_MODEL, origin, save_tensors
from starter import Request, Starter, read_picture, to_bytes

SOURCE = REPOSITORY / "conformance" / "reference" / "starter_source.png"
DRAWING = SOURCE.with_name("starter_drawing_source.png")
PROMPT = "oil painting, impressionist style, warm palette"

TEXTS = ("cond", "uncond", "pooled_cond", "pooled_uncond")

# Strength 0.93 low-passes the source channels by 2; strength 1 has no source at all.
RUNS = {
    "default": dict(
        request=Request(PROMPT, seed=1),
        keep=("noise", "source_latents", "start", *TEXTS, "denoised.0", "latents.0", "denoised.4", "latents.4"),
    ),
    "loose": dict(
        request=Request("pencil sketch", negative="blurry, low contrast", strength=0.93, guidance_scale=1.5, seed=1),
        keep=("source_channels", "start", *TEXTS, "denoised.0", "latents.0", "latents.8"),
    ),
    # What else finishing does: strokes along the result's own lines, cells, pigment, grades, smoothing.
    "loose_strokes": dict(request=Request("oil painting", strength=0.93, seed=1), keep=()),
    "cells": dict(request=Request("pixel art", seed=1), keep=()),
    "pigment": dict(request=Request("watercolour, muted colours", seed=1), keep=()),
    "grades": dict(request=Request("photo, black and white, dark", seed=1), keep=()),
    "smooth": dict(request=Request("sharp, detailed photo", strength=0.4, seed=1), keep=()),
    # A line drawing, under which colours are put.
    "drawing": dict(request=Request("watercolour painting of a house by a lake", strength=0.7, seed=1), keep=(), source=DRAWING),
    "text_only": dict(request=Request(PROMPT, strength=1.0, seed=1), keep=("start", "latents.9")),
}


def make(name, run, exact, single, model):
    """Runs `run` in both precisions and writes its two files."""
    source = torch.zeros(1, 3, 64, 96) if run["request"].strength == 1 else read_picture(run.get("source", SOURCE))
    trace, single_trace = {}, {}
    picture = to_bytes(exact.run(source, run["request"], trace))
    single_picture = to_bytes(single.run(source, run["request"], single_trace))
    last = f"latents.{len(trace['timesteps']) - 1}"
    error = (single_trace[last] - trace[last]).abs().max().item()
    weights = {
        "unet": "unet/diffusion_pytorch_model.safetensors",
        "text_encoder": "text_encoder/model.safetensors",
        "wash": "wash/diffusion_pytorch_model.safetensors",
    }
    facts = origin(
        __file__,
        request=json.dumps(vars(run["request"])),
        arithmetic="float64, stored as float32",
        f32_error=f"{error:.0e}",
        f32_bytes=int((single_picture != picture).sum()),
        **{f"{key}_sha256": hashlib.sha256((model / path).read_bytes()).hexdigest() for key, path in weights.items()},
    )
    stored = {key: trace[key] for key in ("timesteps", *run["keep"])} | {"picture": picture}
    save_tensors(f"starter_{name}.safetensors", stored, facts)
    Image.fromarray(picture.numpy()).save(FOLDER / f"starter_{name}.png", optimize=True)
    print(f"  timesteps {trace['timesteps'].tolist()}, f32 error {error:.1e}, {facts['f32_bytes']} bytes")


def main():
    parser = argparse.ArgumentParser(description="Writes the starter's end-to-end references.")
    parser.add_argument("--model", type=Path, default=STARTER_MODEL)
    parser.add_argument("--photo", type=Path, help="make starter_source.png anew from this photo")
    parser.add_argument("--drawing", type=Path, help="make starter_drawing_source.png anew from this drawing")
    arguments = parser.parse_args()
    if arguments.photo:
        photo = Image.open(arguments.photo).convert("RGB").resize((96, 64), Image.Resampling.LANCZOS)
        photo.save(SOURCE, optimize=True)
    if arguments.drawing:
        drawing = Image.open(arguments.drawing).convert("RGB").resize((128, 96), Image.Resampling.LANCZOS)
        drawing.save(DRAWING, optimize=True)
    exact, single = Starter(arguments.model, torch.float64), Starter(arguments.model)
    for name, run in RUNS.items():
        make(name, run, exact, single, arguments.model)


if __name__ == "__main__":
    main()
