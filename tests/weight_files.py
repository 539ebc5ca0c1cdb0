"""Weight files for tests, and the error of a loaded network against the original's output."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from goldens import DATA, TINY, compiled, generated_weights, relative_error

import swinir_jax
from swinir_jax.checkpoints import weight_file
from swinir_jax.checkpoints.names import official_buffers, official_shapes
from swinir_jax.config import SwinIRConfig

INPUTS = DATA / "inputs"
EXPECTED = np.load(INPUTS / "expected.npz")
FIRST = "conv_first.weight"


def error_of(source, expected=EXPECTED["whole"], **options) -> float:
    model, params = swinir_jax.load_pretrained(source, **options)
    return relative_error(compiled(model)({"params": params}, EXPECTED["input"]), expected)


def official_tensors(config: SwinIRConfig = TINY) -> dict[str, np.ndarray]:
    """Returns generated parameters and their buffers by official name."""
    return {**generated_weights(official_shapes(config), 1), **official_buffers(config)}


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    path.write_bytes(safetensors.numpy.save(dict(tensors)))
    return path


def read_content(monkeypatch, content: object, weights: str = "ema") -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns tensors and notes of a file whose content is given."""
    monkeypatch.setattr(weight_file, "read_torch_file", lambda path: content)
    return weight_file.read_weight_file("x.pth", weights)


def under(path: str, tensors: Mapping[str, np.ndarray]) -> dict:
    """Wraps tensors in nested dicts and prefixes their names: `wrapper/wrapper/prefix.`, each part optional."""
    *wrappers, prefix = path.split("/")
    content: dict = {prefix + key: tensor for key, tensor in tensors.items()}
    for wrapper in reversed(wrappers):
        content = {wrapper: content}
    return content
