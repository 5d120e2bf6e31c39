"""Makes crates/model/faces/short_range.safetensors from the published TensorFlow Lite file. No number is changed.

    python tools/faces/convert.py face_detection_short_range.tflite

Convolutions come out in torch's order: `[O, I, kh, kw]`, depthwise `[C, 1, kh, kw]`.
"""
import hashlib
import sys

import graph
from output import WEIGHTS, save


def main(path):
    tensors = {}
    for name, (kernel, bias) in graph.layers(graph.read(path)).items():
        order = (3, 0, 1, 2) if name.endswith("depthwise") else (0, 3, 1, 2)
        tensors[f"{name}.weight"] = kernel.transpose(order)
        tensors[f"{name}.bias"] = bias
    save(WEIGHTS, tensors, {"script": "tools/faces/convert.py", "source_sha256": graph.SHA256})
    print(f"SHA-256 {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
