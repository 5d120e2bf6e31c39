"""Image-to-image and text-to-image with the starter model in plain PyTorch: the numeric reference of the starter.

    python tools/reference/starter.py --model crates/starter/model --image photo.png --prompt "pencil sketch" --out out.png
    python tools/reference/starter.py --size 256x256 --prompt "oil painting of a lake" --strength 1 --out out.png

What happens, in full:

1. Pixels [1, 3, H, W] in -1..1, sides multiples of 16, become latents [1, 48, H/4, W/4]: space to depth by 4
   (channel = colour * 16 + dy * 4 + dx) times scaling_factor. There is no autoencoder.
2. Timesteps are linspace(999, 0, steps), rounded, of which the last int(steps * strength) run, one at least.
   The start is sqrt(abar) * latents + sqrt(1 - abar) * noise, with abar the product of 1 - beta at the first of them.
3. The UNet is fed 96 channels: the 48 noised ones, then the source's own latents. The source is low-passed first, by a factor that
   grows with strength: factor 1 is the source, factor k means of k x k pixels enlarged bilinearly, factor 0 zeros.
4. denoised = UNet output + source channels, for the prompt and, if guidance is not 1, for the negative prompt. With "colour_mixing" in
   latents.json the output has 18 channels more: two 3 x 3 matrices M and D per patch, by which the source channels' colours are mixed first,
   colours + M @ mean + D @ (colours - mean), with the patch's mean colour. With "change_by_strength" a share of the way from the source
   channels to that estimate is gone, by strength;
   denoised = uncond + guidance_scale * (cond - uncond). The text's pooled state goes in as class labels.
5. DDIM without noise: the direction to the noise comes from `denoised` as it is, the next clean part from `denoised` clamped to
   clip_sample_range. The next abar is that of the next timestep in the list, and 1 after the last. (diffusers' DDIMScheduler takes
   timestep - 1000 // steps instead, which under linspace is another one.)
6. With a wash/ a source that is a line drawing gets colours under its lines before all this, where it is read at all, as far as the
   strength wants it (washing.py); a small UNet says which, for the prompt. What the seed leans towards are
   the first numbers of its stream, which is begun anew for the start.
7. With a finish.json the pixels are finished as far as the prompt and the strength want it (finishing.py). Strokes and smoothing
   follow the lines of the source, or the result's own where the source channels are low-passed or absent.
"""
import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizerFast

from finishing import finished
from output import STARTER_MODEL
from washing import laid

GRID = 16


@dataclass
class Request:
    """What to make. `strength` 0..1, `steps` at least 1; settings that are None are the model's defaults."""

    prompt: str
    negative: str = ""
    strength: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0


def low_pass(pixels, factor):
    """`pixels` [N, 3, H, W] without detail finer than `factor` pixels, same shape; factor 0 gives zeros, 1 the pixels."""
    if factor == 0:
        return torch.zeros_like(pixels)
    if factor == 1:
        return pixels
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (0, -width % factor, 0, -height % factor), mode="replicate")
    means = F.avg_pool2d(padded, factor)
    return F.interpolate(means, scale_factor=factor, mode="bilinear", align_corners=False)[..., :height, :width]


class Starter:
    """The starter's networks and settings, loaded from a diffusers folder that also has latents.json."""

    def __init__(self, folder, dtype=torch.float32):
        folder = Path(folder)
        self.dtype = dtype
        self.unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=dtype).eval()
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype).eval()
        self.tokenizer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer")
        self.latents = json.loads((folder / "latents.json").read_text())
        finish = folder / "finish.json"
        self.finish = json.loads(finish.read_text()) if finish.exists() else None
        self.wash = None
        if (folder / "wash").exists():
            self.wash = json.loads((folder / "wash" / "wash.json").read_text())
            self.wash_unet = UNet2DConditionModel.from_pretrained(folder, subfolder="wash", torch_dtype=dtype).eval()
        self.scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        expected = {
            "beta_schedule": "linear",
            "timestep_spacing": "linspace",
            "prediction_type": "sample",
            "clip_sample": True,
            "set_alpha_to_one": True,
        }
        for key, value in expected.items():
            if self.scheduler[key] != value:
                raise ValueError(f'scheduler setting "{key}" is {self.scheduler[key]}, expected {value}')
        ends = self.scheduler["beta_start"], self.scheduler["beta_end"]
        betas = torch.linspace(*ends, self.scheduler["num_train_timesteps"], dtype=torch.float64)
        self.alphas_cumprod = torch.cumprod(1 - betas, 0)

    @torch.no_grad()
    def embed(self, text):
        """Hidden states [1, 77, C] and pooled state [1, C] of a text."""
        ids = self.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        # transformers makes its causal mask in the default dtype and overflows if that is narrower than the weights'.
        torch.set_default_dtype(self.dtype)
        encoded = self.text(ids)
        torch.set_default_dtype(torch.float32)
        return encoded.last_hidden_state, encoded.pooler_output

    def low_pass_factor(self, strength):
        """How far the source channels are low-passed at this strength."""
        for limit, factor in self.latents["source_conditioning"]["low_pass_by_strength"]:
            if strength <= limit + 1e-6:
                return factor
        return self.latents["source_conditioning"]["above"]

    def change(self, strength):
        """The share of the way from the source channels to the estimate that is gone at this strength."""
        points = self.latents["source_conditioning"].get("change_by_strength") or [(0.0, 1.0)]
        return float(np.interp(strength, *zip(*points)))

    def timesteps(self, steps, strength):
        """The timesteps that run, descending."""
        last = self.scheduler["num_train_timesteps"] - 1
        every = np.linspace(0, last, steps).round()[::-1].astype(int)
        # The small amount keeps 10 * 0.7 at 7.
        runs = max(1, min(int(steps * strength + 1e-6), steps))
        return every[steps - runs:].tolist()

    def to_latents(self, pixels):
        """Space to depth, scaled."""
        return F.pixel_unshuffle(pixels, self.latents["patch_size"]) * self.latents["scaling_factor"]

    def to_pixels(self, latents):
        """The inverse of `to_latents`, clamped to -1..1."""
        return F.pixel_shuffle(latents / self.latents["scaling_factor"], self.latents["patch_size"]).clamp(-1, 1)

    def estimate(self, output, source_channels):
        """The clean estimate that the UNet's output stands for."""
        if not self.latents.get("colour_mixing", False):
            return output + source_channels
        added, mixing = output[:, :source_channels.shape[1]], output[:, source_channels.shape[1]:]
        n, _, height, width = source_channels.shape
        colours = source_channels.reshape(n, 3, -1, height, width)
        means = colours.mean(2, keepdim=True)
        matrices = mixing.reshape(n, 2, 3, 3, height, width)
        of_mean = torch.einsum("nijhw,njphw->niphw", matrices[:, 0], means)
        of_detail = torch.einsum("nijhw,njphw->niphw", matrices[:, 1], colours - means)
        return added + (colours + of_mean + of_detail).reshape(source_channels.shape)

    @torch.no_grad()
    def denoise(self, noised, source_channels, timestep, texts, guidance_scale, change=1.0):
        """The guided clean estimate; `texts` are the embeddings (hidden, pooled) of prompt and negative prompt."""
        fed = torch.cat([noised, source_channels], 1)

        def predict(hidden, pooled):
            output = self.unet(fed, timestep, encoder_hidden_states=hidden, class_labels=pooled, return_dict=False)[0]
            return source_channels + change * (self.estimate(output, source_channels) - source_channels)

        cond, uncond = texts
        if guidance_scale == 1:
            return predict(*cond)
        without = predict(*uncond)
        return without + guidance_scale * (predict(*cond) - without)

    @torch.no_grad()
    def wash_logits(self, seen, text):
        """What the wash's network says of the colours under lines."""
        hidden, pooled = self.embed(text)
        return self.wash_unet(seen, 0, encoder_hidden_states=hidden, class_labels=pooled, return_dict=False)[0]

    def run(self, source, request, trace=None):
        """`source` [1, 3, H, W] in -1..1 to pixels alike. `trace`, a dict, receives noise, embeddings and every step's tensors."""
        defaults = self.latents["defaults"]
        strength = defaults["strength"] if request.strength is None else request.strength
        steps = defaults["steps"] if request.steps is None else request.steps
        guidance_scale = defaults["guidance_scale"] if request.guidance_scale is None else request.guidance_scale
        trace = {} if trace is None else trace

        source = source.to(self.dtype)
        if self.wash and strength < 1:
            source = laid(source, request.prompt, self.wash, strength, request.seed, self.wash_logits)
        source_latents = self.to_latents(source)
        source_channels = self.to_latents(low_pass(source, self.low_pass_factor(strength)))
        texts = self.embed(request.prompt), self.embed(request.negative)
        noise = torch.randn(source_latents.shape, generator=torch.Generator().manual_seed(request.seed)).to(self.dtype)
        timesteps = self.timesteps(steps, strength)
        product = float(self.alphas_cumprod[timesteps[0]])
        latents = product**0.5 * source_latents + (1 - product) ** 0.5 * noise
        trace |= {"noise": noise, "source_latents": source_latents, "source_channels": source_channels, "start": latents}
        for name, (hidden, pooled) in zip(("cond", "uncond"), texts):
            trace |= {name: hidden, f"pooled_{name}": pooled}
        trace["timesteps"] = torch.tensor(timesteps)

        for index, timestep in enumerate(timesteps):
            denoised = self.denoise(latents, source_channels, timestep, texts, guidance_scale, self.change(strength))
            product = float(self.alphas_cumprod[timestep])
            following = float(self.alphas_cumprod[timesteps[index + 1]]) if index + 1 < len(timesteps) else 1.0
            direction = (latents - product**0.5 * denoised) / (1 - product) ** 0.5
            limit = self.scheduler["clip_sample_range"]
            latents = following**0.5 * denoised.clamp(-limit, limit) + (1 - following) ** 0.5 * direction
            trace |= {f"denoised.{index}": denoised, f"latents.{index}": latents}
        pixels = self.to_pixels(latents)
        if not self.finish:
            return pixels
        guide = source if self.low_pass_factor(strength) == 1 else None
        return finished(pixels, guide, self.finish, texts[0][1], strength)


def read_picture(path, size=None):
    """A picture as pixels [1, 3, H, W] in -1..1, resized to `size` (width, height) if given, cut to multiples of GRID."""
    picture = Image.open(path).convert("RGB")
    if size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    width, height = (side // GRID * GRID for side in picture.size)
    array = np.array(picture.crop((0, 0, width, height)))
    return torch.from_numpy(array).permute(2, 0, 1)[None].float() / 127.5 - 1


def to_bytes(pixels):
    """Pixels [1, 3, H, W] in -1..1 as [H, W, 3] u8, rounded half to even."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)[0].permute(1, 2, 0)


def main():
    parser = argparse.ArgumentParser(description="Runs the starter model in plain PyTorch.")
    parser.add_argument("--model", type=Path, default=STARTER_MODEL)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--size", help="WxH: resize the picture to this, or the size of a picture from text alone")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative", default="")
    parser.add_argument("--strength", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance-scale", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out.png"))
    arguments = parser.parse_args()
    size = tuple(int(side) for side in arguments.size.split("x")) if arguments.size else None
    if not arguments.image and not size:
        parser.error("without --image, --size says how large the picture is")
    if arguments.image:
        source, strength = read_picture(arguments.image, size), arguments.strength
    else:
        source, strength = torch.zeros(1, 3, size[1], size[0]), 1.0
    request = Request(arguments.prompt, arguments.negative, strength, arguments.steps, arguments.guidance_scale, arguments.seed)
    pixels = Starter(arguments.model).run(source, request)
    Image.fromarray(to_bytes(pixels).numpy()).save(arguments.out)


if __name__ == "__main__":
    main()
