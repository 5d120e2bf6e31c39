"""The pieces of work that every engine does: which network, on which inputs, and the models themselves, on random weights.

Models are written once into a folder of the user's choice (about 6 GB, with SDXL 11) by the same scripts that compare imagegen with diffusers
at full size, so that all engines read the same numbers. Weights are float16, as most published ones are, and every engine computes in the
precision that its column names.
"""
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "examples" / "landscape.jpg"

# The whole transform: 10 of 20 steps run, each with two passes of the UNet in one batch or one after the other.
SIDE, STEPS, STRENGTH, GUIDANCE, SEED = 512, 20, 0.5, 7.5, 11
STEPS_RUN = 10
PROMPT, NEGATIVE = "oil painting of a lake, warm palette", "blurry, low contrast"


@dataclass(frozen=True)
class Work:
    """One row of the table."""

    title: str
    network: str  # unet, encode, decode, text, transform or starter
    folder: str = ""  # of the network, in the folder of models
    batch: int = 1
    sitting: str = ""  # rows of one sitting are prepared together and timed together


WORK = {
    "unet_1": Work("UNet of SD 1.5, 64x64 latents, batch 1", "unet", "sd1/unet", 1, "unet_1"),
    "unet_2": Work("UNet of SD 1.5, 64x64 latents, batch 2", "unet", "sd1/unet", 2, "unet_2"),
    "kl_encode": Work("AutoencoderKL, encode 512x512", "encode", "sd1/vae", 1, "autoencoders"),
    "kl_decode": Work("AutoencoderKL, decode 512x512", "decode", "sd1/vae", 1, "autoencoders"),
    "tiny_decode": Work("AutoencoderTiny, decode 512x512", "decode", "tiny_vae", 1, "autoencoders"),
    "clip_l": Work("CLIP-L text encoder, 77 tokens", "text", "sd1/text_encoder", 1, "autoencoders"),
    "transform": Work("image-to-image, SD 1.5, 512x512, 10 of 20 steps, guidance 7.5", "transform", "sd1", 1, "transform"),
    "starter": Work("image-to-image, the starter, 512x512, 5 of 10 steps", "starter", "", 1, "starter"),
    "sdxl_unet": Work("UNet of SDXL, 64x64 latents, batch 1", "unet", "sdxl_unet", 1, "sdxl"),
}


def reference_scripts():
    """Lets the scripts of tools/reference be imported."""
    folder = str(ROOT / "tools" / "reference")
    if folder not in sys.path:
        sys.path.insert(0, folder)


def make_models(models, names):
    """Writes what the rows `names` read, where it is not there yet."""
    reference_scripts()
    models.mkdir(parents=True, exist_ok=True)
    folders = {WORK[name].folder.split("/")[0] for name in names}
    if "sd1" in folders and not (models / "sd1" / "model_index.json").exists():
        import full_size_pipeline

        (models / "sd1").mkdir(exist_ok=True)
        full_size_pipeline.write("sd1", models / "sd1")
    if "tiny_vae" in folders and not (models / "tiny_vae" / "config.json").exists():
        from diffusers import AutoencoderTiny

        write_network(AutoencoderTiny().eval(), "tiny_vae.", models / "tiny_vae")
    if "sdxl_unet" in folders and not (models / "sdxl_unet" / "config.json").exists():
        import full_size

        write_network(full_size.NETWORKS["sdxl_unet"]().eval(), "sdxl.unet.", models / "sdxl_unet")
    for name in names:
        if WORK[name].network not in ("transform", "starter"):
            make_case(models, name)
    if "transform" in names:
        make_source(models)


def write_network(network, prefix, folder):
    """One network on the formula's weights, as diffusers saves it, float16."""
    import torch
    from formula_weights import fill

    with torch.no_grad():
        fill(network, prefix, torch.float16)
        network.half().save_pretrained(folder)


def make_source(models):
    """The picture that is transformed."""
    from PIL import Image

    if not (models / "source.png").exists():
        Image.open(SOURCE).convert("RGB").resize((SIDE, SIDE), Image.LANCZOS).save(models / "source.png")


def make_single_file(models):
    """The same model as one file in the LDM layout, for engines that read that alone; gives its path."""
    reference_scripts()
    path = models / "sd1.safetensors"
    if not path.exists():
        import single_file
        import torch
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from safetensors.torch import save_file
        from transformers import CLIPTextModel

        folder = models / "sd1"
        half = dict(torch_dtype=torch.float16)
        parts = {
            "unet": UNet2DConditionModel.from_pretrained(folder / "unet", **half),
            "vae": AutoencoderKL.from_pretrained(folder / "vae", **half),
            "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", **half),
        }
        tensors = single_file.assembled(single_file.layout(single_file.KINDS["sd1"], parts), parts)
        partial = path.with_suffix(".partial")
        save_file({name: value.contiguous().clone() for name, value in tensors.items()}, partial)
        os.replace(partial, path)
    return path


def case_file(models, name):
    """Where the inputs of a row are, and what torch makes of them."""
    return models / "cases" / f"{name}.safetensors"


def make_case(models, name):
    """Writes inputs, and `output` as torch computes it in float32, eager and contiguous."""
    path = case_file(models, name)
    if path.exists():
        return
    import torch
    from safetensors.torch import save_file

    import networks

    inputs = make_inputs(models, name)
    module = networks.torch_network(WORK[name], models)
    with torch.inference_mode():
        output = module(*networks.arguments(WORK[name], inputs))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone().contiguous() for key, value in (inputs | {"output": output}).items()}, path)


def make_inputs(models, name, latents=64):
    """Tensors by the names diffusers gives them; `latents` is the side of the latents."""
    import json

    import torch

    work = WORK[name]
    generator = torch.Generator().manual_seed(1)
    if work.network == "text":
        ids = torch.randint(0, 49406, (1, 77), generator=generator)
        ids[:, 0], ids[:, 40:] = 49406, 49407
        return {"input_ids": ids}
    if work.network == "encode":
        return {"pixels": torch.rand((work.batch, 3, latents * 8, latents * 8), generator=generator) * 2 - 1}
    noise = torch.randn((work.batch, 4, latents, latents), generator=generator)
    if work.network == "decode":
        return {"latents": noise}
    config = json.loads((models / work.folder / "config.json").read_text())
    states = torch.randn((work.batch, 77, config["cross_attention_dim"]), generator=generator)
    inputs = {"sample": noise, "timestep": torch.tensor([481.0]), "encoder_hidden_states": states}
    if config.get("addition_embed_type") == "text_time":
        inputs["text_embeds"] = torch.randn((work.batch, 1280), generator=generator)
        inputs["time_ids"] = torch.tensor([[512.0, 512.0, 0.0, 0.0, 512.0, 512.0]] * work.batch)
    return inputs
