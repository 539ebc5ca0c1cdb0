"""What tells SwinIR and Swin2SR apart inside of their bodies."""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn

from swinir_jax.models.layers import PatchEmbed, SwinTransformerBlock
from swinir_jax.models.swin2 import ProjectedPatchEmbed, SwinTransformerV2Block


class Family(NamedTuple):
    """Modules of a family of networks.

    Attributes:
      layer: Swin Transformer layer, made as `SwinTransformerBlock`.
      patch_embed: step from a convolution to a layer, made as `PatchEmbed`; one with `norm=False` ends each RSTB.
    """

    layer: type[nn.Module]
    patch_embed: type[nn.Module]


# By `SwinIRConfig.family`.
FAMILIES: Mapping[str, Family] = {
    "swinir": Family(SwinTransformerBlock, PatchEmbed),
    "swin2sr": Family(SwinTransformerV2Block, ProjectedPatchEmbed),
}
