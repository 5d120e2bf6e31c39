"""Measures how far results have moved from the photograph to its rendered style.

    python style_progress.py --model run/model --size 512 photo.png ...
    python style_progress.py --check photo.png ...

style progress = 1 - d(result, rendered) / d(photograph, rendered)

0 is the photograph, 1 the rendered style; d compares statistics, not pixels: colour, gradients
at four scales, and frequencies. Composition is the correlation of the low frequencies of result
and photograph. `--check` proves on the given pictures that the figure orders obvious cases.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import style_set
from filters import Field, Image, to_float
from starter import Settings, Starter, load_image

PROMPTS = {
    "oil": "oil painting",
    "impressionist": "impressionist painting",
    "watercolour": "watercolour painting",
    "pencil": "pencil sketch",
    "colour_pencil": "coloured pencil drawing",
    "comic": "comic book illustration",
    "pixel": "pixel art",
    "winter": "in winter, snow",
    "autumn": "in autumn",
    "night": "at night",
}
"""The ten styles that count, each with a plain prompt."""
LIGHT_AND_SEASON = ("winter", "autumn", "night")
QUANTILES = np.linspace(0.02, 0.98, 13)
SCALES = (1, 2, 4, 8)
# Typical differences between unlike pictures; they only balance the three groups.
COLOUR_UNIT, GRADIENT_UNIT, FREQUENCY_UNIT = 10.0, 0.5, 0.5
COMPOSITION_BLUR = 1 / 32  # of the shorter side


def _colour(lab: Field) -> Field:
    """Return the spread of lightness and both chroma axes as quantiles, in Lab units."""
    return np.concatenate([np.quantile(lab[..., axis], QUANTILES) for axis in range(3)])


def _gradients(lab: Field) -> Field:
    """Return, at each scale, log quantiles of the gradient and how far one direction rules."""
    features, lightness = [], lab[..., 0]
    for scale in SCALES:
        size = (lightness.shape[1] // scale, lightness.shape[0] // scale)
        small = cv2.resize(lightness, size, interpolation=cv2.INTER_AREA)
        along_x = cv2.Sobel(small, cv2.CV_32F, 1, 0, scale=0.25)
        along_y = cv2.Sobel(small, cv2.CV_32F, 0, 1, scale=0.25)
        length = np.hypot(along_x, along_y)
        features.append(np.log(np.quantile(length, (0.25, 0.5, 0.75, 0.95)) + 0.5))
        blurred = [
            cv2.GaussianBlur(product, (0, 0), 3)
            for product in (along_x**2, along_x * along_y, along_y**2)
        ]
        spread = np.sqrt((blurred[0] - blurred[2]) ** 2 + 4 * blurred[1] ** 2)
        coherence = spread.sum() / (blurred[0] + blurred[2]).sum().clip(1e-6)
        features.append(np.array([2 * coherence]))
    return np.concatenate(features)


def _frequencies(lab: Field) -> Field:
    """Return the log deviation of octave bands: six of lightness, four of each chroma axis."""
    features = []
    for axis, octaves in ((0, 6), (1, 4), (2, 4)):
        rest = lab[..., axis]
        for octave in range(octaves):
            smooth = cv2.GaussianBlur(rest, (0, 0), 0.7 * 2**octave)
            features.append(np.log((rest - smooth).std() + 0.5))
            rest = smooth
    return np.array(features)


def statistics(image: Image) -> list[Field]:
    """Return the three groups of statistics of a BGR u8 picture, each in its own unit."""
    lab = cv2.cvtColor(to_float(image), cv2.COLOR_BGR2LAB)
    return [
        _colour(lab) / COLOUR_UNIT,
        _gradients(lab) / GRADIENT_UNIT,
        _frequencies(lab) / FREQUENCY_UNIT,
    ]


def distance(image: Image, other: Image) -> float:
    """Return d: the mean over the groups of the root mean square difference."""
    pairs = zip(statistics(image), statistics(other), strict=True)
    return float(np.mean([np.sqrt(np.mean((left - right) ** 2)) for left, right in pairs]))


def progress(result: Image, photo: Image, rendered: Image) -> float:
    """Return the style progress: 0 for the photograph, 1 for the rendered style."""
    return 1 - distance(result, rendered) / max(distance(photo, rendered), 1e-6)


def composition(result: Image, photo: Image) -> float:
    """Return the correlation of the low frequencies of both, -1..1."""
    sigma = COMPOSITION_BLUR * min(photo.shape[:2])
    tones = [
        cv2.GaussianBlur(cv2.cvtColor(to_float(image), cv2.COLOR_BGR2GRAY), (0, 0), sigma)
        for image in (result, photo)
    ]
    return float(np.corrcoef(tones[0].ravel(), tones[1].ravel())[0, 1])


def check(photos: list[Image]) -> list[str]:
    """Return which obvious cases the figure gets wrong, averaged over the pictures."""
    faults = []
    for style in PROMPTS:
        rendered = [style_set.render(style, photo, 1) for photo in photos]
        again = [style_set.render(style, photo, 2) for photo in photos]
        half = [
            cv2.addWeighted(photo, 0.5, copy, 0.5, 0)
            for photo, copy in zip(photos, again, strict=True)
        ]

        def mean(results: list[Image], targets: list[Image] = rendered) -> float:
            figures = [progress(*three) for three in zip(results, photos, targets, strict=True)]
            return float(np.mean(figures))

        others = {
            name: mean([style_set.render(name, photo, 1) for photo in photos])
            for name in PROMPTS
            if name != style
        }
        nearest = max(others, key=others.get)
        figures = {"photo": mean(photos), "half": mean(half), "again": mean(again)}
        shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        print(f"{style}: {shown}, nearest other {nearest} {others[nearest]:.2f}", flush=True)
        if abs(figures["photo"]) > 1e-6:
            faults.append(f"{style}: the photograph itself has {figures['photo']:.2f}, expected 0")
        if figures["again"] < 0.8:
            faults.append(f"{style}: another seed has {figures['again']:.2f}, expected 0.8 or more")
        if not figures["photo"] < figures["half"] < figures["again"]:
            faults.append(
                f"{style}: half a copy has {figures['half']:.2f}, expected to lie between"
            )
        if others[nearest] >= figures["again"]:
            faults.append(
                f"{style}: {nearest} has {others[nearest]:.2f}, more than the style itself"
            )
    return faults


def measure(starter: Starter, photos: list[Image], settings: Settings) -> dict[str, dict]:
    """Return progress and composition per style, averaged over the pictures."""
    table = {}
    for style, prompt in PROMPTS.items():
        figures = []
        for number, photo in enumerate(photos):
            result = starter.restyle(photo, prompt, settings)
            rendered = style_set.render(style, photo, number)
            figures.append((progress(result, photo, rendered), composition(result, photo)))
        means = np.mean(figures, axis=0)
        table[style] = {"progress": round(means[0], 3), "composition": round(means[1], 3)}
        print(f"{style}: {json.dumps(table[style])}", flush=True)
    return table


def summary(table: dict[str, dict]) -> dict[str, float]:
    """Return the figures the aim is stated in."""
    progresses = [entry["progress"] for entry in table.values()]
    kept = [table[style]["composition"] for style in table if style not in LIGHT_AND_SEASON]
    return {
        "mean_progress": round(float(np.mean(progresses)), 3),
        "least_progress": min(progresses),
        "least_composition": min(kept),
    }


def main() -> None:
    """Check the figure, or measure a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--strength", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    photos = [load_image(path, args.size) for path in args.pictures]
    if args.check:
        faults = check(photos)
        sys.exit("\n".join(faults) if faults else 0)
    if not args.model:
        parser.error("--model is needed unless --check is given")
    settings = Settings(args.strength, args.steps, args.guidance, args.seed)
    print(json.dumps(summary(measure(Starter(args.model, args.device), photos, settings))))


if __name__ == "__main__":
    main()
