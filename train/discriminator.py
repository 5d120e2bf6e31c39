"""A discriminator of patches: whether a result looks like a rendered copy, about each place.

Statistics do not tell strokes from stripes of the same energy; a network that is shown both does.
It sees results and sources, and knows the style.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from style_set import RENDERERS

STYLES = [*RENDERERS, "photo", "enhance", "bad"]
"""All that samples may be of; a style's number is its place."""
WIDTHS = (48, 96, 128, 128)


class Discriminator(nn.Module):
    """Four convolutions over a picture and its source, about 26 pixels wide."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = WIDTHS
        self.layers = nn.ModuleList(
            spectral_norm(layer)
            for layer in (
                nn.Conv2d(6, first, 4, 2, 1),
                nn.Conv2d(first, second, 4, 2, 1),
                nn.Conv2d(second, third, 3, 1, 1),
                nn.Conv2d(third, last, 3, 1, 1),
            )
        )
        self.real = spectral_norm(nn.Conv2d(last, 1, 1))
        self.style = nn.Embedding(len(STYLES), last)
        nn.init.normal_(self.style.weight, std=0.1)

    def forward(self, pixels: Tensor, source: Tensor, style: Tensor) -> Tensor:
        """Return how real each place of `pixels` `[N, 3, H, W]` looks, `[N, H/4, W/4]`."""
        state = torch.cat([pixels.clamp(-1, 1), source], 1)
        for layer in self.layers:
            state = F.leaky_relu(layer(state), 0.2)
        of_style = (state * self.style(style)[:, :, None, None]).sum(1)
        return self.real(state)[:, 0] + of_style


def telling_loss(real: Tensor, made: Tensor) -> Tensor:
    """Return the hinge loss of the discriminator."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()
