"""The starter's networks: configuration, latents, noise schedule, saving as a diffusers folder.

Latents are the picture itself, rearranged: 4 x 4 pixels become 48 channels. The UNet gets the
noised latents and the source's latents, and predicts the clean latents less the source's.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

PATCH = 4
SCALING = 1.7  # measured: makes the standard deviation of the latents about 1
LATENT_CHANNELS = 3 * PATCH * PATCH
MIXING_CHANNELS = 2 * 3 * 3
"""What the network says of each patch's colours; see `denoised`."""
TEXT_WIDTH = 192
MAX_TOKENS = 77
SCHEDULE = {
    "num_train_timesteps": 1000,
    # In pixel space low frequencies survive much noise: sigma runs from 0.05 to 277.
    "beta_start": 0.0025,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "clip_sample": True,
    "clip_sample_range": 1.7,
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "prediction_type": "sample",
    "timestep_spacing": "linspace",
    "rescale_betas_zero_snr": False,
}
LATENTS_INFO = Path(__file__).with_name("latents.json")
"""What the program must know of the latents and cannot read from diffusers' files."""


@dataclass(frozen=True)
class UNetShape:
    """What may differ between trainings; the rest of the UNet is fixed."""

    channels: Sequence[int] = (96, 128, 128)
    layers: int = 1
    """Residual blocks per level."""
    attention_levels: Sequence[int] = (1, 2)
    """Levels that attend to themselves and to the text; 0 is the finest."""
    scale_shift: bool = False
    """Whether time and text scale the normalised activations, besides shifting them."""


def make_unet(shape: UNetShape) -> UNet2DConditionModel:
    """Make the UNet of a shape."""
    levels = range(len(shape.channels))
    attends = [level in shape.attention_levels for level in levels]
    down = ["CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends]
    up = ["CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)]
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS + MIXING_CHANNELS,
        block_out_channels=tuple(shape.channels),
        layers_per_block=shape.layers,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # in this class: the number of heads
        norm_num_groups=32,
        resnet_time_scale_shift="scale_shift" if shape.scale_shift else "default",
        # The pooled text joins the time embedding and so reaches every residual block.
        class_embed_type="projection",
        projection_class_embeddings_input_dim=TEXT_WIDTH,
    )


def start_from_identity(unet: UNet2DConditionModel) -> None:
    """Zero the last layers, so that an untrained network returns the source unchanged."""
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.class_embedding.linear_2.weight)
    torch.nn.init.zeros_(unet.class_embedding.linear_2.bias)


def make_text_encoder(vocabulary: int, layers: int = 2) -> CLIPTextModel:
    """Make a small CLIP text encoder for a vocabulary whose last two tokens are start and end."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def to_latents(pixels: Tensor) -> Tensor:
    """Rearrange `[N, 3, H, W]` in -1..1 to `[N, 48, H/4, W/4]`, scaled.

    The channel is colour * 16 + dy * 4 + dx.
    """
    return F.pixel_unshuffle(pixels, PATCH) * SCALING


def from_latents(latents: Tensor) -> Tensor:
    """Undo `to_latents`."""
    return F.pixel_shuffle(latents / SCALING, PATCH)


def denoised(output: Tensor, source: Tensor) -> Tensor:
    """Return the clean latents from the network's output and the source channels.

    The output is what is added to the source, `[N, 48, h, w]`, then two 3 x 3 matrices per patch:
    how the patch's mean colour is mixed anew, and how the detail around it is, both less the
    identity. Without them a network could hardly take the source away again, grey it or darken it
    to the level, since all of its channels would be busy with carrying it through.
    """
    count, _, height, width = source.shape
    if output.shape[1] == LATENT_CHANNELS:  # an older network, which mixes nothing
        return source + output
    added, mixing = output.split([LATENT_CHANNELS, MIXING_CHANNELS], 1)
    of_mean, of_detail = mixing.reshape(count, 2, 3, 3, height, width).unbind(1)
    patches = source.view(count, 3, PATCH**2, height, width)
    mean = patches.mean(2)
    detail = patches - mean[:, :, None]
    # Sums over the source's three colours: [N, new, old, h, w] times [N, old, ...].
    mean = (of_mean * mean[:, None]).sum(2)
    detail = (of_detail[:, :, :, None] * detail[:, None]).sum(2)
    return source + added + (mean[:, :, None] + detail).flatten(1, 2)


def low_pass(pixels: Tensor, factor: int) -> Tensor:
    """Blur the source when it should only hint: block means, bilinearly enlarged again."""
    if factor <= 1:
        return pixels
    height, width = pixels.shape[-2:]
    padding = (0, (-width) % factor, 0, (-height) % factor)
    means = F.avg_pool2d(F.pad(pixels, padding, mode="replicate"), factor)
    enlarged = F.interpolate(means, scale_factor=factor, mode="bilinear", align_corners=False)
    return enlarged[..., :height, :width]


def alphas_cumprod() -> Tensor:
    """Return the share of signal power at each of the 1000 timesteps, f64 `[1000]`."""
    start, end, count = (SCHEDULE[k] for k in ("beta_start", "beta_end", "num_train_timesteps"))
    return torch.cumprod(1 - torch.linspace(start, end, count, dtype=torch.float64), 0)


def timesteps_of(steps: int, strength: float, count: int) -> list[int]:
    """Return the last share of `steps` even timesteps of `count`, at least one, high to low."""
    spaced = np.linspace(0, count - 1, steps).round()[::-1].astype(int)
    run = max(1, min(int(steps * strength + 1e-6), steps))
    return spaced[steps - run :].tolist()


def _tokens(tokenizer: Path) -> dict[str, int]:
    """Return a tokenizer's vocabulary, token -> number."""
    return json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))


def load_folder(
    folder: Path, unet: UNet2DConditionModel | None, text: CLIPTextModel, tokenizer: Path
) -> Tensor:
    """Load the weights of a saved model; return which tokens its training used, bool per token.

    Embeddings are found by their tokens, so that `tokenizer` may hold fewer than the saved
    model's. Without `unet` only the text encoder is loaded.
    """
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    saved = _tokens(folder / "tokenizer")
    rows = torch.tensor([saved[token] for token in _tokens(tokenizer)])
    name = "text_model.embeddings.token_embedding.weight"
    weights[name] = weights[name][rows]
    text.load_state_dict({name: value.float() for name, value in weights.items()})
    if unet is not None:
        weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
        state = {name: value.float() for name, value in weights.items()}
        for part in ("weight", "bias"):  # a network that does not mix colours yet
            name = f"conv_out.{part}"
            grown = torch.zeros_like(unet.state_dict()[name])
            grown[: len(state[name])] = state[name]
            state[name] = grown
        unet.load_state_dict(state)
    return used_tokens(text)


def used_tokens(text: CLIPTextModel) -> Tensor:
    """Return which tokens the training of a loaded text encoder used, bool per token."""
    # Unused tokens share one embedding, so it is the one that occurs most.
    table = text.get_input_embeddings().weight.detach()
    rows, kind, counts = table.unique(dim=0, return_inverse=True, return_counts=True)
    return kind != counts.argmax() if len(rows) < len(table) else torch.ones(len(table)).bool()


def _float_weights(module: torch.nn.Module) -> dict[str, Tensor]:
    state = module.state_dict().items()
    return {
        name: value.detach().float().clone().contiguous()
        for name, value in state
        if not name.endswith("position_ids")
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _save_module(folder: Path, name: str, weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half().contiguous() for key, value in weights.items()}
    save_file(halves, folder / name, metadata={"format": "pt"})


def save_network(folder: Path, unet: UNet2DConditionModel, weights: dict[str, Tensor]) -> None:
    """Write a UNet's weights and configuration as diffusers does, in half precision."""
    _save_module(folder, "diffusion_pytorch_model.safetensors", weights)
    config = json.loads(unet.to_json_string())
    config.pop("_name_or_path", None)
    _write_json(folder / "config.json", config)


def save_folder(
    out: Path,
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    tokenizer: Path,
    used_tokens: Tensor | None = None,
) -> None:
    """Write the diffusers layout in half precision.

    `used_tokens` is a bool per token: embeddings of tokens no caption used become the mean of
    the used ones, so that unknown words change little.
    """
    save_network(out / "unet", unet, _float_weights(unet))
    weights = _float_weights(text)
    if used_tokens is not None and used_tokens.any():
        table = weights["text_model.embeddings.token_embedding.weight"]
        table[~used_tokens] = table[used_tokens].mean(0)
    _save_module(out / "text_encoder", "model.safetensors", weights)
    text_config = text.config.to_dict()
    text_config.update(architectures=["CLIPTextModel"], torch_dtype="float16")
    for key in ("_name_or_path", "_attn_implementation_autoset", "dtype"):
        text_config.pop(key, None)
    _write_json(out / "text_encoder" / "config.json", text_config)
    if tokenizer.resolve() != (out / "tokenizer").resolve():  # else a model is changed in place
        shutil.copytree(tokenizer, out / "tokenizer", dirs_exist_ok=True)
    (out / "scheduler").mkdir(exist_ok=True)
    DDIMScheduler(**SCHEDULE).save_pretrained(out / "scheduler")
    shutil.copy(LATENTS_INFO, out / "latents.json")
