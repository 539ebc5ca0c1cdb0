"""Restores a video in one program, by `lax.scan` over the frames.

    python examples/video.py [--small]

Shows that only one frame's activations are in memory, and that the scan can carry a result from frame to frame: here
the last restored frame, to measure how much the video changes. The whole program is differentiable.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import swinir_jax

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"


def restore_video(
    model: swinir_jax.SwinIR, params: Mapping[str, Any], frames: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Restores a video frame by frame.

    Args:
      model: network.
      params: parameters of the network.
      frames: `[T, h, w, C]` float in [0, 1].

    Returns:
      The restored frames `[T, h * scale, w * scale, C]`, and the mean absolute change between neighbours, `[T - 1]`.
    """

    def step(previous: jax.Array, lq: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        hq = model.apply({"params": params}, lq[None])[0]
        return hq, (hq, jnp.abs(hq - previous).mean())

    _, h, w, c = frames.shape
    first = jnp.zeros((h * model.config.upscale, w * model.config.upscale, c), jnp.float32)
    _, (restored, change) = jax.lax.scan(step, first, frames)
    return restored, change[1:]


def pan(image: np.ndarray, side: int, count: int) -> np.ndarray:
    """Makes a video from a camera that moves over a photograph `[h, w, C]` uint8: `[T, side, side, C]` float32."""
    return np.stack([image[2 * t : 2 * t + side, 3 * t : 3 * t + side] for t in range(count)]).astype(np.float32) / 255


def main() -> None:
    """Restores the video and writes it as an animated WebP."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--small", action="store_true", help="three frames of 24 pixels, for a run of seconds")
    parser.add_argument("--out", type=Path, default=Path("out/video.webp"), help="default: %(default)s")
    args = parser.parse_args()
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    image = np.asarray(Image.open(PHOTO).convert("RGB"))
    frames = pan(image, *((24, 3) if args.small else (96, 12)))
    restored, change = jax.jit(restore_video, static_argnums=0)(model, params, frames)
    print(f"{len(frames)} frames of {frames.shape[1:3]} -> {restored.shape[1:3]}, change: {np.round(change, 4)}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(frame) for frame in np.asarray(jnp.round(255 * jnp.clip(restored, 0, 1)), np.uint8)]
    pictures[0].save(args.out, save_all=True, append_images=pictures[1:], duration=100, lossless=True)
    print(args.out)


if __name__ == "__main__":
    main()
