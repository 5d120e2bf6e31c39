"""Curved brush strokes (Hertzmann 1998): coarse layers first, finer ones where they are needed.

The paths of one layer are traced all at once with numpy; OpenCV paints them. Pictures are BGR.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from filters import Field, Image, flow, grey, normal_streaks, relief, stream, to_bytes, to_float

OVERSAMPLING = 2


@dataclass(frozen=True)
class Brush:
    """How strokes are laid; lengths in pixels of the doubled picture."""

    radii: tuple[float, ...]
    tolerance: float
    """Colour error, summed over channels in 0..1, above which a finer stroke is laid."""
    light_jitter: float
    colour_jitter: float
    longest: int
    """Points a stroke may have; `shortest` of them come before it may end early."""
    shortest: int
    spacing: float
    """Distance of strokes in radii."""
    relief: float


@dataclass
class _Layer:
    """What one layer of strokes sees: colours to reach, direction to follow, radius."""

    reference: Field
    tangent: Field
    radius: float


def _layer(source: Field, radius: float) -> _Layer:
    reference = cv2.GaussianBlur(source, (0, 0), max(0.6, radius * 0.5))
    tone = cv2.cvtColor(reference, cv2.COLOR_BGR2GRAY)
    tone = cv2.GaussianBlur(tone, (0, 0), max(1.0, radius * 0.6))
    return _Layer(reference, flow(tone, radius * 1.2), radius)


def _starts(
    canvas: Field, layer: _Layer, brush: Brush, rng: np.random.Generator, everywhere: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose where strokes begin: a jittered grid, thinned to where the canvas is still wrong."""
    height, width = canvas.shape[:2]
    error = np.abs(layer.reference - canvas).sum(2)
    step = max(2, int(round(brush.spacing * layer.radius)))
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    ys, xs = np.meshgrid(rows, columns, indexing="ij")
    xs = np.clip(xs.ravel() + rng.integers(0, step, xs.size), 0, width - 1)
    ys = np.clip(ys.ravel() + rng.integers(0, step, ys.size), 0, height - 1)
    if not everywhere:
        needed = cv2.blur(error, (step, step))[ys, xs] > brush.tolerance
        xs, ys = xs[needed], ys[needed]
    order = rng.permutation(xs.size)
    return xs[order], ys[order]


def _trace(
    canvas: Field,
    layer: _Layer,
    brush: Brush,
    rng: np.random.Generator,
    starts: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Follow the direction field from every start; points `[N, longest + 1, 2]` and lengths."""
    height, width = canvas.shape[:2]
    count = starts[0].size
    colours = layer.reference[starts[1], starts[0]]
    x, y = starts[0].astype(np.float32), starts[1].astype(np.float32)
    first_sign = rng.choice([-1.0, 1.0], count).astype(np.float32)
    last_dx, last_dy = np.zeros(count, np.float32), np.zeros(count, np.float32)
    points = [np.stack([x, y], 1)]
    alive, length = np.ones(count, bool), np.ones(count, int)
    limit = rng.integers(max(2, brush.shortest), brush.longest + 1, count)
    for place in range(brush.longest):
        column = np.clip(x, 0, width - 1).astype(int)
        row = np.clip(y, 0, height - 1).astype(int)
        if place >= brush.shortest:
            here = layer.reference[row, column]
            canvas_error = np.abs(here - canvas[row, column]).sum(1)
            alive &= ~(canvas_error < np.abs(here - colours).sum(1) * 0.8)
        alive &= place < limit
        tangent = layer.tangent[row, column]
        dx, dy = np.cos(tangent), np.sin(tangent)
        turned = np.where(last_dx * dx + last_dy * dy < 0, -1.0, 1.0)
        sign = np.where(place == 0, first_sign, turned)
        dx, dy = dx * sign, dy * sign
        if place:
            dx, dy = 0.6 * dx + 0.4 * last_dx, 0.6 * dy + 0.4 * last_dy
            norm = np.hypot(dx, dy) + 1e-6
            dx, dy = dx / norm, dy / norm
        x, y, last_dx, last_dy = x + layer.radius * dx, y + layer.radius * dy, dx, dy
        points.append(np.stack([x, y], 1))
        length += alive
    return np.round(np.stack(points, 1)).astype(np.int32), length


def _lay(
    canvas: Field, height: Field, layer: _Layer, brush: Brush, rng: np.random.Generator, first: bool
) -> None:
    """Paint one layer into `canvas`, and how thick the paint stands into `height`."""
    starts = _starts(canvas, layer, brush, rng, everywhere=first)
    count = starts[0].size
    if not count:
        return
    colours = layer.reference[starts[1], starts[0]]
    points, length = _trace(canvas, layer, brush, rng, starts)
    painted = colours + rng.normal(0, brush.light_jitter, (count, 1))
    painted = np.clip(painted + rng.normal(0, brush.colour_jitter, (count, 3)), 0, 1)
    thickness = rng.uniform(0.2, 1, count)
    width = int(max(2, round(2 * layer.radius)))
    for stroke in range(count):
        path = [points[stroke, : max(2, length[stroke])].reshape(-1, 1, 2)]
        colour, raised = painted[stroke].tolist(), float(thickness[stroke])
        cv2.polylines(canvas, path, False, colour, thickness=width, lineType=cv2.LINE_AA)
        cv2.polylines(height, path, False, raised, thickness=width, lineType=cv2.LINE_AA)


def enlarge(image: Image) -> Field:
    """Double a u8 picture; f32, cubic, so a little beyond 0..1."""
    scale = OVERSAMPLING
    return to_float(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))


def paint(source: Field, brush: Brush, seed: int) -> Image:
    """Paint `source` (doubled, f32) with strokes; the result is u8 at half its size."""
    rng = stream(seed, 0)
    canvas = cv2.GaussianBlur(source, (0, 0), 14) * 0.9 + 0.08
    height = np.zeros(source.shape[:2], np.float32)
    for number, radius in enumerate(brush.radii):
        _lay(canvas, height, _layer(source, radius), brush, rng, first=number == 0)
    tangent = flow(grey(to_bytes(canvas)), 5)
    bristles = normal_streaks(tangent, 8, seed, 1)
    raised = cv2.GaussianBlur(height, (0, 0), 0.8) * 1.2 + 0.12 * bristles
    painted = relief(canvas.astype(np.float32), raised, brush.relief)
    size = (source.shape[1] // OVERSAMPLING, source.shape[0] // OVERSAMPLING)
    return cv2.resize(to_bytes(painted), size, interpolation=cv2.INTER_AREA)
