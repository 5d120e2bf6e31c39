"""Whole runs of two tiny models of pipelines.py with the LoRAs of lora.py, loaded by diffusers and PEFT: clean estimates and pictures.

    python tools/reference/lora_pipelines.py

Writes lora_pipelines.json: `runs` (the requests, each with its model's `kind` and `loras`: case of lora.py and weight) and
lora_pipelines.safetensors: for each run `RUN.denoised.N` and `RUN.picture`.
"""
from safetensors.torch import load_file

from output import FOLDER, origin, save_json, save_tensors
from textual_inversion import carry_out, pipeline_of


def run(name, kind, loras, prompt, negative):
    sampler = {"sd": "ddim", "sdxl": "euler"}[kind]  # what the models' own files name
    return dict(name=name, kind=kind, loras=loras, prompt=prompt, negative=negative, steps=3, sampler=sampler, guidance=5.0, seed=11)


RUNS = [
    run("one", "sd", [["sd_kohya", 0.8]], "oil painting of a lake, winter", "blurry"),
    run("two", "sd", [["sd_kohya", 0.5], ["sd_peft", -0.4]], "oil painting of a lake", "low contrast"),
    run("towers", "sdxl", [["sdxl_kohya", 0.7]], "a lake at night", "blurry"),
]


def main():
    tensors = {}
    for request in RUNS:
        pipeline = pipeline_of(request["kind"])
        cases = [case for case, _ in request["loras"]]
        for case in cases:
            pipeline.load_lora_weights(load_file(FOLDER / f"lora_{case}.safetensors"), adapter_name=case)
        pipeline.set_adapters(cases, [weight for _, weight in request["loras"]])
        made = carry_out(request, pipeline)
        tensors |= {f"{request['name']}.{key}": value for key, value in made.items()}
        print(f"  {request['name']}: spreads {[round(value.float().std().item(), 2) for value in made.values()]}")
    save_tensors("lora_pipelines.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("lora_pipelines.json", {"origin": origin(__file__), "runs": RUNS})


if __name__ == "__main__":
    main()
