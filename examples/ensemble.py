"""Averages the answers of several checkpoints in one program, by `vmap` over their stacked parameters.

    python examples/ensemble.py [--small] [WEIGHTS ...]

Shows the mean of the answers and where they disagree. WEIGHTS are checkpoints of one architecture, named as for
`load_pretrained`; the default is the bundled network. Two slightly changed copies join a checkpoint that is alone.
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
    """Stacks the parameters of several networks into one tree, whose leaves have a leading axis of networks."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *checkpoints)


def ensemble(model: swinir_jax.SwinIR, stacked: Any, lq: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Computes mean and standard deviation of the answers of all networks.

    Args:
      model: the architecture of all networks.
      stacked: parameters from `stack`.
      lq: `[B, h, w, C]` float in [0, 1].

    Returns:
      Mean and standard deviation, both `[B, h * scale, w * scale, C]` float32.
    """
    answers = jax.vmap(lambda params: model.apply({"params": params}, lq))(stacked)
    return answers.mean(axis=0), answers.std(axis=0)


def perturbed(params: Mapping[str, Any], seed: int) -> Any:
    """Changes each weight by about one percent, as a stand-in for another checkpoint."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf * rng.normal(1, 0.01, leaf.shape).astype(np.float32), params)


def main() -> None:
    """Restores the photograph, and writes the mean and the disagreement, the latter as a gray picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("weights", nargs="*", metavar="WEIGHTS", help="checkpoints of one architecture")
    parser.add_argument("--small", action="store_true", help="a corner of 32 pixels, for a run of seconds")
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
