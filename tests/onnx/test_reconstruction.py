import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from goldens import image, relative_error
from onnx_runs import from_nchw, to_nchw

from swinir_jax.models import reconstruction as modules
from swinir_jax.onnx.graph import FLOAT, Graph, Tensor
from swinir_jax.onnx.reconstruction import pixel_unshuffle, upsample_bicubic


def computed(f, x):
    """Returns the result of a function of tensors, of an NHWC array, by ONNX Runtime."""
    graph, make = Graph(), onnx.helper
    y = f(Tensor(graph, "x"))
    model = make.make_model(
        make.make_graph(
            [make.make_node(node.operator, node.inputs, node.outputs, **node.attributes) for node in graph.nodes],
            name="function",
            inputs=[make.make_tensor_value_info("x", FLOAT, [1, x.shape[-1], None, None])],
            outputs=[make.make_tensor_value_info(y.name, FLOAT, [1, None, None, None])],
            initializer=[onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
        ),
        opset_imports=[make.make_opsetid("", 17)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return from_nchw(session.run(None, {"x": to_nchw(x)})[0])


def test_pixel_unshuffle():
    def unshuffle(x):
        return pixel_unshuffle(x, (x.side(2) // 3, x.side(3) // 3), 2, 3)

    x = image(1, 6, 15, 2)
    np.testing.assert_array_equal(computed(unshuffle, x), modules.pixel_unshuffle(x, 3))


@pytest.mark.parametrize(("scale", "size"), [(1, (5, 4)), (3, (7, 3000)), (4, (1, 6)), (16, (3, 2))])
def test_upsample_bicubic(scale, size):
    x = image(1, *size, 3)
    expected = modules.upsample_bicubic(jnp.asarray(x), scale)
    assert relative_error(computed(lambda x: upsample_bicubic(x, 3, scale), x), expected) < 1e-6
