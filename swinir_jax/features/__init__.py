"""Feature networks: pretrained for recognition, they compare images as the perceptual loss and distance do."""

from swinir_jax.features.distance import perceptual_distance, perceptual_loss, perceptual_losses
from swinir_jax.features.network import FeatureNetwork
from swinir_jax.features.weights import load_features
from swinir_jax.features.zoo import FEATURE_NETWORKS

__all__ = [
    "FEATURE_NETWORKS",
    "FeatureNetwork",
    "load_features",
    "perceptual_distance",
    "perceptual_loss",
    "perceptual_losses",
]
