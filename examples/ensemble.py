"""Averages several checkpoints of one network in one program: `vmap` over their stacked parameters.

    python examples/ensemble.py [--small] [WEIGHTS ...]

Shows the mean of the networks' answers and where they disagree. Without WEIGHTS (two or more of one architecture, each
as `load_pretrained` takes it), copies of the bundled network with slightly changed weights stand in.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import swinir_jax

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"


def stack(checkpoints: Sequence[Mapping[str, Any]]) -> Any:
    """The parameters of several networks as one tree, of which each leaf has a leading axis for them."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *checkpoints)


def ensemble(model: swinir_jax.SwinIR, stacked: Any, lq: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of the answers of all networks.

    Args:
      model: the architecture of all.
      stacked: from `stack`.
      lq: `[B, h, w, C]` float in [0, 1].

    Returns:
      Both `[B, h * scale, w * scale, C]` float32.
    """
    answers = jax.vmap(lambda params: model.apply({"params": params}, lq))(stacked)
    return answers.mean(axis=0), answers.std(axis=0)


def perturbed(params: Mapping[str, Any], seed: int) -> Any:
    """A stand-in for another checkpoint: each weight changed by about one percent."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf * rng.normal(1, 0.01, leaf.shape).astype(np.float32), params)


def main() -> None:
    """Writes the mean, and the disagreement as a gray picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="*", metavar="WEIGHTS", help="checkpoints of one architecture")
    parser.add_argument("--small", action="store_true", help="a corner of 32 pixels: seconds")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder; default: %(default)s")
    args = parser.parse_args()
    networks = [swinir_jax.load_pretrained(name) for name in args.weights or ["lightweight_x2"]]
    model, checkpoints = networks[0][0], [params for _, params in networks]
    if len(checkpoints) == 1:
        checkpoints += [perturbed(checkpoints[0], seed) for seed in (1, 2)]
    lq = np.asarray(Image.open(PHOTO).convert("RGB"), np.float32)[None] / 255
    lq = lq[:, :32, :32] if args.small else lq
    mean, deviation = jax.jit(ensemble, static_argnums=0)(model, stack(checkpoints), lq)
    print(f"{len(checkpoints)} networks, mean disagreement {255 * float(deviation.mean()):.3f} levels of 255")
    args.out.mkdir(parents=True, exist_ok=True)
    for name, image in (("mean", mean[0]), ("disagreement", deviation[0].mean(axis=-1) / deviation.max())):
        pixels = np.asarray(jnp.round(255 * jnp.clip(image, 0, 1)), np.uint8)
        Image.fromarray(pixels).save(args.out / f"ensemble_{name}.png")


if __name__ == "__main__":
    main()
