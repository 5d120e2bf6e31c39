"""The training loss: what counts as an error, and how much.

Seven errors are counted, each relative to what leaving the source as it is would cost: of the
latents themselves, of their colour apart from lightness, of texture (how much detail there is
about each place and which way it runs, wherever exactly its lines fall), of the patterns it is
made of, of the whole crop's statistics, of the seams between patches, and of what repeats from
patch to patch. Without the second, tints stay that the squared error hardly sees; without the
third to fifth, strokes and hatching, which no network can foresee, are averaged away, and what
should be flat keeps a weave; without the last two, the patches show as a grid, and texture is made
of it. A discriminator's opinion comes on top.

Repairs have one right answer, so that the error of the latents alone counts for them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from discriminator import Discriminator, telling_loss
from model import PATCH, denoised, from_latents, to_latents
from patterns import patterns
from style_statistics import distance, statistics
from trajectories import Samples, States

# Of the noise levels; with more, the last steps crowd out those where the text decides.
MAX_WEIGHT = 2.0
PATCH_CHANGE, DETAIL_CHANGE = 0.02, 0.01  # keep styles that change almost nothing from exploding
PATCH_SHARE, DETAIL_SHARE = 0.5, 0.15

# Beside those for the error of the latents.
COLOUR_SHARE, TEXTURE_SHARE, PATTERN_SHARE, STATISTICS_SHARE = 0.4, 0.6, 1.0, 1.3
SEAM_SHARE, FOLD_SHARE = 0.3, 0.3
# The error of repairs, whose changes are small, and what their smallness is measured by.
REPAIR_SHARE, REPAIR_CHANGE = 2.5, 0.2
COLOUR_CHANGE, PATTERN_CHANGE = 0.01, 0.005
TEXTURE_CHANGE, STATISTICS_CHANGE, SEAM_CHANGE = 0.1, 0.15, 0.02
TEXTURE_OCTAVES, TEXTURE_WINDOW = 3, 8
FOLD_WINDOW, FOLD_CHANGE, FOLD_FLOOR = 32, 0.3, 3e-4
TEXTURE_FLOOR = 1e-4  # of the energy: about one level of 255
# Timestep from which texture and statistics begin to count: with more noise the estimate is a mean.
TEXTURED_BELOW = 800
# The discriminator looks at estimates below this timestep.
TOLD_BELOW, TOLD_SHARE = 450, 0.8


@dataclass
class Losses:
    """Per sample: the loss and the timestep, both `[N]`; the clean estimates, without gradient."""

    loss: Tensor
    timesteps: Tensor
    estimate: Tensor


def _energy(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean square of the patch means and of the detail inside patches, per sample."""
    count, _, height, width = latents.shape
    patches = latents.view(count, 3, PATCH**2, height, width)
    means = patches.mean(2, keepdim=True)
    axes = (1, 2, 3, 4)
    return means.pow(2).mean(axes), (patches - means).pow(2).mean(axes)


def _gradients(pixels: Tensor) -> Tensor:
    """Return the differences along x, y and both diagonals, `[N, 4 * channels, H, W]`."""
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    middle, after, before = slice(1, -1), slice(2, None), slice(None, -2)
    pairs = (
        ((middle, after), (middle, before)),
        ((after, middle), (before, middle)),
        ((after, after), (before, before)),
        ((after, before), (before, after)),
    )
    return torch.cat([padded[..., *high] - padded[..., *low] for high, low in pairs], 1)


def _tint(latents: Tensor) -> Tensor:
    """Return how the patch means' colours differ from their grey, `[N, 3, H, W]`."""
    count, _, height, width = latents.shape
    means = latents.view(count, 3, PATCH**2, height, width).mean(2)
    return means - means.mean(1, keepdim=True)


def _texture(pixels: Tensor) -> Tensor:
    """Return how much detail there is and which way it runs, not where, `[N, values]`.

    For each of three octaves the local deviation of every colour, and the local root mean square
    of lightness' differences in four directions; as logarithms, so that a weave where nothing
    should be costs as much as a stroke that is missing.
    """
    octaves = []
    for _ in range(TEXTURE_OCTAVES):
        coarse = F.avg_pool2d(pixels, 2)
        detail = pixels - F.interpolate(coarse, scale_factor=2, mode="bilinear")
        gradients = 0.5 * _gradients(pixels.mean(1, keepdim=True))
        energy = F.avg_pool2d(torch.cat([detail, gradients], 1).pow(2), TEXTURE_WINDOW)
        octaves.append(0.5 * (energy + TEXTURE_FLOOR).log().flatten(1))
        pixels = coarse
    return torch.cat([octave / octave.shape[1] for octave in octaves], 1)


def _seams(pixels: Tensor) -> Tensor:
    """Return the mean step between neighbours by their place in the patch, `[N, 2 * PATCH]`."""
    steps = []
    for turned in (pixels, pixels.transpose(2, 3)):
        step = F.pad((turned[..., 1:] - turned[..., :-1]).abs(), (1, 0)).mean((1, 2))
        steps.append(step.view(len(step), -1, PATCH).mean(1))
    return torch.cat(steps, 1)


def _folds(pixels: Tensor) -> Tensor:
    """Return how much repeats from patch to patch, `[N, values]`.

    All patches about a place laid over one another: strokes cancel out, a weave does not. Of
    patches as the network's finest level sees them, and the one below; logarithms of energy.
    """
    folds = []
    for size in (PATCH, 2 * PATCH):
        count, _, height, width = pixels.shape
        patches = F.pixel_unshuffle(pixels, size).view(count, 3, size**2, -1)
        detail = (patches - patches.mean(2, keepdim=True)).view(
            count, 3 * size**2, height // size, width // size
        )
        folded = F.avg_pool2d(detail, FOLD_WINDOW // size)
        energy = folded.view(count, 3, size**2, -1).pow(2).mean(2)
        folds.append(0.5 * (energy + FOLD_FLOOR).log().flatten(1))
    return torch.cat(folds, 1)


def _relative(estimate: Tensor, target: Tensor, source: Tensor, change: float) -> Tensor:
    """Return the mean difference from the target, relative to the source's, per sample."""
    error, leaving = (estimate - target).abs().sum(1), (source - target).abs().sum(1)
    return error / (change + leaving)


class Loss:
    """The loss of both networks on one device."""

    def __init__(
        self, unet: UNet2DConditionModel, text: CLIPTextModel, device: torch.device, amp: bool
    ) -> None:
        self._unet, self._text, self._device, self._amp = unet, text, device, amp
        self.discriminator = Discriminator().to(device)

    def _told_of(self, states: States) -> Tensor:
        """Return which estimates the discriminator looks at, bool `[N]`."""
        return (states.timesteps < TOLD_BELOW) & ~states.samples.repairs

    def _told(self, states: States, pixels: Tensor) -> Tensor:
        """Return how real pictures look to the discriminator, `[N, h, w]`."""
        samples = states.samples
        source = samples.condition * samples.has_source[:, None, None, None]
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp):
            return self.discriminator(pixels, source, samples.styles).float()

    def telling(self, states: States, estimate: Tensor) -> Tensor | None:
        """Return the discriminator's own loss; none where all estimates are early ones."""
        late = self._told_of(states)
        if not bool(late.any()):
            return None
        some = states.chosen(late)
        made = self._told(some, from_latents(estimate[late]))
        return telling_loss(self._told(some, some.samples.target), made)

    def _predict(self, states: States, source: Tensor) -> Tensor:
        """Return the network's output."""
        inputs = torch.cat([states.noised, source], 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp):
            text = self._text(states.samples.tokens)
            return self._unet(
                inputs,
                states.timesteps,
                encoder_hidden_states=text.last_hidden_state,
                class_labels=text.pooler_output,
                return_dict=False,
            )[0].float()

    def _latent_error(
        self, estimate: Tensor, target: Tensor, source: Tensor, repairs: Tensor
    ) -> Tensor:
        """Return the squared error of the latents relative to leaving the source, per sample.

        Styles that change little (oil, comic, pixel art, autumn) would drown among those that
        change everything (pencil, night). Patch means and the detail inside patches are judged
        apart, else the means would win.
        """
        error, leaving = _energy(estimate - target), _energy(target - source)
        small = torch.where(repairs, REPAIR_CHANGE, 1.0)
        means = PATCH_SHARE * error[0] / (small * PATCH_CHANGE + leaving[0])
        detail = DETAIL_SHARE * error[1] / (small * DETAIL_CHANGE + leaving[1])
        return torch.where(repairs, REPAIR_SHARE, 1.0) * (means + detail)

    def __call__(self, states: States) -> Losses:
        """Compute the loss of the network's estimates from `states`."""
        samples: Samples = states.samples
        target, source = to_latents(samples.target), samples.source_channels()
        estimate = denoised(self._predict(states, source), source)
        repairs = samples.repairs
        relative = self._latent_error(estimate, target, source, repairs)
        tints = [_tint(latents) for latents in (estimate, target, source)]
        error, leaving = ((tints[i] - tints[1]).pow(2).mean((1, 2, 3)) for i in (0, 2))
        relative = relative + COLOUR_SHARE * error / (COLOUR_CHANGE + leaving)
        pixels = [from_latents(latents) for latents in (estimate, target, source)]
        seams = [_seams(picture) for picture in pixels]
        relative = relative + SEAM_SHARE * _relative(*seams, SEAM_CHANGE)
        folds = [_folds(picture) for picture in pixels]
        textures = [_texture(picture) for picture in pixels]
        textured = TEXTURE_SHARE * _relative(*textures, TEXTURE_CHANGE)
        textured = textured + FOLD_SHARE * _relative(*folds, FOLD_CHANGE)
        made = patterns(pixels[0], self._amp)
        goals = samples.target_patterns, samples.source_patterns
        textured = textured + PATTERN_SHARE * _relative(made, *goals, PATTERN_CHANGE)
        goal = samples.target_figures
        away = distance(statistics(pixels[0]), goal)
        leaving = distance(samples.source_figures, goal)
        textured = textured + STATISTICS_SHARE * away / (STATISTICS_CHANGE + leaving)
        textured = textured * (1 - states.timesteps / TEXTURED_BELOW).clamp(min=0) * ~repairs
        late = self._told_of(states)
        if bool(late.any()):
            told = self._told(states.chosen(late), pixels[0][late]).mean((1, 2))
            relative = relative.index_add(0, late.nonzero()[:, 0], -TOLD_SHARE * told)
        weight = (1 / (1 - states.alphas)).clamp(max=MAX_WEIGHT) / MAX_WEIGHT
        return Losses(weight * (relative + textured), states.timesteps, estimate.detach())
