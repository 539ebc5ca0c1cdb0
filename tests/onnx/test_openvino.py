import functools
import sys

import numpy as np
import pytest
from goldens import FAMILY, golden_case, relative_error
from onnx_runs import from_nchw, in_onnx_runtime, to_nchw

import swinir_jax
from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.onnx.file import OUTPUT, onnx_file

sys.modules["openvino_telemetry"] = None  # reports the import, by a fork of this process, which has JAX's threads
openvino = pytest.importorskip("openvino")


@functools.cache
def core():
    """Returns the one core of the process.

    On processors with AVX-512, each gives the main thread a stack for signals; cores that end in another order than
    they began leave a freed one, and the next signal kills the process.
    """
    return openvino.Core()


def in_openvino(config, params, **options):
    file = core().read_model(onnx_file(config, params, **options))
    network = core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda lq: from_nchw(network(to_nchw(lq))[OUTPUT])


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_networks_equal_jax(name):
    model, params = swinir_jax.load_pretrained(name)
    lq = np.random.default_rng(0).random((1, 21, 16, model.config.in_chans), dtype=np.float32)
    expected = swinir_jax.fast_apply(model, params)(lq)
    for shape in (None, (21, 16)):  # OpenVINO computes in advance what follows from a fixed shape
        assert relative_error(in_openvino(model.config, params, shape=shape)(lq), expected) < 1e-5
    assert relative_error(in_onnx_runtime(model.config, params)(lq), expected) < 1e-5


@pytest.mark.parametrize("path", FAMILY, ids=lambda path: path.stem)
def test_relatives_equal_the_original(path):
    config, weights, lq, expected = golden_case(path)
    params = params_from_official(weights, config)
    for shape in (None, lq.shape[1:3]):
        run = in_openvino(config, params, shape=shape)
        assert relative_error(np.concatenate([run(one[None]) for one in lq]), expected) < 1e-5
