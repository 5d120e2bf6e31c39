"""Teaches a trained model that palette words are not for its UNet: finishing grades by them.

    python palette_words.py --data data --model run/model --minutes 25

Colours are graded exactly afterwards (finish_words.py), while the UNet hears "cool palette" as an
evening and forgets the brush over "sepia". The model is its own teacher: what it makes of a caption
with palette words becomes what it made of the caption without. Only the text encoder, what the UNet
takes from the pooled text and what its attention takes from words are trained; a small network that
tells by the pooled text what finishing wants to know puts it there. A wash that the model has hears
what it heard. First the text encoder learns alone, to tell palettes and to hear plain captions as
it did; then with the UNet. Of the rendered data photographs alone are needed.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

import model
from captions import Words, caption, palettes_of, with_palettes
from feed import tokenize
from finish_words import said, wanted_of
from rows import Row
from starter import Starter
from trajectories import CLIP, Noising
from vocabulary import STYLES
from wash import Drawings, Palette, load_network, log_chances

PLAIN = "photo"  # what the teacher hears where there are palette words alone
# Shares of captions that are palette words alone, have none, and have a style's name alone.
ALONE, NONE, BARE = 0.12, 0.35, 0.3
CHANGE = 0.01  # keeps samples whose style changes almost nothing from exploding
TOLD = 64  # captions a step beside those of the crops
LESSONS = 0.2  # of the time goes to the text alone, first
WASHED = 8  # drawings a step
RATE, WARM_UP, DECAY = 4e-4, 50, 0.998
TELLER_RATE = 10.0  # relative
TRAINED = ("class_embedding", "attn2.to_k", "attn2.to_v")
LOG_STEPS = 20


def words(rng: random.Random, row: Row) -> Words:
    """Draw a caption for a picture, most with palette words."""
    style, share = rng.choice(list(STYLES)), rng.random()
    if share < ALONE:
        return replace(with_palettes(rng, "", PLAIN), plain=PLAIN)
    plain = caption(rng, style, row)
    if rng.random() < BARE:
        plain = rng.choice(STYLES[style].nouns)
    if share < ALONE + NONE:
        return Words(plain, plain, palettes_of(plain, style))
    return with_palettes(rng, plain, style)


class Photographs:
    """The photographs of the rendered data that are for training."""

    def __init__(self, root: Path) -> None:
        rows = json.loads((root / "plan.json").read_text("utf-8"))["rows"]
        self._rows = [(n, row) for n, row in enumerate(rows) if not row["val"]]
        self._pixels = np.load(root / "photos.npy", mmap_mode="r")  # BGR

    def any_row(self, rng: random.Random) -> Row:
        """Draw a photograph's row."""
        return rng.choice(self._rows)[1]

    def draw(self, rng: random.Random, size: int) -> tuple[Tensor, Row]:
        """Draw a crop `[3, size, size]` in -1..1 and its photograph's row."""
        number, row = rng.choice(self._rows)
        top, left = (rng.randrange(side - size + 1) for side in self._pixels.shape[1:3])
        crop = self._pixels[number, top : top + size, left : left + size, ::-1]
        return torch.from_numpy(crop.copy()).permute(2, 0, 1) / 127.5 - 1, row


class Teller(nn.Module):
    """Tells by the pooled text what a caption wants of finishing."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        width = 64
        self.layers = nn.Sequential(
            nn.Linear(model.TEXT_WIDTH, width), nn.SiLU(), nn.Linear(width, outputs)
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Return a logit for each."""
        return self.layers(pooled)


def estimate(starter: Starter, tokens: Tensor, seen: Sequence[Tensor]) -> Tensor:
    """Return the clean estimate; `seen` is noised, source and timesteps."""
    heard = starter.text(tokens)
    return starter.denoise(*seen, (heard.last_hidden_state, heard.pooler_output))


class Training:
    """Teacher, student and the pictures they look at."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.rng = args, random.Random(args.seed)
        self.teacher, self.student = Starter(args.model), Starter(args.model)
        self.photographs, self.noising = Photographs(args.data), Noising(torch.device("cpu"))
        self.generator = torch.Generator().manual_seed(args.seed)
        unet = self.student.unet.requires_grad_(False)
        chosen = [p for name, p in unet.named_parameters() if any(t in name for t in TRAINED)]
        for parameter in chosen:
            parameter.requires_grad_(True)
        self.used = model.used_tokens(self.student.text)
        self.said = said(self.rng)
        self.teller = Teller(len(wanted_of(*self.said[0])))
        self.tokenizer = self.student.tokenizer
        self.trained = [*chosen, *self.student.text.parameters()]
        groups = [(self.trained, 1.0), (list(self.teller.parameters()), TELLER_RATE)]
        self.optimiser = torch.optim.Adam(
            [{"params": parameters, "scale": scale} for parameters, scale in groups], lr=RATE
        )
        self.number = 0
        self.average = [parameter.detach().clone() for parameter in self.trained]
        self.wash: UNet2DConditionModel | None = None
        if (args.model / "wash").exists():
            self.drawings = Drawings(args.data)
            self.wash = load_network(args.model / "wash", Palette(self.drawings.cells()))
            self.wash.requires_grad_(False)

    def samples(self) -> tuple[Tensor, list[Words]]:
        """Draw crops in -1..1 and a caption for each."""
        args, crops, captions = self.args, [], []
        for _ in range(args.batch):
            crop, row = self.photographs.draw(self.rng, args.size)
            crops.append(crop)
            captions.append(words(self.rng, row))
        return torch.stack(crops), captions

    @torch.no_grad()
    def taught(self, source: Tensor, tokens: Tensor) -> list[tuple[list[Tensor], Tensor]]:
        """Return what the teacher makes of two noise levels, the second on the way down."""
        count = len(source)
        start = torch.randint(150, 950, (count,), generator=self.generator)
        noise = torch.randn(source.shape, generator=self.generator)
        seen = [self.noising.noised(source, noise, start), source, start]
        clean = estimate(self.teacher, tokens, seen)
        after = (start * torch.rand(count, generator=self.generator)).long()
        later = [self.noising.noised(clean.clamp(-CLIP, CLIP), noise, after), source, after]
        return [(seen, clean), (later, estimate(self.teacher, tokens, later))]

    def untold(self) -> Tensor:
        """Return how badly the pooled text tells what captions want of finishing."""
        pairs = self.rng.sample(self.said, TOLD)
        wanted = torch.tensor([wanted_of(*pair) for pair in pairs])
        pooled = self.student.text(tokenize([words.text for words, _ in pairs], self.tokenizer))
        return F.binary_cross_entropy_with_logits(self.teller(pooled.pooler_output), wanted)

    def forgotten(self) -> Tensor:
        """Return how far apart the wash's chances are by the student's text and the teacher's."""
        _, seen, texts, _ = self.drawings.batch(self.rng, WASHED)
        tokens = tokenize(texts, self.tokenizer)
        with torch.no_grad():
            before = log_chances(self.wash, seen, self.teacher.text(tokens))
        now = log_chances(self.wash, seen, self.student.text(tokens))
        return F.kl_div(now, before, reduction="none", log_target=True).sum(1).mean()

    def lesson(self) -> list[Tensor]:
        """Return the errors of the text alone.

        How far plain captions are from what they were, and what cannot be told of finishing.
        """
        rows = [self.photographs.any_row(self.rng) for _ in range(TOLD // 2)]
        plain = tokenize([words(self.rng, row).plain for row in rows], self.tokenizer)
        with torch.no_grad():
            before = self.teacher.text(plain)
        now = self.student.text(plain)
        apart = [
            (now[part] - before[part]).pow(2).mean() / before[part].pow(2).mean()
            for part in ("last_hidden_state", "pooler_output")
        ]
        return [sum(apart), self.untold()]

    def errors(self) -> list[Tensor]:
        """Return the errors of estimates, of what is told of finishing, and of the wash."""
        pixels, captions = self.samples()
        source = model.to_latents(pixels)
        plain = tokenize([one.plain for one in captions], self.tokenizer)
        tokens = tokenize([one.text for one in captions], self.tokenizer)
        apart = []
        for seen, clean in self.taught(source, plain):
            change = (clean - source).abs().mean((1, 2, 3))
            off = (estimate(self.student, tokens, seen) - clean).abs().mean((1, 2, 3))
            apart.append((off / (CHANGE + change)).mean())
        washed = [self.forgotten()] if self.wash else []
        return [sum(apart), self.untold(), *washed]

    def step(self, errors: list[Tensor], rate: float) -> None:
        """Take a step down the sum of the errors."""
        self.number += 1
        rate *= RATE * min(1.0, self.number / WARM_UP)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimiser.zero_grad()
        sum(errors).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        decay = min(DECAY, self.number / (self.number + 20))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.trained], 1 - decay)

    def save(self) -> None:
        """Put the averaged weights into the model's folder."""
        with torch.no_grad():
            for parameter, average in zip(self.trained, self.average, strict=True):
                parameter.copy_(average)
        folder: Path = self.args.out or self.args.model
        model.save_folder(
            folder, self.student.unet, self.student.text, self.args.model / "tokenizer", self.used
        )


def main() -> None:
    """Train for a while and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="what render_data.py wrote")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="another folder to write to")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=64, help="pixels a side of crops")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    training, start, shown = Training(args), time.monotonic(), []
    while (share := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        alone = share < LESSONS
        errors = training.lesson() if alone else training.errors()
        training.step(errors, 1.0 if alone else 1 - 0.97 * share)
        shown.append([error.item() for error in errors])
        if training.number % LOG_STEPS == 0:
            means = (sum(part) / len(shown) for part in zip(*shown, strict=False))
            told = " ".join(f"{mean:.4f}" for mean in means)
            print(f"{training.number} steps, {share * args.minutes:.1f} min: {told}", flush=True)
            shown = []
    training.save()


if __name__ == "__main__":
    main()
