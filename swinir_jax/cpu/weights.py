"""Parameters as `network.restore` takes them: what follows from parameters alone is computed, equal layers stacked."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.config import SwinIRConfig
from swinir_jax.models.windows import relative_position_index

Weights = dict[str, Any]


@np.errstate(over="ignore", invalid="ignore")  # weights that are not finite show in the answer
def prepare(params: Mapping[str, Any], config: SwinIRConfig, keep: jax.Array | None = None) -> Weights:
    """Makes weights of parameters.

    The factor on the queries and the LayerNorms' scale and bias go into the linear layers behind them; the relative
    position bias is looked up in its table.

    Args:
      params: of `SwinIR(config)`; NumPy arrays stay such, and no copy of all of them is ever made beside the weights.
        Differentiable, so that a training step may begin with it.
      config: the architecture.
      keep: stochastic depth, `[B, layers, 2]` factors on the two branches of each layer, by image; None for 1.

    Returns:
      The parameters but for `layers_0` and so on. In place of these, `rstbs`: one entry for each run of RSTBs of equal
      depth and heads, whose leaves have a leading axis of the RSTBs. In it, `pairs` are W-MSA and SW-MSA layers, with
      a second such axis, and `last` is the layer that an odd depth leaves; None where there is none.
    """
    rest = {name: leaf for name, leaf in params.items() if not name.startswith("layers_")}
    kinds = list(zip(config.depths, config.num_heads, strict=True))
    runs = [list(run) for _, run in itertools.groupby(range(len(kinds)), key=kinds.__getitem__)]
    return {**rest, "rstbs": [_stack([_rstb(params, i, config, keep) for i in run]) for run in runs]}


def _rstb(params: Mapping[str, Any], index: int, config: SwinIRConfig, keep: jax.Array | None) -> Weights:
    depth, heads, first = config.depths[index], config.num_heads[index], sum(config.depths[:index])
    given = params[f"layers_{index}"]
    layers = [_layer(given["residual_group"][f"blocks_{i}"], heads, config) for i in range(depth)]
    if keep is not None:
        for i, layer in enumerate(layers):
            layer["keep"] = keep[:, first + i]
    pairs = [(layers[i], layers[i + 1]) for i in range(0, depth - 1, 2)]
    convolutions = {name: leaf for name, leaf in given.items() if name != "residual_group"}
    return {"pairs": _stack(pairs) if pairs else None, "last": layers[-1] if depth % 2 else None, **convolutions}


def _layer(params: Mapping[str, Any], heads: int, config: SwinIRConfig) -> Weights:
    attn, mlp, width = params["attn"], params["mlp"], config.embed_dim
    scale = (width // heads) ** -0.5 if config.qk_scale is None else config.qk_scale
    qkv = _behind(params["norm1"], attn["qkv"])
    factors = np.repeat(np.asarray([scale, 1, 1], qkv["kernel"].dtype), width)  # on queries, keys and values
    bias = attn["relative_position_bias_table"][relative_position_index(config.attention_window)]
    return {
        "qkv": {"kernel": qkv["kernel"] * factors[None], "bias": qkv["bias"] * factors},
        "position": bias.transpose(2, 1, 0),  # [heads, key, query]
        "proj": attn["proj"],
        "fc1": _behind(params["norm2"], mlp["fc1"]),
        "fc2": mlp["fc2"],
    }


def _behind(norm: Mapping[str, Any], linear: Mapping[str, Any]) -> Weights:
    """`linear(norm(x))` as a linear layer on x divided by its deviation: its kernel takes the mean out."""
    bias = norm["bias"] @ linear["kernel"] + linear.get("bias", 0)
    kernel = norm["scale"][:, None] * linear["kernel"]
    return {"kernel": kernel - kernel.mean(axis=0, keepdims=True), "bias": bias}


def _stack(trees: Sequence[Any]) -> Any:
    def stack(*leaves: Any) -> Any:
        return (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)

    return jax.tree.map(stack, *trees)
