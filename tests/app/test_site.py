"""The files of the site that restores pictures in the browser."""

import json
import re
import shutil
import subprocess
import tarfile

import platformdirs
import pytest
from site_server import NETWORKS, OFFERS, write_site

from swinir_jax import SwinIR, SwinIRConfig
from swinir_jax.app import site as site_files
from swinir_jax.app.networks import Part
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
    reached = [offer for offer in OFFERS if set(map(str, offer.parts)) <= values["networks"].keys()]
    assert [choice["key"] for choice in values["choices"]] == [offer.key for offer in reached]
    assert [choice["parts"] for choice in values["choices"]] == [[*map(str, offer.parts)] for offer in reached]
    assert len(reached) == len(OFFERS) - 1
    for name, entry in values["networks"].items():
        file = site / entry["file"].partition("?")[0]
        assert file.stat().st_size == entry["bytes"]
        assert check_onnx(file) <= 1e-5
        assert (entry["scale"], entry["window"]) == ((1, 7) if name == "repair" else (2, 8))


def test_the_release_names_all_that_the_page_loads(site):
    release = json.loads((site / "release.js").read_text().removeprefix("self.release = ").rstrip(";\n"))
    page, large = ({address.partition("?")[0] for address in release[kind]} for kind in ("page", "large"))
    written = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    licences = {name for name in written if re.search("LICENSE|README|Notices", name)}
    assert written - licences - {"release.js"} == large | page
    assert large == {name for name in written - licences if name.startswith(("networks/", "runtime/"))}


def test_hosts_know_the_kinds_of_all_scripts(site):  # those of nginx have no `.mjs`
    endings = {path.suffix for path in site.rglob("*") if path.is_file()}
    assert endings - {"", ".img-comparison-slider", ".md", ".txt"} == {
        *(".html", ".css", ".js", ".json", ".svg", ".wasm", ".onnx")
    }


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
        (tmp_path / "runtime" / "mine.wasm").touch()
    assert release[0] == release[1]
    assert (tmp_path / "runtime" / "mine.wasm").exists()


def test_what_an_earlier_site_has_and_the_new_one_has_not_is_removed(tmp_path, runtime):
    make_site(tmp_path, [], {Part("double"): NETWORKS["double"]}, runtime)
    make_site(tmp_path, [], {}, runtime)
    assert not list(tmp_path.glob("networks/*"))


@pytest.mark.parametrize("mine", ["index.html", "browser/worker.js", "release.js", "networks/mine.onnx"])
def test_a_folder_with_other_files_is_refused(tmp_path, runtime, mine):
    file = tmp_path / "other" / mine
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(InputError, match="other: holds other files than a site; choose a new folder"):
        make_site(tmp_path / "other", [], {}, runtime)
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == [file]


def test_a_gray_network_is_refused(tmp_path, runtime):
    network = SwinIR(SwinIRConfig(in_chans=1, embed_dim=4, depths=(2,), num_heads=(1,))), {}
    with pytest.raises(InputError, match="gray: browsers decode to RGB; the network has 1 channels"):
        make_site(tmp_path, [], {Part("gray"): network}, runtime)
    make_site(tmp_path, [], {}, runtime)  # though the site before is unfinished


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

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(InputError, match="is not onnxruntime-web@"):
        fetch_runtime()
    digest = "ab326f16dec533ba65139949246581c016b9d4c77d0de0046e65f48e575372a3"
    monkeypatch.setattr(site_files, "_RUNTIME_SHA256", digest)
    monkeypatch.setattr(subprocess, "run", None)
    assert fetch_runtime().parent == cache


def test_a_missing_npm_is_named(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="install npm"):
        fetch_runtime()


def test_the_reason_of_npm_is_told(cache, tmp_path, monkeypatch):
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        "#!/bin/sh\ncase $* in *--loglevel=error*) printf 'npm error code E404\\nat line 1\\n' >&2; esac; exit 1"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    with pytest.raises(InputError, match=r"could not fetch it \(npm error code E404\)"):
        fetch_runtime()
    assert not list(cache.iterdir())
