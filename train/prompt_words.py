"""Writes the words a trained model knows, so that a program can warn of prompts without any.

python prompt_words.py --out model/prompt_words.json
"""

import argparse
import json
from pathlib import Path

import captions

FILLERS = {"an", "and", "at", "by", "for", "from", "in", "into", "of", "on", "the", "to", "with"}
SHOWN = [
    "oil painting",
    "impressionist",
    "watercolour",
    "pencil sketch",
    "coloured pencil",
    "comic",
    "pixel art",
    "winter",
    "autumn",
    "night",
]
"""The styles worth naming to a person."""


def main() -> None:
    """Collect the words of the caption grammar and write them beside the styles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    words = captions.all_words() - FILLERS
    known = {"styles": SHOWN, "words": sorted(word for word in words if len(word) > 2)}
    args.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
