"""Training step, as a pure function."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from swinir_jax.training.adversary import Adversary, spectral_after
from swinir_jax.training.gradients import Batch, Metrics, losses_and_gradients
from swinir_jax.training.state import TrainState


def train_step(
    state: TrainState, batch: Batch, mesh: Mesh | None = None, *, fast: bool = True
) -> tuple[TrainState, Metrics]:
    """Performs one update of the network, and of the discriminator if there is one.

    If a loss or a gradient is not finite, both networks, EMA and optimiser states stay the same, and the step counts as
    skipped.

    Args:
      state: state before the step.
      batch: `{"lq": [B, h, w, C], "hq": [B, H, W, C]}`, float32, about [0, 1]; B is a multiple of `state.accumulate`.
      mesh: devices that divide the batch, along all axes; None for one device.
      fast: use `swinir_jax.cpu` on CPUs, and in bfloat16 the attention of `swinir_jax.gpu` on NVIDIA GPUs, with
        equal results up to rounding; False for the Flax modules alone.

    Returns:
      The state after the step, and scalars: those of `losses_and_gradients`, `grad_norm` (over all parameters, before
      clipping), with a discriminator also `discriminator_grad_norm`, and `learning_rate`, `skipped` and
      `skipped_in_row`.
    """
    metrics, gradients = losses_and_gradients(state, batch, mesh, fast=fast)
    metrics = metrics | {"grad_norm": optax.tree.norm(gradients.generator)}
    changed = _updated_network(state, gradients.generator)
    if state.adversary is not None:
        metrics["discriminator_grad_norm"] = optax.tree.norm(gradients.discriminator)
        waits = state.step < state.adversary.config.warmup_steps
        changed = {name: optax.tree.where(waits, getattr(state, name), value) for name, value in changed.items()}
        changed["adversary"] = _updated_adversary(state.adversary, gradients.discriminator, state.step)

    finite = jnp.all(jnp.stack([jnp.isfinite(value) for value in metrics.values()]))
    skip = jnp.where(finite, 0, 1)
    metrics["learning_rate"] = jnp.asarray(state.schedule(state.step), metrics["loss"].dtype)
    state = state.replace(
        **{name: optax.tree.where(finite, value, getattr(state, name)) for name, value in changed.items()},
        step=state.step + 1,
        skipped=state.skipped + skip,
        skipped_in_row=(state.skipped_in_row + skip) * skip,
    )
    return state, metrics | {"skipped": state.skipped, "skipped_in_row": state.skipped_in_row}


def _updated_network(state: TrainState, gradient: Any) -> dict[str, Any]:
    """Returns the fields of the state that an update of the generator changes."""
    direction, opt_state = state.optimizer.update(gradient, state.opt_state, state.params)
    params = _descend(state.params, direction, state.schedule(state.step))
    return {"params": params, "ema": _averaged(state, params), "opt_state": opt_state}


def _averaged(state: TrainState, params: Any) -> Any:
    """Returns the moving average after an update to `params`."""
    kept: Any = state.ema_decay
    if state.ema_warmup:
        (_, count), *_ = optax.tree.get_all_with_path(state.opt_state, "count")  # Muon and Adam count alike
        updates = jnp.asarray(count, jnp.float32)  # without skipped steps
        kept = jnp.minimum(kept, (1 + updates) / (10 + updates))
    added = 1 - kept

    def average(ema: jax.Array, p: jax.Array) -> jax.Array:
        return jnp.asarray(kept, p.dtype) * ema + jnp.asarray(added, p.dtype) * p

    return jax.tree.map(average, state.ema, params)


def _updated_adversary(adversary: Adversary, gradient: Any, step: jax.Array) -> Adversary:
    direction, opt_state = adversary.optimizer.update(gradient, adversary.opt_state, adversary.params)
    params = _descend(adversary.params, direction, adversary.schedule(step))
    return adversary.replace(params=params, spectral=spectral_after(adversary, 3), opt_state=opt_state)


def _descend(params: Any, direction: Any, rate: Any) -> Any:
    return jax.tree.map(lambda p, d: p - jnp.asarray(rate, p.dtype) * d, params, direction)
