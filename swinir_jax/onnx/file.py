"""Content of ONNX files."""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import missing_package
from swinir_jax.onnx.graph import FLOAT, Graph, Tensor
from swinir_jax.onnx.swinir import load_weights, swinir
from swinir_jax.version import version

INPUT, OUTPUT = "image", "restored"
OPSET, IR_VERSION = 17, 8  # older than most runtimes in use


def needed(package: str) -> ModuleType:
    """Imports a package of the extra `onnx`; raises an InputError if it is not installed."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise missing_package(f"ONNX files need {error.name}", "onnx") from error


def onnx_file(
    config: SwinIRConfig,
    params: Mapping[str, Any],
    *,
    shape: Sequence[int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Returns the content of an ONNX file; equal networks give equal bytes.

    Args:
      config: network configuration.
      params: parameters of `SwinIR(config)` as NumPy arrays, float32 or to be stored as float16.
      shape: fixed (h, w) of the image; None for any size.
      metadata: entries of the file's metadata.
    """
    onnx, c, graph = needed("onnx"), config, Graph()
    restored = swinir(Tensor(graph, INPUT), load_weights(graph, params), c)
    graph = graph.pruned(restored)  # without weights of further answers

    height, width = shape or ("height", "width")
    upscaled = [side * c.upscale if shape else f"{c.upscale}*{side}" for side in (height, width)]
    make = onnx.helper
    nodes = [
        make.make_node(node.operator, node.inputs, node.outputs, name=node.outputs[0], **node.attributes)
        for node in graph.nodes
    ]
    nodes.append(make.make_node("Identity", [restored.name], [OUTPUT], name=OUTPUT))
    model = make.make_model(
        make.make_graph(
            nodes,
            name="SwinIR",
            inputs=[make.make_tensor_value_info(INPUT, FLOAT, [1, c.in_chans, height, width])],
            outputs=[make.make_tensor_value_info(OUTPUT, FLOAT, [1, c.in_chans, *upscaled])],
            initializer=[onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
        ),
        opset_imports=[make.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="swinir-jax",
        producer_version=version(),
    )
    make.set_model_props(model, dict(metadata or {}))
    return model.SerializeToString(deterministic=True)
