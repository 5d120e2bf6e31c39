"""Builds the attribution table from the rows of the corpus.

    python attribution.py --corpus corpus --out ATTRIBUTION.tsv

One line per picture (crops of one picture share a line). `credits.tsv` holds what was found in
the histories of two collections whose rows name no author; the rest follows from the source.
The column `credit` says how complete a line is:

    full      author and licence are named, or the licence asks for no credit
    on page   the author is named on the page of the picture, not here
    archive   the author is named in the licence file of the collection, not here
    unclear   author or licence could not be confirmed: new trainings leave the picture out
"""

import argparse
import csv
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rows import Row, read_credits, read_rows

COLUMNS = ("source", "title", "author", "licence", "page", "credit", "crops")


class Line(NamedTuple):
    """One line of the table, without the number of crops."""

    source: str
    title: str
    author: str
    licence: str
    page: str
    credit: str


def _one_line(text: str) -> str:
    """Join the lines that some titles and artists of paintings have."""
    return " ".join(text.split())


def _author_in_name(title: str) -> str:
    """Read the photographer from a name such as `jake-hills-36605`."""
    name = re.match(r"([a-z-]+?)-\d+", title)
    return name.group(1).replace("-", " ").title() if name else ""


def line_of(row: Row, credits: dict[tuple[str, str], dict[str, str]]) -> Line:
    """Return the line of one picture; raises for a source that is not known."""
    source, licence = row["source"], row["license"]
    title = _one_line(row["title"])
    credit = credits.get((source, title))
    if credit:
        needs_author = licence_needs_credit(credit["licence"]) and not credit["author"]
        complete = "on page" if needs_author else "full"
        state = "unclear" if credit["verdict"] == "drop" else complete
        return Line(source, title, credit["author"], credit["licence"], credit["page"], state)
    if source.startswith(("https://en.wikipedia.org/", "https://commons.wikimedia.org/")):
        return Line("Wikimedia", title, "", licence, source, "on page")
    if source == "flower_photos":
        page = f"https://www.flickr.com/photo.gne?id={title.split('_')[0]}"
        return Line(source, title, "", "CC BY 2.0", page, "archive")
    if source == "Oxford-IIIT Pet":
        page = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
        author = "Visual Geometry Group, Oxford (compilers)"
        return Line(source, title, author, "CC BY-SA 4.0", page, "full")
    if source.startswith("Scratch 1.4"):
        page = "https://packages.debian.org/scratch"
        author = "MIT Media Lab, Lifelong Kindergarten Group"
        return Line(source, title, author, licence, page, "full")
    if source == "pop-os/wallpapers":
        page = "https://github.com/pop-os/wallpapers"
        return Line(source, title, _author_in_name(title), licence, page, "full")
    if source == "alexeygrigorev/clothing-dataset-small":
        return Line(source, title, "", "CC0", f"https://github.com/{source}", "full")
    if source == "marcusklasson/GroceryStoreDataset":
        return Line(source, title, "Marcus Klasson", "MIT", f"https://github.com/{source}", "full")
    if source.startswith("artic.edu"):
        page = "https://www.artic.edu/collection"
        return Line(
            "Art Institute of Chicago", title, _one_line(row["artist"]), "CC0", page, "full"
        )
    raise SystemExit(f'picture "{title}" has source "{source}", which this table does not know')


def licence_needs_credit(licence: str) -> bool:
    """Tell whether a licence asks to name the author."""
    return not licence.startswith(("CC0", "public domain"))


def main() -> None:
    """Write the table, then what it adds up to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    credits = read_credits()
    crops = Counter(line_of(row, credits) for row in read_rows(args.corpus))
    with open(args.out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*line, count] for line, count in sorted(crops.items()))
    for column in ("licence", "credit"):
        pictures = Counter(getattr(line, column) for line in crops)
        for value, count in pictures.most_common():
            all_crops = sum(n for line, n in crops.items() if getattr(line, column) == value)
            print(f"{column}: {value}: {count} pictures, {all_crops} crops")


if __name__ == "__main__":
    main()
