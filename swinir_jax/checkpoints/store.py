"""Stores converted models: folders with `config.json` and the parameters as an Orbax checkpoint."""

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from swinir_jax.checkpoints.folders import CONFIG_FILE, PARAMS_FOLDER
from swinir_jax.checkpoints.names import flat_params, parameter_shapes, shape_problems
from swinir_jax.config import SwinIRConfig
from swinir_jax.errors import InputError, UnwritableError, first_few, one_line
from swinir_jax.files import cannot_write, holding_interrupts, make_folder, replacing

FORMAT_VERSION = 1


def save_model(folder: str | os.PathLike[str], params: Mapping[str, Any], config: SwinIRConfig) -> None:
    """Writes a model folder; it appears whole, by one rename, or not at all.

    Of several processes, the first one writes, whether the others call this or not.

    Args:
      folder: folder that does not exist or is empty.
      params: parameters as `model.init(...)["params"]`, of any floating dtype; float32 is written.
      config: network configuration.

    Raises:
      InputError: if the parameters do not fit the configuration or are not finite floats, or the folder is not empty or
        cannot be written.
    """
    flat = {path: _as_float32(path, leaf) for path, leaf in flat_params(params, config).items()}
    tree = flax.traverse_util.unflatten_dict(flat, sep="/")
    if jax.process_index():
        return
    import orbax.checkpoint as ocp  # slow to import, and reading .safetensors does not need Orbax

    with new_model(folder) as temporary:
        if shutil.disk_usage(temporary).free < sum(leaf.nbytes for leaf in flat.values()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # about which Orbax would print tracebacks
        handler = ocp.StandardCheckpointHandler(multiprocessing_options=_alone())
        with holding_interrupts(), ocp.Checkpointer(handler, multiprocessing_options=_alone()) as checkpointer:
            checkpointer.save(temporary / PARAMS_FOLDER, args=ocp.args.StandardSave(tree))
        write_config(temporary, config, PARAMS_FOLDER)


def _alone() -> Any:
    """Returns the options with which Orbax does not wait until all processes make the same call."""
    import orbax.checkpoint as ocp

    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=index, active_processes={index})


def _as_float32(path: str, leaf: np.ndarray) -> np.ndarray:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        raise InputError(f"Parameters are floats, {path} has {leaf.dtype}.")
    with np.errstate(over="ignore"):
        values = leaf.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"The parameter {path} has values that float32 cannot hold or that are not finite.")
    return values


@contextlib.contextmanager
def new_model(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder that becomes a model folder at the end, by one rename; removes it after an error.

    Args:
      folder: folder that does not exist or is empty.

    Raises:
      InputError: if the folder is not empty, or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; name a new folder or remove it first.")
    make_folder(folder.parent)
    try:
        with replacing(folder) as temporary:
            temporary.mkdir()  # Orbax would make it in a thread, and wait for minutes where this fails
            yield temporary
    except OSError as error:
        raise cannot_write(folder, error) from error
    except InputError:
        raise
    except ValueError as error:  # raised by TensorStore when the disk is full
        raise UnwritableError(f"{folder}: cannot be written ({one_line(error)}).") from error


def write_config(folder: Path, config: SwinIRConfig, part: str = "", **others: Any) -> None:
    """Writes the configuration, other JSON values, and the checksums of the files in a part of the folder."""
    checksums = _checksums(folder / part)
    content = {"format_version": FORMAT_VERSION, "config": config.to_dict(), **others, "crc32": checksums}
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")


def is_orbax(folder: Path) -> bool:
    """Returns whether a folder is a checkpoint that Orbax wrote by itself, or holds checkpoints by step."""
    return any(any(folder.glob(f"{above}_METADATA")) for above in ("", "*/", "*/*/"))


def lacks_config(folder: Path) -> InputError:
    """Returns the error for a folder of parameters whose architecture is unknown."""
    return InputError(
        f"{folder}: not a converted model but parameters without {CONFIG_FILE}; read them with Orbax, and write both "
        "with swinir_jax.save_pretrained(folder, model, params)."
    )


def load_model(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], SwinIRConfig]:
    """Reads a model folder.

    Args:
      folder: folder written by `save_model`.

    Returns:
      The parameters as float32 NumPy arrays, and the network configuration.

    Raises:
      InputError: if a file is missing or damaged, or the parameters do not fit the configuration.
    """
    folder = Path(folder).absolute()
    config, _ = read_config(folder, PARAMS_FOLDER)
    flat = load_params(folder / PARAMS_FOLDER)
    problems = shape_problems({path: leaf.shape for path, leaf in flat.items()}, parameter_shapes(config))
    if problems:
        raise InputError(f"{folder}: {CONFIG_FILE} contradicts the weights: {first_few(sorted(problems))}.")
    return flax.traverse_util.unflatten_dict(flat, sep="/"), config


def read_config(folder: Path, part: str = "") -> tuple[SwinIRConfig, dict[str, Any]]:
    """Returns the network configuration of a model folder and all JSON values, and checks the files in a part of it.

    Raises:
      InputError: if the configuration is not readable, or a file is missing or damaged.
    """
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text())
        version, values, checksums = content["format_version"], dict(content["config"]), dict(content["crc32"])
    except FileNotFoundError as error:
        raise lacks_config(folder) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not readable as a model's configuration ({error}).") from error
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: format_version is {version}; this version of swinir_jax reads {FORMAT_VERSION}.")
    try:
        config = SwinIRConfig.from_dict(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    found = _checksums(folder / part)
    damaged = [
        f"{name} is {'damaged' if name in found else 'missing'}"
        for name, checksum in checksums.items()
        if found.get(name) != checksum
    ]
    if damaged:  # checked before Orbax reads, which reports damage in many lines and from several threads
        raise InputError(f"{folder / part}: {', '.join(damaged)}; convert the weights again.")
    return config, content


def load_params(path: os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads an Orbax checkpoint of parameters as float32 arrays by path in the tree (`a/b/c`).

    Raises:
      OSError, ValueError: if the checkpoint is damaged.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as checkpointer:
        stored = checkpointer.metadata(path).item_metadata
        if stored is None:
            raise ValueError("a checkpoint without readable metadata")
        target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), stored.tree)
        restored = checkpointer.restore(path, target)
    flat = flax.traverse_util.flatten_dict(restored, sep="/")
    return {name: np.asarray(leaf, dtype=np.float32) for name, leaf in flat.items()}


def _checksums(folder: Path) -> dict[str, int]:
    """Returns the CRC-32 of each file below a folder by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): zlib.crc32(path.read_bytes()) for path in files}
