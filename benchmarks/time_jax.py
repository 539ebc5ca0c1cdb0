"""Times one case of swinir_jax, in a process of its own.

    python benchmarks/time_jax.py NETWORK SIDE [--train BATCH [--adversarial]] [--tile auto|N|0] [--file]
        [--dtype bfloat16]

Prints one JSON line: seconds from the start of Python to the first answer, seconds of compiling, median and minimum of
the next five calls, and the peak memory of the process in MB. Batch 1, random weights. With `--file`, a call
reads docs/astronaut.png, restores it and writes a PNG.
"""

import time

START = time.perf_counter()

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
from networks import NETWORKS, PHOTO, PHOTO_SIDE, report

import swinir_jax
from swinir_jax.checkpoints.names import parameter_shapes
from swinir_jax.features.vgg import VGG19
from swinir_jax.machine import gains_by_bfloat16, keep_scratch, release_unused
from swinir_jax.training.sharding import divide_cpu


def random_params(config: swinir_jax.SwinIRConfig) -> dict:
    """Draws parameters, faster than the model's own initialisation."""
    rng = np.random.default_rng(0)
    flat = {name: 0.02 * rng.standard_normal(shape, np.float32) for name, shape in parameter_shapes(config).items()}
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def restoring(model: swinir_jax.SwinIR, side: int, tile: int | str) -> tuple[Callable[[], object], float]:
    """Returns a function that restores one image, and the seconds of compiling."""
    # Without a margin, because PyTorch is timed on the network alone.
    restorer = swinir_jax.Restorer(model, random_params(model.config), tile=tile, pad="minimal")
    lq = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    start = time.perf_counter()
    restorer.prepare((side, side))
    return lambda: restorer.restore(lq), time.perf_counter() - start


def restoring_a_file(model: swinir_jax.SwinIR, side: int) -> tuple[Callable[[], object], float]:
    """Returns a function that restores a picture file as the command does, and the seconds of compiling."""
    from swinir_jax.images import read_picture, write_picture
    from swinir_jax.inference.pictures import restore_picture

    restorer, folder = swinir_jax.Restorer(model, random_params(model.config)), tempfile.TemporaryDirectory()
    start = time.perf_counter()
    restorer.prepare((side, side))
    seconds = time.perf_counter() - start

    def call() -> None:
        write_picture(Path(folder.name) / "restored.png", restore_picture(read_picture(PHOTO), restorer))

    return call, seconds


def training_inputs(model: swinir_jax.SwinIR, side: int, batch: int, adversarial: bool = False) -> tuple[Any, Any, Any]:
    """Returns the mesh of all devices, a first training state, and a batch of noise."""
    from swinir_jax.configs import load_experiment
    from swinir_jax.training.sharding import make_mesh, place_batch, place_state
    from swinir_jax.training.state import create_state

    scale, rng = model.config.upscale, np.random.default_rng(0)
    lq = rng.random((batch, side, side, 3), dtype=np.float32)
    hq = rng.random((batch, side * scale, side * scale, 3), dtype=np.float32)
    mesh = make_mesh()
    recipe = load_experiment(f"real_sr_x{scale}_gan" if adversarial else f"lightweight_sr_x{scale}")
    loss = recipe.loss
    recipe = dataclasses.replace(
        recipe,
        network=model.config,
        dtype=np.dtype(model.dtype).name,
        loss=dataclasses.replace(loss, perceptual="none"),
    )
    state = create_state(recipe, random_params(model.config))
    if adversarial:  # random weights in place of VGG19's file
        tensors = {name: 0.02 * rng.standard_normal(shape, np.float32) for name, shape in VGG19.shapes.items()}
        features = jax.tree.map(jax.numpy.asarray, VGG19.convert(tensors))
        state = state.replace(features=features, loss_config=loss)
    state = place_state(mesh, state)
    return mesh, state, place_batch(mesh, {"lq": lq, "hq": hq})


def training(model: swinir_jax.SwinIR, side: int, batch: int, adversarial: bool) -> tuple[Callable[[], object], float]:
    """Returns a function that takes one step of the training command, and the seconds of compiling."""
    from swinir_jax.training.sharding import compile_step

    mesh, first, data = training_inputs(model, side, batch, adversarial)
    states = [first]
    start = time.perf_counter()
    program = compile_step(mesh, states[0]).lower(states[0], data).compile()
    seconds = time.perf_counter() - start
    release_unused()

    def call() -> None:
        states[0], _ = jax.block_until_ready(program(states[0], data))

    return call, seconds


def main() -> None:
    """Times one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("side", type=int)
    parser.add_argument("--train", type=int, default=0, metavar="BATCH")
    parser.add_argument("--adversarial", action="store_true", help="with discriminator and perceptual loss")
    parser.add_argument("--tile", default="0")
    parser.add_argument("--file", action="store_true", help=f"needs a SIDE of {PHOTO_SIDE}")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    if args.file and args.side != PHOTO_SIDE:
        parser.error(f"the picture's side is {PHOTO_SIDE}")
    if args.train:  # as the command does, before JAX starts
        divide_cpu(args.train)
    keep_scratch()  # as the command does
    config = swinir_jax.SwinIRConfig.from_dict(NETWORKS[args.network])
    dtype = args.dtype if gains_by_bfloat16() else "float32"  # as the command does
    model = swinir_jax.SwinIR(config, dtype=jax.numpy.dtype(dtype))
    if args.file:
        call, compiling = restoring_a_file(model, args.side)
    elif args.train:
        call, compiling = training(model, args.side, args.train, args.adversarial)
    else:
        call, compiling = restoring(model, args.side, args.tile if args.tile == "auto" else int(args.tile))
    report(call, START, compiling)


if __name__ == "__main__":
    main()
