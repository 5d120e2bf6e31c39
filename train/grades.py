"""What palette words do to colours, for each of `vocabulary.PALETTES`."""

from dataclasses import dataclass

import numpy as np

from filters import Field

IDENTITY = np.eye(3)
GREY = np.tile([0.299, 0.587, 0.114], (3, 1))
"""Every colour from the tone alone (Rec. 601)."""


@dataclass(frozen=True)
class Grade:
    """New colours are `(matrix @ colours + offset) ** gamma`, RGB within 0..1."""

    matrix: np.ndarray
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gamma: float = 1.0

    def graded(self, pixels: Field) -> Field:
        """Grade RGB `[..., 3]` in 0..1."""
        mixed = pixels @ self.matrix.T + np.array(self.offset)
        return (np.clip(mixed, 0, 1) ** self.gamma).astype(np.float32)


def _saturated(factor: float) -> np.ndarray:
    return factor * IDENTITY + (1 - factor) * GREY


GRADES = {
    "warm": Grade(np.diag([1.1, 1.0, 0.8]), (0.03, 0.01, 0.0)),
    "cool": Grade(np.diag([0.8, 0.98, 1.1]), (0.0, 0.01, 0.04)),
    "soft": Grade(0.85 * _saturated(0.7), (0.13, 0.13, 0.13)),
    "vivid": Grade(_saturated(1.5)),
    "dark": Grade(0.9 * IDENTITY, gamma=1.5),
    "bright": Grade(IDENTITY, gamma=0.7),
    "bw": Grade(GREY),
    "sepia": Grade(np.diag([1.05, 0.88, 0.68]) @ GREY, (0.04, 0.03, 0.02)),
}
