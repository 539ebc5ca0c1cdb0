"""Feature networks known by name."""

from collections.abc import Mapping

from swinir_jax.errors import InputError
from swinir_jax.features.efficientnet_lite import EFFICIENTNET_LITE0
from swinir_jax.features.network import FeatureNetwork
from swinir_jax.features.vgg import VGG16_HED, VGG19

FEATURE_NETWORKS: Mapping[str, FeatureNetwork] = {
    network.name: network for network in (VGG19, VGG16_HED, EFFICIENTNET_LITE0)
}


def feature_network(name: str) -> FeatureNetwork:
    """Returns a network of `FEATURE_NETWORKS`.

    Raises:
      InputError: if there is none of that name; the message lists the names.
    """
    if name not in FEATURE_NETWORKS:
        raise InputError(f"{name}: no feature network; take one of {', '.join(FEATURE_NETWORKS)}.")
    return FEATURE_NETWORKS[name]
