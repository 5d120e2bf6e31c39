"""Tiny autoencoders of diffusers on the formula's weights: configuration, list of tensors, pictures and latents in both directions.

    python tools/reference/autoencoder.py

Writes autoencoder_NAME.json (`config`, `tensors`: see formula_weights.py) and autoencoder_NAME.safetensors: `pixels` [N, 3, H, W] in
-1..1, `mean` and, where there is a distribution, `log_variance` [N, C, h, w], `latents` and `decoded`. Run in float64 and stored as float32;
`f32_error` in the metadata is how far diffusers' own float32 run is from it.
"""
import copy
import json

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from formula_weights import fill
from output import origin, save_json, save_tensors

DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"

# Heights and widths are unequal so that swapped axes show; channels differ from level to level where the class allows it.
VARIANTS = {
    "kl": dict(
        network=AutoencoderKL,
        pixels=(2, 20, 28),
        config=dict(
            block_out_channels=(8, 16, 24), down_block_types=(DOWN,) * 3, up_block_types=(UP,) * 3, layers_per_block=2, norm_num_groups=4,
            sample_size=32, scaling_factor=0.25,
        ),
    ),
    # None of the parts that a configuration can leave out, and more channels than usual.
    "bare": dict(
        network=AutoencoderKL,
        pixels=(1, 12, 20),
        config=dict(
            block_out_channels=(8, 16), down_block_types=(DOWN,) * 2, up_block_types=(UP,) * 2, norm_num_groups=8, latent_channels=6,
            use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=False,
        ),
    ),
    "tiny": dict(
        network=AutoencoderTiny,
        pixels=(1, 16, 24),
        config=dict(
            encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(12, 12, 12), num_encoder_blocks=(1, 2, 1),
            num_decoder_blocks=(2, 1, 1),
        ),
    ),
}


@torch.no_grad()
def run(network, pixels, latents):
    """Outputs by the names they are stored under."""
    pixels, latents = pixels.to(network.dtype), latents.to(network.dtype)
    decoded = {"decoded": network.decode(latents).sample}
    encoded = network.encode(pixels)
    if isinstance(network, AutoencoderTiny):
        return decoded | {"mean": encoded.latents}
    return decoded | {"mean": encoded.latent_dist.mean, "log_variance": encoded.latent_dist.logvar}


def main():
    for name, variant in VARIANTS.items():
        network = variant["network"](**variant["config"]).eval()
        tensors = fill(network)
        batch, height, width = variant["pixels"]
        generator = torch.Generator().manual_seed(height)
        pixels = torch.rand((batch, 3, height, width), generator=generator) * 2 - 1
        shape = run(network, pixels[:1], torch.zeros(1, network.config.latent_channels, 2, 2))["mean"].shape[1:]
        latents = 2 * torch.randn((batch, *shape), generator=generator)
        exact = run(copy.deepcopy(network).double(), pixels, latents)
        single = run(network, pixels, latents)
        f32_error = {key: f"{(single[key] - value).abs().max().item() / value.abs().max().item():.0e}" for key, value in exact.items()}
        facts = origin(__file__, arithmetic="float64, stored as float32", f32_error=json.dumps(f32_error))
        save_tensors(f"autoencoder_{name}.safetensors", {"pixels": pixels, "latents": latents} | exact, facts)
        config = {key: value for key, value in json.loads(network.to_json_string()).items() if key != "_use_default_values"}
        save_json(f"autoencoder_{name}.json", {"origin": origin(__file__), "config": config, "tensors": tensors})
        print(f"  {sum(value.numel() for value in network.parameters())} weights, f32 error {f32_error}")


if __name__ == "__main__":
    main()
