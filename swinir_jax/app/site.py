"""The page as static files, whose networks run in the browser."""

import dataclasses
import hashlib
import json
import logging
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from swinir_jax.app.networks import Offer, Part
from swinir_jax.app.page import POLICY, TYPES, page_files, policy_text
from swinir_jax.caches import user_cache
from swinir_jax.checkpoints.zoo import weight_metadata
from swinir_jax.errors import InputError
from swinir_jax.files import cannot_write, file_sha256, make_folder
from swinir_jax.inference.chain import Network
from swinir_jax.onnx.check import TOLERANCE, check_onnx
from swinir_jax.onnx.export import export_onnx
from swinir_jax.onnx.file import needed

logger = logging.getLogger(__name__)

# ONNX Runtime for browsers, as npm packs it.
RUNTIME_VERSION = "1.30.0"
_RUNTIME_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"


@dataclasses.dataclass(frozen=True)
class _Build:
    """A build of ONNX Runtime, as the names of files in the package's folder `dist`."""

    module: str
    loader: str
    binary: str


_BUILDS = {
    "webgpu": _Build(
        "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
    ),
    "wasm": _Build("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
}  # execution provider -> the smallest build that has it

_POLICY = policy_text({**POLICY, "script-src": "'self' 'wasm-unsafe-eval'", "worker-src": "'self'"})
_HEADERS = {
    "Content-Security-Policy": _POLICY,  # binds workers, which the page's own policy does not
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}  # sent by the service worker; the last two isolate the page

_RELEASE = "self.release = "  # begins release.js, by which a site is known


def make_site(folder: Path, offers: Sequence[Offer], networks: Mapping[Part, Network], runtime: Path) -> None:
    """Writes the site, in place of an earlier one.

    Args:
      folder: folder that does not exist, is empty, or holds an earlier site; hidden files do not count.
      offers: what can be done, the default first; those that need other networks than the given ones are left out.
      networks: RGB networks; stored as ONNX files with float16 weights, which are tested.
      runtime: package of ONNX Runtime from `fetch_runtime`.

    Raises:
      InputError: if the folder holds other files, a network is not RGB, cannot be exported or fails the test, packages
        are missing, or a file cannot be written.
    """
    make_folder(folder)
    try:
        for name in _earlier_files(folder):  # which may have other names now
            (folder / name).unlink(missing_ok=True)
        _write_release(folder, [], [])  # so that an unfinished site is known as one
        page = _write_page(folder)
        _write_runtime(folder / "runtime", runtime)
        runtimes = _describe_runtimes(folder)
        entries = {str(part): _write_network(folder, part, network) for part, network in networks.items()}
        choices = [
            {**offer.describe(), "parts": [*map(str, offer.parts)], "place": "to be fetched", "better": None}
            for offer in offers
            if networks.keys() >= set(offer.parts)
        ]
        _write_json(folder / "choices.json", {"choices": choices, "networks": entries, "runtimes": runtimes})
        described = [*entries.values(), *(file for files in runtimes.values() for file in files.values())]
        _write_release(folder, ["choices.json", *page], [file["file"] for file in described])
    except OSError as error:
        raise cannot_write(folder, error) from error


def fetch_runtime() -> Path:
    """Returns the npm package of ONNX Runtime, which is downloaded once.

    Raises:
      InputError: if npm is missing or fails, or the package is another one.
    """
    package = f"onnxruntime-web@{RUNTIME_VERSION}"
    cache = user_cache("npm")
    file = cache / f"onnxruntime-web-{RUNTIME_VERSION}.tgz"
    if not file.exists():
        npm = shutil.which("npm")  # on Windows, npm.cmd, which is found with its ending alone
        if npm is None:
            raise InputError("The site needs npm, which packs ONNX Runtime: install npm.")
        make_folder(cache)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            command = [npm, "pack", "--loglevel=error", "--pack-destination", folder, package]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except subprocess.CalledProcessError as error:
                reason = error.stderr.partition("\n")[0]  # npm's code of the error; a trace follows
                raise InputError(f"{package}: npm could not fetch it ({reason}).") from error
            (Path(folder) / file.name).replace(file)
    if file_sha256(file) != _RUNTIME_SHA256:
        raise InputError(f"{file}: is not {package} as it was published; remove the file.")
    return file


def _write_page(folder: Path) -> list[str]:
    """Writes the page's files with the other engine; returns the names of those that the page loads."""
    names = []
    for name, data in page_files().items():
        if name == "engine_app.js":
            continue
        if name == "engine.js":
            data = _replaced(data, '"./engine_app.js"', '"./engine_browser.js"')
        elif name == "index.html":
            policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            data = _replaced(data, '<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if file.suffix in TYPES:
            names.append(name)
    return names


def _replaced(data: bytes, old: str, new: str) -> bytes:
    before, found, after = data.decode().partition(old)
    assert found
    return f"{before}{new}{after}".encode()


def _write_runtime(folder: Path, package: Path) -> None:
    """Writes the files of ONNX Runtime that a browser loads, and the licences of what is in them."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(package) as archive:
        for build in _BUILDS.values():
            for name in dataclasses.astuple(build):
                member = archive.extractfile(f"package/dist/{name}")
                assert member
                (folder / _stored(name)).write_bytes(member.read())
    source = resources.files(needed("onnxruntime"))  # the npm package has no licence file
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        (folder / name).write_bytes((source / name).read_bytes())


def _stored(name: str) -> str:
    """Returns the site's name of a file of ONNX Runtime; some hosts, such as nginx, do not know `.mjs` as a script."""
    return name.replace(".mjs", ".js")


def _describe_runtimes(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        provider: {
            part: _describe_file(folder, f"runtime/{_stored(name)}") for part, name in dataclasses.asdict(build).items()
        }
        for provider, build in _BUILDS.items()
    }


def _describe_file(folder: Path, name: str) -> dict[str, Any]:
    """Returns size and address of a large file. The address changes with the content, thus no kept file is outdated."""
    return {"file": _address(folder, name), "bytes": (folder / name).stat().st_size}


def _address(folder: Path, name: str) -> str:
    """Returns a file's name and the start of the hash of its content."""
    return f"{name}?{file_sha256(folder / name)[:16]}"


def _write_network(folder: Path, part: Part, network: Network) -> dict[str, Any]:
    """Writes a network and tests the file; returns what the page has to know of it."""
    model, params = network
    if model.config.in_chans != 3:
        raise InputError(f"{part}: browsers decode to RGB; the network has {model.config.in_chans} channels.")
    file = folder / "networks" / f"{part}.onnx"
    file.parent.mkdir(exist_ok=True)
    change = export_onnx(model, params, file, float16=True, metadata=weight_metadata(part.name))
    difference = check_onnx(file)
    if not difference <= TOLERANCE:
        raise InputError(f"{file}: ONNX Runtime differs from JAX by {difference:.1e}, at most {TOLERANCE:.0e} allowed.")
    logger.info("%s: storing weights as float16 changes the result by %.1e (relative)", file, change)
    entry = _describe_file(folder, f"networks/{file.name}")
    return {**entry, "scale": model.config.upscale, "window": model.config.side_multiple}


def _earlier_files(folder: Path) -> list[str]:
    """Returns the names of the large files of an earlier site; fails if the folder holds anything else."""
    if not any(_files(folder)):
        return []
    file = folder / "release.js"
    release = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    if not release.startswith(_RELEASE):
        raise InputError(f"{folder}: holds other files than a site; choose a new folder.")
    return re.findall(r'"((?:networks|runtime)/[^"?/]+)\?', release)


def _files(folder: Path) -> Iterator[Path]:
    """Yields the files that are not hidden, such as those of a version control."""
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_release(folder: Path, page: list[str], large: list[str]) -> None:
    """Writes for the service worker a version, which changes with any file, and the addresses of the files.

    Args:
      folder: folder of the site.
      page: names of the files that are kept at once.
      large: files that are kept when they are used.
    """
    addresses = [_address(folder, name) for name in page]
    digest = hashlib.sha256(json.dumps([addresses, large]).encode())
    release = {"version": digest.hexdigest()[:16], "page": addresses, "large": large, "headers": _HEADERS}
    (folder / "release.js").write_text(f"{_RELEASE}{json.dumps(release, indent=1)};\n")
