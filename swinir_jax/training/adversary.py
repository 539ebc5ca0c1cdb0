"""The discriminator as a part of training: state, losses, and one update."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from swinir_jax.models.discriminator import SPECTRAL, Discriminator, power_iteration
from swinir_jax.training.experiment import GanConfig
from swinir_jax.training.optimizer import make_optimizer

Terms = dict[str, jax.Array]


class Adversary(flax.struct.PyTreeNode):
    """Discriminator in training.

    Attributes:
      params: parameters, float32.
      spectral: singular vectors of the kernels, the collection `SPECTRAL`.
      opt_state: state of `optimizer`.
      network: discriminator with the dtype of the arithmetic.
      optimizer: update direction, from `make_optimizer`.
      schedule: learning rate as a function of the step, from `make_optimizer`.
      config: losses and their weights.
    """

    params: Any
    spectral: Any
    opt_state: optax.OptState
    network: Discriminator = flax.struct.field(pytree_node=False)
    optimizer: optax.GradientTransformation = flax.struct.field(pytree_node=False)
    schedule: optax.Schedule = flax.struct.field(pytree_node=False)
    config: GanConfig = flax.struct.field(pytree_node=False)


def create_adversary(config: GanConfig, steps: int, dtype: Any, key: jax.Array) -> Adversary:
    """Creates a discriminator with random parameters.

    Args:
      config: width, losses and optimiser.
      steps: steps of the whole run.
      dtype: dtype of the arithmetic.
      key: key of the random parameters.

    Returns:
      A state on the default device; states of equal configurations have the same tree structure.
    """
    network = Discriminator(config.features, dtype)
    variables = _draw(network, key)
    optimizer, schedule = make_optimizer(config.optimizer, steps)
    params = variables["params"]
    return Adversary(
        params=params,
        spectral=variables[SPECTRAL],
        opt_state=optimizer.init(params),
        network=network,
        optimizer=optimizer,
        schedule=schedule,
        config=config,
    )


@functools.partial(jax.jit, static_argnums=0)
def _draw(network: Discriminator, key: jax.Array) -> Any:
    return network.init(key, jnp.zeros((1, 8, 8, 3)))


def spectral_after(adversary: Adversary, iterations: int) -> Any:
    """Returns the singular vectors after some power iterations; each pass in a step makes one more, as in PyTorch."""
    return functools.reduce(
        lambda spectral, _: power_iteration(adversary.params, spectral), range(iterations), adversary.spectral
    )


def generator_terms(adversary: Adversary, restored: jax.Array, hq: jax.Array) -> Terms:
    """Computes the weighted losses that the discriminator teaches the generator.

    Args:
      adversary: discriminator before the step.
      restored: `[B, H, W, 3]` output of the generator, about [0, 1].
      hq: truth of the same shape.

    Returns:
      `adversarial`, and `feature_matching` if it has a weight: scalars.
    """
    config, spectral = adversary.config, spectral_after(adversary, 1)
    logits, features = _judge(adversary, adversary.params, spectral, restored)
    terms = {"adversarial": config.weight * _GAN_LOSSES[config.loss](logits, True)}
    if config.feature_matching:
        _, wanted = _judge(adversary, adversary.params, spectral, hq)
        distances = [jnp.mean(jnp.abs(features[name] - wanted[name])) for name in features]
        terms["feature_matching"] = config.feature_matching * jnp.mean(jnp.stack(distances))
    return terms


def discriminator_loss(
    params: Any, adversary: Adversary, restored: jax.Array, hq: jax.Array
) -> tuple[jax.Array, Terms]:
    """Computes the loss of the discriminator.

    Args:
      params: parameters of the discriminator.
      adversary: discriminator before the step.
      restored: `[B, H, W, 3]` output of the generator before its update.
      hq: truth of the same shape.

    Returns:
      The loss; and `real`, `fake`, its two parts, and the mean logits `real_logit` and `fake_logit`.
    """
    loss = _GAN_LOSSES[adversary.config.loss]
    real, _ = _judge(adversary, params, spectral_after(adversary, 2), hq)
    fake, _ = _judge(adversary, params, spectral_after(adversary, 3), restored)
    terms = {"real": loss(real, True), "fake": loss(fake, False)}
    return terms["real"] + terms["fake"], terms | {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}


def _judge(
    adversary: Adversary, params: Any, spectral: Any, image: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the logits, and as features the outputs of all other convolutions by name."""
    logits, found = adversary.network.apply(
        {"params": params, SPECTRAL: spectral},
        image,
        capture_intermediates=lambda module, _: module.name is not None,  # not the whole network, which has no name
        mutable=["intermediates"],
    )
    outputs = {name: calls["__call__"][0] for name, calls in found["intermediates"].items()}
    return logits, {name: output.astype(logits.dtype) for name, output in outputs.items() if name != "conv9"}


def _cross_entropy(logits: jax.Array, real: bool) -> jax.Array:
    """Computes the mean loss of logits whose label is real (1) or fake (0)."""
    return jnp.mean(jax.nn.softplus(-logits if real else logits))


def _least_squares(logits: jax.Array, real: bool) -> jax.Array:
    """Computes the same as mean squared distance to the label."""
    return jnp.mean(jnp.square(logits - float(real)))


_GAN_LOSSES: Mapping[str, Callable[[jax.Array, bool], jax.Array]] = {"gan": _cross_entropy, "lsgan": _least_squares}
