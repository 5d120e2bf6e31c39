"""Activation functions and exp in float64, rounded to float32.

    python tools/reference/activations.py

Writes activations.safetensors: `x` float32, -20 to 20 by 0.02 and some values near 0; `silu`, `gelu` (with erf), `gelu_tanh`,
`quick_gelu` (x * sigmoid(1.702 x)), `relu`, `exp` of it. `exp_wide.x`, `exp_wide.exp`: -103 to 88, where results reach subnormals and near the
largest float32.
"""
import numpy as np
import torch
from scipy.special import erfc, expit

from output import origin, save_tensors


def main():
    small = np.array([1e-30, 1e-10, 1e-6, 1e-4, 1e-3, 3e-3], dtype=np.float32)
    x = np.concatenate([np.linspace(-20, 20, 2001).astype(np.float32), small, -small, np.float32([-0.0])])
    wide_x = np.linspace(-103, 88, 383).astype(np.float32)
    exact, wide = x.astype(np.float64), wide_x.astype(np.float64)
    results = {
        "silu": exact * expit(exact),
        # erfc keeps its digits where 1 + erf would cancel.
        "gelu": 0.5 * exact * erfc(-exact / np.sqrt(2)),
        # 0.5 * (1 + tanh(a)) is the logistic function of 2 a, again without cancelling.
        "gelu_tanh": exact * expit(2 * np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)),
        "quick_gelu": exact * expit(1.702 * exact),
        "relu": np.maximum(exact, 0),
        "exp": np.exp(exact),
        "exp_wide.exp": np.exp(wide),
    }
    tensors = {"x": torch.from_numpy(x), "exp_wide.x": torch.from_numpy(wide_x)}
    tensors |= {name: torch.from_numpy(values) for name, values in results.items()}
    save_tensors("activations.safetensors", tensors, origin(__file__, seed="none", arithmetic="float64, stored as float32"))


if __name__ == "__main__":
    main()
