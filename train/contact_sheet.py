"""Makes a contact sheet: a row a picture, a column a prompt, the source at the left.

    python contact_sheet.py --model run/model --out sheet.png photo.jpg other.png
    python contact_sheet.py --model run/model --out ladder.png --strengths 0.25 0.5 0.75 photo.jpg

With more than one strength, each picture gets a row per strength.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from starter import Settings, Starter, load_pixels, to_rgb

PROMPTS = [
    "oil painting",
    "oil painting in the style of Monet",
    "watercolour illustration, soft colours, painterly",
    "pencil sketch",
    "coloured pencil drawing",
    "comic book illustration",
    "pixel art",
    "winter, snow",
    "autumn",
    "at night",
]


def rows_of(starter: Starter, path: Path, args: argparse.Namespace) -> list[np.ndarray]:
    """Return one row of tiles, u8 `[H, W, 3]`, per strength."""
    pixels = load_pixels(path, args.size)
    rows = []
    for strength in args.strengths:
        settings = Settings(strength, args.steps, args.guidance, args.seed)
        results = [
            to_rgb(starter.transform(pixels, [prompt], settings))[0] for prompt in args.prompts
        ]
        rows.append(np.hstack([to_rgb(pixels)[0], *results]))
        print(f"{path.name} at strength {strength}", flush=True)
    return rows


def main() -> None:
    """Transform, join, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", nargs="+", default=PROMPTS)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5])
    parser.add_argument("--size", type=int, default=512, help="pixels a side of every tile")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    starter = Starter(args.model, args.device)
    rows = [row for path in args.pictures for row in rows_of(starter, path, args)]
    PillowImage.fromarray(np.vstack(rows)).save(args.out)


if __name__ == "__main__":
    main()
