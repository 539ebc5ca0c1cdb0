"""Deblurs by gradient through the network, which serves as the picture's prior.

    python examples/deblur.py [--small]

Shows an inverse problem: of all pictures that the network can make, find the one that, blurred, is the blurred picture
given. What is optimised is the network's input, a picture of half the size; the blur could be any differentiable loss
of information.
"""

import argparse
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

import swinir_jax

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"
SIGMA = 1.6  # of the blur, in pixels


def blur(image: jax.Array, sigma: float = SIGMA) -> jax.Array:
    """Gaussian blur of `[B, h, w, C]`; beyond the border the picture is mirrored."""
    radius = int(3 * sigma)
    kernel = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        pads = [(radius, radius) if i == axis else (0, 0) for i in range(4)]
        along = functools.partial(jnp.convolve, v=kernel, mode="valid")
        image = jnp.apply_along_axis(along, axis, jnp.pad(image, pads, mode="reflect"))
    return image


def deblur(
    model: swinir_jax.SwinIR, params: Mapping[str, Any], blurred: jax.Array, *, steps: int, learning_rate: float = 0.03
) -> tuple[jax.Array, jax.Array]:
    """Finds the network's input whose answer, blurred, comes closest to what is given.

    Args:
      model: a network for twice the size.
      params: its parameters.
      blurred: `[B, h, w, C]` float in [0, 1], of even sides.
      steps: of Adam.
      learning_rate: of Adam.

    Returns:
      The deblurred picture, `[B, h, w, C]`, and the mean squared error at each step, `[steps]`.
    """
    b, h, w, c = blurred.shape
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def loss(lq: jax.Array) -> jax.Array:
        return jnp.mean((blur(model.apply({"params": params}, lq)) - blurred) ** 2)

    def step(state: Any, _: None) -> tuple[Any, jax.Array]:
        lq, optimizer_state = state
        value, gradient = jax.value_and_grad(loss)(lq)
        update, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(lq, update), optimizer_state), value

    lq = jax.image.resize(blurred, (b, h // 2, w // 2, c), "linear")
    (lq, _), losses = jax.lax.scan(step, (lq, optimizer.init(lq)), None, length=steps)
    return jnp.clip(model.apply({"params": params}, lq), 0, 1), losses


def psnr(image: jax.Array, truth: jax.Array) -> float:
    """In dB, of values in [0, 1]."""
    return float(-10 * jnp.log10(jnp.mean((image - truth) ** 2)))


def main() -> None:
    """Blurs the photograph, deblurs it and says how close each is to the sharp one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a part of 32 pixels, half of the steps: seconds")
    parser.add_argument("--out", type=Path, default=Path("out/deblurred.png"), help="default: %(default)s")
    args = parser.parse_args()
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    sharp = np.asarray(Image.open(PHOTO).convert("RGB"), np.float32)[None] / 255
    sharp = sharp[:, 48:80, 96:128] if args.small else sharp[:, :128, 64:192]
    blurred = blur(sharp)
    solve = jax.jit(deblur, static_argnums=0, static_argnames="steps")
    deblurred, losses = solve(model, params, blurred, steps=30 if args.small else 60)
    print(f"error of the blurred answer: {losses[0]:.6f} -> {losses[-1]:.6f}")
    print(f"PSNR: blurred {psnr(blurred, sharp):.2f} dB, deblurred {psnr(deblurred, sharp):.2f} dB")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pair = np.concatenate([blurred[0], deblurred[0]], axis=1)
    Image.fromarray(np.round(255 * pair).astype(np.uint8)).save(args.out)


if __name__ == "__main__":
    main()
