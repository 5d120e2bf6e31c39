"""Trains the starter's UNet and text encoder.

    python train.py --data data --tokenizer tokenizer --out run --minutes 90
    python train.py ... --resume           # goes on from run/last.pt
    python train.py ... --init model       # starts from the weights of a saved model

The learning rate follows the share of the time budget that is used, so that a run ends properly
at any speed; to go on longer, resume with a larger `--minutes`. Writes to the run's folder

    last.pt      everything `--resume` needs, replaced every `--save-minutes`
    model/       the averaged weights as a diffusers folder, replaced with it
    log.jsonl    a line every 50 steps
"""

import argparse
import json
import math
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTokenizerFast

import model
from data import Pictures
from feed import Feed, to_samples
from loss import Loss, Losses
from model import UNetShape
from trajectories import Noising, Samples, States, Trajectories

LOG_STEPS, EVALUATE_STEPS = 50, 500
TELLER_RATE = 3e-4  # of the discriminator
LAST_SHARE = 0.03  # of the learning rate is left at the end of the budget
VALIDATION_BATCHES, VALIDATION_SIZE = 4, 16
VALIDATION_RUN = [444, 333, 222, 111, 0]  # 10 steps at strength 0.5


class Clock:
    """The time budget: seconds spent over all resumed runs, and the share that is used."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self._budget, self._before, self._start = minutes * 60, spent, time.monotonic()

    def spent(self) -> float:
        """Return the seconds spent so far, earlier runs included."""
        return self._before + time.monotonic() - self._start

    def share(self) -> float:
        """Return the share of the budget that is used, 0..1."""
        return min(1.0, self.spent() / self._budget)


class Average:
    """An exponential moving average of a module's weights."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self._module, self._decay = module, decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the current weights; faster during the first steps."""
        decay = min(self._decay, (1 + step) / (20 + step))
        current = self._module.state_dict()
        names = [name for name, value in self.state.items() if value.is_floating_point()]
        averages = [self.state[name] for name in names]
        torch._foreach_lerp_(averages, [current[name] for name in names], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the module for the length of a `with`."""
        current = {name: value.clone() for name, value in self._module.state_dict().items()}
        self._module.load_state_dict(self.state)
        try:
            yield
        finally:
            self._module.load_state_dict(current)


class LogLine:
    """What happened since the last line of the log."""

    def __init__(self, seen: int) -> None:
        self._seen, self._start = seen, time.monotonic()
        self._sums, self._counts = torch.zeros(4), torch.zeros(4)

    def add(self, losses: Losses) -> None:
        """Count one step's losses by quarter of the noise schedule."""
        quarters = (losses.timesteps // 250).cpu()
        self._sums.index_add_(0, quarters, losses.loss.detach().cpu())
        self._counts += torch.bincount(quarters, minlength=4)

    def figures(self, seen: int) -> dict[str, Any]:
        """Return mean loss, mean by quarter, samples per second."""
        by_quarter = (self._sums / self._counts.clamp(min=1)).tolist()
        seconds = time.monotonic() - self._start
        return {
            "loss": round(float(self._sums.sum() / self._counts.sum().clamp(min=1)), 4),
            "by_quarter": [round(value, 4) for value in by_quarter],
            "samples_per_s": round((seen - self._seen) / seconds, 2),
        }


class Trainer:
    """Both networks, their optimiser and average, and where they are in the run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, torch.device(args.device)
        self.tokenizer = CLIPTokenizerFast.from_pretrained(args.tokenizer)
        shape = UNetShape(args.channels, args.layers, args.attention, args.scale_shift)
        self.unet = model.make_unet(shape)
        model.start_from_identity(self.unet)
        self.unet.to(self.device, memory_format=torch.channels_last)
        if self.device.type == "cpu":  # plain matrix products are faster than fused attention there
            self.unet.set_attn_processor(AttnProcessor())
        self.text = model.make_text_encoder(len(self.tokenizer), args.text_layers).to(self.device)
        self.networks = torch.nn.ModuleDict({"unet": self.unet, "text": self.text})
        self.optimiser = self._make_optimiser()
        self.average = Average(self.networks, args.ema)
        self.token_counts = torch.zeros(len(self.tokenizer), dtype=torch.long)
        self.step, self.seen, self.first_step = 0, 0, 0
        self.clock = Clock(args.minutes)
        net = torch.compile(self.unet) if args.compile else self.unet
        self.loss = Loss(net, self.text, self.device, args.amp)
        tellers = self.loss.discriminator.parameters()
        self.teller = torch.optim.Adam(tellers, lr=TELLER_RATE, betas=(0.0, 0.99))
        self._restore()
        self.noising = Noising(self.device)

    def _make_optimiser(self) -> torch.optim.Optimizer:
        """Make AdamW; biases and norms do not decay, the text encoder may learn more slowly."""
        groups = []
        for name, network in self.networks.items():
            scale = self.args.text_lr if name == "text" else 1.0
            weights = [p for p in network.parameters() if p.dim() > 1]
            others = [p for p in network.parameters() if p.dim() <= 1]
            groups.append({"params": weights, "weight_decay": 0.01, "scale": scale})
            groups.append({"params": others, "weight_decay": 0.0, "scale": scale})
        return torch.optim.AdamW(groups, lr=self.args.lr, betas=(0.9, 0.98), fused=True)

    def _restore(self) -> None:
        last = self.args.out / "last.pt"
        if self.args.resume and last.exists():
            state = self._load(last)
            self.optimiser.load_state_dict(state["optimiser"])
            if "discriminator" in state:
                self.loss.discriminator.load_state_dict(state["discriminator"])
                self.teller.load_state_dict(state["teller"])
            self.step, self.seen = state["step"], state["seen"]
            self.first_step = state["first_step"]
            self.clock = Clock(self.args.minutes, state["spent"])
        elif self.args.init or self.args.init_text:
            unet = self.unet if self.args.init else None
            folder = self.args.init or self.args.init_text
            used = model.load_folder(folder, unet, self.text, self.args.tokenizer)
            self.token_counts += used
            self.average = Average(self.networks, self.args.ema)

    def _load(self, path: Path) -> dict[str, Any]:
        """Load weights, average and token counts; return the whole state."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.networks.load_state_dict(state["model"])
        self.average.state.update(state["ema"])
        self.token_counts = state["counts"].cpu()
        return state

    def save(self) -> None:
        """Replace last.pt and model/; neither is ever half-written under its name."""
        out: Path = self.args.out
        state = {
            "model": self.networks.state_dict(),
            "ema": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "discriminator": self.loss.discriminator.state_dict(),
            "teller": self.teller.state_dict(),
            "counts": self.token_counts,
            "step": self.step,
            "first_step": self.first_step,
            "seen": self.seen,
            "spent": self.clock.spent(),
        }
        torch.save(state, out / "last.pt.tmp")
        os.replace(out / "last.pt.tmp", out / "last.pt")
        new, old, current = out / "model.tmp", out / "model.old", out / "model"
        with self.average.applied():
            used = self.token_counts > 0
            model.save_folder(new, self.unet, self.text, self.args.tokenizer, used)
        shutil.rmtree(old, ignore_errors=True)
        if current.exists():
            current.rename(old)
        new.rename(current)

    def learning_rate(self) -> float:
        """Return the rate now: a warm-up, then a cosine over the time budget."""
        warm_up = min(1.0, (self.step - self.first_step + 1) / self.args.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * self.clock.share()))
        return self.args.lr * warm_up * (LAST_SHARE + (1 - LAST_SHARE) * cosine)

    def train_step(self, states: States) -> tuple[Losses, dict[str, float]]:
        """Take one step of the optimiser, unless the gradient is not finite."""
        rate = self.learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.loss.discriminator.requires_grad_(False)
        losses = self.loss(states)
        self.optimiser.zero_grad(set_to_none=True)
        losses.loss.mean().backward()
        self.loss.discriminator.requires_grad_(True)
        norm = torch.nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        telling = self.loss.telling(states, losses.estimate)
        if telling is not None:
            self.teller.zero_grad(set_to_none=True)
            telling.backward()
            self.teller.step()
        self.step += 1
        self.seen += len(losses.loss)
        tokens = states.samples.tokens.flatten().cpu()
        self.token_counts += torch.bincount(tokens, minlength=len(self.token_counts))
        self.average.update(self.step)
        figures = {"lr": round(rate, 7), "gradient": round(float(norm), 3)}
        if telling is not None:
            figures["telling"] = round(telling.item(), 3)
        return losses, figures

    @torch.no_grad()
    def evaluate(self, batches: list[Samples]) -> dict[str, Any]:
        """Return the averaged weights' loss on held-out pictures at each step of the sampler."""
        generator, rows = torch.Generator().manual_seed(3), []
        with self.average.applied():
            for samples in batches:
                source = model.to_latents(samples.source)
                noise = torch.randn(source.shape, generator=generator).to(self.device)
                row, noised = [], None
                for timestep, following in zip(
                    VALIDATION_RUN, [*VALIDATION_RUN[1:], -1], strict=True
                ):
                    now, then = (
                        torch.full((len(source),), t, device=self.device)
                        for t in (timestep, following)
                    )
                    if noised is None:
                        noised = self.noising.noised(source, noise, now)
                    states = States(samples, noised, now, self.noising.alphas(now))
                    losses = self.loss(states)
                    noised = self.noising.step(states, losses.estimate, then)
                    row.append(float(losses.loss.mean()))
                rows.append(row)
        by_step = torch.tensor(rows).mean(0).tolist()
        return {"held_out_by_step": [round(value, 4) for value in by_step]}

    def large(self, rng: random.Random) -> bool:
        """Draw whether the next batch is of larger crops: now and then, more near the end.

        They let attention see longer sequences.
        """
        share = self.clock.share()
        chance = 0.06 if share < 0.5 else 0.12 if share < 0.85 else 0.25
        return rng.random() < chance

    def trajectories(self, pictures: Pictures, seed: int, large: bool) -> Trajectories:
        """Start the samples of one size."""
        size, count = self.args.size, self.args.batch
        if large:
            size, count = 2 * size, max(1, count // 4)
        feed = Feed(pictures, self.tokenizer, seed, size, self.device, self.args.amp)
        return Trajectories(self.noising, feed.sample, count, seed)

    def validation(self) -> list[Samples]:
        """Return the same few batches of held-out pictures every time, those with a source."""
        pictures, rng, batches = Pictures(self.args.data, held_out=True), random.Random(5), []
        for _ in range(VALIDATION_BATCHES):
            batch = pictures.batch(rng, VALIDATION_SIZE, self.args.size)
            samples = to_samples(batch, self.tokenizer, self.args.amp)
            chosen = (vars(samples)[name][samples.has_source] for name in vars(samples))
            batches.append(Samples(*chosen).to(self.device))
        return batches


def write_line(out: Path, line: dict[str, Any]) -> None:
    """Append a line to the log and print it."""
    text = json.dumps(line)
    with open(out / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(text + "\n")
    print(text, flush=True)


def run(trainer: Trainer) -> None:
    """Train until the budget is used."""
    args, clock = trainer.args, trainer.clock
    pictures = Pictures(args.data)
    print(pictures, flush=True)
    validation = trainer.validation()
    seed = args.seed * 1000003 + trainer.step  # nor the same samples
    rng = random.Random(seed)
    ways = [trainer.trajectories(pictures, seed + large, bool(large)) for large in range(2)]
    line, saved = LogLine(trainer.seen), time.monotonic()
    while clock.share() < 1 and trainer.step < args.steps:
        on_the_way = ways[trainer.large(rng)]
        states = on_the_way.states()
        losses, figures = trainer.train_step(states)
        on_the_way.advance(states, losses.estimate)
        line.add(losses)
        if trainer.step % LOG_STEPS == 0:
            entry = {"step": trainer.step, "seen": trainer.seen}
            entry["minutes"] = round(clock.spent() / 60, 2)
            entry |= line.figures(trainer.seen) | figures
            if trainer.step % EVALUATE_STEPS == 0:
                entry |= trainer.evaluate(validation)
            write_line(args.out, entry)
            line = LogLine(trainer.seen)
        if time.monotonic() - saved > args.save_minutes * 60:
            trainer.save()
            saved = time.monotonic()
    trainer.save()
    final = {"step": trainer.step, "seen": trainer.seen, "final": True}
    write_line(args.out, final | trainer.evaluate(validation))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="what render_data.py wrote")
    add("--tokenizer", type=Path, required=True)
    add("--out", type=Path, required=True, help="the run's folder")
    add("--device", default="cpu", help="cpu, cuda or cuda:N")
    add("--amp", action="store_true", help="bf16 autocast; only where the machine has bf16 units")
    add("--minutes", type=float, default=90, help="time budget, earlier runs included")
    add("--steps", type=int, default=10**9, help="stop after this step even within the budget")
    add("--batch", type=int, default=16)
    add("--size", type=int, default=128, help="pixels a side of most crops")
    add("--lr", type=float, default=5e-4)
    add("--text-lr", type=float, default=1.0, help="learning rate of the text encoder, relative")
    add("--warmup", type=int, default=200, help="steps")
    add("--ema", type=float, default=0.999, help="decay of the averaged weights per step")
    add("--channels", type=int, nargs="+", default=[96, 128, 128])
    add("--layers", type=int, default=1, help="residual blocks per level")
    add("--attention", type=int, nargs="*", default=[1, 2], help="levels that attend to the text")
    add("--scale-shift", action="store_true", help="time and text scale activations, too")
    add("--text-layers", type=int, default=2)
    add("--threads", type=int, default=os.cpu_count())
    add("--seed", type=int, default=1)
    add("--save-minutes", type=float, default=5)
    add("--compile", action="store_true")
    add("--resume", action="store_true", help="go on from last.pt in the run's folder, if any")
    add("--init", type=Path, help="a saved model folder to start from")
    add("--init-text", type=Path, help="a saved model folder to take the text encoder from")
    return parser.parse_args()


def main() -> None:
    """Set up and run."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    trainer = Trainer(args)
    torch.manual_seed(args.seed + trainer.step)  # a resumed run must not see the same noise again
    for name, network in trainer.networks.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}: {count / 1e6:.2f} M parameters", flush=True)
    run(trainer)


if __name__ == "__main__":
    main()
