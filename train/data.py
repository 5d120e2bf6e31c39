"""Training samples: crops of pictures and of their styled copies, with captions.

A sample is a source (or none), a target and the caption that leads from one to the other. Pixels
are RGB f32 in 0..1, `[H, W, 3]`. All randomness comes from the `random.Random` passed in.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from captions import caption
from filters import Field
from rows import Row
from style_set import GREY

STYLE_WEIGHTS = {
    "oil": 1.8,
    "impressionist": 1.8,
    "watercolour": 1.8,
    "pencil": 0.6,
    "colour_pencil": 0.6,
    "comic": 2.2,
    "pixel": 3.0,
    "winter": 0.5,
    "autumn": 0.7,
    "night": 0.4,
    "sunset": 0.2,
    "oil_bold": 0.1,
    "charcoal": 0.08,
    "stained": 0.08,
    "ink": 0.08,
    "lowpoly": 0.08,
    "pastel": 0.08,
    "pixel_fine": 0.08,
    "fog": 0.08,
}
"""How often a style is drawn among the styled pairs: those that are learned slowly, more often."""

IMPRESSIONISTS = (
    "Monet",
    "Renoir",
    "Pissarro",
    "Sisley",
    "Morisot",
    "Caillebotte",
    "Manet",
    "Seurat",
    "Degas",
    "Signac",
    "Cassatt",
    "Bazille",
    "Gogh",
)
REPAIR = "enhance"  # the style of samples that lead from a worse copy to the photograph
PIXEL_CELL = 8  # crops start at multiples of it, which keeps the cells of pixel art in place


def degrade(pixels: Field, rng: random.Random, hard: bool = False) -> Field:
    """Make a worse copy: one to three of blur, noise, JPEG, low light, low size, low contrast."""
    count = rng.choice([2, 3] if hard else [1, 1, 2, 3])
    faults = rng.sample(["blur", "noise", "jpeg", "dark", "small", "flat"], count)
    if "dark" in faults:
        pixels = pixels ** rng.uniform(1.1, 1.6) * rng.uniform(0.45, 0.85)
    if "flat" in faults:
        pixels = 0.5 + (pixels - 0.5) * rng.uniform(0.5, 0.8) + rng.uniform(-0.08, 0.1)
    if "blur" in faults:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.6) * (1.7 if hard else 1))
    if "small" in faults:
        height, width = pixels.shape[:2]
        scale = rng.uniform(0.4, 0.8) * (0.6 if hard else 1)
        small = (int(width * scale), int(height * scale))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    if "noise" in faults:
        noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(pixels.shape)
        pixels = pixels + noise.astype(np.float32) * rng.uniform(0.02, 0.07)
    pixels = np.clip(pixels, 0, 1).astype(np.float32)
    if "jpeg" in faults:
        quality = [cv2.IMWRITE_JPEG_QUALITY, rng.randint(15, 60)]
        _, encoded = cv2.imencode(".jpg", (pixels * 255 + 0.5).astype(np.uint8), quality)
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.float32) / 255
    return pixels


def painting_style(row: Row) -> str:
    """Return the style a real painting stands for, by its painter."""
    artist = row.get("artist", "")
    return "impressionist" if any(name in artist for name in IMPRESSIONISTS) else "oil"


@dataclass
class Sample:
    """One step from source to target."""

    source: Field | None
    target: Field
    style: str
    row: int
    low_pass: int = 1
    """Factor by which the source channels are blurred; 1 leaves them sharp."""
    text: str = ""


@dataclass
class Batch:
    """Samples stacked: sources and targets `[N, size, size, 3]`; no source means zeros."""

    sources: Field
    has_source: list[bool]
    low_pass: list[int]
    targets: Field
    texts: list[str]
    styles: list[str]


@dataclass
class Crop:
    """A square window of all arrays of one picture."""

    top: int
    left: int
    size: int

    def cut(self, image: np.ndarray) -> Field:
        """Cut the window from a u8 picture; f32 in 0..1."""
        rows = slice(self.top, self.top + self.size)
        columns = slice(self.left, self.left + self.size)
        return image[rows, columns].astype(np.float32) / 255


class Pictures:
    """The rendered set: pictures, their styled copies, and how training draws from them."""

    def __init__(self, root: Path, held_out: bool = False) -> None:
        plan = json.loads((root / "plan.json").read_text("utf-8"))
        self.rows: list[Row] = plan["rows"]
        self.jobs: list[tuple[int, str]] = plan["jobs"]
        self._photos = np.load(root / "photos.npy", mmap_mode="r")  # BGR
        self._styled = np.load(root / "styled.npy", mmap_mode="r")  # RGB
        self._root, self._held_out = root, held_out
        self.refresh()
        packs = {
            pack: [
                index
                for index, row in enumerate(self.rows)
                if row["val"] == held_out and row["pack"] == pack
            ]
            for pack in ("scenes", "things", "paintings")
        }
        self._scenes, self._paintings = packs["scenes"], packs["paintings"]
        self._photo_rows = sorted(packs["scenes"] + packs["things"])

    def refresh(self) -> None:
        """Take in the copies that were rendered since."""
        done = np.load(self._root / "done.npy")
        by_style: dict[str, list[int]] = {}
        by_photo: dict[int, list[int]] = {}
        for job, (row, style) in enumerate(self.jobs):
            if not done[job] or self.rows[row]["val"] != self._held_out:
                continue
            by_style.setdefault(style, []).append(job)
            if style != "sketch":
                by_photo.setdefault(row, []).append(job)
        self._sketches = by_style.pop("sketch", [])
        self.by_style, self._by_photo = by_style, by_photo
        self._styles = list(by_style)
        self._weights = [STYLE_WEIGHTS[style] for style in self._styles]

    def __str__(self) -> str:
        pairs = sum(map(len, self.by_style.values()))
        return (
            f"{pairs} pairs, {len(self._sketches)} sketches, "
            f"{len(self._photo_rows)} photographs, {len(self._paintings)} crops of paintings"
        )

    def _photo(self, crop: Crop, row: int) -> Field:
        return crop.cut(self._photos[row])[..., ::-1]

    def _any_photo(self, rng: random.Random) -> int:
        return rng.choice(self._scenes if rng.random() < 0.5 else self._photo_rows)

    def _styled_pair(self, rng: random.Random, crop: Crop) -> Sample:
        """Draw a photograph and its styled copy; now and then the copy alone."""
        style = rng.choices(self._styles, self._weights)[0]
        job = rng.choice(self.by_style[style])
        row = self.jobs[job][0]
        sample = Sample(None, crop.cut(self._styled[job]), style, row)
        if rng.random() < 0.98:
            sample.source = self._photo(crop, row)
            if rng.random() < 0.08:
                sample.low_pass = rng.choice([2, 4, 8, 16, 32])
            if rng.random() < 0.06:
                sample.source = degrade(sample.source, rng)
        return sample

    def _real_picture(self, rng: random.Random, crop: Crop) -> Sample:
        """Draw a painting or photograph as it is, from nothing or from a hint of itself."""
        if rng.random() < 0.55:
            row = rng.choice(self._paintings)
            style = painting_style(self.rows[row])
            sample = Sample(None, self._photo(crop, row), style, row)
            if rng.random() < 0.45:
                sample.source, sample.low_pass = sample.target.copy(), rng.choice([4, 8, 8, 16])
            return sample
        row = self._any_photo(rng)
        sample = Sample(None, self._photo(crop, row), "photo", row)
        if rng.random() < 0.25:
            sample.source = sample.target.copy()
        return sample

    def _repair(self, rng: random.Random, crop: Crop) -> Sample:
        """Draw a degraded photograph and its repair; a few the other way, as negative prompts."""
        row = self._any_photo(rng)
        photo = self._photo(crop, row)
        if rng.random() < 0.82:
            factor = rng.choice([2, 4]) if rng.random() < 0.2 else 1
            return Sample(degrade(photo, rng), photo, REPAIR, row, factor)
        source = photo.copy() if rng.random() < 0.6 else None
        return Sample(source, degrade(photo, rng, hard=True), "bad", row)

    def _from_sketch(self, rng: random.Random, crop: Crop) -> Sample:
        """Draw a line sketch and the photograph, or a coloured copy, it was made from."""
        job = rng.choice(self._sketches)
        row = self.jobs[job][0]
        source = crop.cut(self._styled[job])
        coloured = [j for j in self._by_photo.get(row, ()) if self.jobs[j][1] not in GREY]
        if coloured and rng.random() < 0.65:
            job = rng.choice(coloured)
            return Sample(source, crop.cut(self._styled[job]), self.jobs[job][1], row)
        return Sample(source, self._photo(crop, row), "photo", row)

    def sample(self, rng: random.Random, size: int) -> Sample:
        """Draw one sample of `size` pixels a side."""
        places = (self._styled.shape[1] - size) // PIXEL_CELL + 1
        crop = Crop(rng.randrange(places) * PIXEL_CELL, rng.randrange(places) * PIXEL_CELL, size)
        share = rng.random()
        if share < 0.80:
            sample = self._styled_pair(rng, crop)
        elif share < 0.82:
            sample = self._real_picture(rng, crop)
        elif share < 0.94 or not self._sketches:
            sample = self._repair(rng, crop)
        else:
            sample = self._from_sketch(rng, crop)
        if rng.random() < 0.5:
            sample.target = sample.target[:, ::-1]
            if sample.source is not None:
                sample.source = sample.source[:, ::-1]
        if rng.random() < 0.02:
            sample.source = None
        if rng.random() >= 0.05:  # the others teach what guidance leads away from
            sample.text = caption(rng, sample.style, self.rows[sample.row])
        return sample

    def batch(self, rng: random.Random, count: int, size: int) -> Batch:
        """Draw `count` samples of `size` pixels a side."""
        samples = [self.sample(rng, size) for _ in range(count)]
        empty = np.zeros((size, size, 3), np.float32)
        return Batch(
            sources=np.stack([empty if s.source is None else s.source for s in samples]),
            has_source=[s.source is not None for s in samples],
            low_pass=[s.low_pass for s in samples],
            targets=np.stack([s.target for s in samples]).astype(np.float32),
            texts=[s.text for s in samples],
            styles=[s.style for s in samples],
        )
