"""Trains the wash: a small network that says which colours a line drawing might have.

    python wash.py --data data --model ../crates/starter/model --minutes 60

It works on cells of a grid of about 32 x 32. Its input is how dark the drawing is, 4 x 4 times
finer, as 16 channels, and how far down a cell is, 0 to 1, as one more; its output are logits over a
palette, for every cell. It hears the text as the starter's UNet does, by the starter's own text
encoder, which stays as it is. Colours that are rare count more, and the targets are soft, after
Zhang, Isola and Efros, "Colorful Image Colorization" (2016). Targets are photographs and paintings
made small; drawings are their outlines. A caption names any style, since the style is the UNet's
business, and now and then the colours that are there; for styles without colour targets are pale
greys. Writes into the folder:

    config.json, diffusion_pytorch_model.safetensors   the network, averaged, in half precision
    wash.json                                          the palette, and how it is used
"""

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast
from transformers.modeling_outputs import BaseModelOutputWithPooling

import model
from captions import caption
from colour_words import colour_words
from data import painting_style
from feed import tokenize
from filters import Field
from grades import GRADES
from rows import Row
from styles import outlines

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools" / "reference"))
from washing import CELL, network_input  # noqa: E402

SHAPES = ((32, 32), (32, 32), (28, 36), (36, 28), (24, 40), (40, 24))
STYLES = ("photo", "oil", "impressionist", "watercolour", "colour_pencil", "comic", "pixel")
STYLES += ("autumn", "winter", "night", "sunset", "fog", "pastel")
UNCOLOURED = ("pencil", "charcoal", "ink")
WITHOUT_COLOUR, PALENESS = 0.1, 0.5
"""How often a style without colour is wanted, and how far its greys are towards white."""
DROPPED = 0.12  # captions left out, which guidance needs
COLOURS_NAMED, GRADED = 0.75, 0.2
ONLY_COLOURS = 0.25  # of the captions that name some
NAMED_CELLS = 10  # each way, of which colours are named
COLOUR_FORMS = ("{}", "{} colours", "in {}", "{} palette")
DECAY = 0.999
COLOURS = 96
SOFTNESS, NEIGHBOURS = 7.0, 5
"""A target is spread over the palette's nearest colours by a Gaussian in Lab."""
LEVELS = 40  # of red, green and blue, for which shares are worked out beforehand
VIVIDNESS = 0.018
"""What a saved network's logits gain by a unit of chroma: averaging colours takes so much away."""
TAUGHT = 1.0  # how much a teacher's chances weigh beside the picture's colours
EVENNESS = 0.5  # 1 lets all colours count the same, 0 as often as they are
PAUSE = 5  # seconds; a step that took longer was interrupted, and what it took more is not counted
WIDTHS = (0.9, 2.2)  # of outlines: the broader follow large shapes alone, as a hand does
HOW = Path(__file__).with_name("wash.json")


def make_network(channels: tuple[int, ...]) -> UNet2DConditionModel:
    """Make the network of so many channels per level; the coarsest alone attends, going down."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=CELL**2 + 1,
        out_channels=COLOURS,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=model.TEXT_WIDTH,
        attention_head_dim=4,  # in this class: the number of heads
        norm_num_groups=8,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=model.TEXT_WIDTH,
    )


def load_network(folder: Path, palette: "Palette") -> UNet2DConditionModel:
    """Load a saved network, its logits as they are in training."""
    known = json.loads((folder / "wash.json").read_text("utf-8"))["palette"]
    if known != palette.rounded():
        raise SystemExit(f"the palette of {folder} is not that of the data")
    network = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    weights = {name: value.float() for name, value in weights.items()}
    weights["conv_out.bias"] -= palette.lively
    network.load_state_dict(weights)
    return network


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB in 0..1, `[..., 3]`, to Lab, lightness 0..100."""
    flat = np.ascontiguousarray(rgb, np.float32).reshape(-1, 1, 3)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)


class Palette:
    """The colours a cell may have; found by k-means over cells, strong colours drawn more often."""

    def __init__(self, cells: np.ndarray) -> None:
        rng = np.random.default_rng(3)
        lab = to_lab(cells)
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        odds = 0.3 + chroma / 25
        some = rng.choice(len(lab), 60_000, p=odds / odds.sum())
        cv2.setRNGSeed(3)
        rule = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.1)
        _, _, self.lab = cv2.kmeans(lab[some], COLOURS, None, rule, 2, cv2.KMEANS_PP_CENTERS)
        rgb = cv2.cvtColor(self.lab.reshape(-1, 1, 3), cv2.COLOR_LAB2RGB).reshape(-1, 3)
        self._rgb = np.clip(rgb, 0, 1)
        chroma = np.hypot(self.lab[:, 1], self.lab[:, 2])
        self.lively = torch.from_numpy(VIVIDNESS * chroma)
        steps = (np.arange(LEVELS, dtype=np.float32) + 0.5) / LEVELS
        every = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
        away = torch.cdist(torch.from_numpy(to_lab(every)), torch.from_numpy(self.lab))
        near, self._which = away.topk(NEIGHBOURS, largest=False)
        near = (-0.5 * ((near / SOFTNESS) ** 2 - (near[:, :1] / SOFTNESS) ** 2)).exp()
        self._shares = near / near.sum(1, keepdim=True)
        which, shares = self.spread(torch.from_numpy(cells[rng.choice(len(cells), 40_000)]))
        often = torch.zeros(COLOURS).index_add_(0, which.flatten(), shares.flatten()) / len(which)
        weights = 1 / ((1 - EVENNESS) * often + EVENNESS / COLOURS)
        self.weights = weights / (weights * often).sum()

    def rounded(self) -> list[list[float]]:
        """Return RGB in 0..1 as files have it."""
        return [[round(float(part), 4) for part in colour] for colour in self._rgb]

    def spread(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the palette's nearest colours and their shares, `[N, 5]`, for RGB in 0..1."""
        level = (rgb * LEVELS).long().clamp(0, LEVELS - 1)
        place = (level[:, 0] * LEVELS + level[:, 1]) * LEVELS + level[:, 2]
        return self._which[place], self._shares[place]


class Drawings:
    """Pictures and their outlines, and how training draws from them."""

    def __init__(self, root: Path) -> None:
        plan = json.loads((root / "plan.json").read_text("utf-8"))
        self._rows: list[Row] = plan["rows"]
        self._photos = np.load(root / "photos.npy", mmap_mode="r")  # BGR
        self._places = {
            pack: [n for n, row in enumerate(self._rows) if row["pack"] == pack and not row["val"]]
            for pack in ("scenes", "things", "paintings")
        }
        self._lines = [self._drawn(root, width) for width in WIDTHS]

    def _drawn(self, root: Path, width: float) -> np.ndarray:
        """Return the outlines of all photographs, drawn once."""
        path = root / f"lines-{width}.npy"
        if not path.exists():
            drawn = np.empty(self._photos.shape[:3], np.uint8)
            for number, photo in enumerate(self._photos):
                drawn[number] = outlines(np.array(photo), width)[..., 0]
            np.save(path, drawn)
        return np.load(path, mmap_mode="r")

    def _caption(self, rng: random.Random, row: Row, palette: str | None, small: Field) -> str:
        if row["pack"] == "paintings":
            style = painting_style(row)
        else:
            style = "photo" if rng.random() < 0.4 else rng.choice(STYLES)
        parts = [caption(rng, style, row, palette)]
        if rng.random() < COLOURS_NAMED:
            size = (NAMED_CELLS, NAMED_CELLS)
            words = colour_words(cv2.resize(small, size, interpolation=cv2.INTER_AREA))
            words = rng.sample(words, rng.randint(1, len(words))) if words else []
            if words:
                named = (", " if rng.random() < 0.4 else " and ").join(words)
                named = rng.choice(COLOUR_FORMS).format(named)
                parts = [named] if rng.random() < ONLY_COLOURS else [*parts, named]
        rng.shuffle(parts)
        return ", ".join(parts)

    def cells(self) -> np.ndarray:
        """Return RGB in 0..1 of cells of all pictures, `[N, 3]`."""
        small = [
            cv2.resize(np.array(photo), (16, 16), interpolation=cv2.INTER_AREA)
            for photo in self._photos[::2]
        ]
        return np.stack(small)[..., ::-1].reshape(-1, 3).astype(np.float32) / 255

    def sample(self, rng: random.Random, shape: tuple[int, int]) -> tuple[Field, Field, str, bool]:
        """Draw one sample.

        It is colours `[h, w, 3]` in 0..1, darkness of lines `[4h, 4w]` in 0..1, a caption, and
        whether colours are wanted.
        """
        pack = rng.choices(("scenes", "things", "paintings"), (0.5, 0.38, 0.12))[0]
        number = rng.choice(self._places[pack])
        longest = max(shape)
        side = rng.randint(190, 256)
        height, width = (side * part // longest for part in shape)
        top, left = rng.randint(0, 256 - height), rng.randint(0, 256 - width)
        window = slice(top, top + height), slice(left, left + width)
        photo = np.ascontiguousarray(self._photos[number][window][..., ::-1])
        lines = np.ascontiguousarray(rng.choice(self._lines)[number][window])
        if rng.random() < 0.25:  # a broad pen
            lines = cv2.erode(lines, np.ones((2, 2), np.uint8))
        size = shape[1], shape[0]
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        fine = (size[0] * CELL, size[1] * CELL)
        dark = 1 - cv2.resize(lines, fine, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        dark = np.clip(dark * rng.uniform(0.35, 1.3), 0, 1)
        palette = rng.choice(list(GRADES)) if rng.random() < GRADED else None
        if palette:
            small = GRADES[palette].graded(small)
        if rng.random() < 0.5:
            small, dark = small[:, ::-1], dark[:, ::-1]
        row, kind = self._rows[number], rng.random()
        if kind < DROPPED:
            return small, dark, "", True
        if kind < DROPPED + WITHOUT_COLOUR:
            light = PALENESS + (1 - PALENESS) * small @ np.float32([0.299, 0.587, 0.114])
            small = np.repeat(light[..., None], 3, 2)
            return small, dark, caption(rng, rng.choice(UNCOLOURED), row, None), False
        return small, dark, self._caption(rng, row, palette, small), True

    def batch(self, rng: random.Random, count: int) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """Draw a batch of one shape.

        It is RGB `[N, h, w, 3]` in 0..1, the network's input, captions, and `[N]` whether colours
        are wanted, 0 or 1.
        """
        shape = rng.choice(SHAPES)
        drawn = (self.sample(rng, shape) for _ in range(count))
        colours, lines, texts, coloured = zip(*drawn, strict=True)
        rgb = torch.from_numpy(np.stack(colours))
        seen = [network_input(torch.from_numpy(dark.copy()).float()) for dark in lines]
        return rgb, torch.cat(seen), list(texts), torch.tensor(coloured).float()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="what render_data.py prepared")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the folder to write; by default the model's wash")
    parser.add_argument("--init", type=Path, help="a folder whose weights to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--channels", type=int, nargs=3, default=(32, 40, 40))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=5, help="another one draws other samples")
    parser.add_argument("--teacher", type=Path, help="a larger wash to learn from as well")
    return parser.parse_args()


def main() -> None:
    """Train and save."""
    args = arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    tokenizer = CLIPTokenizerFast.from_pretrained(args.model / "tokenizer")
    text = CLIPTextModel.from_pretrained(args.model / "text_encoder", dtype=torch.float32).eval()
    drawings, rng = Drawings(args.data), random.Random(args.seed)
    palette = Palette(drawings.cells())
    network = (
        load_network(args.init, palette) if args.init else make_network(tuple(args.channels))
    ).to(memory_format=torch.channels_last)
    teacher = load_network(args.teacher, palette).eval() if args.teacher else None
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=0.01)
    out = args.out or args.model / "wash"
    worked, step, losses, saved = 0.0, 0, [], 0.0
    while (share := worked / (60 * args.minutes)) < 1:
        start = time.monotonic()
        rate = args.lr * min(1, (step + 1) / 200) * (0.02 + 0.98 * math.cos(share * math.pi / 2))
        for group in optimiser.param_groups:
            group["lr"] = rate
        rgb, seen, texts, coloured = drawings.batch(rng, args.batch)
        with torch.no_grad():
            heard = text(tokenize(texts, tokenizer))
            told = log_chances(teacher, seen, heard) if teacher else None
        given = log_chances(network, seen, heard)
        which, shares = palette.spread(rgb.reshape(-1, 3))
        counts = (palette.weights[which] * shares).sum(1)
        loss = -((given.gather(1, which) * shares).sum(1) * counts).mean()
        losses.append(float(loss.detach()))
        if told is not None:
            apart = F.kl_div(given, told, reduction="none", log_target=True).sum(1)
            apart = apart.reshape(len(coloured), -1).mean(1)
            loss = loss + TAUGHT * (apart * coloured).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - decay)
        worked += min(time.monotonic() - start, PAUSE)
        if step % 200 == 0:
            speed = step * args.batch / worked
            print(f"{step} {np.mean(losses[-200:]):.4f} {speed:.0f}/s", flush=True)
        if worked - saved > 150:
            saved = worked
            save(out, network, average, palette)
    save(out, network, average, palette)


def log_chances(
    network: UNet2DConditionModel, seen: Tensor, heard: BaseModelOutputWithPooling
) -> Tensor:
    """Return what the network says of every colour, for every cell, `[N, COLOURS]`."""
    logits = network(
        seen,
        0,
        encoder_hidden_states=heard.last_hidden_state,
        class_labels=heard.pooler_output,
        return_dict=False,
    )[0]
    return F.log_softmax(logits.permute(0, 2, 3, 1).reshape(-1, COLOURS), 1)


def save(
    out: Path, network: UNet2DConditionModel, weights: dict[str, Tensor], palette: Palette
) -> None:
    """Write the network, the palette and how it is used; strong colours get larger logits."""
    model.save_network(
        out, network, weights | {"conv_out.bias": weights["conv_out.bias"] + palette.lively}
    )
    how = json.loads(HOW.read_text("utf-8"))
    how["palette"] = palette.rounded()
    (out / "wash.json").write_text(json.dumps(how) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
