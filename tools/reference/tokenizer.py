"""Ids that transformers' CLIPTokenizerFast gives to the texts of prompts.py, with the starter's vocabulary.

    python tools/reference/tokenizer.py --model crates/starter/model

Writes tokenizer_cases.json: `cases`, whole texts without padding or truncation, begin and end tokens included; `truncated`, the same
call with truncation to `max_length`.
"""
import argparse
import hashlib
from pathlib import Path

from transformers import CLIPTokenizerFast

from output import STARTER_MODEL, origin, save_json
from prompts import SEED, texts, texts_to_truncate

MAX_LENGTH = 77


def main():
    arguments = argparse.ArgumentParser(description="Writes tokenizer_cases.json.")
    arguments.add_argument("--model", type=Path, default=STARTER_MODEL, help="a diffusers folder; its tokenizer/ is read")
    folder = arguments.parse_args().model / "tokenizer"
    tokenizer = CLIPTokenizerFast.from_pretrained(folder)
    hashes = {f"{name}_sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("vocab.json", "merges.txt")}
    save_json("tokenizer_cases.json", {
        "origin": origin(__file__, seed=SEED, **hashes),
        "max_length": MAX_LENGTH,
        "cases": [{"text": text, "ids": tokenizer(text).input_ids} for text in texts()],
        "truncated": [
            {"text": text, "ids": tokenizer(text, truncation=True, max_length=MAX_LENGTH).input_ids} for text in texts_to_truncate()
        ],
    })


if __name__ == "__main__":
    main()
