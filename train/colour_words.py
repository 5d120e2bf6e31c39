"""Which colours a small picture shows, in words.

Only words the tokenizer of the starter knows. Bounds are in Lab as OpenCV scales it for f32:
lightness 0..100, chroma and hue (degrees, 0 towards red, 90 towards yellow).
"""

import cv2
import numpy as np

from filters import Field

GREY_BELOW = 9.0  # chroma under which a colour is white, grey or black
LEAST_SHARE = 0.12
"""Of the pixels: what is less is not named."""
HUES = (
    (15, "pink"),
    (48, "red"),
    (70, "orange"),
    (105, "yellow"),
    (175, "green"),
    (300, "blue"),
    (360, "pink"),
)
"""Hue up to which a name holds; pink counts as red where it is strong."""


def _name(lightness: float, chroma: float, hue: float) -> str:
    if chroma < GREY_BELOW:
        if lightness > 82:
            return "white"
        return "grey" if lightness > 28 else "black"
    name = next(word for limit, word in HUES if hue <= limit)
    if name == "pink" and chroma > 40 and lightness < 60:
        return "red"
    if name in ("orange", "red") and chroma < 35 and lightness < 60:
        return "brown"
    if name == "yellow" and lightness < 45:
        return "green" if hue > 92 else "brown"
    return name


def colour_words(pixels: Field) -> list[str]:
    """Return the colours of RGB pixels in 0..1, `[H, W, 3]`, that are on enough of them."""
    lab = cv2.cvtColor(np.ascontiguousarray(pixels, np.float32), cv2.COLOR_RGB2LAB).reshape(-1, 3)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    counts: dict[str, int] = {}
    for one in zip(lab[:, 0], chroma, hue, strict=True):
        word = _name(*map(float, one))
        counts[word] = counts.get(word, 0) + 1
    named = [word for word, count in counts.items() if count >= LEAST_SHARE * len(lab)]
    return sorted(named, key=lambda word: -counts[word])
