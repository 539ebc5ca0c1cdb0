"""SwinIR image restoration in JAX and Flax.

`load_pretrained` loads a model and its weights, `save_pretrained` writes them, and `blend` blends weights. `Restorer`
restores photographs, `fast_apply` batches of arrays. `choose_models` names the networks for a photograph, and
`load_restorer` loads them. `export_network` writes model and weights to one file, which `load_exported` reads as an
`ExportedNetwork`, without Flax; `export_onnx` writes an ONNX file for other runtimes, which `check_onnx` compares with
JAX.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError

if sys.version_info < (3, 11):  # noqa: UP036  # pip refuses to install then; this is a copy of the repository
    sys.exit("swinir-jax needs Python 3.11 or newer, this is {}.{}.".format(*sys.version_info))

if TYPE_CHECKING:
    from swinir_jax.checkpoints.blending import blend
    from swinir_jax.checkpoints.pretrained import load_pretrained, save_pretrained
    from swinir_jax.checkpoints.purposes import choose_models
    from swinir_jax.export import export_network
    from swinir_jax.exported import ExportedNetwork, load_exported
    from swinir_jax.inference.chain import load_restorer
    from swinir_jax.inference.network import fast_apply
    from swinir_jax.inference.restorer import Restorer
    from swinir_jax.models import SwinIR
    from swinir_jax.onnx.check import check_onnx
    from swinir_jax.onnx.export import export_onnx

    __version__: str

__all__ = [
    "ExportedNetwork",
    "InputError",
    "Restorer",
    "SwinIR",
    "SwinIRConfig",
    "blend",
    "check_onnx",
    "choose_models",
    "export_network",
    "export_onnx",
    "fast_apply",
    "load_exported",
    "load_pretrained",
    "load_restorer",
    "save_pretrained",
]

# Modules are imported at first use, as exported networks run where Flax and Orbax are not installed.
_MODULES = {
    "ExportedNetwork": "exported",
    "Restorer": "inference.restorer",
    "SwinIR": "models",
    "blend": "checkpoints.blending",
    "check_onnx": "onnx.check",
    "choose_models": "checkpoints.purposes",
    "export_network": "export",
    "export_onnx": "onnx.export",
    "fast_apply": "inference.network",
    "load_exported": "exported",
    "load_pretrained": "checkpoints.pretrained",
    "load_restorer": "inference.chain",
    "save_pretrained": "checkpoints.pretrained",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.import_module("swinir_jax.version").version()
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
