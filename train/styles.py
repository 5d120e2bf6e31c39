"""Renderers of drawing and painting styles, by image processing alone.

Each takes a BGR u8 picture `[H, W, 3]` and a seed, and returns the same size and kind. The seed
moves paper grain, pigment and hatching; the picture alone decides the rest.
"""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from filters import (
    Field,
    Image,
    cloud_noise,
    equalised_grey,
    flat_tangent,
    flow,
    gradient_size,
    grain,
    grey,
    grey_to_bgr,
    kuwahara,
    normal_streaks,
    paper_grain,
    relief,
    saturate,
    streaks,
    stream,
    structure,
    to_bytes,
    to_float,
)
from strokes import Brush, enlarge, paint

IMPRESSIONIST_BRUSH = Brush(
    radii=(11, 6),
    tolerance=0.22,
    light_jitter=0.03,
    colour_jitter=0.038,
    longest=6,
    shortest=2,
    spacing=0.95,
    relief=0.35,
)
BOLD_BRUSH = Brush(
    radii=(13, 7, 3.5),
    tolerance=0.16,
    light_jitter=0.02,
    colour_jitter=0.015,
    longest=9,
    shortest=3,
    spacing=1.0,
    relief=0.45,
)

BRISTLE_WIDTH = 0.9  # deviation in pixels of the noise that becomes hatching
BRUSH_WIDTH = 1.3  # and of that which becomes brush marks


def oil(image: Image, seed: int) -> Image:
    """Smooth patches of paint along the edges, with brush marks in relief."""
    patches = kuwahara(image, 7)
    marks = normal_streaks(flow(grey(image), 4), 14, seed, 3, BRUSH_WIDTH)
    patches = saturate(np.clip((patches - 0.5) * 1.12 + 0.5, 0, 1), 1.35)
    return to_bytes(relief(patches, marks, 0.15))


def impressionist_palette(pixels: Field) -> Field:
    """Lighten and saturate; shadows go violet-blue, lights warm."""
    pixels = saturate(np.clip(pixels, 0, 1), 1.25, 0.03)
    pixels = 0.06 + 0.94 * np.clip(pixels, 0, 1) ** 0.82
    tone = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_BGR2GRAY)[..., None]
    shadow = np.clip((0.45 - tone) / 0.45, 0, 1)
    light = np.clip((tone - 0.5) / 0.5, 0, 1)
    pixels = pixels + shadow * np.array([0.13, 0.01, 0.05], np.float32)
    pixels = pixels + light * np.array([-0.05, 0.015, 0.03], np.float32)
    return np.clip(pixels, 0, 1).astype(np.float32)


def impressionist(image: Image, seed: int) -> Image:
    """Short dabs of broken colour in a lighter palette."""
    return paint(impressionist_palette(enlarge(image)), IMPRESSIONIST_BRUSH, seed)


def oil_bold(image: Image, seed: int) -> Image:
    """Long visible strokes of thick paint."""
    return paint(enlarge(image), BOLD_BRUSH, seed)


def _washes(image: Image, seed: int) -> tuple[Field, Field]:
    """Flatten a picture into washes with wobbling outlines, lifted towards the paper.

    Returns the colour and, from before the lift, the tone.
    """
    height, width = image.shape[:2]
    shape = (height, width)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    shift_x = cloud_noise(shape, 12, seed, 5) * 2.2
    shift_y = cloud_noise(shape, 12, seed, 6) * 2.2
    flat = cv2.bilateralFilter(cv2.pyrMeanShiftFiltering(image, 14, 26), 9, 40, 7)
    map_x = (columns + shift_x).astype(np.float32)
    map_y = (rows + shift_y).astype(np.float32)
    wobbled = cv2.remap(flat, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    colour = saturate(to_float(wobbled) ** 0.82, 1.1)
    lift = np.clip((colour.mean(2) - 0.35) / 0.65, 0, 1)
    return colour + (1 - colour) * (0.34 * lift)[..., None], colour.mean(2)


def _watercolour_sheet(image: Image, seed: int) -> Image:
    """Paint a whole sheet, ragged white border included."""
    height, width = image.shape[:2]
    shape = (height, width)
    colour, tone = _washes(image, seed)
    edges = np.clip(gaussian_filter(gradient_size(tone.astype(np.float32)), 1.0) * 0.7, 0, 0.6)
    clouds = 0.16 * cloud_noise(shape, 30, seed, 7, 3) + 0.09 * cloud_noise(shape, 8, seed, 9, 2)
    # Pigment density, after Bousseau et al. 2006: more of it darkens a colour towards its square.
    density = 1 + edges * 1.2 + clouds + 0.10 * paper_grain(shape, seed, 8)
    colour = np.clip(colour - (colour - colour * colour) * (density[..., None] - 1), 0, 1)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    from_edge = np.minimum.reduce([columns, rows, width - 1 - columns, height - 1 - rows])
    from_edge = from_edge + cloud_noise(shape, 6, seed, 11) * 3
    painted = np.clip((from_edge - 7) / 5, 0, 1)[..., None]
    tooth = 1 + 0.02 * paper_grain(shape, seed, 13)
    paper = np.array([0.94, 0.97, 0.98], np.float32) * tooth[..., None]
    return to_bytes(colour * painted + paper * (1 - painted))


def watercolour(image: Image, seed: int) -> Image:
    """Soft washes with darker edges, pigment clouds and paper grain."""
    margin = 16  # the ragged white border falls into it
    border = (margin, margin, margin, margin)
    sheet = cv2.copyMakeBorder(image, *border, cv2.BORDER_REFLECT)
    painted = to_float(_watercolour_sheet(sheet, seed)[margin:-margin, margin:-margin])
    return to_bytes(1 - (1 - painted) * 0.9)  # a little more paper shows


def _pencil_tone(image: Image, seed: int) -> Field:
    """Return outlines and three layers of hatching on paper, 0..1."""
    shape = image.shape[:2]
    tone = equalised_grey(image, 2.0, 4)
    outline = np.clip(tone / (1 - gaussian_filter(1 - tone, 5.0) + 1e-3), 0, 1) ** 2.2
    smooth = gaussian_filter(tone, 1.0)
    tangent, edge = structure(image, 3)
    rng = stream(seed, 2)
    hatching = np.ones(shape, np.float32)
    # Light hatching bends along edges; the two darker layers keep to one angle.
    for layer, (angle, threshold) in enumerate(((0.9, 0.75), (2.2, 0.45), (0.2, 0.25))):
        noise = gaussian_filter(rng.random(shape).astype(np.float32), BRISTLE_WIDTH)
        if layer == 0:
            direction = np.where(edge > 0.02, tangent * 0.5 + angle * 0.5, angle)
            direction = direction.astype(np.float32)
        else:
            direction = flat_tangent(shape, angle)
        lines = streaks(noise, direction, 14)
        lines = (lines - lines.mean()) / lines.std()
        darkness = np.clip((threshold - smooth) / threshold, 0, 1) * 1.05
        hatch = np.clip(1 - darkness * (0.55 + 0.38 * lines), 0, 1)
        hatching *= np.clip(hatch, 0.25, 1)
    tooth = 0.5 + 0.5 * np.clip(paper_grain(shape, seed, 2) * 0.5, -1, 1)
    drawn = np.clip(outline * hatching, 0, 1)
    drawn = 1 - (1 - drawn) * (0.80 + 0.25 * tooth)
    return 0.12 + 0.86 * drawn


def pencil(image: Image, seed: int) -> Image:
    """Graphite outlines and hatching on slightly warm paper."""
    paper = np.array([0.97, 0.985, 1.0], np.float32)
    return to_bytes(grey_to_bgr(_pencil_tone(image, seed)) * paper)


def colour_pencil(image: Image, seed: int) -> Image:
    """Pencil outlines and hatching in the picture's own colours."""
    drawn = _pencil_tone(image, seed)
    lab = cv2.cvtColor(to_float(cv2.bilateralFilter(image, 7, 40, 5)), cv2.COLOR_BGR2LAB)
    lab[..., 0] = np.clip(drawn * 70 + 30 * lab[..., 0] / 100 + 4, 0, 100)
    lab[..., 1:] *= 0.9
    return to_bytes(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2BGR))


def ink(image: Image, seed: int) -> Image:
    """Black ink on white: extended difference of Gaussians, smoothed along edges."""
    del seed  # nothing in this style is random
    tone = equalised_grey(cv2.bilateralFilter(image, 7, 40, 5), 1.5, 4)
    tangent, _ = structure(image, 2.5)
    sharp = (1 + 14) * gaussian_filter(tone, 1.0) - 14 * gaussian_filter(tone, 1.6)
    inked = np.where(sharp >= 0.42, 1, 1 + np.tanh(9 * (sharp - 0.42))).astype(np.float32)
    inked = streaks(inked, tangent.astype(np.float32), 2)
    return to_bytes(grey_to_bgr(np.clip((inked - 0.15) / 0.7, 0, 1)))


def outlines(image: Image, width: float) -> Image:
    """Draw thin dark lines where a difference of Gaussians of deviation `width` is negative."""
    tone = grey(cv2.bilateralFilter(image, 9, 50, 7))
    difference = gaussian_filter(tone, width) - 0.985 * gaussian_filter(tone, 1.78 * width)
    lines = np.where(difference >= 0.0, 1, 1 + np.tanh(60 * difference))
    return to_bytes(grey_to_bgr(gaussian_filter(lines, 0.4)))


def line_sketch(image: Image, seed: int) -> Image:
    """Thin outlines on white, the input of sketch to picture."""
    del seed  # nothing in this style is random
    return outlines(image, 0.9)


def comic(image: Image, seed: int) -> Image:
    """Six levels of flat saturated colour under black outlines."""
    flat = cv2.bilateralFilter(cv2.pyrMeanShiftFiltering(image, 14, 34), 9, 50, 9)
    hsv = cv2.cvtColor(flat, cv2.COLOR_BGR2HSV).astype(np.float32)
    levels = 6
    value = hsv[..., 2] / 256 * levels
    below = np.floor(value)
    soft_step = np.clip((value - below - 0.5) * 4 + 0.5, 0, 1)
    hsv[..., 2] = (below + soft_step) / levels * 255
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.45 + 8, 0, 255)
    colour = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR)
    return to_bytes(to_float(colour) * to_float(outlines(image, 1.5)) ** 1.3)


def _pixel_art(image: Image, cells: int, colours: int) -> Image:
    """Reduce a picture to `cells` rows of square cells and a palette of `colours`."""
    from PIL import Image as PillowImage

    height, width = image.shape[:2]
    hsv = cv2.cvtColor(cv2.bilateralFilter(image, 7, 45, 5), cv2.COLOR_BGR2HSV).astype(np.float32)
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.25, 0, 255)
    vivid = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
    columns = int(width / (height / cells))
    small = cv2.resize(vivid, (columns, cells), interpolation=cv2.INTER_AREA)
    small = cv2.addWeighted(small, 1.5, cv2.GaussianBlur(small, (0, 0), 1), -0.5, 0)
    paletted = PillowImage.fromarray(small[..., ::-1]).quantize(
        colours,
        method=PillowImage.Quantize.MEDIANCUT,
        kmeans=3,
        dither=PillowImage.Dither.NONE,
    )
    flat = np.array(paletted.convert("RGB"))[..., ::-1]
    return cv2.resize(flat, (width, height), interpolation=cv2.INTER_NEAREST)


def pixel(image: Image, seed: int) -> Image:
    """Pixel art with cells of 8 pixels and 32 colours: with fewer, faces are lost."""
    del seed  # nothing in this style is random
    return _pixel_art(image, image.shape[0] // 8, 32)


def pixel_fine(image: Image, seed: int) -> Image:
    """Pixel art with cells of 4 pixels and 40 colours."""
    del seed  # nothing in this style is random
    return _pixel_art(image, image.shape[0] // 4, 40)


def charcoal(image: Image, seed: int) -> Image:
    """Smudged dark tones with paper grain and slanted strokes."""
    shape = image.shape[:2]
    tone = gaussian_filter(equalised_grey(image, 2.0, 3), 0.9)
    tooth = grain(shape, 0.7, seed, 3)
    strokes = normal_streaks(flat_tangent(shape, -0.9), 7, seed, 5)
    drawn = np.clip(0.04 + 1.12 * (tone - 0.10), 0, 1)
    midtones = 1 - np.abs(2 * drawn - 1)
    drawn = np.clip(drawn + 0.055 * tooth * midtones * 1.8 + 0.05 * strokes * (1 - drawn), 0, 1)
    drawn = np.clip(drawn - 0.35 * np.clip(gradient_size(tone), 0, 0.8), 0, 1)
    paper = np.array([0.93, 0.97, 1], np.float32)
    return to_bytes(grey_to_bgr(0.06 + 0.88 * drawn) * paper)


def pastel(image: Image, seed: int) -> Image:
    """Chalky colour that leaves the paper's grain bare in places."""
    patches = kuwahara(image, 3) ** 0.85
    tangent, _ = structure(image, 3)
    strokes = normal_streaks(tangent * 0.6 + 0.5, 8, seed, 4)
    tooth = grain(patches.shape[:2], 0.6, seed, 8)
    cover = np.clip(0.88 + 0.10 * strokes + 0.10 * tooth, 0.45, 1)[..., None]
    return to_bytes(patches * cover + np.array([0.78, 0.86, 0.92], np.float32) * (1 - cover))


def stained_glass(image: Image, seed: int) -> Image:
    """Panes of one colour each, with dark leading between them."""
    from skimage.color import label2rgb
    from skimage.segmentation import find_boundaries, slic

    del seed  # nothing in this style is random
    panes = slic(image[..., ::-1], n_segments=260, compactness=18, start_label=1)
    glass = to_float(label2rgb(panes, image, kind="avg", bg_label=0).astype(np.uint8))
    hsv = cv2.cvtColor(glass, cv2.COLOR_BGR2HSV)
    hsv[..., 1] = np.clip(hsv[..., 1] * 1.5 + 0.05, 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] * 1.15 + 0.05, 0, 1)
    glass = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    leading = gaussian_filter(find_boundaries(panes, mode="thick").astype(np.float32), 0.7)
    return to_bytes(glass * (1 - np.clip(leading[..., None] * 1.2, 0, 1)))


def _mesh_points(image: Image, count: int, rng: np.random.Generator) -> Field:
    """Draw `count` points, more near edges, and add corners and border."""
    height, width = image.shape[:2]
    density = gaussian_filter(gradient_size(grey(image)), 1) + 0.02
    share = (density / density.sum()).ravel()
    index = rng.choice(height * width, count, replace=False, p=share)
    inner = np.stack([index % width, index // width], 1).astype(float)
    right, bottom = width - 1, height - 1
    corners = [[0, 0], [right, 0], [0, bottom], [right, bottom]]
    top_bottom = [[[x, 0] for x in range(0, width, 32)], [[x, bottom] for x in range(0, width, 32)]]
    sides = [[[0, y] for y in range(0, height, 32)], [[right, y] for y in range(0, height, 32)]]
    return np.vstack([inner, corners, *top_bottom, *sides])


def low_poly(image: Image, seed: int) -> Image:
    """Triangles of one colour each, smaller where there is detail."""
    from scipy.spatial import Delaunay

    height, width = image.shape[:2]
    points = _mesh_points(image, 700, stream(seed, 0))
    result = image.copy()
    for triangle in Delaunay(points).simplices:
        corners = points[triangle].astype(np.int32)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(mask, corners, 1)
        left, top = corners.min(0)
        right, bottom = corners.max(0) + 1
        inside = mask[top:bottom, left:right].astype(bool)
        if inside.any():
            mean = image[top:bottom, left:right][inside].mean(0)
            cv2.fillConvexPoly(result, corners, mean.tolist(), cv2.LINE_AA)
    return result
