"""Makes a CLIP tokenizer with few merges: the first ones, and those the caption words need.

    python make_tokenizer.py --bpe bpe_simple_vocab_16e6.txt.gz --out tokenizer \
        --words whole_words.txt

The .gz is in the Python package open-clip-torch (MIT).
"""

import argparse
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from captions import all_words

CLIP_MERGES = 48894
START, END = "<|startoftext|>", "<|endoftext|>"

Merge = tuple[str, str]


def byte_characters() -> list[str]:
    """Return the printable stand-ins of the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


def read_merges(path: Path) -> list[Merge]:
    """Read the merges CLIP uses, in order of rank."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : CLIP_MERGES + 1]
    return [tuple(line.split()) for line in lines]


def apply_merge(parts: list[str], merge: Merge) -> list[str]:
    """Join every occurrence of a pair, left to right."""
    joined, place = [], 0
    while place < len(parts):
        if tuple(parts[place : place + 2]) == merge:
            joined.append("".join(merge))
            place += 2
        else:
            joined.append(parts[place])
            place += 1
    return joined


def merges_of_word(word: str, ranks: dict[Merge, int], merges: list[Merge]) -> set[int]:
    """Return the ranks of the merges that full CLIP would apply to a word."""
    parts, used = [*word[:-1], word[-1] + "</w>"], set()
    while len(parts) > 1:
        best = min(ranks.get(pair, len(merges)) for pair in zip(parts, parts[1:], strict=False))
        if best == len(merges):
            break
        used.add(best)
        parts = apply_merge(parts, merges[best])
    return used


def choose_merges(merges: list[Merge], first: int, words: Iterable[str]) -> list[Merge]:
    """Keep the `first` merges and those that make one token of each word without digits."""
    ranks = {merge: rank for rank, merge in enumerate(merges)}
    kept = set(range(first))
    for word in words:
        if not any(character.isdigit() for character in word):
            kept |= merges_of_word(word, ranks, merges)
    return [merges[rank] for rank in sorted(kept)]


def _special(token: str) -> dict[str, Any]:
    return {
        "content": token,
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }


def write_tokenizer(out: Path, merges: list[Merge]) -> int:
    """Write the four files of a CLIP tokenizer folder; return the size of the vocabulary."""
    out.mkdir(parents=True, exist_ok=True)
    characters = byte_characters()
    vocabulary = characters + [character + "</w>" for character in characters]
    vocabulary += ["".join(merge) for merge in merges] + [START, END]

    def write(name: str, content: dict[str, Any], indent: int | None = 2) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=indent)
        (out / name).write_text(text, encoding="utf-8")

    write("vocab.json", {token: index for index, token in enumerate(vocabulary)}, indent=None)
    lines = ["#version: 0.2"] + [" ".join(merge) for merge in merges]
    (out / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = {"bos_token": START, "eos_token": END, "unk_token": END}
    tokens = {name: _special(token) for name, token in names.items()}
    write("special_tokens_map.json", {**tokens, "pad_token": END})
    added = {name: {**token, "__type": "AddedToken"} for name, token in tokens.items()}
    config = {
        "add_prefix_space": False,
        **added,
        "pad_token": END,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }
    write("tokenizer_config.json", config)
    return len(vocabulary)


def main() -> None:
    """Read the merges, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bpe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--merges", type=int, default=370, help="how many to keep regardless")
    parser.add_argument("--words", type=Path, help="more words that should be whole tokens")
    args = parser.parse_args()
    words = all_words()
    if args.words:
        words |= set(args.words.read_text(encoding="utf-8").split())
    merges = choose_merges(read_merges(args.bpe), args.merges, words)
    size = write_tokenizer(args.out, merges)
    print(f"{size} tokens, {len(merges)} merges")


if __name__ == "__main__":
    main()
