"""What a style looks like in figures, differentiable: colours, gradients, frequencies.

The same three groups as the style progress counts, of single crops: colours as quantiles in Lab,
gradients of lightness and how far one direction rules at four scales, the deviation in octave
bands of lightness and both chroma axes. Strokes, grain and hatching that no network can foresee
have no right place, but they have right statistics.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4
LIGHTNESS_OCTAVES, CHROMA_OCTAVES = 5, 4
# Every third pixel a way: enough for quantiles, and each place inside a patch gets its turn.
SAMPLED = 3
COLOUR_QUANTILES = torch.linspace(0.02, 0.98, 13)
GRADIENT_QUANTILES = torch.tensor([0.25, 0.5, 0.75, 0.95])
# In Lab units: below half a level of lightness nothing is seen.
FLOOR = 0.5
GROUPS = [
    3 * len(COLOUR_QUANTILES),
    SCALES * (len(GRADIENT_QUANTILES) + 1),
    LIGHTNESS_OCTAVES + 2 * CHROMA_OCTAVES,
]
COLOUR_UNIT, GRADIENT_UNIT, FREQUENCY_UNIT = 10.0, 0.5, 0.5

RGB_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
WHITE = torch.tensor([0.950456, 1.0, 1.088754])  # D65


def to_lab(pixels: Tensor) -> Tensor:
    """Convert sRGB `[N, 3, H, W]` in -1..1 to CIE Lab, lightness 0..100."""
    encoded = ((pixels + 1) / 2).clamp(0, 1)
    linear = torch.where(
        encoded > 0.04045, ((encoded.clamp(min=0.04) + 0.055) / 1.055) ** 2.4, encoded / 12.92
    )
    matrix = (RGB_TO_XYZ / WHITE[:, None]).to(pixels.device)
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear)
    root = torch.where(xyz > 0.008856, xyz.clamp(min=0.008) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _quantiles(values: Tensor, at: Tensor) -> Tensor:
    """Return the quantiles `at` of `[N, H, W]`, from a sample of it, `[N, quantiles]`."""
    sampled = values[:, ::SAMPLED, ::SAMPLED].flatten(1).sort(1).values
    place = at.to(values.device) * (sampled.shape[1] - 1)
    below = place.floor().long()
    share = place - below
    above = (below + 1).clamp(max=sampled.shape[1] - 1)
    return sampled[:, below] * (1 - share) + sampled[:, above] * share


def _gradients(lightness: Tensor) -> Tensor:
    """Return, at each scale, log quantiles of the gradient and how far one direction rules."""
    features = []
    for _ in range(SCALES):
        padded = F.pad(lightness[:, None], (1, 1, 1, 1), mode="reflect")
        smooth_rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
        smooth_columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
        along_x = 0.25 * (smooth_rows[..., 2:] - smooth_rows[..., :-2])
        along_y = 0.25 * (smooth_columns[..., 2:, :] - smooth_columns[..., :-2, :])
        length = (along_x**2 + along_y**2 + 1e-2).sqrt()[:, 0] - 0.1
        features.append((_quantiles(length, GRADIENT_QUANTILES) + FLOOR).log())
        products = torch.cat([along_x**2, along_x * along_y, along_y**2], 1)
        xx, xy, yy = F.avg_pool2d(products, 7, 3, 3, count_include_pad=False).unbind(1)
        spread = ((xx - yy) ** 2 + 4 * xy**2 + 1e-6).sqrt().sum((1, 2))
        features.append(2 * spread[:, None] / ((xx + yy).sum((1, 2))[:, None] + 1e-3))
        lightness = F.avg_pool2d(lightness[:, None], 2)[:, 0]
    return torch.cat(features, 1)


def _blur(values: Tensor) -> Tensor:
    """Blur `[N, C, H, W]` by about 0.8 pixels."""
    kernel = torch.tensor([0.27, 0.46, 0.27], device=values.device)
    channels = values.shape[1]
    rows = kernel.view(1, 1, 1, 3).expand(channels, 1, 1, 3)
    columns = kernel.view(1, 1, 3, 1).expand(channels, 1, 3, 1)
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(padded, rows, groups=channels), columns, groups=channels)


def _frequencies(lab: Tensor) -> Tensor:
    """Return the log deviation in octave bands of lightness and of both chroma axes."""
    features = []
    for octave in range(LIGHTNESS_OCTAVES):
        axes = lab if octave < CHROMA_OCTAVES else lab[:, :1]
        smooth = _blur(axes)
        variance = (axes - smooth).pow(2).mean((2, 3))
        features.append(((variance + 1e-4).sqrt() + FLOOR).log())
        lab = F.avg_pool2d(smooth, 2)
    return torch.cat(features, 1)


def statistics(pixels: Tensor) -> Tensor:
    """Return the figures of `[N, 3, H, W]` in -1..1, each group in its own unit, `[N, figures]`."""
    lab = to_lab(pixels)
    colour = torch.cat([_quantiles(lab[:, axis], COLOUR_QUANTILES) for axis in range(3)], 1)
    groups = colour / COLOUR_UNIT, _gradients(lab[:, 0]) / GRADIENT_UNIT
    return torch.cat([*groups, _frequencies(lab) / FREQUENCY_UNIT], 1)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean over the groups of the root mean square difference, `[N]`."""
    groups = (one - other).pow(2).split(GROUPS, 1)
    return torch.stack([(group.mean(1) + 1e-6).sqrt() for group in groups]).mean(0)
