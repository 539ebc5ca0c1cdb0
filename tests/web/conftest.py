"""The page in a real browser, served by the command in a process of its own."""

import importlib.util
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from app_command import command
from picture_files import make_picture, make_pixels
from PIL import Image
from site_server import hosting, write_site

from swinir_jax.app.site import fetch_runtime
from swinir_jax.cli.main import main
from swinir_jax.images import Picture, write_picture

BROWSER = Path(os.environ.get("SWINIR_JAX_BROWSER", "/usr/bin/chromium"))
FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Chromium logs what the page explains and that it has no graphics card, Playwright that a test blocks service workers.
EXPECTED = re.compile(
    r"with a status of (413|422)|status of 500 .*/choices$|status of 404 .*/jobs/[^/]*/(result|after)$"
    "|net::ERR_UPLOAD_FILE_CHANGED|net::ERR_FILE_NOT_FOUND blob:|net::ERR_FAILED .*/jobs/[^/]*/result$"
    "|No available adapters|Service Worker registration blocked"
)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def require(config, **programs):
    """Skips a test for which a program is missing; fails it if just these tests were asked for."""
    found = {"Playwright": importlib.util.find_spec("playwright"), BROWSER: BROWSER.exists(), **programs}
    refuse = pytest.fail if config.option.markexpr == "browser" else pytest.skip
    for name, program in found.items():
        if not program:
            refuse(f"needs {name}: make test-web")


@pytest.fixture(scope="module")  # as long as Playwright is open, other tests cannot run an event loop
def chromium(pytestconfig):
    """Returns a function that launches Chromium with further flags."""
    require(pytestconfig)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield lambda *flags: started.chromium.launch(executable_path=str(BROWSER), args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def browser(chromium):
    browser = chromium()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def webgpu_browser(chromium):
    """Returns a browser whose WebGPU runs on the processor."""
    browser = chromium("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def address(browser, model):
    """Returns the address of a page that offers the small model, in tiles of 16 pixels."""
    with command("--model", model, "--tile", "16", "--max-file", "1MB", "--max-pixels", "0.5") as address:
        yield address


@pytest.fixture(scope="session")
def site(pytestconfig, tmp_path_factory):
    """Returns the folder of a site with small networks and the real runtime."""
    require(pytestconfig, npm=shutil.which("npm"))
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, fetch_runtime())
    return folder


@pytest.fixture(scope="module")
def host(site):
    """Returns a host of the site."""
    with hosting(site) as host:
        yield host


@pytest.fixture
def context_options():
    """Options of the page's window, for modules to override."""
    return {}


@pytest.fixture
def page(browser, address, context_options):
    """Returns the page in a window of its own; fails at errors in the console and at requests to other machines."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB", **context_options)
    page = context.new_page()
    problems, outside = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def note(message):
        if message.type in ("error", "warning"):
            problems.append(f"{message.text} {message.location['url']}")

    page.on("console", note)
    own = address, f"blob:{address[: address.index('/', 8)]}/"
    page.on("request", lambda request: request.url.startswith(own) or outside.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not outside
    assert not [problem for problem in problems if not EXPECTED.search(problem)]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory, model):
    """Returns, by name, files of all kinds and what the command makes of them, as paths."""
    given, out = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("restored")
    for side in (20, 30, 40, 150, 200):
        write_picture(given / f"photo{side}.png", Picture(make_pixels(3, h=side, w=side + 8)))
    write_picture(given / "deep.png", make_picture(3, False, np.uint16))
    write_picture(given / "scan.tif", make_picture(0, False, np.uint16))
    write_picture(given / "Überblick 山.png", make_picture(3, True))
    Image.fromarray(make_pixels(3)).convert("CMYK").save(given / "cmyk.jpg")
    exif = Image.Exif()
    exif[274] = 6  # the orientation: turned by a quarter
    Image.fromarray(make_pixels(3)).save(given / "turned.jpg", exif=exif)
    assert main(["restore", "--quiet", "--model", model, "--tile", "16", str(given), "--out", str(out)]) == 0
    results = {path.stem: path for path in out.iterdir()}
    return {path.name: (path, results[path.stem]) for path in given.iterdir()}
