"""One peer that lives in Python, in a process of its own: reads orders from stdin and answers on stdout, a JSON object a line each.

    python bench/peers/worker.py torch|openvino|sdcpp THREADS MODELS

`{"do": "prepare", "work": NAME, "way": WAY}` loads, `{"do": "run", "out": FILE or null}` runs once and says how many seconds it took. What a
library prints goes to stderr. `run.py` speaks to it.
"""
import json
import os
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from work import GUIDANCE, NEGATIVE, PROMPT, ROOT, SEED, SIDE, STEPS, STEPS_RUN, STRENGTH, WORK, case_file, make_inputs, make_single_file

ANSWERS = os.fdopen(os.dup(1), "w")


def read_case(models, name):
    from safetensors.torch import load_file

    return load_file(case_file(models, name))


def save_output(output, out):
    """Writes an output: a picture, or a tensor."""
    if hasattr(output, "save"):
        output.save(out)
    else:
        from safetensors.torch import save_file

        save_file({"output": output.contiguous().clone()}, out)


def image_to_image(pipeline, models):
    """One whole transform from the source to the picture."""
    import torch
    from PIL import Image

    return pipeline(
        prompt=PROMPT, negative_prompt=NEGATIVE, image=Image.open(models / "source.png"), strength=STRENGTH, num_inference_steps=STEPS,
        guidance_scale=GUIDANCE, generator=torch.Generator().manual_seed(SEED),
    ).images[0]


class Torch:
    """torch with diffusers, float32. Ways: `contiguous`, `channels_last`, and either with `, compiled`."""

    def __init__(self, threads, models):
        import torch

        torch.set_num_threads(threads)
        self.torch, self.models, self.threads = torch, models, threads

    def prepare(self, name, way):
        torch, work = self.torch, WORK[name]
        layout = torch.channels_last if way.startswith("channels_last") else torch.contiguous_format
        compiled = way.endswith("compiled")
        if work.network == "starter":
            self.job = self.starter(layout)
        elif work.network == "transform":
            pipeline = self.pipeline(layout, compiled)
            self.job = lambda: image_to_image(pipeline, self.models)
        else:
            import networks

            module = networks.torch_network(work, self.models, layout)
            if compiled:
                module = self.compile(module)
            inputs = networks.arguments(work, read_case(self.models, name))
            inputs = [value.contiguous(memory_format=layout) if value.dim() == 4 else value for value in inputs]
            self.job = lambda: module(*inputs)

    def compile(self, module):
        import torch._inductor.config

        torch._inductor.config.freezing = True
        return self.torch.compile(module)

    def pipeline(self, layout, compiled):
        from diffusers import StableDiffusionImg2ImgPipeline

        folder = self.models / "sd1"
        pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder, torch_dtype=self.torch.float32, safety_checker=None)
        pipeline.set_progress_bar_config(disable=True)
        for network in (pipeline.unet, pipeline.vae):
            network.to(memory_format=layout)
        if compiled:
            pipeline.unet = self.compile(pipeline.unet)
        return pipeline

    def starter(self, layout):
        """The reference implementation of the starter, in the ways that bench/starter.py finds fastest."""
        import importlib.util

        spec = importlib.util.spec_from_file_location("bench_starter", ROOT / "bench" / "starter.py")
        bench = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bench)
        peer = bench.Peer(self.threads)
        peer.choose("channels_last" if layout == self.torch.channels_last else "contiguous", "one batch", "scaled_dot_product")

        def job():
            from PIL import Image

            return Image.fromarray(peer.starter.to_bytes(peer.run()[1]).numpy())

        return job

    def run(self):
        with self.torch.inference_mode():
            return self.job(), {}


class OpenVino:
    """OpenVINO on networks converted from torch's modules, with static shapes. Ways: `f32`, `default` (the precision that it
    chooses for the CPU) and `int8` (weights compressed by NNCF)."""

    def __init__(self, threads, models):
        import openvino

        self.openvino, self.models = openvino, models
        self.core = openvino.Core()
        self.settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}

    def converted(self, name, moments=False):
        """The path of a row's network as OpenVINO's own files; converts where they are not there yet. Rows of other batches share them."""
        work = WORK[name]
        path = self.models / "openvino" / f"{work.folder.replace('/', '_')}_{work.network}{'_moments' if moments else ''}.xml"
        if not path.exists():
            import networks
            import torch

            module = networks.torch_network(work, self.models, moments=moments)
            # Small ones: shapes are set when it is read.
            with torch.no_grad():
                example = tuple(networks.arguments(work, make_inputs(self.models, name, 16)))
                model = self.openvino.convert_model(module, example_input=example)
            path.parent.mkdir(exist_ok=True)
            self.save(model, path)
        return path

    def compressed(self, path):
        """The path of a converted network whose weights are int8, one scale and one zero for each channel."""
        small = path.with_name(f"{path.stem}_int8.xml")
        if not small.exists():
            import nncf

            self.save(nncf.compress_weights(self.core.read_model(path)), small)
        return small

    def save(self, model, path):
        """Writes a network whole or not at all. Not in half precision: tables that a network computes with are not exact there."""
        self.openvino.save_model(model, path.with_suffix(".partial.xml"), compress_to_fp16=False)
        os.replace(path.with_suffix(".partial.bin"), path.with_suffix(".bin"))
        os.replace(path.with_suffix(".partial.xml"), path)

    def compiled(self, name, way, inputs, moments=False):
        path = self.converted(name, moments)
        model = self.core.read_model(self.compressed(path) if way == "int8" else path)
        model.reshape({port: list(value.shape) for port, value in zip(model.inputs, inputs)})
        settings = dict(self.settings)
        if way == "f32":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = self.core.compile_model(model, "CPU", settings)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        return compiled.create_infer_request()

    def prepare(self, name, way):
        import networks

        if WORK[name].network == "transform":
            pipeline = self.pipeline(way)
            self.job = lambda: image_to_image(pipeline, self.models)
            return
        inputs = networks.arguments(WORK[name], read_case(self.models, name))
        request = self.compiled(name, way, inputs)
        inputs = [value.numpy() for value in inputs]
        self.job = lambda: self.infer(request, inputs)

    @staticmethod
    def infer(request, inputs):
        import torch

        request.infer(dict(enumerate(inputs)), share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    def pipeline(self, way):
        """diffusers' pipeline with OpenVINO's networks in place of its own."""
        import torch
        from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
        from transformers import CLIPTextConfig, CLIPTokenizer

        folder, infer = self.models / "sd1", self.infer
        latents = torch.zeros(1, 4, 64, 64)
        text = self.compiled("clip_l", way, [torch.zeros(1, 77, dtype=torch.int64)])
        unet = self.compiled("unet_2", way, [latents.repeat(2, 1, 1, 1), torch.zeros(1), torch.zeros(2, 77, 768)])
        encode = self.compiled("kl_encode", way, [torch.zeros(1, 3, 512, 512)], moments=True)
        decode = self.compiled("kl_decode", way, [latents])

        class Network(torch.nn.Module):
            dtype, device = torch.float32, torch.device("cpu")

            def __init__(self, config, forward):
                super().__init__()
                self.config, self.forward = config, forward

        def estimate(sample, timestep, encoder_hidden_states, **_):
            return (infer(unet, [sample.numpy(), timestep.reshape(1).float().numpy(), encoder_hidden_states.numpy()]),)

        text = Network(CLIPTextConfig.from_pretrained(folder / "text_encoder"), lambda ids, *_, request=text, **__: (infer(request, [ids.numpy()]),))
        vae = Network(SimpleNamespace(**AutoencoderKL.load_config(folder / "vae")), None)
        vae.encode = lambda pixels: SimpleNamespace(latent_dist=DiagonalGaussianDistribution(infer(encode, [pixels.numpy()])))
        vae.decode = lambda latents, **_: (infer(decode, [latents.numpy()]),)
        network = Network(SimpleNamespace(**UNet2DConditionModel.load_config(folder / "unet")), estimate)
        pipeline = StableDiffusionImg2ImgPipeline(
            vae, text, CLIPTokenizer.from_pretrained(folder / "tokenizer"), network, DDIMScheduler.from_pretrained(folder / "scheduler"),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def run(self):
        return self.job(), {"precision": self.precision}


class SdCpp:
    """stable-diffusion.cpp by its Python bindings. Ways: a type of weights (f32, f16, q8_0), with `, flash` for its flash attention
    and `, direct` for its convolution without im2col.

    It has no call for a single network: a transform is run, of one step for the row of the UNet, and what it logs gives the parts.
    """

    def __init__(self, threads, models):
        import stable_diffusion_cpp

        self.library, self.threads, self.models = stable_diffusion_cpp, threads, models
        self.log = []

        # Kept, since the library holds no reference to it.
        self.callback = stable_diffusion_cpp.sd_log_callback(lambda level, text, data: self.log.append(text.decode(errors="replace")))

    def prepare(self, name, way):
        kind, *options = way.split(", ")
        direct = "direct" in options
        self.model = self.library.StableDiffusion(
            model_path=str(make_single_file(self.models)), wtype=kind, n_threads=self.threads, flash_attn="flash" in options,
            diffusion_conv_direct=direct, vae_conv_direct=direct, rng_type="cpu", sampler_rng_type="cpu", verbose=True,
        )
        import ctypes

        self.library.sd_set_log_callback(self.callback, ctypes.c_void_p(0))
        self.row, self.steps_run = name, STEPS_RUN if WORK[name].network == "transform" else 1

    def run(self):
        # It runs one step more than the product of steps and strength.
        strength = (self.steps_run - 1 + 0.4) / STEPS
        self.log.clear()
        picture = self.model.generate_image(
            prompt=PROMPT, negative_prompt=NEGATIVE, init_image=str(self.models / "source.png"), width=SIDE, height=SIDE, cfg_scale=GUIDANCE,
            sample_method="euler", scheduler="discrete", sample_steps=STEPS, strength=strength, seed=SEED,
        )[0]
        parts = self.parts("".join(self.log))
        if self.row in parts:
            return picture, {"seconds": parts.pop(self.row), "parts": parts}
        return picture, {"parts": parts}

    def parts(self, log):
        """Seconds of each network in a transform, by row. A step is two passes of the UNet at batch 1; two texts are encoded."""
        said = {
            "kl_encode": ("encode_first_stage", 1), "clip_l": ("get_learned_condition", 2), "unet_2": ("sampling", self.steps_run),
            "kl_decode": ("decode_first_stage", 1),
        }
        found = {row: re.search(words + r" completed, taking ([\d.]+)s", log) for row, (words, _) in said.items()}
        return {row: float(match[1]) / said[row][1] for row, match in found.items() if match}


def peak_bytes():
    """The most memory that this process ever held, pages of mapped files included."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
    except (OSError, TypeError):
        return None


def main():
    kind, threads, models = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    os.dup2(2, 1)
    peer = {"torch": Torch, "openvino": OpenVino, "sdcpp": SdCpp}[kind](threads, models)
    for line in sys.stdin:
        order = json.loads(line)
        start = time.perf_counter()
        try:
            if order["do"] == "prepare":
                peer.prepare(order["work"], order["way"])
                answer = {"seconds": time.perf_counter() - start}
            else:
                output, facts = peer.run()
                answer = {"seconds": time.perf_counter() - start, **facts, "peak": peak_bytes()}
                if order.get("out"):
                    save_output(output, order["out"])
        except Exception as error:  # whatever a peer cannot do is reported by its name, and the others go on
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
