"""Times attention inside windows alone on JAX's default device: XLA's ways and the kernel of swinir_jax.gpu.

    python benchmarks/attention.py [--out FILE] [--quick]
    python benchmarks/attention.py --table benchmarks/results/attention-nvidia-h200.json

Each way takes `[windows, 64, 3 C]` queries, keys and values in bfloat16 as a linear layer writes them, with bias and
mask, and returns `[windows, 64, C]`. Errors, of the result and of the gradients by `qkv` and bias, are relative to the
plain way in float32. `--quick` runs a few windows, to see that it works; on a CPU, the kernel is interpreted.
`--table` writes the figures of a file into `benchmarks/NOTES.md`. The kernel's lines name programs, warps and stages.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from tables import ROOT, markdown, replace_table

from swinir_jax.gpu.attention import TUNING, Settings, window_attention
from swinir_jax.models.layers import attend, split_heads, weigh_values
from swinir_jax.models.windows import MASKED, shift_mask, shift_regions

NETWORKS = {"light": (60, 6, (64, 64)), "classical": (180, 6, (60, 80))}  # C, heads, rows and columns of windows
QUICK_WINDOWS = (3, 2)
TUNINGS = [TUNING, TUNING._replace(stages=1), TUNING._replace(stages=3), TUNING._replace(programs=1024)]
ROUNDS = 20
CALLS = 5  # in a row, so that the device does not wait for the host
DROP = nn.Dropout(0.0, deterministic=True).bind({})

Attention = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # of qkv, bias and regions


def plain(qkv: jax.Array, bias: jax.Array, regions: jax.Array) -> jax.Array:
    """The attention of the modules."""
    return attend(qkv, bias, regions, scale_of(qkv, bias), DROP, fused=False).astype(qkv.dtype)


def padded(qkv: jax.Array, bias: jax.Array, regions: jax.Array) -> jax.Array:
    """The attention of the modules, with heads filled up by zeros to a power of two."""
    q, k, v = padded_heads(qkv, len(bias))
    y = weigh_values(q * scale_of(qkv, bias), k, v, bias, regions, DROP)
    return without_padding(y.reshape(*y.shape[:-1], len(bias), -1), qkv)


def library(qkv: jax.Array, bias: jax.Array, regions: jax.Array, implementation: str) -> jax.Array:
    """JAX's own attention, with bias and mask in one array."""
    windows = qkv.shape[:-2]
    split = padded_heads if implementation == "cudnn" else split_heads
    q, k, v = (y.reshape(-1, *y.shape[-3:]) for y in split(qkv, len(bias)))  # [windows, N, heads, D]
    added = jnp.broadcast_to(bias + shift_mask(regions)[..., None, :, :], (*windows, *bias.shape))
    added = added.reshape(-1, *bias.shape).astype(qkv.dtype)
    y = jax.nn.dot_product_attention(q, k, v, added, scale=scale_of(qkv, bias), implementation=implementation)
    return without_padding(y.reshape(*windows, *y.shape[1:]), qkv)


def scale_of(qkv: jax.Array, bias: jax.Array) -> float:
    """Returns the factor on scores."""
    return float((qkv.shape[-1] // 3 // len(bias)) ** -0.5)


def padded_heads(qkv: jax.Array, heads: int) -> list[jax.Array]:
    """Splits as `split_heads`, and fills D up to 16 or 32 channels."""
    size = qkv.shape[-1] // 3 // heads
    width = 16 if size <= 16 else 32
    return [jnp.pad(y, [(0, 0)] * (y.ndim - 1) + [(0, width - size)]) for y in split_heads(qkv, heads)]


def without_padding(y: jax.Array, qkv: jax.Array) -> jax.Array:
    """Joins `[..., heads, D or more]` to `[..., C]`."""
    size = qkv.shape[-1] // 3 // y.shape[-2]
    return y[..., :size].reshape(*y.shape[:-2], -1).astype(qkv.dtype)


def kernel(qkv: jax.Array, bias: jax.Array, regions: jax.Array, tuning: Any) -> jax.Array:
    """The kernel of swinir_jax.gpu."""
    return window_attention(qkv, bias, regions, Settings(scale_of(qkv, bias), MASKED, tuning))


def ways() -> dict[str, Attention]:
    """Returns the functions to time by name."""
    pallas = {f"pallas {t.programs}, {t.warps}, {t.stages}": functools.partial(kernel, tuning=t) for t in TUNINGS}
    return {
        "plain": plain,
        "padded": padded,
        "dot_product_attention": functools.partial(library, implementation="xla"),
        "dot_product_attention, cudnn": functools.partial(library, implementation="cudnn"),
    } | pallas


def with_gradients(f: Attention) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """Returns a function of gradient, qkv, bias and regions: the result and the gradients by qkv and bias."""

    def run(gradient: jax.Array, qkv: jax.Array, bias: jax.Array, regions: jax.Array) -> Any:
        y, pull_back = jax.vjp(lambda qkv, bias: f(qkv, bias, regions), qkv, bias)
        return y, *pull_back(gradient.astype(y.dtype))

    return run


def milliseconds(f: Callable[..., Any], *arguments: jax.Array, rounds: int) -> float:
    """Returns the median time of a call."""
    jax.block_until_ready(f(*arguments))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(CALLS):
            answer = f(*arguments)
        jax.block_until_ready(answer)
        times.append((time.perf_counter() - start) / CALLS * 1000)
    return statistics.median(times)


def relative_error(answer: jax.Array, expected: jax.Array) -> float:
    """Returns the largest difference over the largest expected number."""
    expected = expected.astype(jnp.float32)
    return float(jnp.abs(answer.astype(jnp.float32) - expected).max() / jnp.abs(expected).max())


class Case(NamedTuple):
    """The attention of one network."""

    arguments: tuple[jax.Array, jax.Array, jax.Array]  # qkv, bias and regions
    gradient: jax.Array
    expected: tuple[jax.Array, jax.Array, jax.Array]  # result and gradients by qkv and bias, in float32


def case(name: str, windows: tuple[int, int] | None) -> Case:
    """Makes the arguments of one network's attention, and the answers to compare with."""
    channels, heads, own_windows = NETWORKS[name]
    rows, columns = windows or own_windows
    keys = jax.random.split(jax.random.key(0), 3)
    regions = shift_regions(8 * rows, 8 * columns, 8, 4)
    qkv = jax.random.normal(keys[0], (1, rows, columns, 64, 3 * channels), jnp.bfloat16)
    bias = jax.random.normal(keys[1], (heads, 64, 64))
    gradient = jax.random.normal(keys[2], (1, rows, columns, 64, channels), jnp.bfloat16)
    full = [a.astype(jnp.float32) for a in (gradient, qkv, bias)]
    expected = jax.block_until_ready(jax.jit(with_gradients(plain))(*full, regions))
    return Case((qkv, bias, regions), gradient, expected)


def programs(f: Attention, case: Case) -> list[Callable[..., Any] | Exception]:
    """Compiles a way without and with gradients; what fails becomes an exception."""
    made: list[Callable[..., Any] | Exception] = []
    for function, arguments in ((f, case.arguments), (with_gradients(f), (case.gradient, *case.arguments))):
        try:
            made.append(jax.jit(function).lower(*arguments).compile())
        except Exception as error:
            made.append(error)
    return made


def measure(way: str, f: list[Callable[..., Any] | Exception], case: Case, rounds: int) -> dict[str, Any]:
    """Times one way; what fails leaves the rest."""
    line: dict[str, Any] = {"windows": case.arguments[2].shape[0] * case.arguments[2].shape[1], "way": way}
    arguments = (case.arguments, (case.gradient, *case.arguments))
    for key, program, values in zip(("forward", "both"), f, arguments, strict=True):
        try:
            if isinstance(program, Exception):
                raise program
            answers = program(*values)
            answers = [answers] if key == "forward" else answers
            line[f"{key}_errors"] = [relative_error(*pair) for pair in zip(answers, case.expected, strict=False)]
            line[f"{key}_ms"] = milliseconds(program, *values, rounds=rounds)
        except Exception as error:  # the other ways go on
            line[f"{key}_problem"] = f"{type(error).__name__}: {[*str(error).strip().splitlines(), ''][0]}"
    return line


def copied_bytes_per_second(megabytes: int, rounds: int) -> float:
    """Returns the bytes read and written per second by adding 1 to an array."""
    x = jnp.zeros((megabytes, 2**18), jnp.float32)
    return 2 * x.nbytes / milliseconds(jax.jit(lambda x: x + 1), x, rounds=rounds) * 1000


HEAD = ("network", "way", "forward", "with gradients", "errors of result, gradients by qkv and bias")


def cells(line: dict[str, Any]) -> tuple[str, ...]:
    """Returns a row of the table."""
    times = [f"{line[key]:.3f} ms" if key in line else "-" for key in ("forward_ms", "both_ms")]
    errors = [f"{error:.1e}" for error in line.get("both_errors", line.get("forward_errors", []))]
    return line["network"], line["way"], *times, ", ".join(errors)


def write_table(path: Path) -> None:
    """Writes the figures of a file into the notes."""
    lines = sorted(json.loads(path.read_text())["lines"], key=lambda line: [*NETWORKS].index(line["network"]))
    replace_table(
        ROOT / "benchmarks" / "NOTES.md", "table of attention", markdown(HEAD, [cells(line) for line in lines])
    )


def main() -> None:
    """Measures all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the measurements")
    parser.add_argument("--quick", action="store_true", help="few windows and rounds")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a JSON file's table into the notes, and end")
    args = parser.parse_args()
    if args.table:
        write_table(args.table)
        return
    rounds = 2 if args.quick else ROUNDS
    bandwidth = copied_bytes_per_second(4 if args.quick else 512, rounds)
    device = jax.devices()[0].device_kind
    print(f"{device}, jax {jax.__version__}; copying: {bandwidth / 1e12:.3f} TB/s", flush=True)
    lines: list[dict[str, Any]] = []
    result = {"device": device, "jax": jax.__version__, "copied_bytes_per_second": bandwidth, "lines": lines}
    cases = {name: case(name, QUICK_WINDOWS if args.quick else None) for name in NETWORKS}
    print(markdown(HEAD, []), end="", flush=True)
    # What may end the process comes last.
    for group in ([way for way in ways() if "cudnn" not in way], [way for way in ways() if "cudnn" in way]):
        todo = [(name, way) for name in NETWORKS for way in group]
        with ThreadPoolExecutor() as pool:
            made = [*pool.map(lambda pair: programs(ways()[pair[1]], cases[pair[0]]), todo)]
        for (name, way), f in zip(todo, made, strict=True):
            lines.append({"network": name, **measure(way, f, cases[name], rounds)})
            print(f"| {' | '.join(cells(lines[-1]))} |", flush=True)
            if args.out:
                args.out.write_text(json.dumps(result, indent=1) + "\n")
    for line in lines:
        for key in ("forward_problem", "both_problem"):
            if key in line:
                print(f"{line['network']}, {line['way']}, {key}: {line[key]}")


if __name__ == "__main__":
    main()
