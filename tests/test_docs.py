"""The documentation's code runs, and the tables agree with the code."""

import argparse
import ast
import dataclasses
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import quick_programs
from goldens import FORWARD, TINY, checkpoints, params_of
from PIL import Image

from swinir_jax.app.limits import Limits
from swinir_jax.checkpoints import weight_file
from swinir_jax.checkpoints.download import MIRROR_VARIABLE, WEIGHTS_VARIABLE
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES, choose_models
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.cli import exit_codes
from swinir_jax.cli.main import main
from swinir_jax.errors import EXTRAS
from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.inference import engine

DOCS = Path(__file__).parents[1] / "docs"
ROOT = DOCS.parent
PACKAGE = ROOT / "swinir_jax"
# Pages whose blocks run in order, in a folder where a tiny network has the name of the bundled one.
PAGES = ("getting_started", "which_model", "converting", "evaluation", "tiling", "precision", "exporting")
# Pages whose Python is one program, which a command of the page starts on several devices.
PAGES_OF_SEVERAL_DEVICES = ("devices", "your_own_loop")
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\{?[\w-]*\}?)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")  # name of an environment variable
OWN = re.compile(r"SWINIR_JAX_[A-Z]+")
OF_SLURM = {"SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"}  # in scripts of users


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def save_tiny_model(name: str) -> None:
    config = dataclasses.replace(TINY, depths=(2,), num_heads=(2,))
    save_model(name, params_of(config), config)


READ = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("examples/*.md"), PACKAGE / "pretrained/README.md"])


@pytest.mark.parametrize("file", READ, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(file):
    for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            target = file.parent / name if name else file
            assert target.exists(), link
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]


def commands(file: Path) -> list[tuple[str, str]]:
    """Returns the name of each command in a page, and the rest of its line."""
    return re.findall(r"^swinir-jax ([a-z][a-z-]*)(.*)$", file.read_text().replace("\\\n", " "), re.MULTILINE)


def test_pages_give_commands():
    assert len([line for file in READ for line in commands(file)]) > 40


@pytest.mark.parametrize("file", READ, ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_take_the_options_that_pages_give_them(file):
    for name, rest in commands(file):
        parser = argparse.ArgumentParser()
        importlib.import_module(f"swinir_jax.cli.{name.replace('-', '_')}").add_arguments(parser)
        given = {part.partition("=")[0] for part in shlex.split(rest, comments=True) if re.match("--[a-z]", part)}
        assert given <= {*parser._option_string_actions, "--quiet", "--debug"}, rest


def test_the_readme_is_read_in_a_few_minutes():
    assert len((ROOT / "README.md").read_text().split()) < 900


def test_the_demo_ends_with_lines_that_work_in_a_new_terminal():
    done = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall('^echo "  (.*)"$', done.stdout, re.MULTILINE) == [
        f". '{ROOT}/.venv-demo/bin/activate'",
        "swinir-jax restore PHOTO.jpg",
        f"pip install {EXTRAS['app']}",
        "swinir-jax app",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_blocks_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)  # else --memory would have to cover all earlier tests
    photo = Image.open(DOCS / "astronaut.png").convert("RGB").crop((100, 40, 140, 72))
    photo.save("photo.png")
    photo.save("photo.tif")
    Path("photos").mkdir()
    photo.save("photos/a.png")
    photo.save("photos/b.png")
    shutil.copy(checkpoints() / "params.pth", "network.pth")
    save_tiny_model("lightweight_x2")
    namespace: dict = {}
    ran = 0
    for skipped, language, text in BLOCK.findall(page(name)):
        if skipped or language.startswith("{"):
            continue
        if language == "python":
            exec(compile(text, f"{name}.md", "exec"), namespace)
        else:
            assert language == ""
            for command in text.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(command, comments=True)
                assert program == "swinir-jax", command
                assert main([*arguments, "--quiet"]) == 0, command
        ran += 1
    assert ran


@pytest.mark.parametrize("name", PAGES_OF_SEVERAL_DEVICES)
def test_programs_of_several_devices_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_tiny_model("lightweight_x2")
    blocks = BLOCK.findall(page(name))
    [command] = [text for _, language, text in blocks if not language]
    flags, *program = shlex.split(command)
    assert program == ["python", "your_program.py"]
    texts = [text for _, language, text in blocks if language == "python"]
    Path("your_program.py").write_text("\n".join([*texts, "assert jax.device_count() > 1"]))
    variable, _, value = flags.partition("=")
    environment = {**os.environ, variable: f"{value} {quick_programs.FLAGS}", "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-W", "error::UserWarning", "your_program.py"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_endings_of_weight_files_are_all_there():
    sentence = page("converting").split("## Which files are read")[1].split("\n\n")[0]
    assert {*re.findall(r"`(\.\w+)`", sentence)} == {*weight_file.SUFFIXES}


def test_the_table_of_precision_has_all_bundled_models():
    table = page("precision").split("<!-- precision table")[1].split("<!-- end of precision table -->")[0]
    assert bundled_models().keys() <= {cell.strip() for cell in re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)}


def test_the_table_of_choices_agrees_with_the_code():
    table = page("which_model").split("<!-- table of choices")[1].split("<!-- end of table of choices -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")][2:]
    assert [(purpose, int(scale)) for purpose, scale, *_ in rows] == [(p, s) for p in PURPOSES for s in SCALES]
    for purpose, scale, *cells in rows:
        for cell, quality in zip(cells, ("fast", "best"), strict=True):
            choice = choose_models(purpose, int(scale), quality=quality)
            assert re.findall("`(.+?)`", cell) == [step.model for step in choice.passes]
            assert ("bicubic" in cell) == choice.is_resized


def test_the_table_of_parity_has_all_cases_within_the_tolerance():
    table = page("parity").split("<!-- end of parity table -->")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")][2:]
    found = {cells[0].strip(): float(cells[3]) for cells in rows}
    assert [*found] == [path.stem for path in FORWARD]
    assert max(found.values()) < 1e-5


def test_the_table_of_feature_networks_has_them_all():
    section = page("training").split("## Feature networks")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    assert [cells[0] for cells in rows[2:]] == [f"`{name}`" for name in FEATURE_NETWORKS]
    for cells, network in zip(rows[2:], FEATURE_NETWORKS.values(), strict=True):
        assert cells[3].endswith(network.license)
        assert network.package is None or f"`{network.package}`" in cells[3]
    versions = {network.package for network in FEATURE_NETWORKS.values() if network.package}
    assert set(re.findall(r"[\w-]+==[\d.]+", section)) == versions


def test_the_extra_of_feature_networks_has_the_known_version():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    assert FEATURE_NETWORKS["efficientnet_lite0"].package in project["optional-dependencies"]["perceptual"]


def test_the_table_of_exit_codes_has_them_all():
    table = page("getting_started").split("| exit code | meaning |")[1].split("\n\n")[0]
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {0, *codes}


def test_the_page_of_the_app_tells_its_limits():
    text, limits = " ".join(page("app").split()), Limits()
    assert f"largest file ({limits.file_bytes / 1e6:g} MB) and picture ({limits.pixels / 1e6:g} million pixels)" in text
    assert f"One picture is restored at a time, and {limits.jobs} are kept at most." in text
    assert "removed a minute after the download, else after a day" in text
    assert (limits.keep_after_download, limits.keep_seconds) == (60, 24 * 3600)


def test_the_architecture_page_shows_the_layers_that_lint_checks():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())
    [contract] = project["tool"]["importlinter"]["contracts"]
    drawn = re.search(r"```text\n(.*?)```", page("architecture"), re.DOTALL)[1]
    assert [re.split(r" {2,}", line)[0] for line in drawn.splitlines()] == contract["layers"]


def test_the_architecture_page_names_files_that_exist():
    names = re.findall(r"`([\w/]+/[\w.]*)`", page("architecture"))
    missing = [name for name in names if not ((PACKAGE / name).exists() or (DOCS.parent / name).exists())]
    assert len(names) > 20
    assert missing == []


def test_the_page_on_the_environment_has_every_variable_that_is_read_or_mentioned():
    listed = {*re.findall(r"`([A-Za-z_]+)`", " ".join(re.findall(r"^\| (`.+?) \|", page("environment"), re.MULTILINE)))}
    read = set()
    for file in (path for folder in (PACKAGE, DOCS.parent / "examples") for path in folder.rglob("*.py")):
        if "environ" in (text := file.read_text()):
            strings = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
            read |= {value for value in strings if isinstance(value, str) and VARIABLE.fullmatch(value)}
    assert {"SWINIR_JAX_WEIGHTS", "JAX_PROCESS_ID", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"} <= read
    assert read - listed == set()
    for file in (DOCS.parent / "README.md", *(path for path in DOCS.glob("*.md") if path.stem != "environment")):
        mentioned = re.findall(rf"\$({VARIABLE.pattern})|({VARIABLE.pattern})=", file.read_text())
        assert {name for pair in mentioned for name in pair if name} - listed - OF_SLURM == set(), file.name
    own = {name for file in DOCS.parents[0].rglob("tests/**/*.py") for name in OWN.findall(file.read_text())} | {
        name for name in read if OWN.fullmatch(name)
    }
    assert {name for name in listed if OWN.fullmatch(name)} == own


def test_the_page_on_offline_use_has_every_cache_and_place_of_weights():
    text = page("offline")
    kinds = {
        kind for file in PACKAGE.rglob("*.py") for kind in re.findall(r"user_cache\(\"(\w+)\"\)", file.read_text())
    }
    assert set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)) == kinds
    assert kinds == {"weights", "compiled", "npm"}
    assert {WEIGHTS_VARIABLE, MIRROR_VARIABLE, "constraints.txt"} <= set(re.findall(r"[\w.]+", text))
