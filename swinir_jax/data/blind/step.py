"""What every step of blind degradation is."""

from typing import Protocol

import numpy as np

Range = tuple[float, float]
"""Least and largest value, drawn uniformly."""


class Step(Protocol):
    """A degradation that draws its strength anew at each call."""

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Degrades a photograph.

        Args:
          image: `[h, w, 3]` RGB, float32 in [0, 1].
          target: height and width of LQ.
          rng: generator of all random choices, which advances.

        Returns:
          `[h', w', 3]` float32 in [0, 1].
        """
        ...
