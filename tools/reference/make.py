"""Makes every file of conformance/reference anew, or compares what would be made with what is there.

    python tools/reference/make.py [--model crates/starter/model] [--check]

`--check` writes to a temporary folder instead and fails if a file is missing, spare or different. On another kind of CPU the last bits
of torch's float32 results may differ: the largest difference is shown for every tensor file.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.numpy import load_file

from output import FOLDER, STARTER_MODEL

HERE = Path(__file__).resolve().parent
SCRIPTS = (
    "unet", "deep_cache", "token_merging", "clip_text", "autoencoder", "pipelines", "refined", "pipeline_samplers", "prompt_grammar", "textual_inversion", "clip_skip", "single_file", "tokenizer", "schedulers", "samplers", "all_samplers", "k_samplers", "inpaint", "lora", "lora_pipelines",
    "noise", "cuda_noise", "image_ops", "activations", "starter_end_to_end",
)
NEED_MODEL = ("starter_end_to_end",)
# Made once: a photograph, a tokenizer, and weights that training would not find again to the last bit.
INPUTS = ("starter_source.png", "tokenizer", "small_autoencoder.safetensors", "small_autoencoder.config.json")


def make(folder, model):
    """Runs all scripts, in order, with their output in `folder`."""
    for script in SCRIPTS:
        options = ["--model", str(model)] if script in NEED_MODEL else []
        environment = os.environ | {"REFERENCE_OUT": str(folder)}
        subprocess.run([sys.executable, HERE / f"{script}.py", *options], check=True, env=environment)


def difference(made, kept):
    """How two files of one name differ, in words; empty if they are the same."""
    if made.read_bytes() == kept.read_bytes():
        return ""
    if made.suffix != ".safetensors":
        return "differs"
    ours, theirs = load_file(made), load_file(kept)
    shapes = [{key: value.shape for key, value in tensors.items()} for tensors in (ours, theirs)]
    if shapes[0] != shapes[1]:
        return "differs in its tensors' names or shapes"
    largest = max((abs(ours[key].astype(float) - theirs[key].astype(float)).max(), key) for key in ours)
    return f"differs by at most {largest[0]:.1e} ({largest[1]})"


def check(model):
    """The differences between what is made now and what is in the folder, one line each."""
    with tempfile.TemporaryDirectory() as temporary:
        made_in = Path(temporary)
        make(made_in, model)
        made = {path.name for path in made_in.iterdir()}
        kept = {path.name for path in FOLDER.iterdir()} - set(INPUTS)
        lines = [f"{name}: missing" for name in sorted(made - kept)] + [f"{name}: spare" for name in sorted(kept - made)]
        words = {name: difference(made_in / name, FOLDER / name) for name in sorted(made & kept)}
        return lines + [f"{name}: {word}" for name, word in words.items() if word]


def main():
    parser = argparse.ArgumentParser(description="Makes or checks the files in conformance/reference.")
    parser.add_argument("--model", type=Path, default=STARTER_MODEL, help="the starter's diffusers folder")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    if not arguments.check:
        return make(FOLDER, arguments.model)
    lines = check(arguments.model)
    print("\n".join(lines) or "all files are as made now")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
