"""Networks of full size on random weights, and what diffusers and transformers make of them in float32.

    python tools/reference/full_size.py NAME FOLDER

NAME is one of NETWORKS. Writes FOLDER/config.json, FOLDER/weights.safetensors (float16, up to 5.1 GB) and FOLDER/case.safetensors (inputs and
outputs), for `cargo run --release -p imagegen-model --example full_size -- FOLDER`. Needs 4 to 8 GB of memory, SDXL 16. Nothing of it is kept in
the repository: `docs/models.md` has the differences.
"""
import argparse
import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from formula_weights import fill
from pipelines import plain_config
from unet import blocks

FOUR = blocks(True, True, True, False) | dict(block_out_channels=(320, 640, 1280, 1280), sample_size=64)

# SDXL and its refiner.
SDXL_UNET = dict(
    sample_size=128, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), block_out_channels=(320, 640, 1280), layers_per_block=2,
    cross_attention_dim=2048, attention_head_dim=[5, 10, 20], use_linear_projection=True, transformer_layers_per_block=[1, 2, 10],
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=1280 + 6 * 256,
)
REFINER_UNET = dict(
    sample_size=128, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), block_out_channels=(384, 768, 1536, 1536),
    layers_per_block=2, cross_attention_dim=1280, attention_head_dim=[6, 12, 24, 24], use_linear_projection=True, transformer_layers_per_block=4,
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=1280 + 5 * 256,
)


def unet(**config):
    return UNet2DConditionModel(**FOUR, **config)


def text(**config):
    config = CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, eos_token_id=2, **config)
    config.architectures = ["CLIPTextModel"]
    return CLIPTextModel(config)


NETWORKS = {
    "sd1_unet": lambda: unet(cross_attention_dim=768, attention_head_dim=8),
    "sd2_unet": lambda: unet(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True),
    "inpainting_unet": lambda: unet(cross_attention_dim=768, attention_head_dim=8, in_channels=9),
    "pix2pix_unet": lambda: unet(cross_attention_dim=768, attention_head_dim=8, in_channels=8),
    "sdxl_unet": lambda: UNet2DConditionModel(**SDXL_UNET),
    "refiner_unet": lambda: UNet2DConditionModel(**REFINER_UNET),
    "sd_vae": lambda: AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ),
    "clip_l": lambda: text(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu"),
    "open_clip_h": lambda: text(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu"),
    "open_clip_big_g": lambda: text(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu"),
}


@torch.no_grad()
def case(network):
    """Inputs and outputs by the names they are stored under: 256x256 pixels, to keep it short."""
    generator = torch.Generator().manual_seed(1)
    if isinstance(network, UNet2DConditionModel):
        sample = torch.randn((1, network.config.in_channels, 32, 32), generator=generator)
        states = torch.randn((1, 77, network.config.cross_attention_dim), generator=generator)
        inputs = {"sample": sample, "encoder_hidden_states": states, "timestep": torch.tensor([481])}
        added = None
        if network.config.addition_embed_type:
            count = (network.config.projection_class_embeddings_input_dim - 1280) // network.config.addition_time_embed_dim
            pooled = torch.randn((1, 1280), generator=generator)
            numbers = torch.tensor([[256.0, 256.0, 0.0, 0.0, 256.0, 256.0][: count - 1] + [6.0 if count == 5 else 256.0]])
            added = {"text_embeds": pooled, "time_ids": numbers}
            inputs |= added
        return inputs | {"output": network(sample, 481, states, added_cond_kwargs=added).sample}
    if isinstance(network, AutoencoderKL):
        pixels = torch.rand((1, 3, 256, 256), generator=generator) * 2 - 1
        latents = torch.randn((1, 4, 32, 32), generator=generator)
        posterior = network.encode(pixels).latent_dist
        decoded = network.decode(latents).sample
        return {"pixels": pixels, "latents": latents, "mean": posterior.mean, "log_variance": posterior.logvar, "decoded": decoded}
    ids = torch.randint(0, 49406, (1, 77), generator=generator)
    ids[:, 0], ids[:, 40:] = 49406, 49407
    result = network(ids)
    return {"input_ids": ids, "last_hidden_state": result.last_hidden_state, "pooler_output": result.pooler_output}


def main():
    parser = argparse.ArgumentParser(description="Writes a full-size network on random weights and what it should give.")
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    network = NETWORKS[arguments.name]().eval()
    fill(network, dtype=torch.float16)
    start = time.perf_counter()
    tensors = case(network)
    print(f"{arguments.name}: {sum(value.numel() for value in network.parameters())} weights, {time.perf_counter() - start:.1f} s")
    weights = {name: value.detach().half() for name, value in network.named_parameters()}
    save_file(weights, arguments.folder / "weights.safetensors")
    save_file({name: value.contiguous() for name, value in tensors.items()}, arguments.folder / "case.safetensors")
    (arguments.folder / "config.json").write_text(json.dumps(plain_config(network)))


if __name__ == "__main__":
    main()
