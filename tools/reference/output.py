"""Where and how reference files are written: safetensors and JSON, the same bytes on every run.

Knows nothing of networks or pictures. Used by every script in this folder.
"""
import json
import os
import struct
from importlib.metadata import version
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("REFERENCE_OUT", REPOSITORY / "conformance" / "reference"))
STARTER_MODEL = REPOSITORY / "crates" / "starter" / "model"
TOKENIZER = REPOSITORY / "conformance" / "reference" / "tokenizer"
"""A small CLIP tokenizer: train/make_tokenizer.py made it with `--merges 6000`. References hold ids of it."""

# One thread: the order of sums, and so the last bits, must not depend on the number of cores.
torch.set_num_threads(1)

_DTYPES = {torch.float32: ("F32", 4), torch.int64: ("I64", 8), torch.uint8: ("U8", 1)}


def origin(script, **facts):
    """What made a file: the script's name, exact package versions and `facts`, all as text."""
    packages = ("torch", "diffusers", "transformers", "numpy")
    made_by = {"script": f"tools/reference/{Path(script).name}"} | {name: version(name) for name in packages}
    return made_by | {key: str(value) for key, value in facts.items()}


def rounded(tensor):
    """A float64 result as the float32 that is stored."""
    return tensor.detach().to(torch.float32)


def save_tensors(name, tensors, metadata):
    """Writes `name` as safetensors; float64 tensors are rounded to float32.

    Written by hand: the library keeps its metadata in a hash map, so its bytes change from run to run.
    Wide types come first and names are sorted, as the library does it, which keeps every tensor aligned.
    """
    stored = {key: (rounded(value) if value.dtype == torch.float64 else value.detach()) for key, value in tensors.items()}
    for key, value in stored.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f'tensor "{key}" of {name} is not finite')
    header, parts, end = {"__metadata__": dict(sorted(metadata.items()))}, [], 0
    for key in sorted(stored, key=lambda key: (-_DTYPES[stored[key].dtype][1], key)):
        content = stored[key].contiguous().numpy().tobytes()
        header[key] = {
            "dtype": _DTYPES[stored[key].dtype][0],
            "shape": list(stored[key].shape),
            "data_offsets": [end, end + len(content)],
        }
        parts.append(content)
        end += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    _write(name, struct.pack("<Q", len(text)) + text + b"".join(parts))


def save_json(name, value):
    """Writes `name` as ASCII JSON, one entry of the outermost lists and objects a line; floats in shortest exact form."""
    _write(name, (_outline(value, 0) + "\n").encode("ascii"))


def _outline(value, depth):
    """JSON broken into lines down to the depth where a line stays readable."""
    flat = json.dumps(value, allow_nan=False)
    if len(flat) <= 110 or not isinstance(value, (dict, list)):
        return flat
    if isinstance(value, list) and all(isinstance(item, (int, float, str)) for item in value):
        return flat
    pad = " " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{pad}{json.dumps(key)}: {_outline(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
    return "[\n" + ",\n".join(pad + _outline(item, depth + 1) for item in value) + "\n" + " " * depth + "]"


def _write(name, content):
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_bytes(content)
    print(f"wrote {name} {len(content)} bytes")
