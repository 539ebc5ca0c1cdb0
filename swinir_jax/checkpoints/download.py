"""Finds the official weight files on this machine, or fetches them from the original project's release."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import platformdirs
from tqdm import tqdm

from swinir_jax.checkpoints.names import params_from_official
from swinir_jax.checkpoints.weight_file import read_weight_file
from swinir_jax.checkpoints.zoo import OfficialModel
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, replacing

WEIGHTS_VARIABLE = "SWINIR_JAX_WEIGHTS"  # a folder to look in
MIRROR_VARIABLE = "SWINIR_JAX_MIRROR"  # takes the place of RELEASE
RELEASE = "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0"

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16


def cache_folder() -> Path:
    """Where fetched weights are kept for this user."""
    return platformdirs.user_cache_path("swinir_jax") / "weights"


def locate_official(
    model: OfficialModel, weights_dir: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> Path:
    """The file of an official model, fetched if it is nowhere here.

    It is looked for in `weights_dir`, in the folder that $SWINIR_JAX_WEIGHTS names and in `cache_folder()`; what is
    fetched goes to the first of them that is given.

    Args:
      model: an entry of OFFICIAL.
      weights_dir: a folder to look in first.
      progress: whether to draw a progress bar while fetching.

    Returns:
      The path of a file that, if it was fetched, has been read and fits the architecture.

    Raises:
      InputError: if it cannot be fetched; the message has the address and the place for a file fetched by hand.
    """
    folders = [Path(f) for f in (weights_dir, os.environ.get(WEIGHTS_VARIABLE)) if f] + [cache_folder()]
    for folder in folders:
        if (folder / model.file_name).is_file():
            return folder / model.file_name
    address = f"{(os.environ.get(MIRROR_VARIABLE) or RELEASE).rstrip('/')}/{model.file_name}"
    target = folders[0] / model.file_name
    make_folder(target.parent)
    try:
        with replacing(target) as temporary:
            try:
                _fetch(address, temporary, progress)
            except urllib.error.HTTPError as error:
                with error:  # it is the response, with its connection
                    raise InputError(f"the server answers {error.code} {error.reason}") from error
            tensors, _ = read_weight_file(temporary)
            params_from_official(tensors, model.config)
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError, InputError a ValueError
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise InputError(f"Could not fetch {address} ({reason}); put the file at {target} by hand.") from error
    return target


def _fetch(address: str, path: Path, progress: bool) -> None:
    with urllib.request.urlopen(address, timeout=_TIMEOUT) as response, path.open("wb") as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        bar = tqdm(total=total, unit="B", unit_scale=True, desc=address.rsplit("/", 1)[-1], disable=not progress)
        with bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        if total is not None and file.tell() != total:
            raise InputError(f"got {file.tell()} of {total} bytes")
