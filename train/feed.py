"""Feeds training with prepared batches from a background thread."""

import itertools
import queue
import random
import threading
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import CLIPTokenizerFast

from data import Batch, Pictures
from loss import Tensors
from model import MAX_TOKENS, low_pass

REFRESH_BATCHES = 200
BatchShape = Callable[[random.Random], tuple[int, int]]
"""Draws the number of samples and the pixels a side of the next batch."""


def to_tensors(batch: Batch, tokenizer: CLIPTokenizerFast) -> Tensors:
    """Convert a batch to tensors: pixels in -1..1, source channels low-passed, text as tokens."""
    source = torch.from_numpy(batch.sources).permute(0, 3, 1, 2) * 2 - 1
    target = torch.from_numpy(batch.targets).permute(0, 3, 1, 2) * 2 - 1
    condition = source.clone()
    for index, factor in enumerate(batch.low_pass):
        condition[index : index + 1] = low_pass(source[index : index + 1], factor)
    tokens = tokenize(batch.texts, tokenizer)
    return Tensors(condition, source, torch.tensor(batch.has_source), target, tokens)


def tokenize(texts: list[str], tokenizer: CLIPTokenizerFast) -> Tensor:
    """Encode texts to `[N, 77]` token ids, padded and cut."""
    encoded = tokenizer(
        texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids


class Feed:
    """Prepares the next few batches while the networks are busy with the last."""

    def __init__(
        self, pictures: Pictures, tokenizer: CLIPTokenizerFast, seed: int, shape: BatchShape
    ) -> None:
        self._queue: queue.Queue[Tensors | Exception] = queue.Queue(4)
        self._pictures, self._tokenizer, self._shape = pictures, tokenizer, shape
        thread = threading.Thread(target=self._fill, args=(random.Random(seed),), daemon=True)
        thread.start()

    def _fill(self, rng: random.Random) -> None:
        try:
            for number in itertools.count(1):
                if number % REFRESH_BATCHES == 0:
                    self._pictures.refresh()
                batch = self._pictures.batch(rng, *self._shape(rng))
                self._queue.put(to_tensors(batch, self._tokenizer))
        except Exception as error:  # handed to `get`: else training would wait for ever
            self._queue.put(error)

    def get(self) -> Tensors:
        """Return the next batch; raises what went wrong while preparing it."""
        batch = self._queue.get()
        if isinstance(batch, Exception):
            raise batch
        return batch
