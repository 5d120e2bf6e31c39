"""Whole runs of tiny models of pipelines.py that leave layers of their text encoders out, by diffusers' pipelines.

    python tools/reference/clip_skip.py

diffusers counts from 0: its `clip_skip` is ours less one. It leaves the negative prompt at the model's own layer.

Writes clip_skip.json: `runs` (the requests, each with its model's `kind` and our `clip_skip`) and clip_skip.safetensors: for each run
`RUN.denoised.N` [1, C, h, w] and `RUN.picture` u8 [H, W, 3], as pipelines.py does.
"""
import torch

import pipelines
from formula_weights import fill
from output import origin, save_json, save_tensors
from pipelines import KINDS, NEGATIVE, run, tokenizers

RUNS = [
    run("changed", "ddim", 4, 0.6, NEGATIVE, kind="sd", clip_skip=2),
    run("none", "ddim", 2, None, NEGATIVE, kind="sd", clip_skip=3),
    run("towers", "euler", 2, None, NEGATIVE, kind="sdxl", clip_skip=2),
]


def main():
    tensors, watched = {}, pipelines.watched
    for kind in ("sd", "sdxl"):
        parts, scheduler, options = KINDS[kind]["make"]()
        for name, part in parts.items():
            fill(part.eval(), f"{kind}.{name}.", {"F16": torch.float16, "F32": torch.float32}[KINDS[kind]["dtype"]])
        for request in (request for request in RUNS if request["kind"] == kind):
            skip = request["clip_skip"] - 1 or None
            pipelines.watched = lambda *positional, **named: watched(*positional, **named, clip_skip=skip)
            made = pipelines.carry_out(request, kind, parts, scheduler, tokenizers(parts), options)
            tensors |= {f"{request['name']}.{key}": value for key, value in made.items()}
            print(f"  {request['name']}: spreads {[round(value.float().std().item(), 2) for value in made.values()]}")
    save_tensors("clip_skip.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("clip_skip.json", {"origin": origin(__file__), "runs": RUNS})


if __name__ == "__main__":
    main()
