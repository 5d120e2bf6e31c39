"""The training loss: what is noised, how it is weighted, what counts as an error.

Three errors are counted, each relative to what leaving the source as it is would cost: of the
latents themselves, of texture (how much detail there is and which way it runs, wherever exactly its
lines fall), and of the seams between patches. Without the second, strokes and hatching, which no network can foresee,
are averaged away; without the third, the patches show as a grid.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from model import PATCH, alphas_cumprod, from_latents, to_latents

# Of the noise levels; with more, the last steps crowd out those where the text decides.
MAX_WEIGHT = 2.0
START_SHARE = 0.75  # samples that are noised on their way from the source, see `_on_the_way`
PATCH_CHANGE, DETAIL_CHANGE = 0.02, 0.01  # keep styles that change almost nothing from exploding

TEXTURE_SHARE, SEAM_SHARE = 0.6, 0.1  # beside 1 for the error of the latents
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


def draw_timesteps(has_source: Tensor) -> Tensor:
    """Draw timesteps: all of them, but more where image-to-image starts and where it ends."""
    count = len(has_source)
    share = torch.rand(count)
    anywhere, low = torch.randint(0, 1000, (count,)), torch.randint(0, 450, (count,))
    timesteps = torch.where(share < 0.35, low, anywhere)
    # With a source at hand the text decides at the noise that strengths 0.4 to 0.8 start from.
    starts = (share > 0.6) & has_source.cpu()
    return torch.where(starts, torch.randint(350, 750, (count,)), timesteps)


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

    def _on_the_way(self, timesteps: Tensor, has_source: Tensor) -> Tensor:
        """Return how much of the source is left in the noised picture, `[N, 1, 1, 1]`.

        Image-to-image begins with the noised source, not with a noised target. A deterministic
        sampler that starts at t0 and predicts the target then sees, at t,
        target + sigma(t) / sigma(t0) * (source - target), noised. Learning from such inputs for
        t0 >= 400 makes strengths from about 0.4 on transform colour and light as well; strengths
        below 0.4 never saw them and keep to the source's colours.
        """
        count, device = len(timesteps), self._device
        start = torch.maximum(timesteps, torch.randint(400, 1000, (count,), device=device))
        at_start = (timesteps >= 380) & (torch.rand(count, device=device) < 0.4)
        start = torch.where(at_start, timesteps, start)
        chosen = has_source & (torch.rand(count, device=device) < START_SHARE)
        left = self._sigmas[timesteps] / self._sigmas[start]
        return torch.where(chosen, left, torch.zeros_like(left))[:, None, None, None]

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
        mixed = target
        if timesteps is None:
            timesteps = draw_timesteps(batch.has_source).to(self._device)
            left = self._on_the_way(timesteps, batch.has_source)
            mixed = target + left * (to_latents(batch.source) - target)
        noise = torch.randn(target.shape, generator=generator).to(self._device)
        alphas = self._alphas[timesteps].float()[:, None, None, None]
        noised = alphas.sqrt() * mixed + (1 - alphas).sqrt() * noise
        change = self._predict(noised, source, timesteps, batch.tokens)
        estimate = change + source
        relative = self._latent_error(estimate, target, source)
        pixels = [from_latents(latents) for latents in (estimate, target, source)]
        textures = [_texture(picture) for picture in pixels]
        relative = relative + TEXTURE_SHARE * _relative(*textures, TEXTURE_CHANGE)
        seams = [_seams(picture) for picture in pixels]
        relative = relative + SEAM_SHARE * _relative(*seams, SEAM_CHANGE)
        weight = (1 / (1 - self._alphas[timesteps])).float().clamp(max=MAX_WEIGHT)
        return Losses(weight / MAX_WEIGHT * relative, timesteps)
