"""The feature networks against PyTorch's arithmetic on generated weights."""

import jax
import numpy as np
import pytest
from feature_weights import generated_params
from goldens import DATA, relative_error

from swinir_jax.features import FEATURE_NETWORKS

CASE = np.load(DATA / "real_world" / "features.npz")


@pytest.mark.as_shipped
@pytest.mark.parametrize("name", ["vgg16_hed", "efficientnet_lite0"])
def test_each_feature_is_that_of_pytorch(name):
    network = FEATURE_NETWORKS[name]
    features = jax.jit(network.apply)(generated_params(name, int(CASE["seed"])), CASE["image"])
    assert len(features) == len(network.weights)
    for i, feature in enumerate(features):
        assert relative_error(feature, CASE[f"{name}_{i}"]) < 1e-5
