"""Training step, as a pure function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from swinir_jax import cpu
from swinir_jax.training.state import TrainState

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


def train_step(
    state: TrainState, batch: Batch, mesh: Mesh | None = None, *, fast: bool = True
) -> tuple[TrainState, Metrics]:
    """Performs one update.

    If the loss or the gradient is not finite, parameters, EMA and optimiser state stay the same, and the step counts as
    skipped.

    Args:
      state: state before the step.
      batch: `{"lq": [B, h, w, C], "hq": [B, H, W, C]}`, float32, about [0, 1]; B is a multiple of `state.accumulate`.
      mesh: devices that divide the batch, along all axes; None for one device.
      fast: use `swinir_jax.cpu` on CPUs, with equal results up to rounding; False for the Flax modules.

    Returns:
      The state after the step, and the scalars `loss`, `grad_norm` (over all parameters, before clipping),
      `learning_rate`, `skipped` and `skipped_in_row`.
    """
    loss, gradient = loss_and_gradient(state, batch, mesh, fast=fast)
    grad_norm = optax.tree.norm(gradient)
    rate = jnp.asarray(state.schedule(state.step), loss.dtype)
    direction, opt_state = state.optimizer.update(gradient, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: p - rate * d, state.params, direction)
    decay = state.ema_decay
    ema = jax.tree.map(lambda average, p: decay * average + (1 - decay) * p, state.ema, params)

    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    changed = {"params": params, "ema": ema, "opt_state": opt_state}
    unchanged = {name: getattr(state, name) for name in changed}
    skip = jnp.where(finite, 0, 1)
    state = state.replace(
        **jax.tree.map(lambda new, old: jnp.where(finite, new, old), changed, unchanged),
        step=state.step + 1,
        skipped=state.skipped + skip,
        skipped_in_row=(state.skipped_in_row + skip) * skip,
    )
    metrics = {"loss": loss, "grad_norm": grad_norm, "learning_rate": rate}
    return state, metrics | {"skipped": state.skipped, "skipped_in_row": state.skipped_in_row}


def loss_and_gradient(
    state: TrainState, batch: Batch, mesh: Mesh | None = None, *, fast: bool = True
) -> tuple[jax.Array, Any]:
    """Computes the mean loss of a batch and the gradient, in `state.accumulate` micro-batches one by one.

    With `fast`, each CPU device runs its own images through `swinir_jax.cpu`. With dropout and on other platforms, the
    compiler divides the Flax modules. Random choices are drawn for the whole batch in both cases, so that training does
    not depend on the number of devices.

    Args:
      state: state before the step.
      batch: see `train_step`.
      mesh: see `train_step`.
      fast: see `train_step`.

    Returns:
      The loss, a scalar, and the gradient, with the structure of the parameters.
    """
    config, key = state.model.config, jax.random.fold_in(state.key, state.step)
    platform = jax.default_backend() if mesh is None else mesh.devices.flat[0].platform
    if not fast or platform != "cpu" or config.has_dropout:
        return _by_parts(_loss, state.params, state, batch, key)

    if config.is_random:
        batch = {**batch, "keep": _draw_keep(config.drop_path_rates, len(batch["lq"]), key)}
    if mesh is None or mesh.size == 1:
        return _by_parts(_loss_on_cpu, state.params, state, batch, key)
    axes = mesh.axis_names

    def share(params: Any, batch: Batch) -> tuple[jax.Array, Any]:
        return lax.pmean(_by_parts(_loss_on_cpu, params, state, batch, key), axes)

    # With check_vma, JAX would sum the gradients of the devices before `pmean` averages them.
    divided = jax.shard_map(
        share, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(axes)), out_specs=PartitionSpec(), check_vma=False
    )
    return divided(state.params, dict(batch))


def _draw_keep(rates: Sequence[float], batch: int, key: jax.Array) -> jax.Array:
    """Draws the factors of stochastic depth, 0 or 1 / (1 - rate), for both branches of each layer: `[B, layers, 2]`."""
    keep_probability = 1 - jnp.asarray(rates, jnp.float32).reshape(1, -1, 1)
    keep = jax.random.bernoulli(key, keep_probability, (batch, len(rates), 2))
    return keep.astype(keep_probability.dtype) / keep_probability


def _by_parts(loss: Callable[..., jax.Array], params: Any, state: TrainState, batch: Batch, key: jax.Array) -> Any:
    """Averages `loss(params, state, batch, key)` and the gradient over the micro-batches."""
    gradient_of = jax.value_and_grad(loss)
    if state.accumulate == 1:
        return gradient_of(params, state, batch, key)

    def add(total: Any, part: tuple[Batch, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, gradient_of(params, state, *part)), None

    parts = jax.tree.map(lambda images: _parts(images, state.accumulate), dict(batch))
    keys = jax.random.split(key, state.accumulate)
    shapes = jax.eval_shape(gradient_of, params, state, jax.tree.map(lambda images: images[0], parts), key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = lax.scan(add, zeros, (parts, keys))
    return jax.tree.map(lambda leaf: leaf / state.accumulate, total)


def _parts(images: jax.Array, count: int) -> jax.Array:
    """Reshapes `[B, ...]` to `[count, B / count, ...]`, where each part has images of every device."""
    return images.reshape(-1, count, *images.shape[1:]).swapaxes(0, 1)


def _loss(params: Any, state: TrainState, batch: Batch, key: jax.Array) -> jax.Array:
    restored: Any = state.model.apply({"params": params}, batch["lq"], deterministic=False, rngs={"dropout": key})
    return state.loss(restored, batch["hq"])


def _loss_on_cpu(params: Any, state: TrainState, batch: Batch, key: jax.Array) -> jax.Array:
    """Computes `_loss` by `swinir_jax.cpu`; `batch["keep"]` has the factors of stochastic depth."""
    model = state.model
    weights = cpu.prepare(params, model.config, batch.get("keep"))
    return state.loss(cpu.restore(weights, batch["lq"], model.config, model.dtype, training=True), batch["hq"])
