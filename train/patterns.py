"""What patterns a picture is made of: which filters answer together, about each place.

Fixed random filters at three scales, and how often each two answer at one place (Gram matrices
of one layer, after Ustyuzhaninov et al. 2016, "What does it take to generate natural textures?").
Energies do not tell a stroke from a row of dabs; these do, and need no trained network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES, FILTERS, WIDTH = 3, 32, 7
WINDOW = 64
"""Pixels a side of the windows that are judged apart."""
CHROMA = 0.5  # of the filters, beside lightness
ENOUGH = 0.15  # an answer counts half at this size, so that edges do not outweigh strokes


def random_filters() -> Tensor:
    """Return the filters, `[FILTERS, 3, WIDTH, WIDTH]`: of mean 0 and norm 1, always the same."""
    generator = torch.Generator().manual_seed(7)
    lightness = torch.randn(FILTERS, 1, WIDTH, WIDTH, generator=generator)
    chroma = torch.randn(FILTERS, 3, WIDTH, WIDTH, generator=generator)
    filters = lightness + CHROMA * (chroma - chroma.mean(1, keepdim=True))
    filters = filters - filters.mean((2, 3), keepdim=True)
    return filters / filters.flatten(1).norm(dim=1)[:, None, None, None]


RANDOM_FILTERS = random_filters()


def patterns(pixels: Tensor, amp: bool = False) -> Tensor:
    """Return the matrices of `[N, 3, H, W]` in -1..1, `[N, values]`; sides multiples of 64."""
    matrices = []
    filters = RANDOM_FILTERS.to(pixels.device)
    for scale in range(SCALES):
        margin = WIDTH // 2
        padded = F.pad(pixels, (margin, margin, margin, margin), mode="replicate")
        with torch.autocast(pixels.device.type, dtype=torch.bfloat16, enabled=amp):
            answers = F.conv2d(padded, filters).float().relu()
        answers = answers / (answers + ENOUGH)
        side = WINDOW >> scale
        count, _, height, width = answers.shape
        windows = answers.view(count, FILTERS, height // side, side, width // side, side)
        windows = windows.permute(0, 2, 4, 1, 3, 5).reshape(-1, FILTERS, side * side)
        matrix = windows @ windows.transpose(1, 2) / side**2
        matrices.append(matrix.reshape(count, -1) / (matrix.numel() / count))
        pixels = F.avg_pool2d(pixels, 2)
    return torch.cat(matrices, 1)
