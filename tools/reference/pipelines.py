"""Whole runs of tiny Stable Diffusion models by diffusers' pipelines: what a folder holds, requests, clean estimates, pictures.

    python tools/reference/pipelines.py

Writes pipeline_KIND.json: `index` (model_index.json), `scheduler`, `parts` by folder (`config`, `prefix`, `tensors`: see formula_weights.py;
weights are rounded to `dtype`), `pads` (the padding token of each tokenizer, which are else those of reference/tokenizer), `runs` (the requests). And
pipeline_KIND.safetensors: for each run `RUN.denoised.N` (the guided clean estimate of step N) [1, C, h, w] and `RUN.picture` u8 [H, W, 3].
A run with a `box` (x, y, width, height) repaints that box; with `crop` it works on the box and so many pixels around it, which are as large as
`work` says, so that nothing is resized. One with `image_guidance` is an instruction.
Run in float32, as the draws of float64 would be others. The source is starter_source.png.
"""
import json

import numpy as np
import torch
from diffusers import (
    AutoencoderKL, AutoencoderTiny, DDIMScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizerFast

from formula_weights import fill
from output import FOLDER, REPOSITORY, TOKENIZER, origin, save_json, save_tensors
from unet import blocks

SOURCE = REPOSITORY / "conformance" / "reference" / "starter_source.png"
PROMPT, NEGATIVE = "oil painting of a lake, warm palette", "blurry, low contrast"
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
DDIM = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False)
VOCABULARY = json.loads((TOKENIZER / "vocab.json").read_text())
END = VOCABULARY["<|endoftext|>"]


def text_encoder(hidden, layers, projection=None, **config):
    """A text encoder for the starter's vocabulary."""
    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=projection or 16, eos_token_id=END, bos_token_id=END - 1, pad_token_id=END, **config,
    )
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    config.architectures = [kind.__name__]
    return kind(config)


def unet(**config):
    return UNet2DConditionModel(sample_size=48, norm_num_groups=8, layers_per_block=1, **config)


def autoencoder(**config):
    return AutoencoderKL(
        block_out_channels=(8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8, **config,
    )


def sd(in_channels=4, **scheduler):
    parts = {
        "text_encoder": text_encoder(24, 2),
        "unet": unet(
            **blocks(True, True, False), in_channels=in_channels, block_out_channels=(16, 24, 24), attention_head_dim=4, cross_attention_dim=24,
        ),
        "vae": autoencoder(),
    }
    return parts, DDIMScheduler.from_config(DDIM.config | scheduler), {}


def quick():
    """A network that hears the guidance scale, and the small autoencoder."""
    parts, scheduler, options = sd()
    parts["unet"] = unet(**blocks(True, False), block_out_channels=(16, 24), attention_head_dim=4, cross_attention_dim=24, time_cond_proj_dim=20)
    parts["vae"] = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8), num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1),
    )
    return parts, scheduler, options


def sdxl():
    parts = {
        "text_encoder": text_encoder(16, 3),
        "text_encoder_2": text_encoder(24, 3, projection=12, hidden_act="gelu"),
        "unet": unet(
            **blocks(False, True), block_out_channels=(16, 24), attention_head_dim=[2, 4], cross_attention_dim=40, use_linear_projection=True,
            transformer_layers_per_block=[1, 2], addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=12 + 6 * 8,
        ),
        "vae": autoencoder(scaling_factor=0.13025),
    }
    return parts, EulerDiscreteScheduler(**BETAS, timestep_spacing="leading"), dict(force_zeros_for_empty_prompt=True)


def refiner():
    parts = {
        "text_encoder_2": text_encoder(24, 3, projection=12, hidden_act="gelu"),
        "unet": unet(
            **blocks(False, True, False), block_out_channels=(16, 24, 24), attention_head_dim=[2, 4, 4], cross_attention_dim=24,
            use_linear_projection=True, transformer_layers_per_block=2, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=12 + 5 * 8,
        ),
        "vae": autoencoder(scaling_factor=0.13025),
    }
    return parts, EulerDiscreteScheduler(**BETAS, timestep_spacing="leading"), dict(
        force_zeros_for_empty_prompt=False, requires_aesthetics_score=True,
    )


def run(name, sampler, steps, strength=None, negative=None, guidance=5.0, **more):
    """A request; without strength it is text to image, without `negative` the pipeline is given no negative prompt."""
    return dict(name=name, sampler=sampler, steps=steps, strength=strength, prompt=PROMPT, negative=negative, guidance=guidance, seed=11) | more


BOX = [24, 16, 40, 32]
PAINTED = [
    run("part", "ddim", 5, 0.6, NEGATIVE, box=BOX), run("most", "euler", 5, 0.9, NEGATIVE, box=BOX), run("unguided", "ddim", 3, 0.7, None, 1.0, box=BOX),
    run("crop", "ddim", 4, 0.75, NEGATIVE, box=[16, 8, 64, 48], crop=8, work=[80, 64]),
]


KINDS = {
    "sd": dict(make=sd, dtype="F16", runs=[
        run("ddim", "ddim", 5, 0.6, NEGATIVE, 7.5), run("euler", "euler", 4, 0.75, NEGATIVE), run("text", "ddim", 4, None, NEGATIVE),
        run("unguided", "ddim", 3, 0.7, None, 1.0),
    ]),
    "sd_v": dict(make=lambda: sd(prediction_type="v_prediction"), dtype="F32", runs=[run("ddim", "ddim", 5, 0.6, NEGATIVE)]),
    "sd_quick": dict(make=quick, dtype="F32", runs=[run("ddim", "ddim", 5, 0.6, None, 7.5), run("text", "ddim", 3, None, None, 3.0)]),
    "sdxl": dict(make=sdxl, dtype="F16", runs=[
        run("zeros", "euler", 5, 0.6, None), run("empty", "euler", 5, 0.6, ""), run("text", "euler", 3, None, NEGATIVE),
    ]),
    "sd_masked": dict(make=lambda: sd(9), dtype="F32", runs=PAINTED + [run("all", "euler", 4, 1.0, NEGATIVE, box=BOX)]),
    "sd_held": dict(make=sd, dtype="F32", runs=PAINTED),
    "sd_edit": dict(make=lambda: sd(8), dtype="F32", runs=[
        run("edit", "ddim", 4, 1.0, NEGATIVE, 7.5, image_guidance=1.5), run("close", "euler", 4, 1.0, None, 3.0, image_guidance=2.5),
    ]),
    "refiner": dict(make=refiner, dtype="F32", runs=[run("score", "euler", 5, 0.4, NEGATIVE)]),
}
CLASSES = {
    "sd": (StableDiffusionImg2ImgPipeline, StableDiffusionPipeline),
    "sd_v": (StableDiffusionImg2ImgPipeline, StableDiffusionPipeline),
    "sd_quick": (StableDiffusionImg2ImgPipeline, StableDiffusionPipeline),
    "sd_masked": (StableDiffusionInpaintPipeline, None),
    "sd_held": (StableDiffusionInpaintPipeline, None),
    "sd_edit": (StableDiffusionInstructPix2PixPipeline, None),
    "sdxl": (StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline),
    "refiner": (StableDiffusionXLImg2ImgPipeline, None),
}


def plain_config(part):
    """What a part's `config.json` holds."""
    transformers = isinstance(part, (CLIPTextModel, CLIPTextModelWithProjection))
    config = json.loads(part.config.to_json_string(use_diff=False) if transformers else part.to_json_string())
    return {key: value for key, value in config.items() if key != "_use_default_values"}


def component(part):
    """How model_index.json names a part."""
    return [type(part).__module__.split(".")[0], type(part).__name__]


def tokenizers(parts):
    """A tokenizer for each text encoder; the second pads with token 0."""
    made = {}
    for name in parts:
        if name.startswith("text_encoder"):
            pad = "!" if name.endswith("_2") else "<|endoftext|>"
            made[name.replace("text_encoder", "tokenizer")] = CLIPTokenizerFast.from_pretrained(TOKENIZER, pad_token=pad)
    return made


@torch.no_grad()
def watched(pipeline, request, **more):
    """Runs a pipeline: clean estimates by step, and the picture."""
    pipeline.set_progress_bar_config(disable=True)
    estimates, step = [], pipeline.scheduler.step

    def kept(*positional, **named):
        result = step(*positional, **named)
        estimates.append(result[1])
        return result

    pipeline.scheduler.step = kept
    made = pipeline(
        num_inference_steps=request["steps"], guidance_scale=request["guidance"], generator=torch.Generator().manual_seed(request["seed"]),
        output_type="pil", **more,
    ).images[0]
    pipeline.scheduler.step = step
    tensors = {f"denoised.{index}": estimate for index, estimate in enumerate(estimates)}
    return tensors | {"picture": torch.from_numpy(np.array(made))}


@torch.no_grad()
def carry_out(request, kind, parts, scheduler, tokens, options):
    """What diffusers makes of a request: clean estimates by step, and the picture."""
    changing, from_text = CLASSES[kind]
    # As from a file: from_config would leave out what has the default of the scheduler's own class.
    sampler = {"euler": EulerDiscreteScheduler, "ddim": DDIMScheduler}[request["sampler"]]
    components = parts | tokens | {"scheduler": sampler.from_config(json.loads(scheduler.to_json_string()))}
    if kind.startswith("sd_") or kind == "sd":
        components |= dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    elif kind == "refiner":
        components |= dict(text_encoder=None, tokenizer=None)
    if kind in ("sdxl", "refiner"):
        components |= options | dict(add_watermarker=False)
    if request["strength"] is None:
        components.pop("requires_aesthetics_score", None)
        pipeline = from_text(**components)
        extra = dict(width=96, height=64)
    else:
        pipeline = changing(**components)
        extra = dict(image=Image.open(SOURCE).convert("RGB"), strength=request["strength"])
        if "image_guidance" in request:
            extra["image_guidance_scale"] = request["image_guidance"]
            del extra["strength"]  # always all of it
        if "box" in request:
            x, y, width, height = request["box"]
            extra["mask_image"] = Image.new("L", extra["image"].size, 0)
            extra["mask_image"].paste(255, (x, y, x + width, y + height))
            extra["width"], extra["height"] = request.get("work", extra["image"].size)
            extra["padding_mask_crop"] = request.get("crop")
    return watched(pipeline, request, prompt=request["prompt"], negative_prompt=request["negative"], **extra)


def main():
    for kind, facts in KINDS.items():
        parts, scheduler, options = facts["make"]()
        dtype = {"F16": torch.float16, "F32": torch.float32}[facts["dtype"]]
        lists = {name: fill(part.eval(), f"{kind}.{name}.", dtype) for name, part in parts.items()}
        tokens = tokenizers(parts)
        tensors = {}
        for request in facts["runs"]:
            made = carry_out(request, kind, parts, scheduler, tokens, options)
            tensors |= {f"{request['name']}.{key}": value for key, value in made.items()}
            spread = [round(made[key].float().std().item(), 2) for key in made]
            print(f"  {kind} {request['name']}: spreads {spread}")
        save_tensors(f"pipeline_{kind}.safetensors", tensors, origin(__file__, arithmetic="float32"))
        save_json(f"pipeline_{kind}.json", {
            "origin": origin(__file__),
            "dtype": facts["dtype"],
            "index": {"_class_name": CLASSES[kind][0].__name__, "safety_checker": [None, None], **options}
            | {name: component(part) for name, part in (parts | tokens | {"scheduler": scheduler}).items()},
            "scheduler": {key: value for key, value in json.loads(scheduler.to_json_string()).items() if key != "_use_default_values"},
            "pads": {name: tokenizer.pad_token for name, tokenizer in tokens.items()},
            "parts": {
                name: {
                    "prefix": f"{kind}.{name}.",
                    "config": plain_config(part),
                    "tensors": lists[name],
                }
                for name, part in parts.items()
            },
            "runs": facts["runs"],
        })


if __name__ == "__main__":
    main()
