"""The page in a real browser, served by the command in a process of its own."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from app_server import CONFIG, PARAMS

from swinir_jax.checkpoints.store import save_model

BROWSER = Path(os.environ.get("SWINIR_JAX_BROWSER", "/usr/bin/chromium"))
FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test-web")
    if not BROWSER.exists():
        pytest.skip(f"needs {BROWSER}: make test-web")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(BROWSER), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Returns the folder of a small model that doubles the sides of an image."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, PARAMS, CONFIG)
    return str(folder)


@contextlib.contextmanager
def command(*options):
    """Runs `swinir-jax app`; yields the page's address."""
    arguments = [sys.executable, "-m", "swinir_jax.cli.main", "app", "--no-open", "--port", "0", *options]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stderr.readline, "")
            yield next(match[0] for line in lines if (match := re.search(r"http://127\.0\.0\.1:\d+/", line)))
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.fixture(scope="session")
def address(browser, model):
    """Returns the address of a page that offers the small model, in tiles of 16 pixels."""
    with command("--model", model, "--tile", "16", "--max-file", "1MB", "--max-pixels", "0.5") as address:
        yield address


@pytest.fixture
def page(browser, address):
    """Returns the page in a window of its own; fails at errors in the console and at requests to other machines."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB", accept_downloads=True)
    page = context.new_page()
    problems, outside = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
    page.on(
        "request", lambda request: request.url.startswith((address, f"blob:{address}")) or outside.append(request.url)
    )
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not outside
    refused = re.compile(r"the server responded with a status of (413|422)")  # the browser logs what the page explains
    assert not [problem for problem in problems if not refused.search(problem)]


@pytest.fixture
def restored(model, tmp_path):
    """Returns a function that restores a file by the command and returns the result's file."""

    def restore(file):
        out = tmp_path / "restored"
        shutil.rmtree(out, ignore_errors=True)
        arguments = ["restore", "--quiet", "--model", model, "--tile", "16", str(file), "--out", f"{out}/"]
        from swinir_jax.cli.main import main

        assert main(arguments) == 0
        [result] = out.iterdir()
        return result

    return restore
