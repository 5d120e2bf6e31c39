"""Whole runs of two tiny models of pipelines.py with prompts in AUTOMATIC1111's grammar: clean estimates and pictures.

    python tools/reference/prompt_grammar.py

diffusers runs the loop; what its network hears is made here, by the rule that AUTOMATIC1111 documents and by other means than the
program's: brackets by a parser that calls itself, edits written out step by step in the list of runs, windows of 75 tokens by slicing. Weights
multiply hidden states, whose mean over the window is then restored. Parts joined by AND are estimated each for itself.

Writes prompt_grammar.json: `runs` (the requests, each with its model's `kind`) and prompt_grammar.safetensors: for each run
`RUN.denoised.N` [1, C, h, w] and `RUN.picture` u8 [H, W, 3], as pipelines.py does.
"""
import json
import re

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

from formula_weights import fill
from output import origin, save_json, save_tensors
from pipelines import KINDS, tokenizers, watched

ROOM, REACH = 75, 20
LONG = ", ".join(["oil painting of a lake", "warm palette", "winter night", "soft light", "impressionist style"] * 6)
# A full window without a comma near its end.
DENSE = "a lake at night, " + "winter " * 80 + ", warm palette"


def run(name, kind, prompt, negative, steps, parts=None, sampler="ddim", guidance=5.0):
    """`parts`: for each part its weight and, for each step, what it says; where absent the prompt is one part without edits."""
    return dict(name=name, kind=kind, prompt=prompt, negative=negative, steps=steps, sampler=sampler, guidance=guidance, seed=11), (
        parts or [(1.0, [prompt] * steps)]
    )


EDIT = "[oil painting:winter night:0.5] of a [lake|(river:1.4)] [in spring:2][ at noon::3]"
RUNS = [
    run("weights", "sd", r"an (oil painting:1.3) of [a lake], ((warm (red:0.5))) palette \(soft\) \\", "(blurry:1.4), low contrast", 4),
    run("unclosed", "sd", "a lake, ((winter night, [warm", "blurry)", 2),
    run("windows", "sd", LONG, "blurry", 3, sampler="euler"),
    run("dense", "sd", DENSE, "(low contrast:1.2) BREAK blurry", 2),
    run("breaks", "sd", "oil painting BREAK (a lake:1.5), warm palette BREAK winter night", "blurry", 3),
    run("parts", "sd", "oil painting of a lake :1.2 AND (warm palette) AND winter night :-0.4", "blurry", 3, [
        (1.2, ["oil painting of a lake"] * 3), (1.0, ["(warm palette)"] * 3), (-0.4, ["winter night"] * 3),
    ]),
    run("edits", "sd", EDIT, "blurry", 4, [(1.0, [
        "oil painting of a lake  at noon", "oil painting of a (river:1.4)  at noon", "winter night of a lake in spring at noon",
        "winter night of a (river:1.4) in spring",
    ])]),
    run("sdxl", "sdxl", f"(oil painting:1.3), {LONG}", "(blurry:0.6)", 3, sampler="euler"),
]


def weighed(text):
    """The text as pairs of words and weight; BREAK is a pair of its own."""
    tokens = re.findall(r"\\[()\[\]\\]|:\s*[+-]?[\d.]+\s*\)|[()\[\]]|[^\\()\[\]:]+|.", text)
    place = 0

    def group(closing):
        """What stands before `closing` or the end, and the weight that the end names."""
        nonlocal place
        found = []
        while place < len(tokens):
            token = tokens[place]
            place += 1
            if token.startswith("\\") and len(token) == 2:
                found.append([token[1], 1.0])
            elif token in "([":
                inner, factor = group(")" if token == "(" else "]")
                factor = factor or (1.1 if token == "(" else 1 / 1.1)
                found += [[words, weight * factor] for words, weight in inner]
            elif token == closing:
                return found, None
            elif closing == ")" and token.startswith(":") and token.endswith(")"):
                return found, float(token[1:-1])
            else:
                words = re.split(r"\bBREAK\b", token)
                for index, word in enumerate(words):
                    found += [["BREAK", None]] if index else []
                    found.append([word, 1.0])
        return found, None

    return group(None)[0]


def windows(tokenizer, text):
    """Ids and weights of each window, ends and padding included."""
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    cut, row, last = [], [], None
    for words, weight in weighed(text):
        if weight is None:
            cut.append(row)
            row, last = [], None
            continue
        for token in tokenizer(words, add_special_tokens=False).input_ids:
            if len(row) == ROOM:
                near = last is not None and ROOM - last <= REACH and token != comma
                keep = last + 1 if near else ROOM
                cut.append(row[:keep])
                row, last = row[keep:], None
            elif token == comma:
                last = len(row)
            row.append((token, weight))
    if row or not cut:
        cut.append(row)
    for row in cut:
        ids = [tokenizer.bos_token_id] + [token for token, _ in row] + [tokenizer.eos_token_id]
        rest = ROOM + 2 - len(ids)
        yield ids + [tokenizer.pad_token_id] * rest, [1.0] + [weight for _, weight in row] + [1.0] * (rest + 1)


def encode(parts, tokens, text):
    """Hidden states of all windows in a row, and the pooled text of the first."""
    towers, pooled = [], None
    for name in (name for name in parts if name.startswith("text_encoder")):
        rows = []
        for ids, weights in windows(tokens[name.replace("text_encoder", "tokenizer")], text):
            result = parts[name](torch.tensor([ids]), output_hidden_states=True)
            states = result.hidden_states[-2] if "text_encoder_2" in parts else result.last_hidden_state
            scaled = states * torch.tensor(weights)[None, :, None]
            rows.append(states if set(weights) == {1.0} else scaled * (states.mean() / scaled.mean()))
            if not rows[1:]:
                pooled = result[0]
        towers.append(torch.cat(rows, 1))
    return torch.cat(towers, -1), pooled


def hear(unet, uncond, parts):
    """Makes the network hear `uncond` and, step by step, each of `parts`, whatever it is called with."""
    forward, calls = unet.forward, []

    def heard(sample, timestep, encoder_hidden_states, added_cond_kwargs=None, **rest):
        added = added_cond_kwargs or {}

        def estimate(row, text):
            own = {key: value[row : row + 1] for key, value in added.items()}
            return forward(sample[row : row + 1], timestep, encoder_hidden_states=text, added_cond_kwargs=own, **rest)[0]

        calls.append(timestep)
        far = estimate(0, uncond)
        ways = [weight * (estimate(1, texts[len(calls) - 1]) - far) for weight, texts in parts]
        return (torch.cat([far, far + sum(ways)]),)

    unet.forward = heard
    return forward


@torch.no_grad()
def carry_out(request, said, parts, scheduler, options):
    tokens = tokenizers(parts)
    sampler = {"euler": EulerDiscreteScheduler, "ddim": DDIMScheduler}[request["sampler"]]
    sampler = sampler.from_config(json.loads(scheduler.to_json_string()))  # as from a file, with every default written out
    big = request["kind"] == "sdxl"
    more = options | dict(add_watermarker=False) if big else dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline = (StableDiffusionXLPipeline if big else StableDiffusionPipeline)(**parts, **tokens, scheduler=sampler, **more)
    uncond, far = encode(parts, tokens, request["negative"])
    heard = [(weight, [encode(parts, tokens, text) for text in texts]) for weight, texts in said]
    first, near = heard[0][1][0]
    pooled = dict(pooled_prompt_embeds=near, negative_pooled_prompt_embeds=far) if big else {}
    forward = hear(parts["unet"], uncond, [(weight, [states for states, _ in texts]) for weight, texts in heard])
    made = watched(pipeline, request, prompt_embeds=first[:, :77], negative_prompt_embeds=uncond[:, :77], width=96, height=64, **pooled)
    parts["unet"].forward = forward
    return made


def main():
    models = {}
    for kind in ("sd", "sdxl"):
        parts, scheduler, options = KINDS[kind]["make"]()
        for name, part in parts.items():
            fill(part.eval(), f"{kind}.{name}.", {"F16": torch.float16, "F32": torch.float32}[KINDS[kind]["dtype"]])
        models[kind] = parts, scheduler, options
    tensors = {}
    for request, said in RUNS:
        made = carry_out(request, said, *models[request["kind"]])
        tensors |= {f"{request['name']}.{key}": value for key, value in made.items()}
        print(f"  {request['name']}: spreads {[round(value.float().std().item(), 2) for value in made.values()]}")
    save_tensors("prompt_grammar.safetensors", tensors, origin(__file__, arithmetic="float32"))
    save_json("prompt_grammar.json", {"origin": origin(__file__), "runs": [request for request, _ in RUNS]})


if __name__ == "__main__":
    main()
