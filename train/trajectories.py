"""Samples on their way through the sampler, from the noised source to the result.

Training follows the sampler: every estimate the network makes is also the sampler's next step, and
the state that follows is what the network is shown next. So it learns from the states it will
meet, its own faults included, and no estimate is wasted. Were it only ever shown noised targets,
grain and weave would grow from step to step, and the last steps would only learn to copy.

Some samples are not on such a way. Those that take its first step alone count colour and light
more, which the first step decides and later ones would only copy. Those that are noised somewhere
between source and target keep the network from copying at all, and right for other samplers and
step counts. Where there is no source, targets are noised.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from model import SCHEDULE, alphas_cumprod, timesteps_of, to_latents

CLIP = SCHEDULE["clip_sample_range"]
TIMESTEPS = SCHEDULE["num_train_timesteps"]
DEFAULT_STEPS, OTHER_STEPS = 10, (5, 24)
DEFAULT_STEPS_SHARE = 0.7
STRENGTHS = ((0.45, 0.58, 0.5), (0.58, 0.8, 0.35), (0.8, 1.0, 0.15))  # from, to, share
REPAIR_STRENGTHS = (0.2, 0.6)
SCATTERED_SHARE, FIRST_SHARE = 0.3, 0.35
"""Of the samples with a source: noised anywhere on the way; the first step alone."""


@dataclass
class Samples:
    """Samples as tensors, `[N, ...]` each: pixels `[N, 3, H, W]` in -1..1, tokens `[N, 77]`."""

    condition: Tensor
    """What the source channels hold: the source, low-passed where the sample says so."""
    source: Tensor
    has_source: Tensor
    target: Tensor
    tokens: Tensor
    repairs: Tensor
    """Whether the sample is a repair, which low strengths are for."""
    styles: Tensor
    """Numbers of the styles, as the discriminator counts them."""
    target_figures: Tensor
    source_figures: Tensor
    """Statistics of what should come out and of what the source channels hold."""
    target_patterns: Tensor
    source_patterns: Tensor
    """Their patterns."""

    def to(self, device: torch.device) -> "Samples":
        """Move all of it."""
        return Samples(*(field.to(device, non_blocking=True) for field in vars(self).values()))

    def one(self, index: int) -> "Samples":
        """Return one of the samples."""
        return Samples(*(field[index : index + 1] for field in vars(self).values()))

    def source_channels(self) -> Tensor:
        """Return what the network is told of the source, `[N, 48, h, w]`."""
        return to_latents(self.condition) * self.has_source[:, None, None, None]


@dataclass
class States:
    """Samples and where they are: latents `[N, 48, h, w]`, timesteps and signal share `[N]`."""

    samples: Samples
    noised: Tensor
    timesteps: Tensor
    alphas: Tensor

    def chosen(self, which: Tensor) -> "States":
        """Return those of a mask `[N]`."""
        samples = Samples(*(field[which] for field in vars(self.samples).values()))
        return States(samples, self.noised[which], self.timesteps[which], self.alphas[which])


def joined(samples: list[Samples]) -> Samples:
    """Join samples of one size."""
    return Samples(
        *(torch.cat([getattr(s, field.name) for s in samples]) for field in fields(Samples))
    )


class Noising:
    """The noise schedule on a device."""

    def __init__(self, device: torch.device) -> None:
        self._alphas = alphas_cumprod().float().to(device)

    def alphas(self, timesteps: Tensor) -> Tensor:
        """Return the share of signal power, `[N]`; 1 where the timestep is below 0."""
        return torch.where(timesteps < 0, 1.0, self._alphas[timesteps.clamp(min=0)])

    def noised(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the sampler sees of `clean` at `timesteps`."""
        alphas = self.alphas(timesteps)[:, None, None, None]
        return alphas.sqrt() * clean + (1 - alphas).sqrt() * noise

    def between(self, start: Tensor, timesteps: Tensor) -> Tensor:
        """Return how much of the source is left on the way from `start`, `[N, 1, 1, 1]`.

        A deterministic sampler that starts from the source at t0 and predicts the target sees, at
        t, target + sigma(t) / sigma(t0) * (source - target), noised.
        """
        sigmas = [((1 - a) / a).sqrt() for a in (self.alphas(start), self.alphas(timesteps))]
        return (sigmas[1] / sigmas[0])[:, None, None, None]

    def step(self, states: States, estimate: Tensor, following: Tensor) -> Tensor:
        """Return the latents at the timesteps `following`: DDIM without added noise."""
        alphas = states.alphas[:, None, None, None]
        noise = (states.noised - alphas.sqrt() * estimate) / (1 - alphas).sqrt()
        return self.noised(estimate.clamp(-CLIP, CLIP), noise, following)


def run_of(rng: random.Random, repairs: bool) -> list[int]:
    """Draw how a sample is sampled: the timesteps that run, high to low."""
    steps = DEFAULT_STEPS if rng.random() < DEFAULT_STEPS_SHARE else rng.randint(*OTHER_STEPS)
    if repairs:
        strength = rng.uniform(*REPAIR_STRENGTHS)
    else:
        low, high, _ = rng.choices(STRENGTHS, [share for *_, share in STRENGTHS])[0]
        strength = rng.uniform(low, high)
    return timesteps_of(steps, strength, TIMESTEPS)


@dataclass
class _Way:
    """One sample, its latents and the timesteps that are left, the present one first."""

    sample: Samples
    noised: Tensor
    left: list[int]


class Trajectories:
    """A fixed number of samples of one size, each at its own step; finished ones are replaced."""

    def __init__(
        self, noising: Noising, draw: Callable[[], Samples], count: int, seed: int
    ) -> None:
        self._noising, self._draw = noising, draw
        self._rng = random.Random(seed)
        self._ways = [self._begin() for _ in range(count)]

    def _begin(self) -> _Way:
        sample = self._draw()
        target = to_latents(sample.target)
        noise = torch.randn(target.shape).to(target.device)
        if not bool(sample.has_source):
            timestep = torch.tensor([self._rng.randrange(TIMESTEPS)], device=target.device)
            return _Way(sample, self._noising.noised(target, noise, timestep), timestep.tolist())
        source, run = to_latents(sample.source), run_of(self._rng, bool(sample.repairs))
        start = torch.tensor(run[:1], device=target.device)
        share = self._rng.random()
        if share >= SCATTERED_SHARE:
            run = run[:1] if share < SCATTERED_SHARE + FIRST_SHARE else run
            return _Way(sample, self._noising.noised(source, noise, start), run)
        timestep = torch.tensor([self._rng.randint(0, run[0])], device=target.device)
        clean = target + self._noising.between(start, timestep) * (source - target)
        return _Way(sample, self._noising.noised(clean, noise, timestep), timestep.tolist())

    def states(self) -> States:
        """Return all samples where they are."""
        noised = torch.cat([way.noised for way in self._ways])
        timesteps = torch.tensor([way.left[0] for way in self._ways], device=noised.device)
        samples = joined([way.sample for way in self._ways])
        return States(samples, noised, timesteps, self._noising.alphas(timesteps))

    def advance(self, states: States, estimate: Tensor) -> None:
        """Move every sample on by the network's estimate; replace those that have arrived."""
        left = [way.left[1:] for way in self._ways]
        following = torch.tensor([steps[0] if steps else -1 for steps in left])
        noised = self._noising.step(states, estimate, following.to(estimate.device))
        for place, steps in enumerate(left):
            if steps:
                way = self._ways[place]
                self._ways[place] = _Way(way.sample, noised[place : place + 1], steps)
            else:
                self._ways[place] = self._begin()
