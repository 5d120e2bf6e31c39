"""Tiny Stable Diffusion models as one file in the LDM layout: which tensor of the file is which of a folder.

    python tools/reference/single_file.py

Writes single_file_KIND.json: `parts` by folder (`config`, `prefix`, `tensors`: see formula_weights.py), `file`, for each tensor of the
file `[part, [names], how]`, and `baggage`, tensors of no use that such files hold, with their shapes. `how` is `same`, `rows` (three tensors
below each other), `transposed` or `convolution` (a matrix with two axes of 1 behind it). The names are made here and checked with
diffusers' own converters, which must give the folder's tensors from the file's.
"""
import re

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint, convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint, convert_open_clip_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from formula_weights import fill
from output import origin, save_json
from unet import blocks
from pipelines import plain_config

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2", "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}
COMMON = ["betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "model_ema.decay", "model_ema.num_updates"]


def in_unet(name, config):
    """The name of a UNet's tensor in the file."""
    layers, levels = config.layers_per_block, len(config.block_out_channels)
    owner, kind = name.rsplit(".", 1)
    if owner in UNET:
        return f"{UNET[owner]}.{kind}"
    found = re.fullmatch(r"(down|up|mid)_block(?:s\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    way, level, kind, index, rest = found.groups()
    level, index = int(level or 0), int(index)
    inner = re.sub(r"^(\w+)", lambda part: RESNET[part[1]], rest) if kind == "resnets" else rest
    if way == "mid":
        return f"middle_block.{1 if kind == 'attentions' else 2 * index}.{inner}"
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
    if way == "down":
        return f"input_blocks.{level * (layers + 1) + index + 1}.{int(kind == 'attentions')}.{inner}"
    attention = config.up_block_types[level].startswith("Cross")
    if kind == "upsamplers":
        return f"output_blocks.{level * (layers + 1) + layers}.{1 + attention}.{rest}"
    return f"output_blocks.{level * (layers + 1) + index}.{int(kind == 'attentions')}.{inner}"


def in_autoencoder(name, config):
    """The name of an autoencoder's tensor in the file."""
    levels = len(config.block_out_channels)
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for ours, theirs in attention.items():
        name = name.replace(f"mid_block.attentions.0.{ours}", f"mid.attn_1.{theirs}")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda index: f"mid.block_{int(index[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda level: f"up.{levels - 1 - int(level[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda level: f"up.{levels - 1 - int(level[1])}.upsample", name)
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def in_open_clip(names):
    """For each tensor of OpenCLIP's tower the names of those it holds, and how."""
    pairs = {
        "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
        "text_model.final_layer_norm": "ln_final", "text_model.embeddings.token_embedding": "token_embedding",
        "text_model.encoder.layers": "transformer.resblocks",
    }
    made = {}
    for name in names:
        if name == "text_model.embeddings.position_embedding.weight":
            made["positional_embedding"] = [[name], "same"]
        elif name == "text_projection.weight":
            made["text_projection"] = [[name], "transposed"]
        elif ".q_proj." in name:
            layer, kind = re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.self_attn\.q_proj\.(\w+)", name).groups()
            three = [name.replace("q_proj", which) for which in ("q_proj", "k_proj", "v_proj")]
            made[f"transformer.resblocks.{layer}.attn.in_proj_{kind}"] = [three, "rows"]
        elif ".k_proj." not in name and ".v_proj." not in name:
            theirs = name
            for ours, other in pairs.items():
                theirs = theirs.replace(ours, other)
            made[theirs] = [[name], "same"]
    return made


def text_encoder(open_clip, projection=None):
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=1, max_position_embeddings=77,
        projection_dim=projection or 32, hidden_act="gelu" if open_clip else "quick_gelu", eos_token_id=2, bos_token_id=0, pad_token_id=1,
    )
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    config.architectures = [kind.__name__]
    return kind(config)


def autoencoder(scaling_factor):
    return AutoencoderKL(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1, norm_num_groups=32, scaling_factor=scaling_factor,
    )


def added(numbers):
    size = 32 + numbers * 256
    return dict(addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=size)


# Where text towers are in the file, and whether they are OpenCLIP's.
KINDS = {
    "sd1": dict(
        texts={"text_encoder": ("cond_stage_model.transformer.", False, None)},
        unet=dict(
            sample_size=64, layers_per_block=2, **blocks(True, True, False), block_out_channels=(32, 32, 64), attention_head_dim=8,
            cross_attention_dim=32,
        ),
        scaling=0.18215,
        baggage=["cond_stage_model.transformer.text_model.embeddings.position_ids"],
    ),
    "sd2": dict(
        texts={"text_encoder": ("cond_stage_model.model.", True, None)},
        unet=dict(
            sample_size=96, layers_per_block=1, **blocks(True, False), block_out_channels=(64, 128), attention_head_dim=[1, 2],
            cross_attention_dim=32, use_linear_projection=True,
        ),
        scaling=0.18215,
        # The last layer and the projection are not used.
        baggage=["cond_stage_model.model.logit_scale", "cond_stage_model.model.text_projection"]
        + [f"cond_stage_model.model.transformer.resblocks.2.{name}" for name in (
            "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight",
            "attn.out_proj.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias",
        )],
    ),
    "sdxl": dict(
        texts={
            "text_encoder": ("conditioner.embedders.0.transformer.", False, None),
            "text_encoder_2": ("conditioner.embedders.1.model.", True, 32),
        },
        unet=dict(
            sample_size=128, layers_per_block=1, **blocks(False, True, True), block_out_channels=(32, 64, 128), attention_head_dim=[1, 1, 2],
            cross_attention_dim=64, use_linear_projection=True, transformer_layers_per_block=[1, 1, 2], **added(6),
        ),
        scaling=0.13025,
        baggage=["conditioner.embedders.1.model.logit_scale", "denoiser.sigmas"],
    ),
    "refiner": dict(
        texts={"text_encoder_2": ("conditioner.embedders.0.model.", True, 32)},
        unet=dict(
            sample_size=128, layers_per_block=1, **blocks(False, True, True, False), block_out_channels=(32, 64, 64, 64),
            attention_head_dim=[1, 1, 1, 1], cross_attention_dim=32, use_linear_projection=True, transformer_layers_per_block=[1, 2, 2, 2], **added(5),
        ),
        scaling=0.13025,
        baggage=["conditioner.embedders.0.model.logit_scale"],
    ),
}


def layout(kind, parts):
    """`[part, [names], how]` by name in the file."""
    file = {f"model.diffusion_model.{in_unet(name, parts['unet'].config)}": ["unet", [name], "same"] for name in parts["unet"].state_dict()}
    for name, value in parts["vae"].state_dict().items():
        how = "convolution" if ".attentions.0.to_" in name and value.dim() == 2 else "same"
        file[f"first_stage_model.{in_autoencoder(name, parts['vae'].config)}"] = ["vae", [name], how]
    for part, (prefix, open_clip, _) in kind["texts"].items():
        names = [name for name, _ in parts[part].named_parameters()]
        made = in_open_clip(names) if open_clip else {name: [[name], "same"] for name in names}
        file |= {prefix + name: [part, *facts] for name, facts in made.items()}
    return file


def assembled(file, parts):
    """The file's tensors."""
    states = {name: part.state_dict() for name, part in parts.items()}

    def one(part, names, how):
        values = [states[part][name] for name in names]
        if how == "rows":
            return torch.cat(values)
        if how == "transposed":
            return values[0].T
        return values[0][..., None, None] if how == "convolution" else values[0]

    return {name: one(*facts) for name, facts in file.items()}


def check(kind, file, parts):
    """Fails unless diffusers' converters find the folder's tensors in the file."""
    tensors = assembled(file, parts)
    found = {"unet": convert_ldm_unet_checkpoint(dict(tensors), parts["unet"].config), "vae": convert_ldm_vae_checkpoint(dict(tensors), parts["vae"].config)}
    for part, (prefix, open_clip, _) in kind["texts"].items():
        if open_clip:
            found[part] = convert_open_clip_checkpoint(parts[part], dict(tensors), prefix=prefix)
        else:
            found[part] = convert_ldm_clip_checkpoint(dict(tensors), remove_prefix=prefix)
    for name, part in parts.items():
        for key, value in part.named_parameters():
            if not torch.equal(found[name][key].reshape(value.shape), value):
                raise ValueError(f'diffusers finds another "{key}" of {name}')


def main():
    for name, kind in KINDS.items():
        parts = {"unet": UNet2DConditionModel(norm_num_groups=32, **kind["unet"]), "vae": autoencoder(kind["scaling"])}
        parts |= {part: text_encoder(open_clip, projection) for part, (_, open_clip, projection) in kind["texts"].items()}
        lists = {key: fill(part.eval(), f"{name}.{key}.") for key, part in parts.items()}
        file = layout(kind, parts)
        check(kind, file, parts)
        save_json(f"single_file_{name}.json", {
            "origin": origin(__file__),
            "parts": {
                key: {"prefix": f"{name}.{key}.", "config": plain_config(part), "tensors": lists[key]} for key, part in parts.items()
            },
            "file": file,
            "baggage": {key: [1] for key in COMMON + kind["baggage"]},
        })


if __name__ == "__main__":
    main()
