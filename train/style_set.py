"""The styles the starter learns: which renderer makes each, and which need an outdoor scene."""

from collections.abc import Callable

import numpy as np

import seasons
import styles
from filters import Image

RENDERERS: dict[str, Callable[[Image, int], Image]] = {
    "oil": styles.oil,
    "impressionist": styles.impressionist,
    "oil_bold": styles.oil_bold,
    "watercolour": styles.watercolour,
    "pencil": styles.pencil,
    "colour_pencil": styles.colour_pencil,
    "comic": styles.comic,
    "pixel": styles.pixel,
    "pixel_fine": styles.pixel_fine,
    "charcoal": styles.charcoal,
    "pastel": styles.pastel,
    "ink": styles.ink,
    "stained": styles.stained_glass,
    "lowpoly": styles.low_poly,
    "autumn": seasons.autumn,
    "winter": seasons.winter,
    "sunset": seasons.sunset,
    "night": seasons.night,
    "fog": seasons.fog,
    "sketch": styles.line_sketch,
}
SCENE_ONLY = ("autumn", "winter", "sunset", "night", "fog")
GREY = ("pencil", "charcoal", "ink", "sketch")


def render(style: str, image: Image, seed: int) -> Image:
    """Render a BGR u8 picture in `style` (a key of `RENDERERS`); the same seed, the same bytes."""
    return np.ascontiguousarray(RENDERERS[style](image, seed).astype(np.uint8))
