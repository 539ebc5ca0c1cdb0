"""Fine-tunes the bundled network on a few photographs of your own.

    python examples/fine_tune.py [--small] [--photos FOLDER] [--steps N] [--out FOLDER]
    swinir-jax restore photo.jpg --model out/fine_tuned --out restored/

Shows the training step as a plain function of a state and a batch. For whole runs, with checkpoints and validation, use
`python train.py`. Without `--photos`, ten crops of the example photograph stand in. The result is a model folder.
"""

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

import swinir_jax
from swinir_jax.configs import load_experiment
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.training.experiment import Experiment, OptimizerConfig
from swinir_jax.training.state import create_state
from swinir_jax.training.step import train_step

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.png"


def fine_tune(experiment: Experiment, params: Any, batches: Iterable[Mapping[str, np.ndarray]]) -> Any:
    """Takes one training step for each batch.

    Args:
      experiment: network, optimiser and loss.
      params: parameters to start from.
      batches: `{"lq": [B, h, w, C], "hq": [B, h * scale, w * scale, C]}` each, float32 in [0, 1].

    Returns:
      The parameters after the last step.
    """
    state = create_state(experiment, params)
    step = jax.jit(train_step, donate_argnums=0)
    for batch in batches:
        state, metrics = step(state, batch)
        print(f"step {state.step}: loss {metrics['loss']:.5f}")
    return state.params


def mean_error(model: swinir_jax.SwinIR, params: Any, batch: Mapping[str, np.ndarray]) -> float:
    """Returns the mean absolute error of the network on a batch."""
    restored = jax.jit(model.apply)({"params": params}, batch["lq"])
    return float(np.abs(restored - batch["hq"]).mean())


def write_crops(folder: Path, count: int, side: int) -> None:
    """Writes square crops of the example photograph, as a stand-in for several photographs."""
    rng = np.random.default_rng(0)
    image = np.asarray(Image.open(PHOTO).convert("RGB"))
    for i in range(count):
        y, x = rng.integers(256 - side, size=2)
        Image.fromarray(image[y : y + side, x : x + side]).save(folder / f"{i}.png")


def main() -> None:
    """Fine-tunes, prints the error before and after, and writes a model folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--photos", type=Path, help="folder of sharp photographs")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--small", action="store_true", help="small patches and batches, for a run of a minute")
    parser.add_argument("--out", type=Path, default=Path("out/fine_tuned"), help="a new folder; default: %(default)s")
    args = parser.parse_args()
    if args.out.exists():  # before the work; save_pretrained refuses it
        parser.error(f"{args.out}: exists; choose a new folder")
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    with tempfile.TemporaryDirectory() as crops:
        if args.photos is None:
            write_crops(Path(crops), count=10, side=128)
        data = DataConfig(
            hq=f"folder:{args.photos or crops}",
            degradation=Degradation(kind="bicubic", low=2, high=2),
            patch_size=16 if args.small else 48,
        )
        experiment = dataclasses.replace(
            load_experiment("lightweight_sr_x2"),
            # The network is trained already: it needs small steps, and no stochastic depth.
            network=dataclasses.replace(model.config, drop_path_rate=0.0),
            optimizer=OptimizerConfig(learning_rate=5e-5, schedule="constant"),
            steps=args.steps,
        )
        batches = TrainingBatches(data, scale=2, channels=3, batch_size=4 if args.small else 16, seed=0)
        seen = next(batches)  # for measuring before and after; these patches come from the same photographs
        tuned = fine_tune(experiment, params, itertools.islice(batches, args.steps))
        batches.close()
    before, after = (mean_error(model, weights, seen) for weights in (params, tuned))
    print(f"mean error on the photographs: before {before:.5f}, after {after:.5f}")
    swinir_jax.save_pretrained(args.out, model, tuned)
    print(args.out)


if __name__ == "__main__":
    main()
