"""Check of an exported ONNX file: ONNX Runtime against the answers of JAX that lie in the file.

Neither the package `onnx` nor a model is needed.
"""

import base64
import dataclasses
import json
import os
from types import ModuleType
from typing import Any

import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.onnx.file import INPUT, OUTPUT, needed

METADATA = "self_tests"  # key of the file's metadata
TOLERANCE = 1e-5  # largest relative error, well above rounding errors (1e-6) and well below wrong results
_SAMPLES = 1024  # largest number of stored values of an answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxSelfTest:
    """A random image and JAX's answer.

    Attributes:
      seed: seed of NumPy's default generator, which draws the image from [0, 1).
      shape: shape `[1, C, h, w]` of the image.
      expected: base64 of the answer's values at random places, little-endian float32.
    """

    seed: int
    shape: tuple[int, ...]
    expected: str = ""

    def image(self) -> np.ndarray:
        """Returns the image."""
        return np.random.default_rng(self.seed).random(self.shape, dtype=np.float32)

    def answered(self, restored: np.ndarray) -> "OnnxSelfTest":
        """Returns the test with an answer, `[1, C, h * upscale, w * upscale]`."""
        values = self._samples(restored).astype("<f4")
        return dataclasses.replace(self, expected=base64.b64encode(values.tobytes()).decode())

    def error(self, restored: np.ndarray) -> float:
        """Returns `||y - expected|| / ||expected||` of another answer."""
        expected = np.frombuffer(base64.b64decode(self.expected), "<f4").astype(np.float64)
        return float(np.linalg.norm(self._samples(restored) - expected) / np.linalg.norm(expected))

    def _samples(self, restored: np.ndarray) -> np.ndarray:
        places = np.random.default_rng(self.seed).permutation(restored.size)[:_SAMPLES]
        return np.ravel(restored)[places]


def check_onnx(path: str | os.PathLike[str]) -> float:
    """Runs the self-tests of a file that `export_onnx` wrote, in ONNX Runtime on the CPU.

    Args:
      path: ONNX file.

    Returns:
      The largest `||y - expected|| / ||expected||` of the tests, which must be at most `TOLERANCE`.

    Raises:
      InputError: if ONNX Runtime is not installed, or the file cannot be read, is damaged or has no self-tests.
    """
    runtime, name = needed("onnxruntime"), os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}).") from error
    try:
        session = _session(runtime, data)
        metadata = session.get_modelmeta().custom_metadata_map
        if METADATA not in metadata:
            raise InputError(f"{name}: holds no self-tests; only files from swinir-jax export do.")
        tests = [OnnxSelfTest(**test) for test in json.loads(metadata[METADATA])]
        errors = [test.error(session.run([OUTPUT], {INPUT: test.image()})[0]) for test in tests]
        return float(np.max(errors))  # NaN if any is
    except InputError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise InputError(f"{name}: damaged, or not an ONNX file ({error}).") from error


def _session(runtime: ModuleType, data: bytes) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; they need not be printed as well
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
