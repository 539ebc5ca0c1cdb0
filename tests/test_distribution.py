"""The wheel and the source distribution: their content, and an installation of the wheel away from the repository."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes, message_from_string
from pathlib import Path

import numpy as np
import pytest

from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.errors import EXTRAS
from swinir_jax.images import Picture, read_picture, write_picture

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE*", "swinir_jax", "tests")
DATA_FILES = re.compile(r"swinir_jax/(pretrained/|web/|py\.typed|niqe_model\.npz)")
LICENCES = {"LICENSE", "LICENSE-weights", "LICENSE-niqe", "swinir_jax/web/vendor/LICENSE.img-comparison-slider"}
EXPRESSION = "Apache-2.0 AND MIT AND CC-BY-SA-4.0 AND LicenseRef-swinir-jax-weights AND LicenseRef-NIQE"


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copied_sources(folder):
    for pattern in SOURCES:
        for path in ROOT.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution, which it was built from."""
    folder = copied_sources(tmp_path_factory.mktemp("sources"))
    run(sys.executable, "-m", "build", "--no-isolation", cwd=folder)
    [wheel], [source] = (list((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    return wheel, source


def test_wheel_and_source_have_the_same_package_without_tests(built):
    wheel, source = built
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "swinir_jax").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len([name for name in expected if DATA_FILES.match(name)]) > 20
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in in_wheel if ".dist-info/" not in name} == expected
    with tarfile.open(source) as archive:
        in_source = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {name for name in in_source if name.startswith("swinir_jax/")} == expected
    assert {"README.md", "CHANGELOG.md", "setup.py", "pyproject.toml", *LICENCES} <= in_source
    assert not [name for name in in_source if name.startswith("tests")]


def test_metadata_names_all_licences_and_has_no_links_to_files(built):
    with zipfile.ZipFile(built[0]) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
        licences = {name.partition("licenses/")[2] for name in archive.namelist() if "/licenses/" in name}
    assert metadata["License-Expression"] == EXPRESSION
    assert set(metadata.get_all("License-File")) == licences == LICENCES
    readme = metadata.get_payload()
    assert "# swinir_jax" in readme
    assert [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith(("https://", "#"))] == []
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built), cwd=ROOT)


def test_links_of_the_readme_begin_with_the_address_of_the_repository(tmp_path):
    folder = copied_sources(tmp_path)
    readme = "[a](docs/a.md) ![b](docs/b.png) [c](https://example.org/c) [d](#d)"
    (folder / "README.md").write_text(readme)
    project = folder / "pyproject.toml"
    project.write_text(f'{project.read_text()}\n[project.urls]\nRepository = "https://example.org/r/"\n')
    command = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('.'))"
    *_, name = run(sys.executable, "-c", command, cwd=folder).splitlines()
    metadata = message_from_string((folder / name / "METADATA").read_text())
    assert metadata.get_payload().strip() == (
        "[a](https://example.org/r/blob/HEAD/docs/a.md) ![b](https://example.org/r/raw/HEAD/docs/b.png) "
        "[c](https://example.org/c) [d](#d)"
    )


def test_a_version_is_a_development_one_until_the_change_log_has_its_release():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[(\d.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert (".dev" in version) == (version not in released)


def test_messages_name_the_packages_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        assert packages.split() == [re.match(r"[\w-]+", requirement)[0] for requirement in extras[extra]], extra


def test_weights_under_their_licence_are_those_that_are_bundled():
    text = (ROOT / "LICENSE-weights").read_text()
    assert re.findall(r"^ {4}(\w+)$", text, re.MULTILINE) == list(bundled_models())


def test_every_file_of_numbers_has_a_licence():
    """Trained or measured numbers are not covered by the licence of the code."""
    texts = "".join((ROOT / name).read_text() for name in LICENCES)
    files = [path for path in (ROOT / "swinir_jax").rglob("*") if path.suffix in (".npz", ".safetensors", ".onnx")]
    unnamed = [
        path.name
        for path in files
        if path.name not in texts and not {path.stem, path.parent.name} & bundled_models().keys()
    ]
    assert (len(files) > 4, unnamed) == (True, [])


def test_installed_wheel_restores_a_picture(built, tmp_path):
    """The environment is a new one, with only the dependencies of this one on its path."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    [packages] = tmp_path.glob("venv/lib/python*/site-packages")
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--no-compile",
        str(built[0]), cwd=tmp_path)  # fmt: skip
    (packages / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    write_picture(tmp_path / "photo.png", Picture(np.zeros((16, 20, 3), np.uint8)))

    command = tmp_path / "venv" / "bin" / "swinir-jax"
    version = re.search(r"swinir_jax-(.+?)-", built[0].name)[1]
    assert run(command, "--version", cwd=tmp_path) == f"swinir-jax {version}\n"
    run(command, "restore", "photo.png", "--for", "clean", "--out", "restored", cwd=tmp_path)
    assert read_picture(tmp_path / "restored" / "photo.png").pixels.shape == (32, 40, 3)
    where = run(python, "-c", "import swinir_jax; print(swinir_jax.__file__, swinir_jax.__version__)", cwd=tmp_path)
    assert where == f"{packages / 'swinir_jax' / '__init__.py'} {version}\n"
