"""What torch.randn draws on CUDA, and noise between two seeds, computed on any machine.

    python tools/reference/cuda_noise.py

Philox4x32-10 by the paper (Salmon, Moraes, Dror and Shaw 2011), in numpy; its authors' known answers and numbers that torch printed on a
card are checked before anything is written. Number i of draw d of a seed is made of the first two words for counter (d, 0, i, 0) and the
seed as key: their Box-Muller sine, arguments rounded to float32 as CUDA rounds them, the rest in float64.

Writes cuda_noise.safetensors: `seed.S.draw.D`: the first 96 numbers. `between.KIND.SHARE` [1, 3, 8, 6]: noise SHARE of the way from seed 5
to seed 9 as AUTOMATIC1111 goes it (each column of each channel on the sphere), KIND cpu (torch's generator) or nv (Philox).
"""
import numpy as np
import torch

from output import origin, save_tensors

SEEDS = (0, 1, 42, 2**32 + 5, 2**64 - 1)
DRAWS = (0, 1, 7)
SHARES = (0.1, 0.5, 0.9)
SHAPE = (3, 8, 6)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(counter, key):
    """Four words for each counter: arrays of uint64 that hold 32 bits."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        first, second = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (second >> HALF) ^ c1 ^ np.uint64(k0), second & LOW, (first >> HALF) ^ c3 ^ np.uint64(k1), first & LOW
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def randn(seed, draw, count):
    """Numbers of a draw, counted from 0."""
    place, zeros = np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)
    depth, turn, _, _ = philox((zeros + np.uint64(draw), zeros, place, zeros), (seed % 2**32, seed // 2**32))
    step = np.float32(2.0**-32)
    full = step * np.float32(2 * np.pi)

    def argument(words, by):
        # A float32 product and sum that are rounded once.
        fused = words.astype(np.float32).astype(np.float64) * np.float64(by) + np.float64(by / np.float32(2))
        return fused.astype(np.float32).astype(np.float64)

    return np.sqrt(-2 * np.log(argument(depth, step))) * np.sin(argument(turn, full))


def between(share, low, high):
    """On the sphere, along dimension 1 of [C, H, W]."""
    low, high = low.double(), high.double()
    cosine = (low * high).sum(1) / (low.norm(dim=1) * high.norm(dim=1))
    angle = torch.acos(cosine)
    own, other = (torch.sin(part * angle) / torch.sin(angle) for part in (1 - share, share))
    return own.unsqueeze(1) * low + other.unsqueeze(1) * high


def check():
    """Fails unless known numbers come out."""
    known = (
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    )
    for counter, key, words in known:
        if tuple(int(word) for word in philox(counter, key)) != words:
            raise ValueError(f"counter {counter} gives other words than its authors'")
    # torch.manual_seed(0); torch.randn(8, 8, device="cuda"), as printed
    printed = [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745, -0.3631, -1.6711, 2.2655]
    if np.abs(randn(0, 0, 12) - printed).max() > 5.1e-5:
        raise ValueError("numbers are other than a card's")


def main():
    check()
    tensors = {f"seed.{seed}.draw.{draw}": torch.from_numpy(randn(seed, draw, 96)) for seed in SEEDS for draw in DRAWS}
    count = int(np.prod(SHAPE))
    kinds = {
        "cpu": lambda seed: torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)),
        "nv": lambda seed: torch.from_numpy(randn(seed, 0, count).astype(np.float32)).reshape(SHAPE),
    }
    for kind, drawn in kinds.items():
        for share in SHARES:
            tensors[f"between.{kind}.{share}"] = between(share, drawn(5), drawn(9)).unsqueeze(0)
    save_tensors("cuda_noise.safetensors", tensors, origin(__file__, arithmetic="float64"))


if __name__ == "__main__":
    main()
