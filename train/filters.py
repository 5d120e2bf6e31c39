"""Image filters that the style renderers share: fields, textures, abstraction.

Pictures are `[H, W, 3]` BGR, u8 or f32 in 0..1 as each function says; fields are f32 `[H, W]`.
Every texture takes its random numbers from `stream(seed, number)`, so that one seed makes one
picture again and two textures of one picture are independent.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Image = NDArray[np.uint8]
Field = NDArray[np.float32]


FLOW_SCALES = ((1.0, 1.0), (2.5, 0.25), (6.0, 0.1))
"""Blurs of the structure tensor relative to the finest, and their weights."""
RESTING = (0.9e-4, 2.2e-4, 5.1e-4)
"""The structure tensor (xx, xy, yy) of a place that says nothing: strokes rise to the right."""


def stream(seed: int, number: int) -> np.random.Generator:
    """Open the random stream `number` of the picture `seed`."""
    return np.random.default_rng((seed, number))


def to_float(image: Image) -> Field:
    """Convert u8 to f32 in 0..1."""
    return image.astype(np.float32) / 255


def to_bytes(pixels: Field) -> Image:
    """Convert 0..1 to u8, rounded and clamped."""
    return np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)


def grey(image: Image) -> Field:
    """Return the luma of a u8 picture as f32 in 0..1."""
    return to_float(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def grey_to_bgr(tone: Field) -> Field:
    """Repeat one channel three times."""
    return np.repeat(tone[..., None], 3, 2)


def gradient(field: Field) -> tuple[Field, Field]:
    """Return the Sobel derivatives along x and y."""
    return cv2.Sobel(field, cv2.CV_32F, 1, 0), cv2.Sobel(field, cv2.CV_32F, 0, 1)


def gradient_size(field: Field) -> Field:
    """Return the length of the Sobel gradient."""
    return np.hypot(*gradient(field))


def equalised_grey(image: Image, clip: float, tiles: int) -> Field:
    """Return luma with local contrast evened out (CLAHE), f32 in 0..1."""
    clahe = cv2.createCLAHE(clip, (tiles, tiles))
    return to_float(clahe.apply(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)))


def saturate(pixels: Field, gain: float, offset: float = 0.0) -> Field:
    """Scale HSV saturation of 0..1 pixels by `gain`, add `offset`, clamp."""
    hsv = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_BGR2HSV)
    hsv[..., 1] = np.clip(hsv[..., 1] * gain + offset, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def cloud_noise(
    shape: tuple[int, int], scale: float, seed: int, number: int, octaves: int = 4
) -> Field:
    """Make smooth noise of mean 0 and deviation 1; the largest blobs are about `scale` wide."""
    rng = stream(seed, number)
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        layer = gaussian_filter(rng.standard_normal(shape), scale / 2**octave, mode="wrap")
        layer /= layer.std() + 1e-6
        total += 0.5**octave * layer
    return total / total.std()


def paper_grain(shape: tuple[int, int], seed: int, number: int) -> Field:
    """Make the fine relief of paper, mean 0 and deviation 1."""
    return cloud_noise(shape, 1.6, seed, number, 2)


def grain(shape: tuple[int, int], blur: float, seed: int, number: int) -> Field:
    """Make blurred white noise of deviation 1."""
    noise = gaussian_filter(stream(seed, number).standard_normal(shape), blur)
    return noise / noise.std()


def structure(image: Image, blur: float = 2.5) -> tuple[Field, Field]:
    """Return the direction along edges, in radians, and the strength of the edge.

    Both come from the structure tensor, averaged over a Gaussian of deviation `blur` pixels.
    """
    products = _gradient_products(grey(image))
    xx, xy, yy = (gaussian_filter(product, blur) for product in products)
    strength = (xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2
    return _along_edges(xx, xy, yy), strength


def _gradient_products(tone: Field) -> tuple[Field, Field, Field]:
    """Return the structure tensor (xx, xy, yy) of every pixel by itself."""
    along_x, along_y = gradient(tone)
    return along_x * along_x, along_x * along_y, along_y * along_y


def _along_edges(xx: Field, xy: Field, yy: Field) -> Field:
    """Return the direction along the edges of a structure tensor, in radians."""
    return 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2


def flow(tone: Field, blur: float) -> Field:
    """Return the direction that strokes follow about each place, in radians.

    Along the edges where there are any, as in `structure`; where the picture says little, as its
    surroundings do, and failing those a little aslant. So strokes in skies and walls run on in
    long curves instead of after the noise.
    """
    products = _gradient_products(tone)
    tensor = [np.full(tone.shape, part, np.float32) for part in RESTING]
    for scale, weight in FLOW_SCALES:
        for total, product in zip(tensor, products, strict=True):
            total += weight * cv2.GaussianBlur(product, (0, 0), blur * scale)
    return _along_edges(*tensor).astype(np.float32)


def streaks(noise: Field, tangent: Field, length: int) -> Field:
    """Smear noise along a direction field (line integral convolution), `length` px each way."""
    height, width = noise.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    cosine, sine = np.cos(tangent).astype(np.float32), np.sin(tangent).astype(np.float32)

    def sample(field: Field, x: Field, y: Field) -> Field:
        return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    total = noise.copy()
    for sign in (1, -1):
        x, y = columns.copy(), rows.copy()
        for _ in range(length):
            step_x, step_y = sample(cosine, x, y), sample(sine, x, y)
            x = x + sign * step_x
            y = y + sign * step_y
            total += sample(noise, x, y)
    return total / (2 * length + 1)


def normal_streaks(
    tangent: Field, length: int, seed: int, number: int, width: float = 0.0
) -> Field:
    """Smear Gaussian noise, blurred by `width` pixels, along `tangent`; deviation 1."""
    noise = stream(seed, number).standard_normal(tangent.shape).astype(np.float32)
    if width:
        noise = gaussian_filter(noise, width)
    smeared = streaks(noise, tangent.astype(np.float32), length)
    return smeared / smeared.std()


def flat_tangent(shape: tuple[int, int], angle: float) -> Field:
    """Return a direction field of one angle in radians."""
    return np.full(shape, angle, np.float32)


def relief(pixels: Field, height: Field, amount: float) -> Field:
    """Light 0..1 pixels from the upper left as if `height` were raised paint."""
    along_x, along_y = gradient(height.astype(np.float32))
    return np.clip(pixels * (1 + amount * (-along_x / 4 - along_y / 4))[..., None], 0, 1)


def kuwahara(image: Image, radius: int = 5, sharpness: int = 8) -> Field:
    """Abstract a picture into patches of even colour that follow its edges; f32 in 0..1.

    An anisotropic Kuwahara filter: eight sectors around each pixel, stretched along the edge;
    sectors of low variance win, the more the higher `sharpness`.
    """
    pixels = to_float(image)
    height, width = pixels.shape[:2]
    tangent, _ = structure(image)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    cosine, sine = np.cos(tangent), np.sin(tangent)
    sectors = 8
    sums = [np.zeros_like(pixels) for _ in range(sectors)]
    squares = [np.zeros_like(pixels) for _ in range(sectors)]
    weights = [np.zeros((height, width, 1), np.float32) + 1e-6 for _ in range(sectors)]
    reach = range(-radius, radius + 1)
    for dx, dy in ((dx, dy) for dy in reach for dx in reach if 0 < dx * dx + dy * dy <= radius**2):
        along, across = dx * 1.5, dy * 0.7
        map_x = (columns + cosine * along - sine * across).astype(np.float32)
        map_y = (rows + sine * along + cosine * across).astype(np.float32)
        moved = cv2.remap(pixels, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        sector = int((np.arctan2(dy, dx) + np.pi) / (2 * np.pi) * sectors) % sectors
        weight = np.exp(-(dx * dx + dy * dy) / (2 * (radius / 2) ** 2))
        sums[sector] += weight * moved
        squares[sector] += weight * moved * moved
        weights[sector] += weight
    total, total_weight = np.zeros_like(pixels), np.zeros((height, width, 1), np.float32)
    for sector in range(sectors):
        mean = sums[sector] / weights[sector]
        spread = squares[sector] / weights[sector] - mean * mean
        variance = np.maximum(spread, 0).sum(-1, keepdims=True)
        trust = 1 / (1 + (255 * np.sqrt(variance)) ** (sharpness / 2))
        total += trust * mean
        total_weight += trust
    return total / (total_weight + 1e-9)
