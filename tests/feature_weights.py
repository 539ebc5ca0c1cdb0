"""Generated weights of feature networks."""

import numpy as np
from goldens import fill

from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.features.weights import params_from_tensors


def generated_tensors(name: str, seed: int) -> dict[str, np.ndarray]:
    """Returns tensors by their names in the file.

    Running means and HED's biases lie around 0; around 1, the image would hardly change the features.
    """
    shapes = FEATURE_NETWORKS[name].shapes
    return {
        key: fill(key, shape, seed) - np.float32(key.endswith(("running_mean", "vars/1")))
        for key, shape in shapes.items()
    }


def generated_params(name: str, seed: int) -> dict[str, np.ndarray]:
    return params_from_tensors(FEATURE_NETWORKS[name], generated_tensors(name, seed))
