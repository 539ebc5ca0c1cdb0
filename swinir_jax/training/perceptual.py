"""The perceptual loss: distance between features of a network trained for recognition.

Follows KAIR's `models/loss.py`, `PerceptualLoss`: VGG19 (Simonyan and Zisserman 2014) before each activation.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.errors import InputError

Features = Mapping[str, jax.Array]
"""Weights by torchvision's names, `features.N.weight` `[3, 3, C, features]` and `features.N.bias` `[features]`."""

# Convolutions of VGG19 by torchvision's number, with their output channels; a pooling follows each group.
_GROUPS = (
    ((0, 64), (2, 64)),
    ((5, 128), (7, 128)),
    ((10, 256), (12, 256), (14, 256), (16, 256)),
    ((19, 512), (21, 512), (23, 512), (25, 512)),
    ((28, 512), (30, 512), (32, 512), (34, 512)),
)
VGG19_LAYERS: Mapping[int, float] = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}
"""Weight of each convolution in the loss, by torchvision's number."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in RGB


def vgg19_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts torchvision's `vgg19` weights.

    Args:
      tensors: tensors of the official file by name; those of the classifier are ignored.

    Returns:
      Weights for `perceptual_loss`.

    Raises:
      InputError: if a tensor is missing or has another shape, so that the file is another network's.
    """
    weights, channels = {}, 3
    for number, features in (convolution for group in _GROUPS for convolution in group):
        for part, shape in (("weight", (features, channels, 3, 3)), ("bias", (features,))):
            name = f"features.{number}.{part}"
            if name not in tensors or tensors[name].shape != shape:
                found = tensors[name].shape if name in tensors else "none"
                raise InputError(f"Not the weights of VGG19: {name} must have the shape {shape}, got {found}.")
            tensor = np.asarray(tensors[name], np.float32)
            weights[name] = tensor.transpose(2, 3, 1, 0) if part == "weight" else tensor
        channels = features
    return weights


def vgg19_features(weights: Features, image: jax.Array) -> dict[int, jax.Array]:
    """Computes the outputs of the convolutions in `VGG19_LAYERS`, before their activation.

    Args:
      weights: weights from `vgg19_weights`.
      image: `[B, H, W, 3]` RGB in [0, 1]; sides are at least 16.

    Returns:
      `[B, H / s, W / s, C]` by number of the convolution; s is 1, 2, 4, 8 and 16.
    """
    x = (image - jnp.asarray(_MEAN, image.dtype)) / jnp.asarray(_STD, image.dtype)
    outputs = {}
    for group in _GROUPS:
        for number, _ in group:
            kernel, bias = (weights[f"features.{number}.{part}"].astype(x.dtype) for part in ("weight", "bias"))
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
            )
            x = x + bias.reshape(1, 1, 1, -1)
            if number in VGG19_LAYERS:
                outputs[number] = x
            x = jax.nn.relu(x)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return outputs


def perceptual_losses(weights: Features, restored: jax.Array, hq: jax.Array) -> dict[int, jax.Array]:
    """Computes the weighted L1 distance of the features of each layer; the perceptual loss is their sum.

    Args:
      weights: weights from `vgg19_weights`.
      restored: `[B, H, W, 3]` RGB, about [0, 1].
      hq: truth of the same shape; no gradient reaches it.

    Returns:
      Scalars by number of the convolution.
    """
    ours, theirs = vgg19_features(weights, restored), vgg19_features(weights, jax.lax.stop_gradient(hq))
    return {n: weight * jnp.mean(jnp.abs(ours[n] - theirs[n])) for n, weight in VGG19_LAYERS.items()}
