"""Learns from captions alone how far a prompt wants strokes, cells, smoothing, pigment, grades.

python finish_words.py --model run/model

Needs no pictures: fits two layers over the text encoder's pooled state to the styles of the caption
grammar and writes it to the model's finish.json. Prints what it makes of captions that it was
not fitted to. Run it again whenever the text encoder has changed.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from torch import Tensor

from captions import Words, caption, palettes_of, with_palettes
from grades import GRADES
from model import PATCH
from starter import Starter
from vocabulary import HARMLESS, STYLES

WANTED = {
    "oil": (1.0, 0.0, 0.0, 0.0),
    "oil_bold": (1.0, 0.0, 0.0, 0.0),
    "impressionist": (1.0, 0.0, 0.0, 0.0),
    "watercolour": (0.0, 0.0, 0.0, 1.0),
    "pencil": (0.8, 0.0, 0.0, 0.0),
    "colour_pencil": (0.8, 0.0, 0.0, 0.0),
    "comic": (0.5, 0.0, 0.0, 0.0),
    "pixel": (0.0, 1.0, 0.0, 0.0),
    "photo": (0.0, 0.0, 1.0, 0.0),
    "enhance": (0.0, 0.0, 1.0, 0.0),
}
"""Strokes, cells, smoothing and pigment of the styles that have some."""
PARTS = ("strokes", "cells", "smoothing", "pigment")
NOTHING = (0.0, 0.0, 0.0, 0.0)
PAINTED = ("oil", "oil_bold", "impressionist", "watercolour")
PAINTERS = ("van Gogh", "Rembrandt", "Turner", "Cezanne", "Renoir", "Vermeer", "Sargent", "Monet")
PHOTOGRAPHS = ("photo", "enhance", "bad")
LIGHT_AND_SEASONS = ("winter", "autumn", "night", "sunset", "fog")
"""What a painting may show: named beside a style, it changes nothing about the strokes."""
DAYS = ("summer", "spring", "morning", "day", "bright", "sunny", "rainy", "light")
SHADES = ("red", "orange", "yellow", "green", "blue", "violet", "purple", "pink", "brown", "black")
SHADES += ("white", "grey", "golden", "turquoise")
COLOURED = ("sky", "meadow", "roof", "house", "sea", "water", "dress", "car", "flowers", "trees")
COLOURED += ("eyes", "hair", "lake", "boat", "door")
"""Things that have a colour, which is no palette."""
CAPTIONS = 1000  # of each style
HELD_OUT = 0.1
MARGIN = 0.25  # how far beyond 0 and 1 sure cases lie
HIDDEN, STEPS, BATCH, LEARNING_RATE, DECAY = 48, 6000, 1024, 5e-3, 1e-2
DIGITS = 4
BY_STRENGTH = [[0.0, 0.0], [0.25, 0.5], [0.5, 1.0]]
RULE = {
    "what": "of decoded pixels what repeats from patch to patch is taken away; they get smoothing, "
    "pigment and strokes along the lines of the source (their own where it is low-passed or "
    "absent), flat cells and grades of colour (tools/reference/finishing.py)",
    "weights": "hidden = silu(weights * pooled text + biases); out alike without silu, within "
    "0..1, times a factor on straight lines between the strengths: of strokes, cells, smoothing, "
    "pigment and of each grade",
    "weave": {"patch": PATCH},
    "strokes": {"reach": 4.0, "weight_by_strength": [*BY_STRENGTH, [0.75, 1.5]]},
    "cells": {"side": 8, "weight_by_strength": [[0.0, 0.0], [0.5, 1.25]]},
    "smoothing": {"reach": 0.5, "weight_by_strength": [[0.0, 0.0], [0.25, 0.5]]},
    "pigment": {"weight_by_strength": BY_STRENGTH},
    "grading": {
        "grades": [
            {
                "name": name,
                "matrix": [[round(part, 4) for part in row] for row in grade.matrix.tolist()],
                "offset": list(grade.offset),
                "gamma": grade.gamma,
            }
            for name, grade in GRADES.items()
        ],
        "weight_by_strength": BY_STRENGTH,
    },
}


def wanted_of(words: Words, style: str) -> list[float]:
    """Return what a caption wants of PARTS and of the grades."""
    return [*WANTED.get(style, NOTHING), *(float(name in words.palettes) for name in GRADES)]


def _coloured(rng: random.Random, words: list[str]) -> str:
    """Write of a thing that has a colour."""
    depth = rng.choice(("", "", "light ", "dark ", "bright "))
    return f"{depth}{rng.choice(SHADES)} {rng.choice((*COLOURED, *words))}"


def _captions(rng: random.Random, words: list[str]) -> list[tuple[str, str]]:
    """Write captions, each with its style."""
    pairs = []
    for style in STYLES:
        for number in range(CAPTIONS):
            kinds = ("scenes", "things")
            row = {"pack": rng.choice(kinds), "subject": rng.choice(words), "source": "fedora"}
            text, (nouns, extras) = caption(rng, style, row), STYLES[style]
            if style not in (*LIGHT_AND_SEASONS, *PHOTOGRAPHS) and number % 3 == 0:
                beside = rng.choice(STYLES[rng.choice(LIGHT_AND_SEASONS)].nouns)
                text = f"{text}, {beside}" if rng.random() < 0.5 else f"{beside}, {text}"
            if number % 4 == 0:
                text += f" {rng.choice(('of', 'by', 'with'))} {' '.join(rng.sample(words, 2))}"
            if number % 3 == 1:
                text = rng.choice(nouns)
            if number % 5 == 3:
                text += f", {_coloured(rng, words)}"
            if number % 6 == 2:
                text = ", ".join(rng.sample(extras, rng.choice((1, 2))))
            if style in PAINTED and number % 6 > 3:
                text = f"{rng.choice(nouns)} by {rng.choice(PAINTERS)}"
            pairs.append((text, style))
    pairs += _without_style(rng, words)
    return pairs + [("", "")] * CAPTIONS


def _without_style(rng: random.Random, words: list[str]) -> list[tuple[str, str]]:
    """Write captions without a style, with light and seasons perhaps."""
    pairs = []
    for number in range(4 * CAPTIONS):
        text = " ".join(rng.sample(words, 1 + number % 4))
        text = rng.choice(("", "a ", "portrait of a ", "the same ")) + text
        lights = [rng.choice(STYLES[style].nouns).split()[-1] for style in LIGHT_AND_SEASONS]
        said = rng.sample([*lights, *rng.sample(HARMLESS, 2), *DAYS], number % 3)
        if number % 5 == 3:
            said += [_coloured(rng, words) for _ in range(rng.randint(1, 2))]
        text = text if number % 5 else ""
        pairs.append((" ".join([text, *said] if rng.random() < 0.5 else [*said, text]), ""))
    return pairs


def said(rng: random.Random) -> list[tuple[Words, str]]:
    """Write captions of all styles and of none, each with its style; half get palette words."""
    words = Path(__file__).with_name("whole_words.txt").read_text(encoding="utf-8").split()
    captions = []
    for text, style in _captions(rng, [word for word in words if len(word) > 2]):
        if rng.random() < 0.5:
            captions.append((with_palettes(rng, text, style), style))
        else:
            captions.append((Words(text, text, palettes_of(text, style)), style))
    rng.shuffle(captions)
    return captions


def _loss(told: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared error; what is wanted at 0 or 1 may lie beyond it."""
    below, above = (told + MARGIN).clamp(min=0), (1 + MARGIN - told).clamp(min=0)
    return torch.where(wanted == 0, below, torch.where(wanted == 1, above, told - wanted)) ** 2


def fit(states: Tensor, wanted: Tensor) -> torch.nn.Sequential:
    """Fit a small network from pooled states `[N, C]` to `wanted` `[N, K]`."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(states.shape[1], HIDDEN),
        torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, wanted.shape[1]),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(states), (BATCH,))
        loss = _loss(network(states[drawn]), wanted[drawn]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network


def _layer(linear: torch.nn.Linear) -> dict[str, list]:
    rows = [[round(weight, DIGITS) for weight in row] for row in linear.weight.tolist()]
    return {"weights": rows, "biases": [round(bias, DIGITS) for bias in linear.bias.tolist()]}


def _report(told: Tensor, wanted: Tensor, styles: list[str]) -> None:
    """Print what captions get that were not fitted: parts by style, grades by palette."""
    for style in STYLES:
        these = [place for place, of in enumerate(styles) if of == style]
        off = (told[these] - wanted[these]).abs().mean(0)
        parts = zip(PARTS, told[these].mean(0), off, strict=False)
        shown = ", ".join(f"{part} {mean:.2f} (off {apart:.2f})" for part, mean, apart in parts)
        print(f"{style}, {len(these)} captions: {shown}")
    for name, got, asked in zip(GRADES, told.T[len(PARTS) :], wanted.T[len(PARTS) :], strict=True):
        with_it, without = got[asked == 1].mean(), got[asked == 0].mean()
        print(f"{name}: {with_it:.2f} where it is asked for, {without:.2f} elsewhere")


def main() -> None:
    """Fit the layers for a model and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    pairs = said(random.Random(0))
    starter = Starter(args.model)
    texts = [words.text for words, _ in pairs]
    states = torch.cat(
        [starter.embed(texts[at : at + 64])[1].clone() for at in range(0, len(texts), 64)]
    )
    wanted = torch.tensor([wanted_of(words, style) for words, style in pairs])
    held_out = int(HELD_OUT * len(pairs))
    network = fit(states[held_out:], wanted[held_out:])
    told = network(states[:held_out]).detach().clamp(0, 1)
    fitted = set(texts[held_out:])
    new = [place for place in range(held_out) if texts[place] not in fitted]
    _report(told[new], wanted[new], [pairs[place][1] for place in new])
    content = {**RULE, "hidden": _layer(network[0]), "out": _layer(network[2])}
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in content.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (args.model / "finish.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
