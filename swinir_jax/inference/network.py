"""The network as the functions that suit a device: what a Restorer, an export and a pipeline run."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from swinir_jax import cpu
from swinir_jax.config import SwinIRConfig
from swinir_jax.models import SwinIR


class Network(NamedTuple):
    """A network in two steps, `restore(prepare(params), lq)`.

    Attributes:
      prepare: `params -> weights`, to be called once and outside of a compiled program.
      restore: `(weights, lq) -> restored`, a pure function to be compiled.
    """

    prepare: Callable[[Mapping[str, Any]], Any]
    restore: Callable[[Any, jax.Array], Any]


def network_for(model: SwinIR, platform: str, *, fast: bool = True) -> Network:
    """A network for a platform.

    Args:
      model: the network.
      platform: "cpu" or another.
      fast: whether CPUs take `swinir_jax.cpu`, which is two to three times as fast there as the model's modules.
    """
    if fast and platform == "cpu":
        return Network(
            functools.partial(_prepare, model.config),
            functools.partial(cpu.restore, config=model.config, dtype=model.dtype),
        )

    def restore(params: Any, lq: jax.Array) -> Any:
        return model.apply({"params": params}, lq)

    return Network(lambda params: params, restore)


def _prepare(config: SwinIRConfig, params: Mapping[str, Any]) -> Any:
    return cpu.prepare(jax.tree.map(np.asarray, dict(params)), config)


def fast_apply(model: SwinIR, params: Mapping[str, Any]) -> Callable[[jax.Array], jax.Array]:
    """`jax.jit(model.apply)` with the parameters in it, by the code that is fastest on JAX's default device.

    On CPUs this is `swinir_jax.cpu`, equal to float32 rounding; elsewhere `model.apply` itself. For restoring: where a
    derivative is asked on a CPU, `model.apply` takes less memory.

    Args:
      model: from `load_pretrained`.
      params: from `load_pretrained`.

    Returns:
      `lq -> restored`, as `SwinIR.__call__` says; compiled for each new shape, and to be used under `jit`, `vmap`,
      `lax.scan` and the like.
    """
    (device,) = jax.device_put(np.zeros(())).devices()
    network = network_for(model, device.platform)
    return functools.partial(jax.jit(network.restore), jax.device_put(network.prepare(params)))
