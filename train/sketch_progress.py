"""Measures sketch to picture: whether lines are kept and colour comes.

    python sketch_progress.py --model run/model --size 512 photo.png ...

The sketch is the photograph's outlines, as the training draws them. Printed, averaged over the
pictures: how well the edges of the result agree with the lines (correlation, blurred by 2 pixels),
the mean chroma in Lab of the result and of the photograph, and how much darker than paper white
the result is (0 the blank sheet).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import style_set
from filters import Field, Image, gradient_size, grey, to_float
from starter import Settings, Starter, load_image

PROMPTS = ("a photo of a landscape", "watercolour painting", "oil painting")
LINE_BLUR = 2.0


def edges(image: Image) -> Field:
    """Return how much edge there is about each place."""
    return cv2.GaussianBlur(gradient_size(grey(image)), (0, 0), LINE_BLUR)


def chroma(image: Image) -> float:
    """Return the mean chroma in Lab."""
    lab = cv2.cvtColor(to_float(image), cv2.COLOR_BGR2LAB)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def main() -> None:
    """Measure a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--strength", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for photographs, sketches and results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    starter = Starter(args.model)
    photos = [load_image(path, args.size) for path in args.pictures]
    sketches = [style_set.render("sketch", photo, 0) for photo in photos]
    shown = [[photo, sketch] for photo, sketch in zip(photos, sketches, strict=True)]
    for prompt in PROMPTS:
        figures = []
        for number, (photo, sketch) in enumerate(zip(photos, sketches, strict=True)):
            result = starter.restyle(sketch, prompt, Settings(args.strength))
            kept = np.corrcoef(edges(result).ravel(), edges(sketch).ravel())[0, 1]
            dark = 1 - grey(result).mean()
            figures.append((kept, chroma(result), chroma(photo), dark))
            shown[number].append(result)
        kept, coloured, photo_chroma, dark = np.mean(figures, 0)
        print(
            f"{prompt}: lines {kept:.2f}, chroma {coloured:.1f} (photographs {photo_chroma:.1f}), "
            f"darkness {dark:.2f}",
            flush=True,
        )
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
        for number, images in enumerate(shown):
            cv2.imwrite(str(args.save / f"sketch-{number}.png"), np.concatenate(images, 1))


if __name__ == "__main__":
    main()
