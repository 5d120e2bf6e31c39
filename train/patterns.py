"""What patterns a picture is made of: which filters answer together, about each place.

Fixed random filters at three scales, and how often each two answer at one place (Gram matrices
of one layer, after Ustyuzhaninov et al. 2016, "What does it take to generate natural textures?").
Energies do not tell a stroke from a row of dabs; these do, and need no trained network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

FILTERS = (16, 32, 32)
"""At each scale, the finest first."""
WIDTH = 7
WINDOW = 64
"""Pixels a side of the windows that are judged apart."""
CHROMA = 0.5  # of the filters, beside lightness
ENOUGH = 0.15  # an answer counts half at this size, so that edges do not outweigh strokes


def random_filters() -> Tensor:
    """Return the filters, `[N, 3, WIDTH, WIDTH]`: of mean 0 and norm 1, always the same."""
    generator = torch.Generator().manual_seed(7)
    lightness = torch.randn(max(FILTERS), 1, WIDTH, WIDTH, generator=generator)
    chroma = torch.randn(max(FILTERS), 3, WIDTH, WIDTH, generator=generator)
    filters = lightness + CHROMA * (chroma - chroma.mean(1, keepdim=True))
    filters = filters - filters.mean((2, 3), keepdim=True)
    return filters / filters.flatten(1).norm(dim=1)[:, None, None, None]


RANDOM_FILTERS = random_filters()


def patterns(pixels: Tensor, amp: bool) -> Tensor:
    """Return the matrices of `[N, 3, H, W]` in -1..1, `[N, values]`; sides multiples of 64.

    `amp`: answers in bf16.
    """
    matrices = []
    if amp:
        pixels = pixels.bfloat16()
    filters = RANDOM_FILTERS.to(pixels)
    margin = WIDTH // 2
    for scale, kinds in enumerate(FILTERS):
        padded = F.pad(pixels, (margin, margin, margin, margin), mode="replicate")
        answers = F.conv2d(padded, filters[:kinds]).relu()
        answers = answers / (answers + ENOUGH)
        side = WINDOW >> scale
        count, _, height, width = answers.shape
        windows = answers.view(count, kinds, height // side, side, width // side, side)
        windows = windows.permute(0, 2, 4, 1, 3, 5).reshape(-1, kinds, side * side)
        matrix = (windows @ windows.transpose(1, 2)).float() / side**2
        matrices.append(matrix.reshape(count, -1) / (matrix.numel() / count))
        pixels = F.avg_pool2d(pixels, 2)
    return torch.cat(matrices, 1)
