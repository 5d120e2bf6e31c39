"""Tiny CLIPTextModels of transformers on random weights: configuration, weights, ids, outputs. One with a projection.

    python tools/reference/clip_text.py

Run in float64 from float32 weights and stored as float32; `f32_error` in the metadata is how far transformers' own float32 run is
from it. No attention mask is passed, as in the Stable Diffusion pipelines: padding is attended to.
Keys: `weights.*` (transformers' names), `input_ids` [N, 77] int64, `last_hidden_state` [N, 77, C] (after the final norm),
`pooler_output` [N, C], `penultimate` [N, 77, C] (`hidden_states[-2]`, without the final norm), `trace.embeddings` (`hidden_states[0]`).

clip_text_projection has the formula's weights (formula_weights.py): a `.json` with `config` and `tensors`, and `input_ids`, `text_embeds`
[N, P] (projected), `last_hidden_state`, `hidden.K` (`hidden_states[-1 - K]`), `normed.K` (the same after the final norm).
"""
import copy
import json

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from formula_weights import fill
from output import origin, save_json, save_tensors
from random_weights import randomise

LENGTH = 77
SHARED = dict(
    vocab_size=99,
    hidden_size=32,
    intermediate_size=72,
    num_hidden_layers=3,
    num_attention_heads=4,
    max_position_embeddings=LENGTH,
    projection_dim=32,
)

VARIANTS = {
    # CLIP-L as in SD 1: pooled at the first end token, padded with end tokens.
    "quick_gelu": dict(seed=201, pad=98, config=dict(hidden_act="quick_gelu", bos_token_id=97, eos_token_id=98, pad_token_id=98)),
    # OpenCLIP as in SD 2: a file that says eos_token_id 2 means the highest id, and pads with 0.
    "legacy_eos": dict(seed=202, pad=0, config=dict(hidden_act="gelu", bos_token_id=0, eos_token_id=2, pad_token_id=1)),
    # Tokens added after training have ids above the end token's: the highest id is the wrong place to pool.
    "added_tokens": dict(seed=203, pad=96, config=dict(hidden_act="quick_gelu", bos_token_id=95, eos_token_id=96, pad_token_id=96)),
}


def input_ids(name, pad):
    """Two rows of ids [2, 77]: a short prompt and one that fills the row."""
    begin, end = {"quick_gelu": (97, 98), "legacy_eos": (97, 98), "added_tokens": (95, 96)}[name]
    added = [98, 97] if name == "added_tokens" else []
    # The 2 is an ordinary token here: pooling at it would be wrong even under eos_token_id 2.
    short = [begin, 17, 2, 53, *added, 8, 91, end]
    short += [pad] * (LENGTH - len(short))
    full = [begin] + [(index * 37 + 11) % 95 for index in range(LENGTH - 2)] + [end]
    return torch.tensor([short, full], dtype=torch.int64)


@torch.no_grad()
def run(text_model, ids):
    """Outputs of `text_model` by the names they are stored under."""
    # transformers makes its causal mask in the default dtype and overflows if that is narrower than the weights'.
    torch.set_default_dtype(text_model.dtype)
    result = text_model(input_ids=ids, output_hidden_states=True)
    torch.set_default_dtype(torch.float32)
    return {
        "last_hidden_state": result.last_hidden_state,
        "pooler_output": result.pooler_output,
        "penultimate": result.hidden_states[-2],
        "trace.embeddings": result.hidden_states[0],
    }


@torch.no_grad()
def run_projected(text_model, ids):
    """As `run`, for the text encoder with a projection."""
    torch.set_default_dtype(text_model.dtype)
    result = text_model(input_ids=ids, output_hidden_states=True)
    torch.set_default_dtype(torch.float32)
    norm = text_model.text_model.final_layer_norm
    layers = {f"hidden.{skip}": result.hidden_states[-1 - skip] for skip in (1, 2, 4)}
    normed = {f"normed.{skip}": norm(result.hidden_states[-1 - skip]) for skip in (1, 4)}
    return layers | normed | {"text_embeds": result.text_embeds, "last_hidden_state": result.last_hidden_state}


def projected():
    """OpenCLIP's big tower as in SDXL: a projection to another width, pooled at the highest id, padded with 0."""
    config = SHARED | dict(num_hidden_layers=4, projection_dim=20, hidden_act="gelu", bos_token_id=0, eos_token_id=2, pad_token_id=1)
    text_model = CLIPTextModelWithProjection(CLIPTextConfig(**config)).eval()
    tensors, ids = fill(text_model), input_ids("legacy_eos", 0)
    exact = run_projected(copy.deepcopy(text_model).double(), ids)
    f32_error = (run_projected(text_model, ids)["text_embeds"] - exact["text_embeds"]).abs().max().item()
    facts = origin(__file__, arithmetic="float64, stored as float32", f32_error=f"{f32_error:.0e}")
    save_tensors("clip_text_projection.safetensors", {"input_ids": ids} | exact, facts)
    text_model.config.architectures = ["CLIPTextModelWithProjection"]
    config = json.loads(text_model.config.to_json_string(use_diff=False))
    save_json("clip_text_projection.json", {"origin": origin(__file__), "config": config, "tensors": tensors})
    print(f"  f32 error {f32_error:.1e}")


def main():
    projected()
    for name, variant in VARIANTS.items():
        text_model = CLIPTextModel(CLIPTextConfig(**SHARED, **variant["config"])).eval()
        randomise(text_model, variant["seed"])
        ids = input_ids(name, variant["pad"])
        exact = run(copy.deepcopy(text_model).double(), ids)
        f32_error = (run(text_model, ids)["last_hidden_state"] - exact["last_hidden_state"]).abs().max().item()
        weights = {f"weights.{key}": value for key, value in text_model.state_dict().items()}
        facts = origin(__file__, seed=variant["seed"], arithmetic="float64, stored as float32", f32_error=f"{f32_error:.0e}")
        save_tensors(f"clip_text_{name}.safetensors", weights | {"input_ids": ids} | exact, facts)
        save_json(f"clip_text_{name}.config.json", json.loads(text_model.config.to_json_string(use_diff=False)))
        print(f"  {sum(value.numel() for value in weights.values())} weights, f32 error {f32_error:.1e}")


if __name__ == "__main__":
    main()
