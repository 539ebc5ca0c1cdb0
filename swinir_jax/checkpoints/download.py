"""Finds weight files on this machine or downloads them: official ones by name, others by address."""

import contextlib
import hashlib
import http.client
import logging
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import platformdirs
from tqdm import tqdm

from swinir_jax.checkpoints.zoo import OFFICIAL, OfficialModel, bundled_models
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, replacing

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "SWINIR_JAX_WEIGHTS"  # environment variable: a folder with official files
MIRROR_VARIABLE = "SWINIR_JAX_MIRROR"  # environment variable: an address in place of those of known files

# Where weights are: in the package, in a folder of this machine, at the address of the release, or as the user says.
Place = Literal["bundled", "cached", "to be fetched", "given"]

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16
_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")  # safe without encryption


def cache_folder() -> Path:
    """Returns the folder in which downloaded weights are kept for this user."""
    return platformdirs.user_cache_path("swinir_jax") / "weights"


def locate_official(
    model: OfficialModel, weights_dir: str | os.PathLike[str] | None = None, *, progress: bool = False
) -> Path:
    """Finds the file of an official model, or downloads it.

    The file is looked for in `weights_dir`, in the folder of $SWINIR_JAX_WEIGHTS and in `cache_folder()`. A download
    goes to the first of these that is given.

    Args:
      model: entry of OFFICIAL.
      weights_dir: folder in which the file is looked for first.
      progress: whether to draw a progress bar while downloading.

    Returns:
      The path of the file. A downloaded file has been checked: it fits the model's configuration.

    Raises:
      InputError: if the file cannot be downloaded; the message has the address and the path for a download by hand.
    """

    def check(path: Path) -> None:
        from swinir_jax.checkpoints.names import params_from_official  # imports JAX, which places do not need
        from swinir_jax.checkpoints.weight_file import read_weight_file

        params_from_official(read_weight_file(path)[0], model.config)

    return find_official(model, weights_dir) or download_known(
        model.file_name, model.release, weight_folders(weights_dir)[0], check, progress=progress
    )


def find_official(model: OfficialModel, weights_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Returns the file of an official model on this machine, as `locate_official` finds it; None if there is none."""
    files = [folder / model.file_name for folder in weight_folders(weights_dir)]
    return next((file for file in files if file.is_file()), None)


def place_of(name: str, weights_dir: str | os.PathLike[str] | None = None) -> Place:
    """Returns where the weights of a bundled or an official model are."""
    if name in bundled_models():
        return "bundled"
    return "cached" if find_official(OFFICIAL[name], weights_dir) else "to be fetched"


def weight_folders(weights_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """Returns the folders in which known weight files are looked for; the first one receives downloads."""
    return [Path(f) for f in (weights_dir, os.environ.get(WEIGHTS_VARIABLE)) if f] + [cache_folder()]


def download_known(
    file_name: str, release: str, folder: Path, check: Callable[[Path], Any], *, progress: bool = False
) -> Path:
    """Downloads a weight file that has a known address.

    Args:
      file_name: name of the file.
      release: address of the folder with the file; $SWINIR_JAX_MIRROR replaces it.
      folder: folder for the file.
      check: raises InputError if the file at a path is not the right one.
      progress: whether to draw a progress bar.

    Returns:
      The path of the checked file.

    Raises:
      InputError: if the file cannot be downloaded; the message has the address and the path for a download by hand.
    """
    address = f"{(os.environ.get(MIRROR_VARIABLE) or release).rstrip('/')}/{file_name}"
    target = folder / file_name
    try:
        _fetch(address, target, progress, check)
    except InputError as error:
        raise InputError(f"{str(error).removesuffix('.')}; put the file at {target} by hand.") from error
    return target


def is_address(name: str | os.PathLike[str]) -> bool:
    """Returns whether a model's name is an address; `gs://` is not, because it names runs."""
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", os.fspath(name).lower())  # two letters at least: `c:` is a drive
    return scheme is not None and scheme[1] != "gs" and not os.path.exists(name)


def locate_address(address: str, *, progress: bool = False) -> Path:
    """Downloads a weight file into `cache_folder()`, once per address.

    Args:
      address: address that begins with `https://`, or with `http://` on this machine.
      progress: whether to draw a progress bar while downloading.

    Returns:
      The path of the file, named after the last part of the address. The file has been checked: it holds a SwinIR.

    Raises:
      InputError: if the address begins otherwise, or does not give weights of a SwinIR; nothing is kept then.
    """
    path = _check(address).path
    name = re.sub(r"[^\w.-]", "_", urllib.parse.unquote(path).rpartition("/")[2])[-100:].lstrip(".") or "weights"
    target = cache_folder() / hashlib.sha256(address.encode()).hexdigest()[:16] / name
    if not target.is_file():
        try:
            _fetch(address, target, progress, _check_swinir)
        except BaseException:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
            raise
    return target


def _check_swinir(path: Path) -> None:
    from swinir_jax.checkpoints.architecture import infer_config
    from swinir_jax.checkpoints.names import params_from_official
    from swinir_jax.checkpoints.weight_file import read_weight_file

    tensors, _ = read_weight_file(path)
    params_from_official(tensors, infer_config(tensors))


def _check(address: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(address)
        host = parts.hostname
    except ValueError as error:
        raise InputError(f"{address}: not an address ({error}).") from error
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL_HOSTS)):
        raise InputError(f"{address}: weights are downloaded from https:// addresses only.")
    return parts


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to other hosts only if their addresses would have been accepted from the user."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        old, new = map(urllib.parse.urlsplit, (req.full_url, newurl))
        if (old.scheme, old.hostname) != (new.scheme, new.hostname):  # the host itself, a mirror, may lack https
            _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(address: str, target: Path, progress: bool, check: Callable[[Path], Any]) -> None:
    """Downloads a weight file and checks it; the file appears whole or not at all."""
    make_folder(target.parent)
    try:
        with replacing(target) as temporary:
            try:
                _download(address, temporary, progress)
                check(temporary)
            except urllib.error.HTTPError as error:
                with error:  # closes the connection
                    raise InputError(f"the server answers {error.code} {error.reason}") from error
            except InputError as error:
                raise InputError(str(error).replace(f"{temporary}: ", "").removesuffix(".")) from error
            with temporary.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError, InputError a ValueError
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise InputError(f"Could not download {address} ({reason}).") from error
    logger.info("%s: downloaded, %d bytes, SHA-256 %s", target, target.stat().st_size, digest)


def _download(address: str, path: Path, progress: bool) -> None:
    opener = urllib.request.build_opener(_CheckedRedirects)
    with opener.open(address, timeout=_TIMEOUT) as response, path.open("wb") as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        bar = tqdm(total=total, unit="B", unit_scale=True, desc=address.rsplit("/", 1)[-1], disable=not progress)
        with bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        if total is not None and file.tell() != total:
            raise InputError(f"got {file.tell()} of {total} bytes")
