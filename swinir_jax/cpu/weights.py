"""Weights for `network.restore`: what follows from the parameters alone is computed, equal layers are stacked."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import query_scale
from swinir_jax.models.windows import relative_position_index

Weights = dict[str, Any]


@np.errstate(over="ignore", invalid="ignore")  # weights that are not finite show in the answer
def prepare(
    params: Mapping[str, Any], config: SwinIRConfig, keep: jax.Array | None = None, *, training: bool = False
) -> Weights:
    """Computes weights from parameters.

    The scale of the queries and the LayerNorms' scale and bias go into the linear layers after them; the relative
    position bias is looked up in its table. Differentiable, so that a training step can begin with it.

    Args:
      params: parameters of `SwinIR(config)`; NumPy arrays give NumPy arrays.
      config: network configuration.
      keep: stochastic depth: `[B, layers, 2]` factors on the two branches of each layer, per image; None for 1.
      training: True where a derivative is taken. Then no RSTBs are stacked: a loop over them would copy what the loop
        over their layers keeps for the backward pass.

    Returns:
      The parameters, with `rstbs` in place of `layers_0` and so on: a list with an entry for each run of RSTBs of equal
      depth and heads. The leaves of an entry have a leading axis of RSTBs. In it, `pairs` are pairs of a W-MSA and an
      SW-MSA layer, with a second leading axis, and `last` is the layer that an odd depth leaves; each can be None.
    """
    rest = {name: leaf for name, leaf in params.items() if not name.startswith("layers_")}
    kinds = list(zip(config.depths, config.num_heads, strict=True))
    runs = [list(run) for _, run in itertools.groupby(range(len(kinds)), key=None if training else kinds.__getitem__)]
    return {**rest, "rstbs": [_stack([_rstb(params, i, config, keep) for i in run]) for run in runs]}


def _rstb(params: Mapping[str, Any], index: int, config: SwinIRConfig, keep: jax.Array | None) -> Weights:
    depth, heads, layers_before = config.depths[index], config.num_heads[index], sum(config.depths[:index])
    rstb = params[f"layers_{index}"]
    layers = [_layer(rstb["residual_group"][f"blocks_{i}"], heads, config) for i in range(depth)]
    if keep is not None:
        for i, layer in enumerate(layers):
            layer["keep"] = keep[:, layers_before + i]
    pairs = [(layers[i], layers[i + 1]) for i in range(0, depth - 1, 2)]
    convolutions = {name: leaf for name, leaf in rstb.items() if name != "residual_group"}
    return {"pairs": _stack(pairs) if pairs else None, "last": layers[-1] if depth % 2 else None, **convolutions}


def _layer(params: Mapping[str, Any], heads: int, config: SwinIRConfig) -> Weights:
    attn, mlp = params["attn"], params["mlp"]
    qkv = _after_norm(params["norm1"], attn["qkv"])
    factors = np.asarray([query_scale(config, heads), 1, 1], qkv["kernel"].dtype)  # of queries, keys and values
    factors = np.repeat(factors, config.embed_dim)
    bias = attn["relative_position_bias_table"][relative_position_index(config.attention_window)]
    return {
        "qkv": {"kernel": qkv["kernel"] * factors[None], "bias": qkv["bias"] * factors},
        "position_bias": bias.transpose(2, 1, 0),  # [heads, key, query]
        "proj": attn["proj"],
        "fc1": _after_norm(params["norm2"], mlp["fc1"]),
        "fc2": mlp["fc2"],
    }


def _after_norm(norm: Mapping[str, Any], linear: Mapping[str, Any]) -> Weights:
    """Folds a LayerNorm into the linear layer after it; what is left to do is to divide by the standard deviation.

    Columns of the kernel sum to zero, so that the mean of the input has no effect.
    """
    bias = norm["bias"] @ linear["kernel"] + linear.get("bias", 0)
    kernel = norm["scale"][:, None] * linear["kernel"]
    return {"kernel": kernel - kernel.mean(axis=0, keepdims=True), "bias": bias}


def _stack(trees: Sequence[Any]) -> Any:
    def stack(*leaves: Any) -> Any:
        return (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)

    return jax.tree.map(stack, *trees)
