"""Feeds training with prepared batches from a background thread."""

import itertools
import queue
import random
import threading

import torch
from torch import Tensor
from transformers import CLIPTokenizerFast

from data import REPAIR, Batch, Pictures
from discriminator import STYLES
from model import MAX_TOKENS, low_pass
from patterns import patterns
from style_statistics import statistics
from trajectories import Samples

REFRESH_BATCHES = 200
BATCH = 16


def to_samples(batch: Batch, tokenizer: CLIPTokenizerFast, amp: bool) -> Samples:
    """Convert a batch to tensors: pixels in -1..1, source channels low-passed, text as tokens."""
    source = torch.from_numpy(batch.sources).permute(0, 3, 1, 2) * 2 - 1
    target = torch.from_numpy(batch.targets).permute(0, 3, 1, 2) * 2 - 1
    condition = source.clone()
    for index, factor in enumerate(batch.low_pass):
        condition[index : index + 1] = low_pass(source[index : index + 1], factor)
    tokens = tokenize(batch.texts, tokenizer)
    repairs = torch.tensor([style == REPAIR for style in batch.styles])
    has_source = torch.tensor(batch.has_source)
    known = condition * has_source[:, None, None, None]
    styles = torch.tensor([STYLES.index(style) for style in batch.styles])
    figures = statistics(target), statistics(known), patterns(target, amp), patterns(known, amp)
    return Samples(condition, source, has_source, target, tokens, repairs, styles, *figures)


def tokenize(texts: list[str], tokenizer: CLIPTokenizerFast) -> Tensor:
    """Encode texts to `[N, 77]` token ids, padded and cut."""
    encoded = tokenizer(
        texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids


class Feed:
    """Prepares the next few samples of one size while the networks are busy with the last."""

    def __init__(
        self,
        pictures: Pictures,
        tokenizer: CLIPTokenizerFast,
        seed: int,
        size: int,
        device: torch.device,
        amp: bool,
    ) -> None:
        self._queue: queue.Queue[Samples | Exception] = queue.Queue(2)
        self._pictures, self._tokenizer, self._size = pictures, tokenizer, size
        self._device, self._amp, self._ready = device, amp, iter(())
        thread = threading.Thread(target=self._fill, args=(random.Random(seed),), daemon=True)
        thread.start()

    def _fill(self, rng: random.Random) -> None:
        try:
            for number in itertools.count(1):
                if number % REFRESH_BATCHES == 0:
                    self._pictures.refresh()
                batch = self._pictures.batch(rng, BATCH, self._size)
                self._queue.put(to_samples(batch, self._tokenizer, self._amp))
        except Exception as error:  # handed to `sample`: else training would wait for ever
            self._queue.put(error)

    def sample(self) -> Samples:
        """Return the next sample; raises what went wrong while preparing it."""
        for sample in self._ready:
            return sample
        batch = self._queue.get()
        if isinstance(batch, Exception):
            raise batch
        batch = batch.to(self._device)
        self._ready = iter([batch.one(index) for index in range(BATCH)])
        return next(self._ready)
