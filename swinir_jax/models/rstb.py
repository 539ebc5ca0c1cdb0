"""The residual Swin Transformer block, after the official `models/network_swinir.py` (Apache-2.0)."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.attention import Attend, attention
from swinir_jax.models.convolution import convolve
from swinir_jax.models.groups import at_once, over_windows
from swinir_jax.models.layers import Conv, SwinTransformerBlock
from swinir_jax.models.loops import in_turn, scan, with_derivative_of
from swinir_jax.models.rows import SplitRows
from swinir_jax.models.windows import window_partition


def residual_conv(x: jax.Array, config: SwinIRConfig, name: str, conv: Callable[..., Conv]) -> jax.Array:
    """The convolutions that end an RSTB and the body: one, or three with a bottleneck of a quarter of the width.

    Belongs into a compact method, whose module then owns the convolutions, made by `conv`, under the official names.
    """
    c = config.embed_dim
    if config.resi_connection == "1conv":
        return conv(c, name=name)(x)
    x = nn.leaky_relu(conv(c // 4, name=f"{name}_0")(x), 0.2)
    x = nn.leaky_relu(conv(c // 4, kernel=1, name=f"{name}_2")(x), 0.2)
    return conv(c, name=f"{name}_4")(x)


class ResidualGroup(nn.Module):
    """The Swin Transformer layers of one RSTB; each second one on shifted windows.

    Attributes:
      config: of the network.
      depth: number of layers.
      num_heads: of their attention.
      dtype: of matrix products.
      rows: as in `SwinIR.__call__`.
    """

    config: SwinIRConfig
    depth: int
    num_heads: int
    dtype: Any
    rows: SplitRows | None

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        """As `RSTB`, without the convolution and the skip."""
        if self.is_initializing():
            tokens = window_partition(x, self.config.attention_window)
            for i in range(self.depth):
                self._block(name=f"blocks_{i}")(tokens, None, None, deterministic=True)
            return x

        layers = [{"params": self.variables["params"][f"blocks_{i}"]} for i in range(self.depth)]
        if gains is not None:
            for layer, its_gains in zip(layers, gains, strict=True):
                layer["gains"] = its_gains
                if self.config.has_dropout:
                    layer["key"] = self.make_rng("dropout")
        plain = functools.partial(self._layer, shift=0, labels=None)
        if self.depth > 1:
            pairs = [tuple(layers[i : i + 2]) for i in range(0, self.depth - 1, 2)]

            def step(x: jax.Array, pair: Any, labels: jax.Array | None) -> jax.Array:
                return self._layer(plain(x, pair[0]), pair[1], shift=self.config.shift_size, labels=labels)

            recomputed = jax.checkpoint(step) if self.config.use_checkpoint else step
            loop = with_derivative_of(functools.partial(scan, recomputed), functools.partial(in_turn, step))
            x = loop(x, pairs, labels)
        return plain(x, layers[-1]) if self.depth % 2 else x

    def _block(self, **options: Any) -> SwinTransformerBlock:
        c = self.config
        return SwinTransformerBlock(
            window_size=c.attention_window,
            num_heads=self.num_heads,
            mlp_hidden_dim=c.mlp_hidden_dim,
            qkv_bias=c.qkv_bias,
            qk_scale=c.qk_scale,
            drop=c.drop_rate,
            attn_drop=c.attn_drop_rate,
            dtype=self.dtype,
            **options,
        )

    def _layer(self, x: jax.Array, layer: Mapping[str, Any], *, shift: int, labels: jax.Array | None) -> jax.Array:
        """One layer on `[B, H, W, C]`, as a pure function of its parameters and, in training, gains and key."""
        block, dropout = self._block(parent=None), "key" in layer
        rngs = {"dropout": layer["key"]} if dropout else {}

        def run(attend: Attend, variables: Any, *per_window: jax.Array | None) -> Any:
            return block.apply(variables, *per_window, attend=attend, deterministic=not dropout, rngs=rngs)

        way = functools.partial(over_windows, run)
        if dropout:  # groups of windows would all draw the same
            way = functools.partial(at_once, functools.partial(run, attention))

        def on(x: jax.Array, shift: tuple[int, int]) -> jax.Array:
            compute = way(self.config.attention_window, shift)
            return compute({"params": layer["params"]}, x, labels, layer.get("gains"))

        if self.rows is None or not shift:
            return on(x, (shift, shift))
        return self.rows.roll(on(self.rows.roll(x, -shift), (0, shift)), shift)


class RSTB(nn.Module):
    """Residual Swin Transformer block: a group of layers, a convolution and a skip.

    Attributes:
      config: of the network.
      depth: number of layers.
      num_heads: of their attention.
      dtype: of matrix products and convolutions.
      rows: as in `SwinIR.__call__`.
    """

    config: SwinIRConfig
    depth: int
    num_heads: int
    dtype: Any
    rows: SplitRows | None

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, gains: jax.Array | None) -> jax.Array:
        """`[B, H, W, C]` -> `[B, H, W, C]`.

        Args:
          x: features.
          labels: `[nW, M * M]` regions of shifted windows, or None if they do not shift.
          gains: `[depth, B, 2]` factors on the layers' branches (stochastic depth), or None where nothing is random.
        """
        group = ResidualGroup(self.config, self.depth, self.num_heads, self.dtype, self.rows, name="residual_group")
        convolution = convolve if self.rows is None else self.rows.convolve
        conv = functools.partial(Conv, dtype=self.dtype, convolution=convolution)
        return x + residual_conv(group(x, labels, gains), self.config, "conv", conv)
