"""Renderers of season, light and weather: autumn, winter, sunset, night, fog.

Each takes a BGR u8 picture `[H, W, 3]` of an outdoor scene and a seed, and returns the same size
and kind. They guess vegetation by colour and sky by flooding smooth areas from the top.
"""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from filters import (
    Field,
    Image,
    cloud_noise,
    gradient_size,
    stream,
    to_bytes,
    to_float,
)


def _luma(pixels: Field) -> Field:
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)


def _height_share(shape: tuple[int, int]) -> Field:
    """Return 0 at the top row, nearly 1 at the bottom."""
    return np.mgrid[0 : shape[0], 0 : shape[1]][0] / shape[0]


def vegetation(image: Image) -> tuple[Field, Field]:
    """Return how green-yellow each pixel is, 0..1, and the picture in OpenCV's HSV (f32)."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
    hue, saturation, value = hsv[..., 0], hsv[..., 1] / 255, hsv[..., 2] / 255
    green = np.exp(-(((hue - 45) / np.where(hue < 45, 20, 30)) ** 2))  # bluish firs count too
    green = green * np.clip((saturation - 0.10) / 0.2, 0, 1) * np.clip((value - 0.04) / 0.12, 0, 1)
    return gaussian_filter(green, 1.2), hsv


def sky(image: Image) -> Field:
    """Return a soft mask of the sky, 0..1: smooth, bluish or bright, joined to the top rows."""
    pixels = to_float(image)
    tone = _luma(pixels)
    rough = gaussian_filter(gradient_size(tone), 1.5)
    bluish = pixels[..., 0] > pixels[..., 2] - 0.03
    smooth = ((rough < 0.12) & (bluish | (tone > 0.75)) & (tone > 0.25)).astype(np.uint8)
    _, labels = cv2.connectedComponents(smooth)
    top = np.unique(labels[:3])
    mask = np.isin(labels, top[top > 0]).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    return gaussian_filter(mask.astype(np.float32), 1.0)


def autumn(image: Image, seed: int) -> Image:
    """Turn foliage orange and red; warm the light."""
    green, hsv = vegetation(image)
    wander = cloud_noise(green.shape, 7, seed, 11) * 5
    turned = hsv.copy()
    turned[..., 0] = np.clip(12 + wander + (hsv[..., 0] - 45) * 0.25, 0, 26)
    turned[..., 1] = np.clip(hsv[..., 1] * 1.4 + 60, 0, 240)
    turned[..., 2] = np.clip(hsv[..., 2] * 1.2 + 10, 0, 255)
    leaves = to_float(cv2.cvtColor(turned.astype(np.uint8), cv2.COLOR_HSV2BGR))
    mixed = to_float(image) * (1 - green[..., None]) + leaves * green[..., None]
    return to_bytes(mixed * np.array([0.78, 0.95, 1.08], np.float32))


def _snow_cover(image: Image, seed: int) -> Field:
    """Return how much snow lies where, 0..1: on foliage, dry ground and edges lit from above."""
    green, hsv = vegetation(image)
    shape = green.shape
    tone = _luma(to_float(image))
    upward = gaussian_filter(tone, 1.5).astype(np.float32)
    upward = np.clip(cv2.Sobel(upward, cv2.CV_32F, 0, 1, scale=-1) * 2, 0, 1)
    ground = np.clip((_height_share(shape) - 0.35) * 1.8, 0, 1)
    brown = np.exp(-(((hsv[..., 0] - 22) / 14) ** 2))
    dry = brown * np.clip((hsv[..., 1] / 255 - 0.15) / 0.2, 0, 1)
    clumps = gaussian_filter((cloud_noise(shape, 3, seed, 6, 3) > -0.5).astype(np.float32), 1)
    foliage = green * (0.35 + 0.65 * clumps) * (0.55 + 0.5 * ground)
    return np.clip(foliage + 0.7 * dry * ground + 0.7 * upward, 0, 1)


def _flakes(shape: tuple[int, int], seed: int) -> Field:
    """Return falling snow as cover, 0..1."""
    height, width = shape
    rng = stream(seed, 2)
    flakes = np.zeros(shape, np.float32)
    for _ in range(int(height * width / 700)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
        cv2.circle(flakes, centre, radius, float(rng.uniform(0.4, 1)), -1, cv2.LINE_AA)
    return gaussian_filter(flakes, 0.6)


def winter(image: Image, seed: int) -> Image:
    """Drain the colour, lay snow, let it fall."""
    pixels = to_float(image)
    tone = _luma(pixels)
    shape = tone.shape
    shade = np.clip(0.55 + 0.75 * tone + 0.12 * cloud_noise(shape, 2, seed, 5, 2) * 0.3, 0, 1)
    snow = shade[..., None] * np.array([1.0, 0.97, 0.95], np.float32)
    cover = _snow_cover(image, seed)[..., None]
    cold = pixels * 0.35 + 0.65 * tone[..., None] * np.array([1.06, 1.0, 0.95], np.float32)
    scene = np.clip((cold * (1 - cover) + snow * cover) * 1.05 + 0.03, 0, 1)
    flakes = _flakes(shape, seed)[..., None]
    return to_bytes(scene * (1 - flakes) + flakes)


def _moonlit(image: Image, seed: int) -> Image:
    pixels = to_float(image) ** 1.25
    height, width = pixels.shape[:2]
    tone = _luma(pixels)[..., None]
    land = (0.45 * pixels + 0.55 * tone) * np.array([0.50, 0.30, 0.22], np.float32) * 0.85
    mask = sky(image)[..., None]
    down = _height_share((height, width))[..., None]
    zenith = np.array([0.16, 0.07, 0.04], np.float32)
    gradient_sky = zenith + np.array([0.14, 0.09, 0.06], np.float32) * down
    glow = 0.12 * tone * np.array([1.0, 0.8, 0.7], np.float32)
    scene = land * (1 - mask) + (0.75 * gradient_sky + glow) * mask
    rng = stream(seed, 3)
    for _ in range(70):
        column, row = int(rng.integers(width)), int(rng.integers(int(height * 0.7)))
        if mask[row, column, 0] > 0.9:
            scene[row : row + 2, column : column + 2] = rng.uniform(0.5, 1)
    return to_bytes(scene)


def night(image: Image, seed: int) -> Image:
    """Dim to blue moonlight; stars where the sky is."""
    return to_bytes(np.clip(to_float(_moonlit(image, seed)) * 1.5, 0, 1) ** 0.92)


def sunset(image: Image, seed: int) -> Image:
    """Give the sky an orange gradient down to the horizon and the land a warm light."""
    del seed  # nothing in this style is random
    pixels = to_float(image)
    height, width = pixels.shape[:2]
    tone = _luma(pixels)[..., None]
    mask = sky(image)
    rows = np.where(mask.mean(1) > 0.15)[0]
    horizon = rows.max() / height if len(rows) else 0.5
    down = np.clip(_height_share((height, width))[..., None] / max(horizon, 0.15), 0, 1)
    zenith = np.array([0.50, 0.28, 0.38], np.float32)
    glow = np.array([0.25, 0.52, 0.98], np.float32)
    evening = (zenith * (1 - down) + glow * down) * (0.45 + 0.75 * tone)
    land = (pixels * 0.7 + 0.3 * tone) * np.array([0.55, 0.72, 1.02], np.float32) * 0.88
    return to_bytes(land * (1 - mask[..., None]) + evening * mask[..., None])


def fog(image: Image, seed: int) -> Image:
    """Veil the distance, taken to be the upper part, in pale grey."""
    pixels = to_float(image)
    shape = pixels.shape[:2]
    down = _height_share(shape)[..., None]
    veil = np.clip(0.85 - 0.7 * down + 0.10 * cloud_noise(shape, 25, seed, 3)[..., None], 0.1, 0.92)
    mist = np.array([0.86, 0.85, 0.83], np.float32)
    return to_bytes(cv2.GaussianBlur(pixels, (0, 0), 0.6) * (1 - veil) + mist * veil)
