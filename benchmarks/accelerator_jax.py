"""Measures one case of swinir_jax on JAX's default device, in a process of its own, for accelerator.py.

    python benchmarks/accelerator_jax.py reference COUNT
    python benchmarks/accelerator_jax.py time NETWORK ROWS COLUMNS float32|high|bfloat16 [--train BATCH]
                                        [--plain] [--only-compile]

`reference` compares the first COUNT cases of `tests/data/forward` with the original's answers. `time` restores an image
of noise, or takes training steps, with random weights. Prints a JSON line after each measurement; each line repeats the
ones before it, so that the last line of a process cut short has all that was measured.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from networks import ACCELERATOR_REPEATS, NETWORKS, timings
from tables import ROOT
from time_jax import random_params, training_inputs

from swinir_jax import SwinIR, SwinIRConfig, gpu
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.inference.memory import program_bytes
from swinir_jax.inference.network import network_for
from swinir_jax.models import layers, precision
from swinir_jax.training.sharding import compile_step
from swinir_jax.training.step import train_step

sys.path.append(str(ROOT / "tests"))
from goldens import FORWARD, golden_case, relative_error

DEVICE = jax.devices()[0]


def product_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Counts floating-point operations of matrix products and convolutions, two for each multiplication.

    Args:
      function: function of arrays, without loops.
      *arguments: its arguments, or their shapes.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        result = equation.outvars[0].aval
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            total += 2 * result.size * math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
        elif equation.primitive.name == "conv_general_dilated":
            kernel, output_axis = equation.invars[1].aval, equation.params["dimension_numbers"].rhs_spec[0]
            total += 2 * result.size * kernel.size // kernel.shape[output_axis]
        for value in equation.params.values():
            if isinstance(value, ClosedJaxpr | Jaxpr):
                total += _flops(getattr(value, "jaxpr", value))
    return total


def use_high_precision() -> None:
    """Computes float32 products as `jax.default_matmul_precision("high")` would: on NVIDIA's GPUs in TF32.

    The package fixes the highest precision, so that neither this setting of JAX nor an option lowers it.
    """
    for module in (precision, layers):
        module.product_precision = lambda dtype: jax.lax.Precision.HIGH


def show(result: dict[str, Any]) -> None:
    """Prints a JSON line."""
    print(json.dumps(result), flush=True)


def compare(path: Path) -> dict[str, float]:
    """Measures how far the device's answer is from the original's."""
    config, weights, lq, expected = golden_case(path)
    network = network_for(SwinIR(config), DEVICE.platform)
    restored = jax.jit(network.restore)(network.prepare(params_from_official(weights, config)), lq)
    largest = np.abs(np.asarray(restored, np.float64) - expected).max()
    return {"largest_error": float(largest), "relative_error": relative_error(restored, expected)}


def reference(count: int) -> None:
    """Compares golden cases; threads share the work of compiling."""
    start, errors, problems = time.perf_counter(), {}, {}
    with ThreadPoolExecutor() as pool:
        paths = {pool.submit(compare, path): path for path in FORWARD[:count]}
        for future in as_completed(paths):
            try:
                errors[paths[future].stem] = future.result()
            except Exception as error:  # the other cases go on
                problems[paths[future].stem] = str(error)
            seconds = time.perf_counter() - start
            show({"device": DEVICE.device_kind, "seconds": seconds, "errors": errors, "problems": problems})


def measure(
    network: str,
    rows: int,
    columns: int,
    arithmetic: str,
    batch: int,
    *,
    plain: bool = False,
    only_compile: bool = False,
) -> None:
    """Times tracing, compiling, a first call and later ones; `batch` is 0 to restore one image.

    `plain` runs the Flax modules, without the faster code for a platform.
    """
    if arithmetic == "high":
        use_high_precision()
    dtype = jnp.bfloat16 if arithmetic == "bfloat16" else jnp.float32
    model, fast = SwinIR(SwinIRConfig.from_dict(NETWORKS[network]), dtype), not plain
    if batch:
        mesh, state, data = training_inputs(model, rows, batch)
        flops = product_flops(lambda *args: train_step(*args, fast=False), state, data)
        arguments = [state, data]
        program = compile_step(mesh, state, fast=fast)
    else:
        functions = network_for(model, DEVICE.platform, fast=fast, fused=fast and gpu.runs_on(DEVICE))
        params = random_params(model.config)
        lq = np.random.default_rng(0).random((1, rows, columns, 3), dtype=np.float32)
        program = jax.jit(functions.restore)
        arguments = jax.device_put([functions.prepare(params), lq])
        flops = product_flops(model.apply, {"params": params}, lq)
    result = {"device": DEVICE.device_kind, "jax": jax.__version__, "flops": flops}

    start = time.perf_counter()
    lowered = program.lower(*arguments)
    result["tracing"] = time.perf_counter() - start
    show(result)
    start = time.perf_counter()
    compiled = lowered.compile()
    result["compiling"] = time.perf_counter() - start
    if analysis := compiled.memory_analysis():
        result |= {"program_bytes": program_bytes(compiled), "temporary_bytes": analysis.temp_size_in_bytes}
    show(result)
    if only_compile:
        return

    def call() -> None:
        answer = jax.block_until_ready(compiled(*arguments))
        if batch:  # a step overwrites the state
            arguments[0] = answer[0]

    result |= timings(call, ACCELERATOR_REPEATS)
    if stats := DEVICE.memory_stats():
        result["peak_bytes"] = stats["peak_bytes_in_use"]
    answer = compiled(*arguments)
    result["finite"] = bool(jnp.isfinite(answer[1]["loss"] if batch else answer).all())
    show(result)


def main() -> None:
    """Measures one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reference").add_argument("count", type=int)
    timing = commands.add_parser("time")
    timing.add_argument("network", choices=NETWORKS)
    timing.add_argument("rows", type=int)
    timing.add_argument("columns", type=int)
    timing.add_argument("arithmetic", choices=("float32", "high", "bfloat16"))
    timing.add_argument("--train", type=int, default=0, metavar="BATCH", help="images of ROWS x ROWS pixels")
    timing.add_argument("--plain", action="store_true", help="the Flax modules, without the faster code for a platform")
    timing.add_argument("--only-compile", action="store_true")
    args = parser.parse_args()
    if args.command == "reference":
        reference(args.count)
    else:
        work = (args.network, args.rows, args.columns, args.arithmetic, args.train)
        measure(*work, plain=args.plain, only_compile=args.only_compile)


if __name__ == "__main__":
    main()
