"""Ids that transformers' CLIPTokenizerFast gives to the texts of prompts.py, with the vocabulary of conformance/reference/tokenizer.

    python tools/reference/tokenizer.py

Writes tokenizer_cases.json: `cases`, whole texts without padding or truncation, begin and end tokens included; `truncated`, the same
call with truncation to `max_length`. And tokenizer_clip_cases.json: `cases` for CLIP's own vocabulary, crates/model/clip/merges.txt, as
`[text, ids]` without begin and end.
"""
import hashlib
import json
import tempfile
from pathlib import Path

from transformers import CLIPTokenizerFast

from output import REPOSITORY, TOKENIZER, origin, save_json
from prompts import SEED, many_texts, texts, texts_to_truncate

MAX_LENGTH = 77
CLIP_TEXTS = 3000
CLIP_MERGES = REPOSITORY / "crates" / "model" / "clip" / "merges.txt"


def clip_tokenizer(folder):
    """CLIP's tokenizer: its vocabulary is bytes, bytes at a word's end, merges in their order, begin and end."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    merges = [line.replace(" ", "") for line in CLIP_MERGES.read_text().splitlines()[1:]]
    words = [*letters, *(letter + "</w>" for letter in letters), *merges, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = Path(folder) / "vocab.json"
    vocabulary.write_text(json.dumps({word: index for index, word in enumerate(words)}))
    return CLIPTokenizerFast(vocab_file=str(vocabulary), merges_file=str(CLIP_MERGES))


def main():
    tokenizer = CLIPTokenizerFast.from_pretrained(TOKENIZER)
    hashes = {f"{name}_sha256": hashlib.sha256((TOKENIZER / name).read_bytes()).hexdigest() for name in ("vocab.json", "merges.txt")}
    save_json("tokenizer_cases.json", {
        "origin": origin(__file__, seed=SEED, **hashes),
        "max_length": MAX_LENGTH,
        "cases": [{"text": text, "ids": tokenizer(text).input_ids} for text in texts()],
        "truncated": [
            {"text": text, "ids": tokenizer(text, truncation=True, max_length=MAX_LENGTH).input_ids} for text in texts_to_truncate()
        ],
    })
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer = clip_tokenizer(temporary)
    assert tokenizer.vocab_size == 49408
    save_json("tokenizer_clip_cases.json", {
        "origin": origin(__file__, seed=SEED + 1, merges_sha256=hashlib.sha256(CLIP_MERGES.read_bytes()).hexdigest()),
        "cases": [[text, tokenizer(text).input_ids[1:-1]] for text in [*many_texts(CLIP_TEXTS), "a cat, " * 2000]],
    })


if __name__ == "__main__":
    main()
