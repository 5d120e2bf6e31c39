"""What torch.randn draws on the CPU.

    python tools/reference/noise.py

Writes torch_noise.safetensors. `seed.S.count.N.first`: the first min(N, 64) values of torch.randn(N) with
torch.Generator().manual_seed(S), `seed.S.count.N.last`: the last min(N, 20). N = 256 is the shape (1, 4, 8, 8), 1680 is (1, 48, 5, 7):
a shape draws as its count does. `sequence.S.I`: the draws of SEQUENCE in order from one generator, whole; I counts from 0.
torch computes logarithm, sine and cosine of 16 values and more with vector code: other machines may differ in the last bits.
"""
import torch

from output import origin, save_tensors

SEEDS = (0, 1, 42, 2**31 - 1, 2**32 - 1, 2**32, 2**40 + 5)
COUNTS = (1, 5, 15, 16, 17, 31, 100)
SHAPES = ((1, 4, 8, 8), (1, 48, 5, 7))
# Draws below 16 values keep the second of a pair for the next such draw; longer ones neither use nor drop it.
SEQUENCE = (5, 5, 16, 3, 17, 1, 31, 2)


def main():
    tensors = {}
    for seed in SEEDS:
        for shape in [(count,) for count in COUNTS] + list(SHAPES):
            values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).flatten()
            flat = torch.randn(values.numel(), generator=torch.Generator().manual_seed(seed))
            if not torch.equal(values, flat):
                raise ValueError(f"shape {shape} draws other values than its count")
            tensors[f"seed.{seed}.count.{values.numel()}.first"] = values[:64]
            tensors[f"seed.{seed}.count.{values.numel()}.last"] = values[-20:]
    for seed in (1, 42):
        generator = torch.Generator().manual_seed(seed)
        for index, count in enumerate(SEQUENCE):
            tensors[f"sequence.{seed}.{index}"] = torch.randn(count, generator=generator)
    facts = origin(__file__, seed="in the keys", cpu_capability=torch.backends.cpu.get_cpu_capability(), sequence=SEQUENCE)
    save_tensors("torch_noise.safetensors", tensors, facts)


if __name__ == "__main__":
    main()
