"""The training loss: what is noised, how it is weighted, what counts as an error.

Four errors are counted, each relative to what leaving the source as it is would cost: of the
latents themselves, of their colour apart from lightness, of texture (how much detail there is and
which way it runs, wherever exactly its lines fall), and of the seams between patches. Without the
second, tints stay that the squared error hardly sees; without the third, strokes and hatching,
which no network can foresee, are averaged away; without the fourth, the patches show as a grid.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from model import PATCH, SCHEDULE, alphas_cumprod, from_latents, to_latents

# Of the noise levels; with more, the last steps crowd out those where the text decides.
MAX_WEIGHT = 2.0
STARTS = ((400, 550, 0.5), (550, 780, 0.3), (780, 1000, 0.2))  # timesteps from, below, share
AT_START_SHARE = 0.7
# Of the batches: noised as the sampler itself would after a first step, its faults included.
ROLLED_SHARE = 0.5
CLIP = SCHEDULE["clip_sample_range"]
PATCH_CHANGE, DETAIL_CHANGE = 0.02, 0.01  # keep styles that change almost nothing from exploding

# Beside 1 for the error of the latents.
COLOUR_SHARE, TEXTURE_SHARE, SEAM_SHARE = 0.5, 0.3, 0.1
COLOUR_CHANGE = 0.01
TEXTURE_CHANGE, SEAM_CHANGE = 0.03, 0.02
TEXTURE_OCTAVES, TEXTURE_WINDOW = 3, 8


@dataclass
class Tensors:
    """A batch as tensors: pixels `[N, 3, H, W]` in -1..1, tokens `[N, 77]`."""

    condition: Tensor
    """What the source channels hold: the source, low-passed where the sample says so."""
    source: Tensor
    has_source: Tensor
    target: Tensor
    tokens: Tensor

    def to(self, device: torch.device) -> "Tensors":
        """Move all of it."""
        return Tensors(*(field.to(device, non_blocking=True) for field in vars(self).values()))


@dataclass
class Losses:
    """Per sample: the loss and the timestep, both `[N]`."""

    loss: Tensor
    timesteps: Tensor


def draw_timesteps(has_source: Tensor, at_start: float) -> tuple[Tensor, Tensor]:
    """Draw where samplers start and where they are, both `[N]`; they move from high to low.

    `at_start` is the share of those that are still at their start, where the text decides. With a
    source at hand most starts are those of strengths 0.4 to 0.8. Without a source every timestep is
    as likely.
    """
    count = len(has_source)
    starts = torch.stack([torch.randint(low, high, (count,)) for low, high, _ in STARTS])
    kinds = torch.multinomial(torch.tensor([share for *_, share in STARTS]), count, True)
    start = starts.gather(0, kinds[None])[0]
    below = (torch.rand(count) * (start + 1)).long()
    timesteps = torch.where(torch.rand(count) < at_start, start, below)
    anywhere = torch.randint(0, 1000, (count,))
    source = has_source.cpu()
    return torch.where(source, start, anywhere), torch.where(source, timesteps, anywhere)


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
    of lightness' differences in four directions.
    """
    octaves = []
    for _ in range(TEXTURE_OCTAVES):
        coarse = F.avg_pool2d(pixels, 2)
        detail = pixels - F.interpolate(coarse, scale_factor=2, mode="bilinear")
        gradients = 0.5 * _gradients(pixels.mean(1, keepdim=True))
        energy = F.avg_pool2d(torch.cat([detail, gradients], 1).pow(2), TEXTURE_WINDOW)
        octaves.append((energy + 1e-4).sqrt().flatten(1))
        pixels = coarse
    return torch.cat([octave / octave.shape[1] for octave in octaves], 1)


def _seams(pixels: Tensor) -> Tensor:
    """Return the mean step between neighbours by their place in the patch, `[N, 2 * PATCH]`."""
    steps = []
    for turned in (pixels, pixels.transpose(2, 3)):
        step = F.pad((turned[..., 1:] - turned[..., :-1]).abs(), (1, 0)).mean((1, 2))
        steps.append(step.view(len(step), -1, PATCH).mean(1))
    return torch.cat(steps, 1)


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
        self._alphas = alphas_cumprod().to(device)
        self._sigmas = ((1 - self._alphas) / self._alphas).sqrt().float()

    def _on_the_way(self, start: Tensor, timesteps: Tensor, has_source: Tensor) -> Tensor:
        """Return how much of the source is left in the noised picture, `[N, 1, 1, 1]`.

        Image-to-image begins with the noised source, not with a noised target. A deterministic
        sampler that starts at t0 and predicts the target then sees, at t,
        target + sigma(t) / sigma(t0) * (source - target), noised. All samples with a source are
        such: were some of them noised targets, the network would copy colour and light from what it
        is fed, and results would stay half way. Starts below 400, strengths below 0.4, are never
        seen; there the network takes the noised source for the target and keeps its colours.
        """
        left = self._sigmas[timesteps] / self._sigmas[start]
        return torch.where(has_source, left, torch.zeros_like(left))[:, None, None, None]

    def _predict(self, noised: Tensor, source: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """Return the clean latents less the source's, as the network sees them."""
        inputs = torch.cat([noised, source], 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp):
            text = self._text(tokens)
            return self._unet(
                inputs,
                timesteps,
                encoder_hidden_states=text.last_hidden_state,
                class_labels=text.pooler_output,
                return_dict=False,
            )[0].float()

    def _shares(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Return how much of the clean picture and of the noise there is, `[N, 1, 1, 1]` each."""
        alphas = self._alphas[timesteps].float()[:, None, None, None]
        return alphas.sqrt(), (1 - alphas).sqrt()

    def _noised(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the sampler sees of `clean` at `timesteps`."""
        kept, added = self._shares(timesteps)
        return kept * clean + added * noise

    @torch.no_grad()
    def _first_step(
        self, noised: Tensor, source: Tensor, start: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the clean estimate at the start, clamped as the sampler does, and its noise.

        From both the sampler makes what it sees next. The network then learns to take away what it
        added itself; were it only ever shown noised targets, grain would grow from step to step.
        """
        estimate = self._predict(noised, source, start, tokens) + source
        kept, added = self._shares(start)
        noise = (noised - kept * estimate) / added
        return estimate.clamp(-CLIP, CLIP), noise

    def _latent_error(self, estimate: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Return the squared error of the latents relative to leaving the source, per sample.

        Styles that change little (oil, comic, pixel art, autumn) would drown among those that
        change everything (pencil, night). Patch means and the detail inside patches are judged
        apart, else the means would win.
        """
        error, leaving = _energy(estimate - target), _energy(target - source)
        means = error[0] / (PATCH_CHANGE + leaving[0])
        return 0.5 * means + 0.5 * error[1] / (DETAIL_CHANGE + leaving[1])

    def __call__(
        self,
        batch: Tensors,
        timesteps: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Compute the loss; with `timesteps` and `generator` given it is the same every time.

        The validation gives both, and then noises the target alone.
        """
        batch = batch.to(self._device)
        target = to_latents(batch.target)
        source = to_latents(batch.condition) * batch.has_source[:, None, None, None]
        noise = torch.randn(target.shape, generator=generator).to(self._device)
        if timesteps is not None:
            noised = self._noised(target, noise, timesteps)
        else:
            rolled = bool(torch.rand(()) < ROLLED_SHARE)
            drawn = draw_timesteps(batch.has_source, 0.0 if rolled else AT_START_SHARE)
            start, timesteps = (t.to(self._device) for t in drawn)
            seen = start if rolled else timesteps
            left = self._on_the_way(start, seen, batch.has_source)
            noised = self._noised(target + left * (to_latents(batch.source) - target), noise, seen)
            if rolled:
                clean, noise = self._first_step(noised, source, start, batch.tokens)
                noised = self._noised(clean, noise, timesteps)
        change = self._predict(noised, source, timesteps, batch.tokens)
        estimate = change + source
        relative = self._latent_error(estimate, target, source)
        tints = [_tint(latents) for latents in (estimate, target, source)]
        error, leaving = ((tints[i] - tints[1]).pow(2).mean((1, 2, 3)) for i in (0, 2))
        relative = relative + COLOUR_SHARE * error / (COLOUR_CHANGE + leaving)
        pixels = [from_latents(latents) for latents in (estimate, target, source)]
        textures = [_texture(picture) for picture in pixels]
        relative = relative + TEXTURE_SHARE * _relative(*textures, TEXTURE_CHANGE)
        seams = [_seams(picture) for picture in pixels]
        relative = relative + SEAM_SHARE * _relative(*seams, SEAM_CHANGE)
        weight = (1 / (1 - self._alphas[timesteps])).float().clamp(max=MAX_WEIGHT)
        return Losses(weight / MAX_WEIGHT * relative, timesteps)
