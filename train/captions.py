"""Training captions: a small grammar over the word lists of `vocabulary`.

A caption names a style, sometimes a subject, and adds details. Knows nothing of pixels.
All randomness comes from the `random.Random` that the caller passes in.
"""

import random
import re
from dataclasses import dataclass

from rows import Row
from style_set import GREY
from vocabulary import (
    AMERICAN_SPELLINGS,
    APPLES,
    CLOTHES,
    FLOWERS,
    FOLLOWS_SUBJECT,
    HARMLESS,
    OUTDOOR,
    PAINTING_RULES,
    PALETTES,
    PEARS,
    SCENE_RULES,
    STYLES,
    SubjectRule,
)

LIGHTS: dict[str, tuple[str, ...]] = {
    "night": ("dark", "bright", "cool"),
    "sunset": ("warm", "bright"),
    "autumn": ("warm",),
    "fog": ("soft",),
}
"""Palettes that a light or season has of itself, so that its words ask for none of them."""
PAIRS = ("{0}, {1}", "{0}, {1}", "{0}, {1}", "{1}, {0}", "{1} {0}", "{0} in {1}", "{0} with {1}")
TWO = 0.2  # how often two palettes are asked for at once
OPENINGS = ["a ", "an image, ", "picture, ", "make it ", "turn it into "]
# Sources whose file names name what is in the picture.
NAMED_SOURCES = ("fedora", "pop", "Scratch")


def _matching(rules: list[SubjectRule], text: str) -> list[str]:
    return [phrase for rule in rules if re.search(rule.pattern, text) for phrase in rule.phrases]


def _thing_subjects(subject: str, breed: str) -> list[str]:
    if subject in ("dog", "cat"):
        named = f"a {breed} {subject}".replace("  ", " ")
        plain = f"a {subject}"
        portraits = [f"portrait of a {subject}", f"{subject} portrait"]
        return [plain, plain, named, *portraits, "an animal", "portrait", "a pet"]
    if subject in FLOWERS:
        flower = FLOWERS[subject]
        return [flower, flower, "flowers", "a flower", "a garden", subject]
    if subject in CLOTHES:
        garment = CLOTHES[subject]
        if subject in ("hat", "shoes"):
            return [garment, garment, "still life"]
        return [garment, garment, subject, "clothes", "still life", "a person"]
    if subject in PEARS:
        return ["pears", "fruit", "still life", "food"]
    if subject in APPLES:
        return ["apples", "red and green apples", "fruit", "still life", "food"]
    shop = ["vegetables in a shop", "fruit and vegetables"]
    return [subject, subject, *shop, "still life", "food"]


def subjects(row: Row) -> list[str]:
    """Return the subject phrases that fit one picture; repeated ones are drawn more often."""
    subject, note = row["subject"], row.get("caption") or ""
    if row["pack"] == "paintings":
        found = _matching(PAINTING_RULES, row["title"].lower())
        return found or ["a scene", "figures", "a composition"]
    if row["pack"] == "things":
        return _thing_subjects(subject, note)
    found = _matching(SCENE_RULES, f"{subject} {note} {row.get('title') or ''}".lower())
    if subject != "scenery" and row["source"].startswith(NAMED_SOURCES):
        found += [subject, subject]
    return found + OUTDOOR


def to_american(text: str) -> str:
    """Spell a caption the American way."""
    for british, american in AMERICAN_SPELLINGS:
        text = text.replace(british, american)
    return text


def _head(rng: random.Random, noun: str, subject: str) -> str:
    """Join the style's name and the subject, in one of the ways people do."""
    follows = noun.split()[0] in FOLLOWS_SUBJECT
    if not subject:
        return noun if rng.random() < 0.85 else rng.choice(OPENINGS) + noun
    if follows or rng.random() < 0.35:
        return f"{subject} {noun}" if follows and rng.random() < 0.6 else f"{subject}, {noun}"
    if rng.random() < 0.7:
        head = f"{noun} of {subject}"
    else:
        head = f"{noun}, {subject}" if rng.random() < 0.5 else f"{noun} {subject}"
    return "a " + head if rng.random() < 0.3 and not head.startswith("a ") else head


def _details(rng: random.Random, style: str, palette: str | None) -> list[str]:
    nouns, extras = STYLES[style]
    details = []
    if rng.random() < 0.5:
        details.append(rng.choice(extras))
    if rng.random() < 0.2:
        details.append(rng.choice(extras))
    if palette and rng.random() < 0.9:
        details.append(rng.choice(PALETTES[palette]))
    if rng.random() < 0.1:
        details.append(rng.choice(HARMLESS))
    if rng.random() < 0.04:
        details.append(rng.choice(HARMLESS))
    if rng.random() < 0.06:  # a second name for the style
        details.append(rng.choice(nouns))
    rng.shuffle(details)
    return details


def caption(rng: random.Random, style: str, row: Row, palette: str | None = None) -> str:
    """Make one caption for a picture in `style` (a key of `STYLES`).

    `row` describes the picture; `palette` (a key of `PALETTES`) is named when it was applied.
    """
    noun = rng.choice(STYLES[style].nouns)
    subject = rng.choice(subjects(row)) if rng.random() < 0.45 else ""
    if row["pack"] == "paintings" and style in ("oil", "impressionist"):
        noun = rng.choice([noun, "oil painting"])
    head = _head(rng, noun, subject)
    details = _details(rng, style, palette)
    if rng.random() < 0.25 and details:
        place = rng.randrange(len(details) + 1)
        parts = [*details[:place], head, *details[place:]]
    else:
        parts = [head, *details]
    text = ", ".join(parts)
    if rng.random() < 0.5:
        text = to_american(text)
    return text[0].upper() + text[1:] if rng.random() < 0.1 else text


@dataclass
class Words:
    """A caption, the same without palette words, and which palettes it asks for."""

    text: str
    plain: str
    palettes: set[str]


def palettes_of(text: str, style: str) -> set[str]:
    """Return the palettes that a caption of a style asks for by phrases of its own."""
    found = {
        name
        for name, phrases in PALETTES.items()
        for phrase in phrases
        if " " in phrase and re.search(rf"\b{to_american(phrase)}\b", to_american(text.lower()))
    }
    return (found | {"bw"} if style in GREY else found) - set(LIGHTS.get(style, ()))


def with_palettes(rng: random.Random, plain: str, style: str) -> Words:
    """Add palette words to a caption of a style."""
    names = rng.sample(list(PALETTES), 2 if rng.random() < TWO else 1)
    asked = ", ".join(rng.choice(PALETTES[name]) for name in names)
    text = rng.choice(PAIRS).format(plain, asked) if plain else asked
    text = to_american(text) if rng.random() < 0.5 else text
    heard = set(names) - set(LIGHTS.get(style, ()))
    return Words(text, plain, heard | palettes_of(plain, style))


def all_words() -> set[str]:
    """Return every word the grammar can write by itself, in both spellings."""
    phrases = [phrase for words in STYLES.values() for phrase in words.nouns + words.extras]
    phrases += [phrase for words in PALETTES.values() for phrase in words]
    phrases += [phrase for rule in SCENE_RULES + PAINTING_RULES for phrase in rule.phrases]
    phrases += HARMLESS + OUTDOOR + OPENINGS + list(CLOTHES.values()) + list(FLOWERS.values())
    phrases.append("of dog cat portrait pet animal garden flower fruit vegetables food pears")
    phrases.append("apples still life shop")
    words: set[str] = set()
    for phrase in phrases:
        # One spelling rule at a time: "coloured" must yield both of its halves' spellings.
        variants = [phrase] + [phrase.replace(*pair) for pair in AMERICAN_SPELLINGS]
        for variant in variants:
            words.update(re.findall(r"[a-z0-9]+", variant.lower()))
    return words
