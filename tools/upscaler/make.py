"""Makes the upscaler's embedded weights and the numbers it is tested against.

    python tools/upscaler/make.py realesr-animevideov3-x4.bin

`crates/model/upscaler/realesr_animevideov3.safetensors`: the published numbers under the network's own names. `crates/model/tests/upscaler/reference.safetensors`:
`picture` u8 [40, 56, 3], a part of examples/portrait.jpg (the network's input is `v / 255` in float32), and `enlarged` f32 [160, 224, 3], what
torch gives in float64. `f32_error` in the metadata: largest difference of torch's float32 to it.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.nn import functional as F

import weights

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "crates" / "model"


def enlarged(layers, pixels):
    """`pixels` [1, 3, H, W] in 0 to 1, four times as large: convolutions and slopes in turn, pixels out of channels, the input added."""
    hidden = pixels
    for index in range(weights.DEEP + 2):
        at = 2 * index
        hidden = F.conv2d(hidden, layers[f"body.{at}.weight"], layers[f"body.{at}.bias"], padding=1)
        if index <= weights.DEEP:
            hidden = F.prelu(hidden, layers[f"body.{at + 1}.weight"])
    return F.pixel_shuffle(hidden, weights.SCALE) + F.interpolate(pixels, scale_factor=weights.SCALE, mode="nearest")


def main(path):
    tensors = weights.layers(path)
    save_file(tensors, MODEL / "upscaler" / "realesr_animevideov3.safetensors")
    photo = Image.open(REPOSITORY / "examples" / "portrait.jpg").convert("RGB")
    picture = np.asarray(photo.crop((200, 150, 256, 190)))
    pixels = torch.from_numpy(picture.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]
    answers = {}
    for dtype in (torch.float64, torch.float32):
        layers = {name: torch.from_numpy(values.astype(np.float64)).to(dtype) for name, values in tensors.items()}
        answers[dtype] = enlarged(layers, pixels.to(dtype))[0].permute(1, 2, 0).double()
    error = (answers[torch.float32] - answers[torch.float64]).abs().max().item()
    want = answers[torch.float64].float().contiguous().numpy()
    facts = {"script": "tools/upscaler/make.py", "source_sha256": weights.SHA256, "torch": torch.__version__, "f32_error": f"{error:.1e}"}
    save_file({"picture": picture.copy(), "enlarged": want}, MODEL / "tests" / "upscaler" / "reference.safetensors", facts)
    print(facts, want.min(), want.max())


if __name__ == "__main__":
    main(*sys.argv[1:])
