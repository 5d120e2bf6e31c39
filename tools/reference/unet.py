"""Tiny UNet2DConditionModels of diffusers on random weights: configuration, weights, inputs, output, inner activations.

    python tools/reference/unet.py

Run in float64 from float32 weights and stored as float32, so what is stored is right to its last bit or nearly so;
`f32_error` in the metadata is how far diffusers' own float32 run is from it. Tensors are NCHW. Keys: `weights.*` (diffusers' names),
`sample`, `timestep`, `encoder_hidden_states`, `class_labels` (only where the network has a class embedding),
`trace.time_embedding`, `trace.conv_in`, `trace.down_blocks.N`, `trace.mid_block`, `trace.up_blocks.N`, `output`.
"""
import copy
import json

import torch
from diffusers import UNet2DConditionModel

from output import origin, save_json, save_tensors
from random_weights import randomise

SHARED = dict(norm_num_groups=8, act_fn="silu", norm_eps=1e-5, flip_sin_to_cos=True, freq_shift=0, downsample_padding=1)

# sample is [batch, height, width]; heights and widths are unequal so that swapped axes show.
VARIANTS = {
    # The starter's wiring: pooled text as class labels, attention only below the first level.
    "starter": dict(
        seed=101,
        sample=(1, 16, 24),
        timestep=torch.tensor([444], dtype=torch.int64),
        config=dict(
            sample_size=16,
            in_channels=24,
            out_channels=12,
            block_out_channels=(16, 16, 24),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=4,
            cross_attention_dim=20,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=20,
        ),
    ),
    # 10x14 -> 5x7 -> 3x4: on the way up 3x4 must become 5x7, not 6x8. Two timesteps in one batch.
    "sd1": dict(
        seed=102,
        sample=(2, 10, 14),
        timestep=torch.tensor([981, 37], dtype=torch.int64),
        config=dict(
            sample_size=10,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16, 24),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=2,
            attention_head_dim=2,
            cross_attention_dim=20,
            use_linear_projection=False,
        ),
    ),
    # Heads per level, linear projections around the transformer, a timestep between two whole ones.
    "sd2": dict(
        seed=103,
        sample=(1, 8, 12),
        timestep=torch.tensor([421.37], dtype=torch.float32),
        config=dict(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(16, 24),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=2,
            attention_head_dim=[2, 4],
            cross_attention_dim=24,
            use_linear_projection=True,
        ),
    ),
}


def inputs_of(variant):
    """The network's float32 inputs by name."""
    config, (batch, height, width) = variant["config"], variant["sample"]
    generator = torch.Generator().manual_seed(variant["seed"] + 1000)
    inputs = {
        "sample": torch.randn((batch, config["in_channels"], height, width), generator=generator),
        "timestep": variant["timestep"],
        "encoder_hidden_states": torch.randn((batch, 77, config["cross_attention_dim"]), generator=generator),
    }
    if "class_embed_type" in config:
        size = config["projection_class_embeddings_input_dim"]
        inputs["class_labels"] = torch.randn((batch, size), generator=generator)
    return inputs


@torch.no_grad()
def run(unet, inputs):
    """Output and inner activations of `unet` on `inputs`, which are cast to its dtype except for the timestep."""
    trace, hooks = {}, []

    def keep(name):
        def hook(_module, _inputs, result):
            trace[f"trace.{name}"] = result[0] if isinstance(result, tuple) else result
        return hook

    parts = {"conv_in": unet.conv_in, "mid_block": unet.mid_block}
    parts |= {f"down_blocks.{index}": block for index, block in enumerate(unet.down_blocks)}
    parts |= {f"up_blocks.{index}": block for index, block in enumerate(unet.up_blocks)}
    hooks = [module.register_forward_hook(keep(name)) for name, module in parts.items()]

    # The sum of time and class embedding is not the output of a module: it is taken where the middle receives it.
    def keep_embedding(_module, positional, _named):
        trace["trace.time_embedding"] = positional[1]
    hooks.append(unet.mid_block.register_forward_pre_hook(keep_embedding, with_kwargs=True))

    cast = {key: (value if key == "timestep" else value.to(unet.dtype)) for key, value in inputs.items()}
    output = unet(**cast, return_dict=False)[0]
    for hook in hooks:
        hook.remove()
    return trace | {"output": output}


def save_config(name, unet):
    """The configuration as diffusers itself saves it with a network."""
    config = json.loads(unet.to_json_string())
    save_json(name, {key: value for key, value in config.items() if key != "_use_default_values"})


def main():
    for name, variant in VARIANTS.items():
        unet = UNet2DConditionModel(**SHARED, **variant["config"]).eval()
        randomise(unet, variant["seed"])
        inputs = inputs_of(variant)
        exact = run(copy.deepcopy(unet).double(), inputs)
        f32_error = (run(unet, inputs)["output"] - exact["output"]).abs().max().item()
        weights = {f"weights.{key}": value for key, value in unet.state_dict().items()}
        facts = origin(__file__, seed=variant["seed"], arithmetic="float64, stored as float32", f32_error=f"{f32_error:.0e}")
        save_tensors(f"unet_{name}.safetensors", weights | inputs | exact, facts)
        save_config(f"unet_{name}.config.json", unet)
        spread = exact["output"].std().item()
        print(f"  {sum(value.numel() for value in weights.values())} weights, output spread {spread:.3f}, f32 error {f32_error:.1e}")


if __name__ == "__main__":
    main()
