"""Makes crates/model/tests/faces/reference.safetensors: what LiteRT's reference kernels answer to one picture.

    python tools/faces/reference.py face_detection_short_range.tflite

Keys: `picture` u8 [128, 128, 3], examples/portrait.jpg made smaller (the network's input is `v / 127.5 - 1` in float32); `scores`
f32 [896], before the sigmoid; `boxes` f32 [896, 16], in pixels of the input and relative to the anchor, as the network gives them.
`f32_error` in the metadata: largest difference of LiteRT's optimised kernels to these, over the largest number.
"""
import sys

import numpy as np
from ai_edge_litert.interpreter import OpResolverType
from PIL import Image

import graph
from output import REFERENCE, REPOSITORY, origin, save


def run(content, picture, kernels):
    """Raw scores [896] and boxes [896, 16] of `picture` u8 [128, 128, 3]."""
    runner = graph.interpreter(content, kernels)
    unit = picture.astype(np.float32) / np.float32(127.5) - np.float32(1)
    runner.set_tensor(runner.get_input_details()[0]["index"], unit[None])
    runner.invoke()
    answers = {detail["name"]: runner.get_tensor(detail["index"])[0] for detail in runner.get_output_details()}
    return {"scores": answers["classificators"][:, 0], "boxes": answers["regressors"]}


def main(path):
    content = graph.read(path)
    photo = Image.open(REPOSITORY / "examples" / "portrait.jpg").convert("RGB")
    picture = np.asarray(photo.resize((128, 128), Image.Resampling.BILINEAR))
    want = run(content, picture, OpResolverType.BUILTIN_REF)
    other = run(content, picture, OpResolverType.BUILTIN)
    errors = {key: float(abs(other[key] - want[key]).max() / abs(want[key]).max()) for key in want}
    facts = origin(__file__, source_sha256=graph.SHA256, f32_error={key: f"{error:.1e}" for key, error in errors.items()})
    save(REFERENCE, {"picture": picture} | want, facts)
    print(f"highest score {1 / (1 + np.exp(-want['scores'].max())):.4f}, f32 errors {facts['f32_error']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
