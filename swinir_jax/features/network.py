"""What the package knows about a feature network."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Tensors = Mapping[str, np.ndarray]
Params = Mapping[str, Any]
"""Kernels `[k, k, C / groups, features]` and biases `[features]` by the names of their layers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A pretrained network whose features compare images.

    Attributes:
      name: name in `FEATURE_NETWORKS`.
      title: name in prose.
      file: name of the weight file.
      sha256: SHA-256 of the weight file in hexadecimal, or its first digits.
      license: licence of the weights.
      release: address of the folder with the weight file; None if it is in a Python package.
      package: Python package with the weight file, as `name==version`; None if the file is downloaded by itself.
      folder: folder of the weight file in the package.
      shapes: shapes of the tensors that the features need, by their names in the file.
      convert: turns these tensors into parameters.
      apply: computes the features, `(params, image, dtype=float32) -> features`. The image is `[B, H, W, 3]` RGB in
        [0, 1], each feature `[B, h, w, C]` in float32 (float64 in float64); dtype is that of the products.
      weights: weight of each feature in the perceptual loss.
      least_side: pixels that both sides of an image must have.
      phases: number of pixels by which images are shifted at random in training, because the gradient of strided layers
        would leave a grid; 1 for none.
    """

    name: str
    title: str
    file: str
    sha256: str
    license: str
    release: str | None = None
    package: str | None = None
    folder: str = ""
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(repr=False)
    convert: Callable[[Tensors], dict[str, np.ndarray]] = dataclasses.field(repr=False)
    apply: Callable[..., tuple[jax.Array, ...]] = dataclasses.field(repr=False)
    weights: tuple[float, ...]
    least_side: int
    phases: int = 1
