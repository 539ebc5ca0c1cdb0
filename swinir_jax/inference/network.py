"""The network as pure functions for a platform, as restorers, exports and pipelines run it."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from swinir_jax import cpu, gpu
from swinir_jax.arrays import as_batch
from swinir_jax.checkpoints.names import check_network
from swinir_jax.models import SwinIR
from swinir_jax.models.precision import residual_dtype


class Functions(NamedTuple):
    """A network as two functions, called as `restore(prepare(params), lq)`.

    Attributes:
      prepare: `params -> weights`, to call once, outside of a compiled program. Weights are copies on the host, because
        training may donate the caller's arrays, or change them in place, and `jax.device_put` would share their memory.
      restore: `(weights, lq) -> restored`, a pure function to compile.
    """

    prepare: Callable[[Mapping[str, Any]], Any]
    restore: Callable[[Any, jax.Array], Any]


def network_for(model: SwinIR, platform: str, *, fast: bool = True, fused: bool = False) -> Functions:
    """Returns the functions for a platform.

    Args:
      model: network to run.
      platform: "cpu", or the name of any other platform of JAX.
      fast: whether a CPU runs `swinir_jax.cpu`, two to three times as fast there as `model.apply`.
      fused: whether other platforms compute the attention as `SwinIR` with `fused`; False for programs that leave this
        machine, and for several devices.
    """
    if fast and platform == "cpu":
        return Functions(
            functools.partial(_prepare, model),
            functools.partial(cpu.restore, config=model.config, dtype=model.dtype),
        )

    model = model.clone(fused=fused)

    def restore(params: Any, lq: jax.Array) -> Any:
        return model.apply({"params": params}, lq)

    return Functions(functools.partial(jax.tree.map, np.array), restore)


def _prepare(model: SwinIR, params: Mapping[str, Any]) -> Any:
    dtype = residual_dtype(model.dtype)  # in which parameters are folded into each other, whatever theirs is
    return cpu.prepare(jax.tree.map(lambda leaf: np.array(leaf, dtype), dict(params)), model.config)


def fingerprint(model: SwinIR, weights: Any) -> str:
    """Returns a hash of a network and a tree of arrays, the same in each process."""
    seen = hashlib.sha256(repr(model).encode())
    for leaf in jax.tree.leaves(weights):
        seen.update(np.asarray(leaf).tobytes())
    return seen.hexdigest()


def fast_apply(model: SwinIR, params: Mapping[str, Any]) -> Callable[[jax.Array | np.ndarray], jax.Array]:
    """Returns a jitted function of images alone, made of the fastest code for JAX's default device.

    The code is `swinir_jax.cpu` on a CPU, equal to `model.apply` up to float32 rounding, and `model.apply` on other
    devices. On a machine with one device, an NVIDIA GPU, `swinir_jax.gpu` computes the attention of bfloat16 networks,
    which has no forward-mode derivative. To differentiate on a CPU, `model.apply` takes less memory.

    Args:
      model: network from `load_pretrained`.
      params: parameters from `load_pretrained`.

    Returns:
      `lq -> restored` with the shapes of `SwinIR.__call__`, compiled for each new shape. Can be called inside `jit`,
      `vmap` and `lax.scan`. Raises InputError if `lq` has another layout or dtype, or is a NumPy array with values that
      are not finite or clearly not in [0, 1]; reading the values of JAX's arrays would wait for the device.

    Raises:
      InputError: if the parameters are not those of the network.
    """
    check_network(model, params)
    with jax.ensure_compile_time_eval():  # the caller may be tracing
        (device,) = jax.device_put(np.zeros(())).devices()
        # Within `jit`, the caller may divide the images among all devices.
        network = network_for(model, device.platform, fused=jax.device_count() == 1 and gpu.runs_on(device))
        weights, restore = jax.device_put(network.prepare(params)), jax.jit(network.restore)

    def restore_batch(lq: jax.Array | np.ndarray) -> jax.Array:
        restored: jax.Array = restore(weights, as_batch(lq, model.config.in_chans))
        return restored

    return restore_batch
