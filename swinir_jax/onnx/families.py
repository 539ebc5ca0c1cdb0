"""What tells SwinIR and Swin2SR apart inside of their bodies in ONNX, as `swinir_jax.models.families`."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from swinir_jax.config import SwinIRConfig
from swinir_jax.onnx.graph import Tensor
from swinir_jax.onnx.layers import Weights, patch_embed, swin_transformer_block
from swinir_jax.onnx.swin2 import projected_patch_embed, swin_transformer_v2_block


class Family(NamedTuple):
    """Functions of a family of networks.

    Attributes:
      layer: Swin Transformer layer, called as `swin_transformer_block`.
      patch_embed: step from a convolution to a layer, called as `patch_embed`; without `norm`, the end of each RSTB.
    """

    layer: Callable[[Tensor, Weights, tuple[Tensor, Tensor], SwinIRConfig, int, int], Tensor]
    patch_embed: Callable[[Tensor, Weights], Tensor]


# By `SwinIRConfig.family`.
FAMILIES: Mapping[str, Family] = {
    "swinir": Family(swin_transformer_block, patch_embed),
    "swin2sr": Family(swin_transformer_v2_block, projected_patch_embed),
}
