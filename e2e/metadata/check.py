"""Writes pictures with our binary and reads them back with sd-parsers and Pillow.

check.py BINARY. Fails with the first difference.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image
from sd_parsers import ParserManager

FORMATS = ["png", "jpg", "webp"]
# Prompt and negative prompt.
TEXTS = [
    ("oil painting", ""),
    ("oil painting, (impressionist:1.2), [dog:cat:0.5]", "blurry, low contrast"),
    ("two\nlines\r\nand a\ttab", "and\n\nmore"),
    ("\"quoted\" 'twice' \\ back, colon: comma,", "{\"json\": [1, 2]}"),
    ("cat\nNegative prompt: dog\nSteps: 5, Sampler: none, CFG scale: 9, Seed: 6", "x\nSteps: 7, Seed: 8, Sampler: y"),
    ("NEGATIVE PROMPT: a steps: b STEPS: c", "negative prompt: twice"),
    ("\N{ARTIST PALETTE}\N{VARIATION SELECTOR-16} 夜の街 Ελληνικά עברית e\u0301", "一"),
    ("\u202eturned\u200d \u2028 separators \u2029 and \x1b[31m red \x7f \x85 next", "a\x01b"),
    ("<b>&amp;</b> ]]> </imagegen:request> %s $HOME `x`", "&lt;"),
    ("word, " * 1600, "夜" * 2000),
]
XMP_REQUEST = "{urn:imagegen:xmp:1}request"


def plain(text):
    """A prompt as the copy for other tools holds it: one line, no word that reads as a setting."""
    breaks = lambda c: unicodedata.category(c) == "Cc" or c in "\u2028\u2029"
    text = "".join("\n" if breaks(c) else c for c in text)
    text = re.sub("\n+", " ", text).strip()
    return re.sub("(?i)(negative prompt|steps):", "\\1：", text)


def same(what, got, want):
    if got != want:
        sys.exit(f"error: {what} is {got!r}, expected {want!r}")


def request(picture):
    """Our own document."""
    if picture.format == "PNG":
        return json.loads(picture.text["imagegen"])
    packet = ElementTree.fromstring(picture.info["xmp"].strip(b"\0"))
    return json.loads(next(packet.iter(XMP_REQUEST)).text)


def check_texts(run, folder):
    manager = ParserManager()
    seeds = [0, 7, 2**53 + 1, 2**64 - 1]
    count = 0
    for index, (prompt, negative) in enumerate(TEXTS):
        seed = seeds[index % len(seeds)]
        for kind in FORMATS:
            name = f"{index}.{kind}"
            run("transform", "source.png", f"--prompt={prompt}", f"--negative={negative}",
                f"--seed={seed}", "--steps=1", "--strength=1", "--output", name)
            with Image.open(folder / name) as picture:
                picture.load()
                told = request(picture)
                found = manager.parse(picture)
            same(f"{name}: prompt of our document", told["prompt"], prompt)
            same(f"{name}: negative prompt of our document", told["negative_prompt"], negative)
            same(f"{name}: seed of our document", int(told["seed"]), seed)
            same(f"{name}: samplers", len(found.samplers), 1)
            sampler = found.samplers[0]
            same(f"{name}: prompt", [p.value for p in sampler.prompts], [plain(prompt)])
            same(f"{name}: negative prompt", [p.value for p in sampler.negative_prompts],
                 [plain(negative)] if plain(negative) else [])
            same(f"{name}: sampler", sampler.name, "DDIM")
            same(f"{name}: settings", sampler.parameters,
                 {"cfg_scale": "1", "seed": str(seed), "steps": "1"})
            same(f"{name}: model", sampler.model.name, "starter")
            same(f"{name}: size", found.metadata["Size"], "80x64")
            same(f"{name}: strength", found.metadata["Denoising strength"], "1")
            count += 1
    return count


def check_carried(run, folder):
    """A photograph's EXIF and resolution, read back by Pillow; the place and the turn are gone."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x013B] = "Ann"
    exif[0x0112] = 6
    photo = exif.get_ifd(0x8769)
    photo[0x9003] = "2024:05:06 07:08:09"
    photo[0x829A] = 0.004
    place = exif.get_ifd(0x8825)
    place[1] = "N"
    place[2] = (48.0, 12.0, 30.0)
    for kind in FORMATS:
        source = f"photo.{kind}"
        Image.new("RGB", (64, 80), (90, 120, 40)).save(folder / source, exif=exif, dpi=(300, 150))
        for result in FORMATS:
            name = f"photo-{kind}.{result}"
            said = run("transform", source, "--prompt=winter", "--strength=0", "--output", name)
            if f"note: {source}: " not in said:
                sys.exit(f"error: {name}: that the place is left out is not said: {said}")
            with Image.open(folder / name) as picture:
                picture.load()
                got = picture.getexif()
                same(f"{name}: size", picture.size, (80, 64))
                same(f"{name}: maker", got.get(0x010F), "Maker")
                same(f"{name}: artist", got.get(0x013B), exif[0x013B])
                same(f"{name}: orientation", got.get(0x0112, 1), 1)
                same(f"{name}: date", got.get_ifd(0x8769).get(0x9003), photo[0x9003])
                same(f"{name}: exposure", float(got.get_ifd(0x8769)[0x829A]), 0.004)
                same(f"{name}: place", dict(got.get_ifd(0x8825)), {})
                if kind == "webp":
                    continue  # Pillow writes no resolution there
                # A quarter turn: what was across is down.
                dpi = picture.info.get("dpi") or (got[0x011A], got[0x011B])
                same(f"{name}: resolution", [round(float(value)) for value in dpi], [150, 300])


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = bytes((x * 2 + y * 3 + c * 40) % 256 for y in range(64) for x in range(80) for c in range(3))
        Image.frombytes("RGB", (80, 64), pixels).save(folder / "source.png")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IMAGEGEN_")}
        environment["IMAGEGEN_CONFIG"] = ""

        def run(*arguments):
            done = subprocess.run([binary, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"error: {arguments[0]} ended with {done.returncode}: {done.stderr}")
            return done.stderr

        count = check_texts(run, folder)
        check_carried(run, folder)
    print(f"metadata: {count} pictures and {len(FORMATS) ** 2} photographs read back")


main()
