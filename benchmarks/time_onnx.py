"""Times one case of an ONNX file in another runtime, in a process of its own.

    python benchmarks/time_onnx.py NETWORK SIDE onnxruntime|openvino [--dtype bfloat16]

Prints the same JSON line as time_jax.py; the file of any size is written before the clock starts. OpenVINO
alone computes in bfloat16.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from networks import NETWORKS, report

DTYPES = {"float32": "f32", "bfloat16": "bf16"}  # as OpenVINO names them


def write_file(network: str, path: Path) -> None:
    """Writes the ONNX file of a network with random weights, in a process whose memory is not measured."""
    from time_jax import random_params

    from swinir_jax import SwinIRConfig
    from swinir_jax.onnx.file import onnx_file

    config = SwinIRConfig.from_dict(NETWORKS[network])
    path.write_bytes(onnx_file(config, random_params(config)))


def loaded(path: Path, runtime: str, dtype: str) -> Callable[[np.ndarray], object]:
    """Returns the network of a file as a function."""
    if runtime == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {"image": image})
    import openvino

    network = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": dtype})
    return lambda image: network(image)


def main() -> None:
    """Times one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("side", type=int)
    parser.add_argument("runtime", choices=["onnxruntime", "openvino"])
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    args = parser.parse_args()
    if args.dtype != "float32" and args.runtime != "openvino":
        parser.error("only OpenVINO computes in bfloat16")
    image = np.random.default_rng(0).random((1, 3, args.side, args.side), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        writer = multiprocessing.get_context("spawn").Process(target=write_file, args=(args.network, path))
        writer.start()
        writer.join()
        start = time.perf_counter()
        network = loaded(path, args.runtime, DTYPES[args.dtype])
        report(lambda: network(image), start, time.perf_counter() - start)


if __name__ == "__main__":
    main()
