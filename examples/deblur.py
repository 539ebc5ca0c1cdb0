"""Deblurs a photograph by gradient descent through the network.

    python examples/deblur.py [--small]

Shows an inverse problem with the network as the prior: among all pictures that the network can produce, find the one
whose blur is the given blurred picture. Adam optimises the network's input, a picture of half the size. Any other
differentiable degradation can take the place of the blur.
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
SIGMA = 1.6  # standard deviation of the blur, in pixels


def blur(image: jax.Array, sigma: float = SIGMA) -> jax.Array:
    """Blurs `[B, h, w, C]` by a Gaussian of `sigma` pixels; beyond the border, the images are mirrored."""
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
    """Finds the network's input for which the blurred answer comes closest to `blurred`.

    Args:
      model: a network that enlarges by 2.
      params: parameters of the network.
      blurred: `[B, h, w, C]` float in [0, 1], with even sides.
      steps: number of Adam's steps.
      learning_rate: Adam's first learning rate, which a cosine lets fall to 0.

    Returns:
      The deblurred images, `[B, h, w, C]`, and the mean squared error at each step, `[steps]`.
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
    """PSNR in dB of images in [0, 1]."""
    return float(-10 * jnp.log10(jnp.mean((image - truth) ** 2)))


def main() -> None:
    """Blurs the photograph, deblurs it, prints how close both are to the sharp one, and writes them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--small", action="store_true", help="32 pixels and half the steps, for a run of seconds")
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
