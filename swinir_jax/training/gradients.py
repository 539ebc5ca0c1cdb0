"""Losses and gradients of a step: micro-batches, devices, and the two networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from swinir_jax import cpu, gpu
from swinir_jax.features import perceptual_loss
from swinir_jax.training.adversary import discriminator_loss, generator_terms
from swinir_jax.training.artifacts import artifact_map
from swinir_jax.training.losses import pixel_loss
from swinir_jax.training.state import TrainState

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]
# Restores a batch in training: `(params, state, batch, key) -> restored`.
Restore = Callable[[Any, TrainState, Batch, jax.Array], jax.Array]


class Gradients(NamedTuple):
    """Gradients of both networks, with the structures of their parameters; None without a discriminator."""

    generator: Any
    discriminator: Any = None


def losses_and_gradients(
    state: TrainState, batch: Batch, mesh: Mesh | None = None, *, fast: bool = True
) -> tuple[Metrics, Gradients]:
    """Computes the mean losses of a batch and the gradients, in `state.accumulate` micro-batches one by one.

    With `fast`, each CPU device runs its own images through `swinir_jax.cpu`. With dropout and on other platforms, the
    compiler divides the Flax modules, in which NVIDIA GPUs take the attention of `swinir_jax.gpu` in bfloat16. Random
    choices are drawn for the whole batch in all cases, so that training does not depend on the number of devices.

    Args:
      state: state before the step.
      batch: see `train_step`.
      mesh: see `train_step`.
      fast: see `train_step`.

    Returns:
      `loss`, the loss of the generator; its weighted parts by name if there are several; with a discriminator, the
      losses of real and restored images, `real` and `fake`, and their mean logits, `real_logit` and `fake_logit`: all
      scalars. And the gradients.
    """
    config, key = state.model.config, jax.random.fold_in(state.key, state.step)
    device = jax.devices()[0] if mesh is None else mesh.devices.flat[0]
    if not fast or device.platform != "cpu" or config.has_dropout:
        alone = mesh is None or mesh.size == 1
        fused = fast and gpu.runs_on(device) and (alone or mesh)
        state = state.replace(model=state.model.clone(fused=fused))
        return _by_parts(_restore, state, batch, key)

    if config.is_random:
        batch = {**batch, "keep": _draw_keep(config.drop_path_rates, len(batch["lq"]), key)}
    if state.adversary is not None:
        network = state.adversary.network.clone(convolution=cpu.convolve_padded)
        state = state.replace(adversary=state.adversary.replace(network=network))
    if mesh is None or mesh.size == 1:
        return _by_parts(_restore_on_cpu, state, batch, key)
    axes = mesh.axis_names

    def share(state: TrainState, batch: Batch) -> tuple[Metrics, Gradients]:
        return lax.pmean(_by_parts(_restore_on_cpu, state, batch, key), axes)

    # With check_vma, JAX would sum the gradients of the devices before `pmean` averages them.
    divided = jax.shard_map(
        share, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(axes)), out_specs=PartitionSpec(), check_vma=False
    )
    return divided(state.for_gradients(), dict(batch))


def _draw_keep(rates: Sequence[float], batch: int, key: jax.Array) -> jax.Array:
    """Draws the factors of stochastic depth, 0 or 1 / (1 - rate), for both branches of each layer: `[B, layers, 2]`."""
    keep_probability = 1 - jnp.asarray(rates, jnp.float32).reshape(1, -1, 1)
    keep = jax.random.bernoulli(key, keep_probability, (batch, len(rates), 2))
    return keep.astype(keep_probability.dtype) / keep_probability


def _by_parts(restore: Restore, state: TrainState, batch: Batch, key: jax.Array) -> tuple[Metrics, Gradients]:
    """Averages losses and gradients over the micro-batches."""
    if state.accumulate == 1:
        return _both_networks(restore, state, batch, key)

    def add(total: Any, part: tuple[Batch, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, _both_networks(restore, state, *part)), None

    parts = jax.tree.map(lambda images: _parts(images, state.accumulate), dict(batch))
    keys = jax.random.split(key, state.accumulate)
    first = jax.tree.map(lambda images: images[0], parts)
    shapes = jax.eval_shape(lambda part: _both_networks(restore, state, part, key), first)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = lax.scan(add, zeros, (parts, keys))
    return jax.tree.map(lambda leaf: leaf / state.accumulate, total)


def _parts(images: jax.Array, count: int) -> jax.Array:
    """Reshapes `[B, ...]` to `[count, B / count, ...]`, where each part has images of every device."""
    return images.reshape(-1, count, *images.shape[1:]).swapaxes(0, 1)


def _both_networks(restore: Restore, state: TrainState, batch: Batch, key: jax.Array) -> tuple[Metrics, Gradients]:
    """Computes the gradients of generator and discriminator, both before their updates."""

    def generator_loss(params: Any) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
        restored = restore(params, state, batch, key)
        terms = _generator_terms(restore, state, restored, batch, key)
        loss = sum(terms.values(), jnp.zeros((), restored.dtype))
        return loss, ({"loss": loss} | (terms if len(terms) > 1 else {}), lax.stop_gradient(restored))

    (_, (metrics, restored)), gradient = jax.value_and_grad(generator_loss, has_aux=True)(state.params)
    if state.adversary is None:
        return metrics, Gradients(gradient)
    against = jax.value_and_grad(discriminator_loss, has_aux=True)
    (_, terms), discriminator_gradient = against(state.adversary.params, state.adversary, restored, batch["hq"])
    return metrics | terms, Gradients(gradient, discriminator_gradient)


def _generator_terms(restore: Restore, state: TrainState, restored: jax.Array, batch: Batch, key: jax.Array) -> Metrics:
    """Computes the weighted parts of the generator's loss."""
    hq, config = batch["hq"], state.loss_config
    terms = {"pixel": config.weight * pixel_loss(config, restored, hq)}
    if state.features is not None:
        distance = perceptual_loss(config.perceptual, state.features, restored, hq, key, state.model.dtype)
        terms["perceptual"] = config.perceptual_weight * distance
    if state.adversary is None:
        return terms
    terms |= generator_terms(state.adversary, restored, hq)
    if state.adversary.config.artifacts:
        averaged = lax.stop_gradient(restore(state.ema, state, batch, key))
        weights = artifact_map(restored, averaged, hq)
        terms["artifacts"] = state.adversary.config.artifacts * jnp.mean(weights * jnp.abs(restored - hq))
    return terms


def _restore(params: Any, state: TrainState, batch: Batch, key: jax.Array) -> jax.Array:
    restored: Any = state.model.apply({"params": params}, batch["lq"], deterministic=False, rngs={"dropout": key})
    return restored


def _restore_on_cpu(params: Any, state: TrainState, batch: Batch, key: jax.Array) -> jax.Array:
    """Computes `_restore` by `swinir_jax.cpu`; `batch["keep"]` has the factors of stochastic depth."""
    model = state.model
    weights = cpu.prepare(params, model.config, batch.get("keep"), training=True)
    return cpu.restore(weights, batch["lq"], model.config, model.dtype, training=True)
