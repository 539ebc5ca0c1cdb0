"""Restores inside a data pipeline: Grain puts batches on the device while a jitted program restores earlier ones.

    python examples/pipeline.py [--small]

Shows that a restored batch is an array like any other: further work, here a measure of sharpness, is part of the same
program.
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
    """Cuts a photograph `[h, w, C]` uint8 into crops without overlap: `[B, side, side, C]` float32 on the device."""
    corners = [
        (y, x) for y in range(0, image.shape[0] - side + 1, side) for x in range(0, image.shape[1] - side + 1, side)
    ]
    crops = grain.MapDataset.source(corners).map(lambda corner: _crop(image, corner, side))
    # Batches of one shape need one compiled program.
    batches = crops.batch(batch_size, drop_remainder=True).to_iter_dataset()
    return grain.experimental.device_put(batches, jax.devices()[0])


def _crop(image: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    y, x = corner
    return image[y : y + side, x : x + side].astype(np.float32) / 255


def restored_batches(
    model: swinir_jax.SwinIR, params: Mapping[str, Any], batches: grain.IterDataset
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yields restored batches `[B, h * scale, w * scale, C]` and each image's sharpness (mean gradient), `[B]`."""

    @jax.jit
    def restore(params: Any, lq: jax.Array) -> tuple[jax.Array, jax.Array]:
        hq = model.apply({"params": params}, lq)
        return hq, jnp.abs(jnp.diff(hq, axis=2)).mean(axis=(1, 2, 3))

    params = jax.device_put(params)
    for lq in batches:
        yield restore(params, lq)


def main() -> None:
    """Restores the crops of the photograph and prints their sharpness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--small", action="store_true", help="crops of 16 pixels of a corner, for a run of seconds")
    small = parser.parse_args().small
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    image = np.asarray(Image.open(PHOTO).convert("RGB"))
    batches = crop_batches(image[:32, :32], 16, 2) if small else crop_batches(image, 64, 4)
    for hq, sharpness in restored_batches(model, params, batches):
        print(f"restored {hq.shape}, sharpness of each image: {np.round(sharpness, 4)}")


if __name__ == "__main__":
    main()
