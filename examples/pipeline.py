"""Restores inside a data pipeline: Grain makes batches and puts them on the device, while one program restores them.

    python examples/pipeline.py [--small]

Shows that a restored batch is an array like any other: what follows, here a mean gradient, is part of the same program.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import swinir_jax

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"


def crop_batches(image: np.ndarray, side: int, batch_size: int) -> grain.IterDataset:
    """The crops of a photograph `[h, w, C]` uint8, without overlap: `[B, side, side, C]` float32 on the device."""
    corners = [
        (y, x) for y in range(0, image.shape[0] - side + 1, side) for x in range(0, image.shape[1] - side + 1, side)
    ]
    crops = grain.MapDataset.source(corners).map(lambda corner: _crop(image, corner, side))
    # All batches of one shape, so that one program is compiled; those to come are on the device before they are needed.
    batches = crops.batch(batch_size, drop_remainder=True).to_iter_dataset()
    return grain.experimental.device_put(batches, jax.devices()[0])


def _crop(image: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    y, x = corner
    return image[y : y + side, x : x + side].astype(np.float32) / 255


def restored_batches(
    model: swinir_jax.SwinIR, params: Mapping[str, Any], batches: grain.IterDataset
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yields restored batches `[B, h * scale, w * scale, C]` and the sharpness of each image in them, `[B]`."""

    @jax.jit
    def restore(params: Any, lq: jax.Array) -> tuple[jax.Array, jax.Array]:
        hq = model.apply({"params": params}, lq)
        return hq, jnp.abs(jnp.diff(hq, axis=2)).mean(axis=(1, 2, 3))

    params = jax.device_put(params)
    for lq in batches:
        yield restore(params, lq)


def main() -> None:
    """Restores the crops of the photograph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="crops of 16 pixels of a corner: seconds")
    small = parser.parse_args().small
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    image = np.asarray(Image.open(PHOTO).convert("RGB"))
    batches = crop_batches(image[:32, :32], 16, 2) if small else crop_batches(image, 64, 4)
    for hq, sharpness in restored_batches(model, params, batches):
        print(f"restored {hq.shape}, mean gradient of each image: {np.round(sharpness, 4)}")


if __name__ == "__main__":
    main()
