"""Times swinir_jax in a process of its own: python time_jax.py light|classical SIDE [--train BATCH] [--tile auto|N|0].

Prints one JSON line: seconds from the start of Python to the first answer, of compiling, the median and minimum of the
next five calls, and the peak memory of the process in MB. float32, batch 1, random weights.
"""

import time

START = time.perf_counter()

import argparse
from collections.abc import Callable

import flax
import jax
import numpy as np
from networks import NETWORKS, report

import swinir_jax
from swinir_jax.checkpoints.names import parameter_shapes
from swinir_jax.inference.memory import release_unused


def restoring(model: swinir_jax.SwinIR, params: dict, side: int, tile: int | str) -> tuple[Callable[[], object], float]:
    """A call that restores one image, and the seconds that its program took to compile."""
    restorer = swinir_jax.Restorer(model, params, tile=tile)
    lq = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    start = time.perf_counter()
    if tile != "auto":
        restorer._program((1, tile or side, tile or side, 3))
    return lambda: restorer.restore(lq), time.perf_counter() - start


def training(model: swinir_jax.SwinIR, params: dict, side: int, batch: int) -> tuple[Callable[[], object], float]:
    """A call that makes one step of L1 and Adam, and the seconds that it took to compile."""
    import optax

    scale, rng = model.config.upscale, np.random.default_rng(0)
    lq = jax.device_put(rng.random((batch, side, side, 3), dtype=np.float32))
    hq = jax.device_put(rng.random((batch, side * scale, side * scale, 3), dtype=np.float32))
    optimizer = optax.adam(2e-4)

    def loss(params: dict) -> jax.Array:
        return abs(model.apply({"params": params}, lq) - hq).mean()

    def step(params: dict, state: optax.OptState) -> tuple[dict, optax.OptState]:
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    held = [jax.device_put(params), optimizer.init(params)]
    start = time.perf_counter()
    program = jax.jit(step, donate_argnums=(0, 1)).lower(*held).compile()
    seconds = time.perf_counter() - start
    release_unused()

    def call() -> None:
        held[:] = jax.block_until_ready(program(*held))

    return call, seconds


def main() -> None:
    """Times one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("side", type=int)
    parser.add_argument("--train", type=int, default=0, metavar="BATCH")
    parser.add_argument("--tile", default="0")
    args = parser.parse_args()
    config = swinir_jax.SwinIRConfig.from_dict(NETWORKS[args.network])
    model, rng = swinir_jax.SwinIR(config), np.random.default_rng(0)
    flat = {name: 0.02 * rng.standard_normal(shape, np.float32) for name, shape in parameter_shapes(config).items()}
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    del flat
    if args.train:
        call, compiling = training(model, params, args.side, args.train)
    else:
        call, compiling = restoring(model, params, args.side, args.tile if args.tile == "auto" else int(args.tile))
    del params
    report(call, START, compiling)


if __name__ == "__main__":
    main()
