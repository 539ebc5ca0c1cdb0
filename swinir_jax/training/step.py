"""One step of training, as a pure function."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from swinir_jax.training.state import TrainState

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


def train_step(state: TrainState, batch: Batch, mesh: Mesh | None = None) -> tuple[TrainState, Metrics]:
    """One update.

    Where the loss or the gradient is not finite, parameters, EMA and optimiser stay as they are, and the step is
    counted as skipped.

    Args:
      state: before.
      batch: `{"lq": [B, h, w, C], "hq": [B, H, W, C]}`, float32, about [0, 1]; B is a multiple of `state.accumulate`.
      mesh: devices among which the batch is divided, along all axes; None for one.

    Returns:
      The state after it, and the scalars `loss`, `grad_norm` (over all parameters, before clipping), `learning_rate`,
      `skipped` and `skipped_in_row`.
    """
    loss, gradient = loss_and_gradient(state, batch, mesh)
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


def loss_and_gradient(state: TrainState, batch: Batch, mesh: Mesh | None = None) -> tuple[jax.Array, Any]:
    """Mean loss of a batch, and its gradient, a tree like the parameters; in `state.accumulate` parts one by one.

    Each device of a mesh takes its images through the whole network by itself. With dropout the compiler divides the
    work instead, because by themselves all devices would draw the same mask.
    """
    key = jax.random.fold_in(state.key, state.step)
    if mesh is None or mesh.size == 1 or state.model.config.has_dropout:
        return _by_parts(state.params, state, batch, key, 0)
    axes = mesh.axis_names

    def share(params: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, Any]:
        return lax.pmean(_by_parts(params, state, batch, key, lax.axis_index(axes)), axes)

    whole = PartitionSpec()
    # Unchecked, because otherwise JAX would add up the devices' gradients before they are averaged here.
    divided = jax.shard_map(
        share, mesh=mesh, in_specs=(whole, PartitionSpec(axes), whole), out_specs=whole, check_vma=False
    )
    return divided(state.params, dict(batch), key)


def _by_parts(
    params: Any, state: TrainState, batch: Batch, key: jax.Array, device: jax.Array | int
) -> tuple[jax.Array, Any]:
    """Mean loss and gradient of the images of one device, by its place in the mesh."""
    gradient_of = jax.value_and_grad(_loss)
    if state.accumulate == 1:
        return gradient_of(params, state, batch, key, device)

    def add(total: Any, part: tuple[Batch, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, gradient_of(params, state, *part, device)), None

    parts = jax.tree.map(lambda images: _parts(images, state.accumulate), dict(batch))
    keys = jax.random.split(key, state.accumulate)
    shapes = jax.eval_shape(gradient_of, params, state, jax.tree.map(lambda images: images[0], parts), key, device)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = lax.scan(add, zeros, (parts, keys))
    return jax.tree.map(lambda leaf: leaf / state.accumulate, total)


def _parts(images: jax.Array, count: int) -> jax.Array:
    """`[B, ...]` -> `[count, B / count, ...]`; each part has images of all devices, which thus need not swap any."""
    return images.reshape(-1, count, *images.shape[1:]).swapaxes(0, 1)


def _loss(params: Any, state: TrainState, batch: Batch, key: jax.Array, device: jax.Array | int) -> jax.Array:
    random, lq = state.model.config.is_random, batch["lq"]
    restored: Any = state.model.apply(
        {"params": params},
        lq,
        deterministic=not random,
        first_image=device * lq.shape[0],
        rngs={"dropout": key} if random else None,
    )
    return state.loss(restored, batch["hq"])
