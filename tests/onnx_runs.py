"""Runs of ONNX files by runtimes other than JAX."""

import numpy as np
import onnxruntime

from swinir_jax.onnx.file import INPUT, OUTPUT, onnx_file


def in_onnx_runtime(config, params, **options):
    """Returns a function `lq -> restored` of NHWC arrays, by the ONNX file of a network."""
    session = onnxruntime.InferenceSession(onnx_file(config, params, **options), providers=["CPUExecutionProvider"])
    return lambda lq: from_nchw(session.run([OUTPUT], {INPUT: to_nchw(lq)})[0])


def to_nchw(image):
    return np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def from_nchw(image):
    return image.transpose(0, 2, 3, 1)
