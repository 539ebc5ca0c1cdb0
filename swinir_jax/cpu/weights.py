"""Weights for `network.restore`: what follows from the parameters alone is computed, equal layers are stacked."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.layers import query_scale
from swinir_jax.models.precision import residual_dtype
from swinir_jax.models.swin2 import LARGEST_LOGIT_SCALE
from swinir_jax.models.swinir import first_conv
from swinir_jax.models.windows import relative_coordinates, relative_position_index

Weights = dict[str, Any]


@np.errstate(over="ignore", invalid="ignore")  # weights that are not finite show in the answer
def prepare(
    params: Mapping[str, Any], config: SwinIRConfig, keep: jax.Array | None = None, *, training: bool = False
) -> Weights:
    """Computes weights from parameters.

    The scale of the queries and the LayerNorms' scale and bias go into the linear layers after them, convolutions of
    single pixels into the convolution before them; the relative position bias is looked up in its table, or computed.
    Differentiable, so that a training step can begin with it.

    Args:
      params: parameters of `SwinIR(config)`, of any floating dtype; NumPy arrays give NumPy arrays.
      config: network configuration.
      keep: stochastic depth: `[B, layers, 2]` factors on the two branches of each layer, per image; None for 1.
      training: True where a derivative is taken. Then no RSTBs are stacked: a loop over them would copy what the loop
        over their layers keeps for the backward pass.

    Returns:
      The parameters without `layers_0` and so on, and with two more entries:
      `conv_embedded`: the first convolution and that of `patch_embed` in one; None without the second.
      `rstbs`: a list with an entry for each run of RSTBs of equal depth and heads, whose leaves have a leading axis of
      RSTBs. In an entry, `pairs` are pairs of a W-MSA and an SW-MSA layer, with a second leading axis, and `last` is
      the layer that an odd depth leaves; each can be None.
    """
    # Folded into each other, parameters of bfloat16 would be rounded once more, as in no module.
    params = jax.tree.map(lambda leaf: leaf.astype(residual_dtype(leaf.dtype), copy=False), dict(params))
    rest = {name: leaf for name, leaf in params.items() if not name.startswith("layers_")}
    rest["conv_embedded"] = None
    if "proj" in params.get("patch_embed", {}):
        rest["conv_embedded"] = _then_pixelwise(params[first_conv(config)], params["patch_embed"]["proj"])
    kinds = list(zip(config.depths, config.num_heads, strict=True))
    runs = [list(run) for _, run in itertools.groupby(range(len(kinds)), key=None if training else kinds.__getitem__)]
    return {**rest, "rstbs": [_stack([_rstb(params, i, config, keep) for i in run]) for run in runs]}


def _rstb(params: Mapping[str, Any], index: int, config: SwinIRConfig, keep: jax.Array | None) -> Weights:
    depth, heads, layers_before = config.depths[index], config.num_heads[index], sum(config.depths[:index])
    rstb = params[f"layers_{index}"]
    layers = [LAYERS[config.family](rstb["residual_group"][f"blocks_{i}"], heads, config) for i in range(depth)]
    if keep is not None:
        for i, layer in enumerate(layers):
            layer["keep"] = keep[:, layers_before + i]
    pairs = [(layers[i], layers[i + 1]) for i in range(0, depth - 1, 2)]
    convolutions = {name: leaf for name, leaf in rstb.items() if name not in ("residual_group", "patch_embed")}
    if "patch_embed" in rstb:
        last = max(convolutions)  # the only one, or conv_4
        convolutions[last] = _then_pixelwise(convolutions[last], rstb["patch_embed"]["proj"])
    return {"pairs": _stack(pairs) if pairs else None, "last": layers[-1] if depth % 2 else None, **convolutions}


def _swin_layer(params: Mapping[str, Any], heads: int, config: SwinIRConfig) -> Weights:
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


def _swin_v2_layer(params: Mapping[str, Any], heads: int, config: SwinIRConfig) -> Weights:
    attn, mlp = params["attn"], params["mlp"]
    kernel, m = attn["qkv"]["kernel"], config.attention_window
    xp = _array_module(jax.tree.leaves(attn))
    bias = xp.zeros_like(kernel[0])
    if config.qkv_bias:
        bias = xp.concatenate([attn["q_bias"], xp.zeros_like(attn["q_bias"]), attn["v_bias"]])
    first, last = attn["cpb_mlp_0"], attn["cpb_mlp_2"]
    hidden = xp.maximum(relative_coordinates(m).astype(kernel.dtype) @ first["kernel"] + first["bias"][None], 0)
    table = 16 / (1 + xp.exp(-(hidden @ last["kernel"])))
    return {
        "qkv": {"kernel": kernel, "bias": bias},
        "logit_scale": xp.exp(xp.minimum(attn["logit_scale"].ravel(), LARGEST_LOGIT_SCALE)),
        "position_bias": table[relative_position_index(m)].transpose(2, 1, 0),  # [heads, key, query]
        **{"proj": attn["proj"], "norm1": params["norm1"], "norm2": params["norm2"]},
        **{"fc1": mlp["fc1"], "fc2": mlp["fc2"]},
    }


# By `SwinIRConfig.family`.
LAYERS: Mapping[str, Callable[[Mapping[str, Any], int, SwinIRConfig], Weights]] = {
    "swinir": _swin_layer,
    "swin2sr": _swin_v2_layer,
}


def _then_pixelwise(conv: Mapping[str, Any], pixelwise: Mapping[str, Any]) -> Weights:
    """Folds a convolution of single pixels into the convolution before it."""
    matrix = pixelwise["kernel"][0, 0]
    return {"kernel": conv["kernel"] @ matrix[None, None], "bias": conv["bias"] @ matrix + pixelwise["bias"]}


def _after_norm(norm: Mapping[str, Any], linear: Mapping[str, Any]) -> Weights:
    """Folds a LayerNorm into the linear layer after it; what is left to do is to divide by the standard deviation.

    Columns of the kernel sum to zero, so that the mean of the input has no effect.
    """
    bias = norm["bias"] @ linear["kernel"] + linear.get("bias", 0)
    kernel = norm["scale"][:, None] * linear["kernel"]
    return {"kernel": kernel - kernel.mean(axis=0, keepdims=True), "bias": bias}


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: _array_module(leaves).stack(leaves), *trees)


def _array_module(leaves: Sequence[Any]) -> Any:
    """Returns NumPy for NumPy arrays alone; where a part of the parameters is trained, the others may be such."""
    return np if all(isinstance(leaf, np.ndarray) for leaf in leaves) else jnp
