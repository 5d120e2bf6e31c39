"""Writes safetensors files, the same bytes on every run. Knows nothing of networks or pictures."""
import json
import struct
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "crates" / "model" / "faces" / "short_range.safetensors"
REFERENCE = REPOSITORY / "crates" / "model" / "tests" / "faces" / "reference.safetensors"

_DTYPES = {"float16": "F16", "float32": "F32", "uint8": "U8"}


def origin(script, **facts):
    """What made a file: the script's name, exact package versions and `facts`, all as text."""
    made_by = {name: version(name) for name in ("ai-edge-litert", "numpy", "pillow")}
    return {"script": f"tools/faces/{Path(script).name}"} | made_by | {key: str(value) for key, value in facts.items()}


def save(path, tensors, metadata):
    """Writes numpy arrays as `path`. By hand: the library keeps metadata in a hash map, so its bytes change from run to run."""
    header, parts, end = {"__metadata__": dict(sorted(metadata.items()))}, [], 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        content = tensors[name].tobytes(order="C")
        header[name] = {
            "dtype": _DTYPES[tensors[name].dtype.name],
            "shape": list(tensors[name].shape),
            "data_offsets": [end, end + len(content)],
        }
        parts.append(content)
        end += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    print(f"wrote {path.relative_to(REPOSITORY)} {path.stat().st_size} bytes")
