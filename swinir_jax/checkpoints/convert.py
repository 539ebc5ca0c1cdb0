"""Weights from one form into another."""

import os
from pathlib import Path
from typing import Any

import jax
import safetensors.numpy

from swinir_jax.checkpoints.names import params_to_official, split_buffers
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.weight_file import SUFFIXES
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, write_bytes


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, buffers: bool = True, **options: Any
) -> tuple[SwinIRConfig, int]:
    """Converts anything that `load_pretrained` takes into a model folder, or back into official names.

    Args:
      source: as for `load_pretrained`.
      target: a folder that does not exist yet; or a `.safetensors` file, for PyTorch.
      buffers: whether a `.safetensors` file gets the masks and indices, too, which PyTorch's strict loading asks for;
        without, small networks take a quarter of the space.
      **options: of `load_pretrained`.

    Returns:
      The architecture and the number of parameters.

    Raises:
      InputError: if the source cannot be read or the target not be written; then nothing is written.
    """
    target = Path(target)
    suffix = target.suffix.lower()
    if suffix in SUFFIXES and suffix != ".safetensors":
        raise InputError(f"{target}: official names are written as .safetensors, which PyTorch tools read too.")
    model, params = load_pretrained(source, **options)
    if suffix == ".safetensors":
        make_folder(target.parent)
        tensors = params_to_official(params, model.config)
        write_bytes(target, safetensors.numpy.save(tensors if buffers else split_buffers(tensors)[0]))
    else:
        save_model(target, params, model.config)
    return model.config, sum(leaf.size for leaf in jax.tree.leaves(params))
