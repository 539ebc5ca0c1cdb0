"""The files of the site that restores pictures in the browser."""

import json
import re
import subprocess
import tarfile

import platformdirs
import pytest
from site_server import NETWORKS, OFFERS, write_site

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.app import site as site_files
from swinir_jax.app.site import fetch_runtime, make_site
from swinir_jax.checkpoints.store import save_model
from swinir_jax.cli import site as command
from swinir_jax.cli.main import main
from swinir_jax.errors import InputError
from swinir_jax.onnx.check import check_onnx


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """Returns a package of the runtime whose files are empty."""
    folder = tmp_path_factory.mktemp("runtime")
    dist = folder / "package" / "dist"
    dist.mkdir(parents=True)
    for name in (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ):
        (dist / name).touch()
    with tarfile.open(folder / "runtime.tgz", "w:gz") as archive:
        archive.add(folder / "package", "package")
    return folder / "runtime.tgz"


@pytest.fixture(scope="module")
def site(tmp_path_factory, runtime):
    """Returns the folder of a site with small networks."""
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, runtime)
    return folder


def test_choices_are_those_that_the_networks_reach(site):
    values = json.loads((site / "choices.json").read_text())
    reached = [offer for offer in OFFERS if set(offer.networks) <= values["networks"].keys()]
    assert [choice["key"] for choice in values["choices"]] == [offer.key for offer in reached]
    assert len(reached) == len(OFFERS) - 1
    for name, entry in values["networks"].items():
        file = site / entry["file"]
        assert file.stat().st_size == entry["bytes"]
        assert check_onnx(file) <= 1e-5
        assert (entry["scale"], entry["window"]) == {"double": (2, 8), "repair": (1, 7)}[name]


def test_the_release_names_all_that_the_page_loads(site):
    release = json.loads((site / "release.js").read_text().removeprefix("self.release = ").rstrip(";\n"))
    assert release["files"][0] == "./"
    assert all((site / name).is_file() for name in release["files"][1:])
    written = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    large = {name for name in written if name.startswith(("networks/", "runtime/"))}
    assert written - large - {*release["files"]} == {"release.js"}


def test_the_page_has_the_engine_in_the_browser_and_loads_nothing_foreign(site):
    assert '"./engine_browser.js"' in (site / "engine.js").read_text()
    page = (site / "index.html").read_text()
    assert "script-src 'self' 'wasm-unsafe-eval';" in page
    assert not re.findall(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", page)
    assert not re.findall(r'(?:src|href)="(?:/|\w+:)', page)  # relative, for a site below the root of a host


def test_the_command_offers_what_bundled_networks_reach(tmp_path, runtime, monkeypatch, capsys):
    model, params = NETWORKS["double"]
    save_model(tmp_path / "lightweight_x2", params, model.config)
    monkeypatch.setattr(command, "bundled_models", lambda: {"lightweight_x2": tmp_path / "lightweight_x2"})
    monkeypatch.setattr(command, "fetch_runtime", lambda: runtime)
    assert main(["site", "--out", str(tmp_path / "new" / "site")]) == 0
    choices = json.loads((tmp_path / "new" / "site" / "choices.json").read_text())["choices"]
    assert {(choice["purpose"], choice["scale"]) for choice in choices} == {("clean", 1), ("clean", 2)}
    assert "changes the result by" in capsys.readouterr().err


def test_a_site_is_written_again_and_other_files_stay(tmp_path, runtime):
    release = []
    for _ in range(2):
        (tmp_path / ".git").mkdir(exist_ok=True)
        (tmp_path / ".git" / f"of {len(release)}").touch()
        make_site(tmp_path, [], {}, runtime)
        release.append((tmp_path / "release.js").read_text())
        (tmp_path / "runtime" / "of an older one.wasm").touch()
    assert release[0] == release[1]
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("mine")
    with pytest.raises(InputError, match="other: holds other files than a site; choose a new folder"):
        make_site(other, [], {}, runtime)
    assert [path.name for path in other.iterdir()] == ["index.html"]


def test_a_gray_network_is_refused(tmp_path, runtime):
    network = SwinIR(SwinIRConfig(in_chans=1, embed_dim=4, depths=(2,), num_heads=(1,))), {}
    with pytest.raises(InputError, match="gray: browsers decode to RGB; the network has 1 channels"):
        make_site(tmp_path, [], {"gray": network}, runtime)


def test_licences_come_along(site):
    for file in ("runtime/LICENSE", "runtime/ThirdPartyNotices.txt", "vendor/LICENSE.img-comparison-slider"):
        assert (site / file).stat().st_size > 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path)
    return tmp_path / "npm"


def test_the_runtime_is_packed_once(cache, monkeypatch):
    def pack(command, **options):
        folder = command[command.index("--pack-destination") + 1]
        with open(f"{folder}/onnxruntime-web-{site_files.RUNTIME_VERSION}.tgz", "wb") as file:
            file.write(b"the package")

    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(InputError, match="is not onnxruntime-web@"):
        fetch_runtime()
    digest = "ab326f16dec533ba65139949246581c016b9d4c77d0de0046e65f48e575372a3"
    monkeypatch.setattr(site_files, "_RUNTIME_SHA256", digest)
    monkeypatch.setattr(subprocess, "run", None)
    assert fetch_runtime().parent == cache


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("npm"), "install npm"),
        (subprocess.CalledProcessError(1, "npm", stderr="no network\n"), r"could not fetch it \(no network\)"),
    ],
)
def test_a_runtime_that_cannot_be_had_is_explained(cache, monkeypatch, error, message):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(InputError, match=message):
        fetch_runtime()
    assert not list(cache.iterdir())
