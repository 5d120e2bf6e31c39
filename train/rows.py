"""The corpus's rows: which pictures there are, which are held out, which are left out.

A corpus is a folder with scenes/, things/ and paintings/; each holds NNNNN.webp and index.jsonl,
a line per crop: `file`, `subject`, `caption`, `license`, `source`, `title`, for paintings `artist`.
"""

import csv
import json
import random
from pathlib import Path
from typing import Any

PACKS = ("scenes", "things", "paintings")
HELD_OUT_SHARE = 0.03

Row = dict[str, Any]


def read_rows(corpus: Path) -> list[Row]:
    """Read the index of every pack; each row gets its `pack`."""
    rows = []
    for pack in PACKS:
        with open(corpus / pack / "index.jsonl", encoding="utf-8") as index:
            rows += [{**json.loads(line), "pack": pack} for line in index if line.strip()]
    return rows


def read_credits() -> dict[tuple[str, str], dict[str, str]]:
    """Read credits.tsv by source and title."""
    path = Path(__file__).with_name("credits.tsv")
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    return {(line["source"], line["title"]): line for line in lines}


def without_unclear(rows: list[Row]) -> list[Row]:
    """Leave out the pictures whose author or licence could not be confirmed."""
    credits = read_credits()
    dropped = {key for key, credit in credits.items() if credit["verdict"] == "drop"}
    return [row for row in rows if (row["source"], row["title"]) not in dropped]


def mark_held_out(rows: list[Row]) -> None:
    """Set `val` on every row: whole photographs (source and title), never single crops.

    Must see all rows of the corpus: which are held out depends on which there are.
    """
    photographs = sorted({(row["pack"], row["source"], row["title"]) for row in rows})
    random.Random(7).shuffle(photographs)
    held_out = set()
    for pack in PACKS:
        of_pack = [photograph for photograph in photographs if photograph[0] == pack]
        held_out.update(of_pack[: max(3, round(len(of_pack) * HELD_OUT_SHARE))])
    for row in rows:
        row["val"] = (row["pack"], row["source"], row["title"]) in held_out
