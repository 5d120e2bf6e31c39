"""Tiny UNet2DConditionModels of diffusers on random weights: configuration, weights, inputs, output, inner activations.

    python tools/reference/unet.py

Run in float64 from float32 weights and stored as float32, so what is stored is right to its last bit or nearly so;
`f32_error` in the metadata is how far diffusers' own float32 run is from it. Tensors are NCHW. Keys: `weights.*` (diffusers' names),
`sample`, `timestep`, `encoder_hidden_states`, `class_labels` (only where the network has a class embedding),
`trace.time_embedding`, `trace.conv_in`, `trace.down_blocks.N`, `trace.mid_block`, `trace.up_blocks.N`, `output`.

The variants of FORMULA have the formula's weights (formula_weights.py): a `.json` with `config` and `tensors`, and the inputs and `output`
alone; `text_embeds`, `time_ids` and `guidance` (a guidance scale, from which diffusers' pipeline makes `timestep_cond`) where the network hears
them.
"""
import copy
import json

import torch
from diffusers import LatentConsistencyModelPipeline, UNet2DConditionModel

from formula_weights import fill
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


def blocks(*attention):
    """Kinds of the blocks on the way down and up, from whether each level has attention."""
    down = tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention)
    up = tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention))
    return dict(down_block_types=down, up_block_types=up)


FORMULA = {
    # SDXL: no attention at the first level, deeper transformers further down, pooled text and six numbers about the picture.
    "sdxl": dict(
        sample=(2, 10, 12),
        timestep=torch.tensor([761, 41], dtype=torch.int64),
        config=blocks(False, True, True) | dict(
            sample_size=16, block_out_channels=(8, 16, 24), layers_per_block=2, attention_head_dim=[1, 2, 3], cross_attention_dim=20,
            use_linear_projection=True, transformer_layers_per_block=[1, 2, 3], addition_embed_type="text_time",
            addition_time_embed_dim=6, projection_class_embeddings_input_dim=14 + 6 * 6,
        ),
        pooled=14,
        time_ids=[[80.0, 96.0, 0.0, 8.0, 80.0, 96.0], [1024.0, 768.0, 3.0, 0.0, 1000.0, 760.0]],
    ),
    # SDXL's refiner: attention in the middle levels alone, four transformers everywhere, an aesthetic score for the target's size.
    "refiner": dict(
        sample=(1, 8, 16),
        timestep=torch.tensor([199], dtype=torch.int64),
        config=blocks(False, True, True, False) | dict(
            sample_size=16, block_out_channels=(8, 8, 16, 16), layers_per_block=2, attention_head_dim=[1, 2, 4, 4], cross_attention_dim=16,
            use_linear_projection=True, transformer_layers_per_block=4, addition_embed_type="text_time",
            addition_time_embed_dim=4, projection_class_embeddings_input_dim=16 + 5 * 4,
        ),
        pooled=16,
        time_ids=[[1024.0, 768.0, 0.0, 0.0, 2.5]],
    ),
    # Latents, a mask and the masked picture's latents.
    "inpainting": dict(
        sample=(1, 8, 8),
        timestep=torch.tensor([500], dtype=torch.int64),
        config=blocks(True, False) | dict(in_channels=9, block_out_channels=(8, 16), layers_per_block=1, attention_head_dim=2, cross_attention_dim=12),
    ),
    # InstructPix2Pix: latents and the source's.
    "pix2pix": dict(
        sample=(1, 8, 8),
        timestep=torch.tensor([500], dtype=torch.int64),
        config=blocks(True, False) | dict(in_channels=8, block_out_channels=(8, 16), layers_per_block=1, attention_head_dim=2, cross_attention_dim=12),
    ),
    # Latent consistency models hear the guidance scale.
    "lcm": dict(
        sample=(2, 8, 8),
        timestep=torch.tensor([999, 259], dtype=torch.int64),
        config=blocks(True, False) | dict(
            block_out_channels=(8, 16), layers_per_block=1, attention_head_dim=2, cross_attention_dim=12, time_cond_proj_dim=12,
        ),
        guidance=[8.5, 1.5],
    ),
}


def formula_inputs(variant):
    """The network's inputs by the names they are stored under."""
    inputs = inputs_of(dict(seed=9, **variant))
    if "time_ids" in variant:
        ids = torch.tensor(variant["time_ids"])
        inputs |= {"text_embeds": torch.randn((len(ids), variant["pooled"]), generator=torch.Generator().manual_seed(7)), "time_ids": ids}
    if "guidance" in variant:
        inputs["guidance"] = torch.tensor(variant["guidance"])
    return inputs


@torch.no_grad()
def run_formula(unet, inputs):
    cast = {key: (value if key == "timestep" else value.to(unet.dtype)) for key, value in inputs.items()}
    added = {key: cast.pop(key) for key in ("text_embeds", "time_ids") if key in cast}
    if "guidance" in cast:
        # As diffusers' pipeline has it; it does not look at the pipeline itself. float32 on purpose, as timesteps are.
        embed = LatentConsistencyModelPipeline.get_guidance_scale_embedding
        cast["timestep_cond"] = embed(None, cast.pop("guidance").float() - 1, unet.config.time_cond_proj_dim).to(unet.dtype)
    return unet(**cast, added_cond_kwargs=added or None, return_dict=False)[0]


def formula():
    """The variants without stored weights."""
    for name, variant in FORMULA.items():
        unet = UNet2DConditionModel(**SHARED, **variant["config"]).eval()
        tensors, inputs = fill(unet), formula_inputs(variant)
        exact = run_formula(copy.deepcopy(unet).double(), inputs)
        f32_error = (run_formula(unet, inputs) - exact).abs().max().item()
        facts = origin(__file__, arithmetic="float64, stored as float32", f32_error=f"{f32_error:.0e}")
        save_tensors(f"unet_{name}.safetensors", inputs | {"output": exact}, facts)
        config = {key: value for key, value in json.loads(unet.to_json_string()).items() if key != "_use_default_values"}
        save_json(f"unet_{name}.json", {"origin": origin(__file__), "config": config, "tensors": tensors})
        print(f"  {sum(value.numel() for value in unet.parameters())} weights, spread {exact.std().item():.3f}, f32 error {f32_error:.1e}")


def inputs_of(variant):
    """The network's float32 inputs by name."""
    config, (batch, height, width) = dict(in_channels=4) | variant["config"], variant["sample"]
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
    formula()
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
