"""Whole runs of two tiny models of pipelines.py with textual inversions that diffusers loads: clean estimates and pictures.

    python tools/reference/textual_inversion.py

Writes the inversions as files of each layout: inversion_word.safetensors (diffusers': one tensor named as the word), inversion_rows.safetensors
(AUTOMATIC1111's: `emb_params`, several vectors), inversion_towers.safetensors (SDXL's: `clip_l`, `clip_g`). Then textual_inversion.json: `runs`
(the requests, each with its model's `kind`) and textual_inversion.safetensors: for each run `RUN.denoised.N` and `RUN.picture`.
"""
import json

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from formula_weights import fill, numbers
from output import origin, save_json, save_tensors
from pipelines import KINDS, tokenizers, watched

WORD, ROWS, TOWERS = "<lake-toy>", "<night-style>", "<big-fur>"


def vectors(name, count, width):
    values = 0.85 * numbers(name, count * width)
    return torch.from_numpy(values.astype(np.float32)).reshape(count, width)


def run(name, kind, prompt, negative):
    sampler = {"sd": "ddim", "sdxl": "euler"}[kind]  # what the models' own files name
    return dict(name=name, kind=kind, prompt=prompt, negative=negative, steps=3, sampler=sampler, guidance=5.0, seed=11)


RUNS = [
    run("word", "sd", f"oil painting of a {WORD}, winter", "blurry"),
    run("rows", "sd", f"oil painting in {ROWS} of {WORD}", f"{ROWS}, low contrast"),
    run("towers", "sdxl", f"a {TOWERS} at night", f"{TOWERS}"),
]


def carry_out(request, pipeline):
    return watched(pipeline, request, prompt=request["prompt"], negative_prompt=request["negative"], width=96, height=64)


def pipeline_of(kind):
    parts, scheduler, options = KINDS[kind]["make"]()
    for name, part in parts.items():
        fill(part.eval(), f"{kind}.{name}.", {"F16": torch.float16, "F32": torch.float32}[KINDS[kind]["dtype"]])
    sampler = type(scheduler).from_config(json.loads(scheduler.to_json_string()))
    tokens = tokenizers(parts)
    if kind == "sdxl":
        return StableDiffusionXLPipeline(**parts, **tokens, scheduler=sampler, **options, add_watermarker=False)
    return StableDiffusionPipeline(**parts, **tokens, scheduler=sampler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def main():
    files = {
        "word": {WORD: vectors("word", 1, 24)[0]},
        "rows": {"emb_params": vectors("rows", 3, 24)},
        "towers": {"clip_l": vectors("clip_l", 2, 16), "clip_g": vectors("clip_g", 2, 24)},
    }
    for name, tensors in files.items():
        save_tensors(f"inversion_{name}.safetensors", tensors, origin(__file__))
    small, big = pipeline_of("sd"), pipeline_of("sdxl")
    small.load_textual_inversion({WORD: files["word"][WORD]})
    small.load_textual_inversion({ROWS: files["rows"]["emb_params"]})
    big.load_textual_inversion({TOWERS: files["towers"]["clip_l"]}, text_encoder=big.text_encoder, tokenizer=big.tokenizer)
    big.load_textual_inversion({TOWERS: files["towers"]["clip_g"]}, text_encoder=big.text_encoder_2, tokenizer=big.tokenizer_2)
    tensors = {}
    for request in RUNS:
        made = carry_out(request, small if request["kind"] == "sd" else big)
        tensors |= {f"{request['name']}.{key}": value for key, value in made.items()}
        print(f"  {request['name']}: spreads {[round(value.float().std().item(), 2) for value in made.values()]}")
    save_tensors("textual_inversion.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("textual_inversion.json", {"origin": origin(__file__), "runs": RUNS})


if __name__ == "__main__":
    main()
