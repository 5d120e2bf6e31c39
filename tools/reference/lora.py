"""LoRAs on tiny Stable Diffusion models: files in kohya's and PEFT's names, and what the changed networks say.

    python tools/reference/lora.py

The networks are those of pipeline_sd.json and pipeline_sdxl.json. Writes lora_CASE.safetensors, the LoRA itself, and lora.safetensors:
for each kind `KIND.sample` [1, 4, h, w], `KIND.states`, `KIND.added` (pooled text), `KIND.ids`; for each case `CASE.unet`, `CASE.text_encoder`
and `CASE.text_encoder_2` (the last states but one for SDXL). diffusers loads and fuses the files at WEIGHT; UNets then run in float64, text encoders in float32.

`sd_mid` has convolutions in three parts, which diffusers does not load, and `sd_mixed` mixed ranks and alphas, some of them absent: diffusers
takes the commonest for all attention layers. Both are fused here by their definition, W + weight * alpha / rank * up * mid * down.
"""
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from formula_weights import fill, numbers
from output import origin, save_tensors
from pipelines import KINDS, VOCABULARY, tokenizers

WEIGHT = 0.8
TIMESTEP = 333


def drawn(name, *shape, spread=0.6):
    count = 1
    for side in shape:
        count *= side
    return torch.from_numpy(spread * numbers(name, count)).reshape(shape).to(torch.float32)


def modules(network, wanted):
    """Layers of a network whose names end as wanted."""
    return {name: layer for name, layer in network.named_modules() if hasattr(layer, "weight") and name.endswith(tuple(wanted))}


def factors(name, layer, rank, conv3=True):
    """Down and up matrices for a layer."""
    shape = layer.weight.shape
    down = drawn(f"{name}.down", rank, *(shape[1:] if conv3 else (shape[1], *[1] * (len(shape) - 2))))
    up = drawn(f"{name}.up", shape[0], rank, *[1] * (len(shape) - 2))
    return down, up


UNET = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "resnets.0.conv1", "time_emb_proj", "downsamplers.0.conv")
TEXT = ("q_proj", "out_proj", "mlp.fc1")


def ldm(name, layers):
    """The LDM layout's flattened name of an attention's layer."""
    block, rest = name.split(".attentions.")
    if block == "mid_block":
        return "middle_block_1_" + rest.split(".", 1)[1].replace(".", "_")
    index, rest = rest.split(".", 1)
    way, level = block.split(".")
    place = int(level) * (layers + 1) + int(index) + (way == "down_blocks")
    return f"{'input' if way == 'down_blocks' else 'output'}_blocks_{place}_1_{rest.replace('.', '_')}"


def kohya(parts, wanted, name_of, mixed=False):
    """A file in kohya's names, of rank 2 and alpha 1.5, or of mixed ranks and alphas, every second one without."""
    made = {}
    prefixes = {"unet": "lora_unet_", "text_encoder": "lora_te1_" if "text_encoder_2" in parts else "lora_te_", "text_encoder_2": "lora_te2_"}
    for part, prefix in prefixes.items():
        if part not in parts:
            continue
        for index, (name, layer) in enumerate(modules(parts[part], wanted if part == "unet" else TEXT).items()):
            rank = 2 + index % 3 if mixed else 2
            down, up = factors(part + name, layer, rank)
            module = prefix + (name_of(name) if part == "unet" else name.replace(".", "_"))
            made |= {f"{module}.lora_down.weight": down, f"{module}.lora_up.weight": up}
            if not mixed or index % 2:
                made[f"{module}.alpha"] = torch.tensor(1.5 + index % 5 if mixed else 1.5)
    return made


def peft(parts):
    """A file in PEFT's names, without alphas."""
    made = {}
    for part, wanted in (("unet", UNET), ("text_encoder", TEXT)):
        for name, layer in modules(parts[part], wanted).items():
            down, up = factors(part + name, layer, 2)
            made |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    return made


def mid(parts):
    """Convolutions in three parts."""
    made = {}
    for name, layer in modules(parts["unet"], ("conv1", "conv2")).items():
        shape, module = layer.weight.shape, "lora_unet_" + name.replace(".", "_")
        made |= {
            f"{module}.lora_down.weight": drawn(name + "d", 3, shape[1], 1, 1), f"{module}.lora_up.weight": drawn(name + "u", shape[0], 3, 1, 1),
            f"{module}.lora_mid.weight": drawn(name + "m", 3, 3, 3, 3), f"{module}.alpha": torch.tensor(1.0),
        }
    return made


@torch.no_grad()
def fuse_by_definition(parts, file):
    for part, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_")):
        for name, layer in parts[part].named_modules():
            module = prefix + name.replace(".", "_")
            if f"{module}.lora_up.weight" not in file:
                continue
            down, up = (file[f"{module}.lora_{which}.weight"].double() for which in ("down", "up"))
            scale = float(file.get(f"{module}.alpha", down.shape[0])) / down.shape[0]
            between = file.get(f"{module}.lora_mid.weight")
            if between is None:
                product = up.flatten(1) @ down.flatten(1)
            else:
                product = torch.einsum("nmkl,in,mj->ijkl", between.double(), up.flatten(1), down.flatten(1))
            layer.weight.add_((WEIGHT * scale * product.reshape(layer.weight.shape)).to(layer.weight.dtype))


def make(kind):
    parts, scheduler, _ = KINDS[kind]["make"]()
    for name, part in parts.items():
        fill(part.eval(), f"{kind}.{name}.", torch.float16)
    return parts, scheduler


def inputs(kind, parts):
    unet = parts["unet"]
    made = {
        f"{kind}.sample": drawn(kind + "sample", 1, 4, 8, 12, spread=1.5),
        f"{kind}.states": drawn(kind + "states", 1, 77, unet.config.cross_attention_dim, spread=1.5),
        f"{kind}.ids": torch.tensor([[(7 * place + 3) % len(VOCABULARY) for place in range(77)]]),
    }
    if kind == "sdxl":
        made[f"{kind}.added"] = drawn(kind + "added", 1, 12, spread=1.5)
    return made


@torch.no_grad()
def results(case, kind, parts, given):
    unet, made = parts["unet"].double(), {}
    added = {}
    if kind == "sdxl":
        numbers_ = torch.tensor([[64, 96, 0, 0, 64, 96]], dtype=torch.float64)
        added = dict(added_cond_kwargs=dict(text_embeds=given[f"{kind}.added"].double(), time_ids=numbers_))
    made[f"{case}.unet"] = unet(given[f"{kind}.sample"].double(), TIMESTEP, given[f"{kind}.states"].double(), **added).sample
    for name in ("text_encoder", "text_encoder_2"):
        if name in parts:
            said = parts[name].float()(given[f"{kind}.ids"], output_hidden_states=True)
            made[f"{case}.{name}"] = said.hidden_states[-2] if kind == "sdxl" else said.last_hidden_state
    return made


def fused(kind, parts, scheduler, file):
    """Loaded and fused by diffusers."""
    every = parts | tokenizers(parts) | {"scheduler": scheduler}
    if kind == "sd":
        pipeline = StableDiffusionPipeline(**every, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    else:
        pipeline = StableDiffusionXLPipeline(**every, add_watermarker=False)
    pipeline.load_lora_weights(dict(file), adapter_name="one")
    pipeline.set_adapters(["one"], [WEIGHT])
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    return {name: getattr(pipeline, name) for name in parts}


def flat(name):
    return name.replace(".", "_")


CASES = {
    "sd_kohya": ("sd", lambda parts: kohya(parts, UNET, flat), True),
    "sd_peft": ("sd", peft, True),
    "sdxl_kohya": ("sdxl", lambda parts: kohya(parts, UNET[:8], lambda name: ldm(name, 1)), True),
    "sd_mid": ("sd", mid, False),
    "sd_mixed": ("sd", lambda parts: kohya(parts, UNET, flat, mixed=True), False),
}


def main():
    tensors = {}
    for case, (kind, write, by_diffusers) in CASES.items():
        parts, scheduler = make(kind)
        given = inputs(kind, parts)
        before = results(case, kind, make(kind)[0], given)
        file = write(parts)
        if by_diffusers:
            parts = fused(kind, parts, scheduler, file)
        else:
            fuse_by_definition(parts, file)
        made = results(case, kind, parts, given)
        moved = {key: round(((made[key] - before[key]).std() / before[key].std()).item(), 2) for key in made}
        print(f"  {case}: moved by {moved}")
        tensors |= given | made
        save_tensors(f"lora_{case}.safetensors", file, origin(__file__))
    save_tensors("lora.safetensors", tensors, origin(__file__, arithmetic="float64", weight=WEIGHT, timestep=TIMESTEP))


if __name__ == "__main__":
    main()
