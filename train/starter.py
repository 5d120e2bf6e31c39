"""Runs a saved starter model: image-to-image in plain PyTorch, for looking and measuring.

The sampler is DDIM without added noise on the model's own schedule; steps, guidance, how the
source is low-passed at high strengths and finishing are read from the model's folder.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image as PillowImage
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast

from feed import tokenize
from filters import Image
from model import denoised, from_latents, low_pass, timesteps_of, to_latents

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools" / "reference"))
from finishing import finished  # noqa: E402
from washing import laid  # noqa: E402

SIZE_MULTIPLE = 16


@dataclass
class Settings:
    """How to run; what is None comes from the model's own defaults."""

    strength: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0


def load_pixels(path: Path, size: int | None = None) -> Tensor:
    """Read a picture as `[1, 3, H, W]` in -1..1, sides cut to multiples of 16.

    With `size`: the middle square, resized to `size` a side.
    """
    image = PillowImage.open(path).convert("RGB")
    width, height = image.size
    if size:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((size, size), PillowImage.Resampling.LANCZOS)
    else:
        image = image.crop((0, 0, width - width % SIZE_MULTIPLE, height - height % SIZE_MULTIPLE))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_rgb(pixels: Tensor) -> np.ndarray:
    """Convert `[N, 3, H, W]` in -1..1 to u8 `[N, H, W, 3]`."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def load_image(path: Path, size: int | None = None) -> Image:
    """Read a picture as `load_pixels` does, but as BGR u8 `[H, W, 3]`, as the renderers want it."""
    return np.ascontiguousarray(to_rgb(load_pixels(path, size))[0][..., ::-1])


class Starter:
    """A saved model, ready to transform pictures."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.device = torch.device(device)
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
        self.unet, self.text = unet.eval().to(self.device), text.eval().to(self.device)
        self.tokenizer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer")
        schedule = json.loads((folder / "scheduler/scheduler_config.json").read_text("utf-8"))
        count = schedule["num_train_timesteps"]
        betas = torch.linspace(
            schedule["beta_start"], schedule["beta_end"], count, dtype=torch.float64
        )
        self.alphas = torch.cumprod(1 - betas, 0)
        info = json.loads((folder / "latents.json").read_text("utf-8"))
        self.limit: float = schedule["clip_sample_range"]
        self.defaults: dict[str, float] = info["defaults"]
        conditioning = info["source_conditioning"]
        self._low_pass: list[tuple[float, int]] = conditioning["low_pass_by_strength"]
        finish = folder / "finish.json"
        self.finish: dict[str, Any] | None = None
        if finish.exists():
            self.finish = json.loads(finish.read_text("utf-8"))
        self.wash: dict[str, Any] | None = None
        if (folder / "wash").exists():
            self.wash = json.loads((folder / "wash" / "wash.json").read_text("utf-8"))
            network = UNet2DConditionModel.from_pretrained(
                folder / "wash", torch_dtype=torch.float32
            )
            self._wash_unet = network.eval().to(self.device)
        self._change: list[tuple[float, float]] = conditioning.get("change_by_strength", [(0, 1)])

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return hidden states `[N, 77, 192]` and the pooled text `[N, 192]`."""
        output = self.text(tokenize(list(texts), self.tokenizer).to(self.device))
        return output.last_hidden_state, output.pooler_output

    def timesteps(self, steps: int, strength: float) -> list[int]:
        """Return the last share of evenly spaced timesteps, at least one, descending."""
        return timesteps_of(steps, strength, len(self.alphas))

    def _finished(self, pixels: Tensor, source: Tensor, pooled: Tensor, strength: float) -> Tensor:
        """Finish results, along the lines of the source where the network saw it as it is."""
        if not self.finish:
            return pixels
        seen = self._low_pass_factor(strength) == 1
        results = []
        for n in range(len(pixels)):
            guide = source[n : n + 1] if seen else None
            texts = pooled[n : n + 1]
            results.append(finished(pixels[n : n + 1], guide, self.finish, texts, strength))
        return torch.cat(results)

    @torch.no_grad()
    def _wash_logits(self, seen: Tensor, text: str) -> Tensor:
        """Return what the wash's network says of the colours under lines."""
        hidden, pooled = self.embed([text])
        return self._wash_unet(
            seen.float(),
            0,
            encoder_hidden_states=hidden,
            class_labels=pooled,
            return_dict=False,
        )[0]

    def _low_pass_factor(self, strength: float) -> int:
        for limit, factor in self._low_pass:
            if strength <= limit + 1e-6:
                return factor
        return 0

    def _source_channels(self, pixels: Tensor, strength: float) -> Tensor:
        factor = self._low_pass_factor(strength)
        return to_latents(low_pass(pixels, factor) if factor else torch.zeros_like(pixels))

    @torch.no_grad()
    def transform(
        self,
        pixels: Tensor,
        prompts: Sequence[str],
        settings: Settings | None = None,
        negative: str = "",
    ) -> Tensor:
        """Transform `[N or 1, 3, H, W]` in -1..1, one result per prompt."""
        settings = settings or Settings()
        defaults, count = self.defaults, len(prompts)
        strength = defaults["strength"] if settings.strength is None else settings.strength
        steps = int(defaults["steps"]) if settings.steps is None else settings.steps
        guidance = settings.guidance_scale
        guidance = defaults["guidance_scale"] if guidance is None else guidance
        pixels = pixels.expand(count, -1, -1, -1).to(self.device)
        if self.wash and strength < 1:
            how = self.wash, strength, settings.seed, self._wash_logits
            pairs = zip(pixels.split(1), prompts, strict=True)
            pixels = torch.cat([laid(one, prompt, *how) for one, prompt in pairs])
        latents = to_latents(pixels)
        source = self._source_channels(pixels, strength)
        prompt = self.embed(prompts)
        uncond = tuple(part.expand(count, *part.shape[1:]) for part in self.embed([negative]))
        generator = torch.Generator().manual_seed(settings.seed)
        noise = torch.randn((1, *latents.shape[1:]), generator=generator).to(self.device)
        timesteps = self.timesteps(steps, strength)
        change = float(np.interp(strength, *zip(*self._change, strict=True)))
        alpha = self.alphas[timesteps[0]]
        noised = (alpha.sqrt() * latents + (1 - alpha).sqrt() * noise).float()
        for place, timestep in enumerate(timesteps):
            clean = self.denoise(noised, source, timestep, prompt)
            if guidance != 1:
                unguided = self.denoise(noised, source, timestep, uncond)
                clean = unguided + guidance * (clean - unguided)
            clean = source + change * (clean - source)
            last = place + 1 == len(timesteps)
            following = 1.0 if last else float(self.alphas[timesteps[place + 1]])
            noised = self._ddim(noised, clean, float(self.alphas[timestep]), following)
        return self._finished(from_latents(noised).clamp(-1, 1), pixels, prompt[1], strength)

    def restyle(self, image: Image, prompt: str, settings: Settings | None = None) -> Image:
        """Transform one BGR u8 picture `[H, W, 3]`."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
        return np.ascontiguousarray(
            to_rgb(self.transform(pixels, [prompt], settings))[0][..., ::-1]
        )

    def denoise(
        self, noised: Tensor, source: Tensor, timestep: int, text: tuple[Tensor, ...]
    ) -> Tensor:
        """Return the clean estimate."""
        hidden, pooled = text
        output = self.unet(
            torch.cat([noised, source], 1),
            timestep,
            encoder_hidden_states=hidden,
            class_labels=pooled,
            return_dict=False,
        )[0]
        return denoised(output, source)

    def _ddim(self, noised: Tensor, clean: Tensor, alpha: float, following: float) -> Tensor:
        """Move from one noise level to the next; the clean estimate is clamped, the noise not."""
        noise = (noised - alpha**0.5 * clean) / (1 - alpha) ** 0.5
        clamped = clean.clamp(-self.limit, self.limit)
        return following**0.5 * clamped + (1 - following) ** 0.5 * noise
