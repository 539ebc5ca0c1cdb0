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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from swinir_jax.caches import user_cache
from swinir_jax.checkpoints.zoo import OFFICIAL, OfficialModel, bundled_models
from swinir_jax.errors import DownloadError, InputError
from swinir_jax.files import cannot_write, file_sha256, make_folder, replacing

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "SWINIR_JAX_WEIGHTS"  # environment variable: a folder with official files
MIRROR_VARIABLE = "SWINIR_JAX_MIRROR"  # environment variable: an address in place of those of known files

# Where weights are: in the package, in a folder of this machine, at the address of the release, or as the user says.
Place = Literal["bundled", "cached", "to be fetched", "given"]

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16
_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")  # safe without encryption


def cache_folder() -> Path:
    """Returns the folder in which downloaded weights are kept for this user; raises the error of `user_cache`."""
    return user_cache("weights")


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
        model.file_name, model.release, download_folder(weights_dir), check, progress=progress
    )


def find_official(model: OfficialModel, weights_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Returns the file of an official model on this machine, as `locate_official` finds it; None if there is none."""
    files = [folder / model.file_name for folder in weight_folders(weights_dir)]
    return next(filter(os.path.isfile, files), None)  # unlike `Path.is_file`, not an error in another user's folder


def place_of(name: str, weights_dir: str | os.PathLike[str] | None = None) -> Place:
    """Returns where the weights of a bundled or an official model are."""
    if name in bundled_models():
        return "bundled"
    return "cached" if find_official(OFFICIAL[name], weights_dir) else "to be fetched"


def weight_folders(weights_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """Returns the folders in which known weight files are looked for; a user without a home folder has no cache."""
    folders = _named_folders(weights_dir)
    with contextlib.suppress(InputError):
        folders.append(cache_folder())
    return folders


def download_folder(weights_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder for downloads, the first of `weight_folders`; raises the error of `cache_folder`."""
    return next(iter(_named_folders(weights_dir)), None) or cache_folder()


def _named_folders(weights_dir: str | os.PathLike[str] | None) -> list[Path]:
    return [Path(folder) for folder in (weights_dir, os.environ.get(WEIGHTS_VARIABLE)) if folder]


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
      DownloadError: if the file cannot be fetched; the message has the address and the path for a download by hand.
      InputError: if the file is fetched and not the right one, or cannot be kept.
    """
    address = f"{(os.environ.get(MIRROR_VARIABLE) or release).rstrip('/')}/{file_name}"
    target = folder / file_name
    try:
        _fetch(address, target, progress, check)
    except InputError as error:
        raise type(error)(f"{str(error).removesuffix('.')}; put the file at {target} by hand.") from error
    return target


def is_address(name: str | os.PathLike[str]) -> bool:
    """Returns whether a model's name is an address; `gs://` is not, because it names runs."""
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", os.fspath(name).lower())  # two letters at least: `c:` is a drive
    return scheme is not None and scheme[1] != "gs" and not os.path.exists(name)


def locate_address(address: str, *, progress: bool = False) -> Path:
    """Downloads a weight file into `cache_folder()`, once per address.

    Args:
      address: address that begins with `https://`, or with `http://` on this machine; `#sha256=` and 64 hexadecimal
        digits at the end pin the file.
      progress: whether to draw a progress bar while downloading.

    Returns:
      The path of the file, named after the last part of the address. The file has been checked: it holds a SwinIR.

    Raises:
      InputError: if the address begins otherwise, or does not give weights of a SwinIR or the pinned file; nothing is
        kept then.
    """
    address, is_pinned, pin = address.partition("#sha256=")
    if is_pinned and not re.fullmatch("[0-9a-fA-F]{64}", pin):
        raise InputError(f"{address}: a SHA-256 has 64 hexadecimal digits, got {pin!r}.")
    path = _parsed(address).path
    name = re.sub(r"[^\w.-]", "_", urllib.parse.unquote(path).rpartition("/")[2])[-100:].lstrip(".") or "weights"
    target = cache_folder() / hashlib.sha256(address.encode()).hexdigest()[:16] / name

    def check(path: Path) -> None:
        if pin:
            _check_digest(path, pin)
        _check_swinir(path)

    if not os.path.isfile(target):
        try:
            _fetch(address, target, progress, check)
        except BaseException:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
            raise
    elif pin:
        _check_digest(target, pin)
    return target


def _check_digest(path: Path, pin: str) -> None:
    if (digest := file_sha256(path)) != pin.lower():
        raise InputError(f"{path}: has the SHA-256 {digest}, not {pin.lower()}.")


def _check_swinir(path: Path) -> None:
    from swinir_jax.checkpoints.architecture import infer_config
    from swinir_jax.checkpoints.names import params_from_official
    from swinir_jax.checkpoints.weight_file import read_weight_file

    tensors, _ = read_weight_file(path)
    params_from_official(tensors, infer_config(tensors))


def _parsed(address: str) -> urllib.parse.SplitResult:
    """Parses an address; raises InputError unless it is https, or http on this machine."""
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
            _parsed(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    """Sends what another host serves through the proxies of the environment; this machine is asked directly."""

    def proxy_open(self, req: Any, proxy: Any, type: Any) -> Any:
        if urllib.parse.urlsplit(req.full_url).hostname in _LOCAL_HOSTS:
            return None
        return super().proxy_open(req, proxy, type)


def _fetch(address: str, target: Path, progress: bool, check: Callable[[Path], Any]) -> None:
    """Downloads a weight file and checks it; the file appears whole or not at all.

    Raises:
      DownloadError: if the file cannot be fetched.
      UnwritableError: if it cannot be kept.
      InputError: if `check` refuses it.
    """
    make_folder(target.parent)
    try:
        with replacing(target) as temporary:
            with temporary.open("wb") as file:
                file.writelines(_blocks(address, progress))
            try:
                check(temporary)
            except InputError as error:
                reason = str(error).replace(f"{temporary}: ", "").removesuffix(".")
                raise InputError(f"{address}: was downloaded, and is not the network wanted ({reason}).") from error
            digest = file_sha256(temporary)
    except OSError as error:
        raise cannot_write(target, error) from error
    logger.info("%s: downloaded, %d bytes, SHA-256 %s", target, target.stat().st_size, digest)


def _blocks(address: str, progress: bool) -> Iterator[bytes]:
    """Yields what a server sends; raises DownloadError if that is less than the server has announced."""
    opener = urllib.request.build_opener(_CheckedRedirects, _Proxies)
    count = 0
    try:
        with opener.open(address, timeout=_TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            bar = tqdm(total=total, unit="B", unit_scale=True, desc=address.rsplit("/", 1)[-1], disable=not progress)
            with bar:
                while block := response.read(_BLOCK):
                    yield block
                    count += len(block)
                    bar.update(len(block))
            if total is not None and count != total:
                raise DownloadError(f"got {count} of {total} bytes")
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError, InputError a ValueError
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        if isinstance(error, urllib.error.HTTPError):
            reason = f"the server answers {error.code} {reason}"
            error.close()
        raise DownloadError(f"Could not download {address} ({reason}).") from error
