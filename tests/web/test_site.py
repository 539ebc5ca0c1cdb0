"""What a person does with the site, which restores pictures in the browser."""

import contextlib
import io
import re
import shutil

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes
from PIL import Image
from site_server import expected_pixels, hosting

PHOTO = pillow_bytes(make_pixels(3), "PNG")
SECONDS = 60_000  # in milliseconds; the first picture waits for the runtime


@pytest.fixture(scope="module")
def host(site):
    with hosting(site) as host:
        yield host


@pytest.fixture
def address(host):
    return host.address


@pytest.fixture
def context_options():
    return {"service_workers": "block"}  # faster: no second loading of the page, and one thread


def give(page, name, data):
    page.set_input_files("#file", [{"name": name, "mimeType": "", "buffer": data}])


def finish(page, state="finished"):
    page.wait_for_selector(f"#stage[data-state={state}]", timeout=SECONDS)


def download(page):
    with page.expect_download() as started:
        page.click("#save")
    return started.value


def pixels_of(result):
    """Returns the pixels of a PNG file as Pillow gives them: gray has two axes, alpha is a channel."""
    with Image.open(result.path()) as image:
        return np.asarray(image)


def assert_alike(actual, expected):
    """Allows for halves that are rounded in different directions."""
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def choose(page, purpose, scale=None):
    page.locator(f"label[for=purpose-{purpose}]").click()
    if scale:
        page.locator(f"label[for=scale-{scale}]").click()


CUT_OUT = np.dstack([make_pixels(3), np.where(make_pixels(0) > 120, 255, 0)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "purpose", "scale", "networks"),
    [
        pytest.param(make_pixels(3), "clean", 2, ["double"], id="RGB"),
        pytest.param(make_pixels(3), "clean", 3, ["double", "double"], id="two networks and a reduction"),
        pytest.param(make_pixels(0), "jpeg", 1, ["repair"], id="gray"),
        pytest.param(CUT_OUT, "clean", 2, ["double"], id="alpha"),
    ],
)
def test_the_download_has_the_pixels_of_the_command(page, pixels, purpose, scale, networks):
    choose(page, purpose, scale if purpose == "clean" else None)
    give(page, "Über 山.v2.png", pillow_bytes(pixels, "PNG"))
    finish(page)
    result = download(page)
    assert result.suggested_filename == "Über 山.v2.png"
    assert_alike(pixels_of(result), expected_pixels(pixels, networks, scale))
    assert page.evaluate("document.getElementById('after').naturalWidth") == pixels.shape[1] * scale
    notes = page.text_content("#notes")
    assert "8 bits per channel in sRGB, without camera data" in notes
    assert ("Alpha was resized" in notes) == (pixels.shape[2:] == (4,))
    assert ("Gray, restored" in notes) == (pixels.ndim == 2)


def test_a_turned_jpeg_becomes_upright(page):
    exif = Image.Exif()
    exif[274] = 6  # the orientation: turned by a quarter
    file = io.BytesIO()
    Image.fromarray(make_pixels(3)).save(file, "JPEG", exif=exif, quality=95, subsampling=0)
    give(page, "turned.jpg", file.getvalue())
    finish(page)
    result = download(page)
    assert result.suggested_filename == "turned.png"
    with Image.open(file) as image:
        upright = np.rot90(np.asarray(image), -1)
    assert_alike(pixels_of(result), expected_pixels(upright, ["double"], 2))


UNREADABLE = {
    "a text": (
        "notes.txt",
        b"Dear diary, this is no picture.",
        "cannot be read as a picture",
        "notes.txt: damaged, or",
    ),
    "0 bytes": ("nothing.png", b"", "This file is empty.", "nothing.png"),
    "a cut PNG": ("torn.png", PHOTO[:-600], "cannot be read as a picture", "torn.png: damaged, or"),
    "a cut JPEG": (
        "torn.jpg",
        pillow_bytes(make_pixels(3), "JPEG")[:-300],
        "cannot be read as a picture",
        "torn.jpg: damaged, or",
    ),
    "too many pixels": (
        "wide.png",
        pillow_bytes(np.zeros((4000, 4200), np.uint8), "PNG"),
        "too large",
        "4200 x 4000 pixels, enlarged 2 times,",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_restored_is_explained_and_the_next_picture_is_restored(page, case):
    name, data, heading, reason = UNREADABLE[case]
    give(page, name, data)
    finish(page, "failed")
    assert heading in page.text_content("#trouble")
    assert reason in page.text_content("#reason")
    page.locator("#failed [data-do=remove]").click()
    finish(page, "empty")
    give(page, "photo.png", PHOTO)
    finish(page)


def test_stop_and_start_again(page):
    pixels = make_pixels(3, h=700, w=900)
    give(page, "photo.png", pillow_bytes(pixels, "PNG"))
    page.locator("#left", has_text=" of 30 tiles").wait_for(timeout=SECONDS)
    page.get_by_role("button", name="Stop").click()
    finish(page, "failed")
    assert page.text_content("#trouble") == "Stopped."
    give(page, "small.png", pillow_bytes(make_pixels(3), "PNG"))  # by the same worker, which has stopped
    page.wait_for_selector("#list li:nth-child(2)[data-state=done]", timeout=SECONDS)
    page.locator("#list li:first-child .pick").click()
    page.locator("#failed [data-do=again]").click()
    page.locator("#left", has_text=" of 30 tiles").wait_for(timeout=SECONDS)


def test_a_worker_that_does_not_answer_is_ended(page):
    page.route("**/networks/double.onnx", lambda route: None)  # never answered
    give(page, "photo.png", PHOTO)
    page.locator("#doing", has_text="Loading the network").wait_for()
    page.get_by_role("button", name="Stop").click()
    finish(page, "failed")
    assert page.text_content("#trouble") == "Stopped."
    page.unroute("**/networks/double.onnx")
    page.locator("#failed [data-do=again]").click()
    finish(page)


@contextlib.contextmanager
def visit(browser, address, **options):
    """Yields the page of a window of its own, in which the console may report errors."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()


def test_a_failing_graphics_card_is_replaced_by_the_processor(webgpu_browser, address):
    with visit(webgpu_browser, address, service_workers="block") as page:
        page.route("**/ort.webgpu.min.mjs", lambda route: route.abort())
        give(page, "photo.png", PHOTO)
        finish(page)
        assert "because the graphics card failed" in page.text_content("#notes")
        assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), ["double"], 2))


@pytest.mark.parametrize("missing", ["worker.js", "double.onnx", "ort-wasm-simd-threaded.wasm"])
def test_what_cannot_be_fetched_is_explained(browser, address, missing):
    with visit(browser, address, service_workers="block") as page:
        page.route(f"**/{missing}", lambda route: route.abort())
        give(page, "photo.png", PHOTO)
        finish(page, "failed")
        assert "Is there a connection?" in page.text_content("#trouble")


def test_nothing_leaves_the_machine(browser, address, host):
    del host.requests[:]
    with visit(browser, address, service_workers="block") as page:
        asked = []
        page.context.on("request", lambda request: asked.append(request.url))
        give(page, "photo.png", PHOTO)
        finish(page)
        assert f"{address}networks/double.onnx" in asked  # requests of the worker are seen, too
        assert not [url for url in asked if not url.startswith((address, "blob:"))]
        assert {method for method, _ in host.requests} == {"GET"}  # which have no body
        assert not [path for _, path in host.requests if "?" in path]
        with pytest.raises(Exception, match="Failed to fetch"):  # by the page's policy
            page.evaluate("fetch('http://localhost:9/', { method: 'POST', body: 'a picture' })")


def test_after_the_first_visit_no_connection_is_needed(browser, site):
    with hosting(site) as host, visit(browser, host.address) as page:
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        assert page.evaluate("crossOriginIsolated")  # though the host sends no headers
        give(page, "photo.png", PHOTO)
        finish(page)
        assert {method for method, _ in host.requests} == {"GET"}

        host.is_open = False
        del host.requests[:]
        page.goto(f"{host.address}?from=a-bookmark")
        page.wait_for_selector("body[data-ready]")
        assert "downloaded once" not in page.text_content("#settings .small")
        give(page, "photo.png", PHOTO)
        finish(page)
        assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), ["double"], 2))
        # Chromium itself looks for a newer service worker; nothing else is asked.
        assert {path for _, path in host.requests} <= {"/some/place/service_worker.js", "/some/place/release.js"}
        headers = page.evaluate("fetch('browser/worker.js').then(({ headers }) => Object.fromEntries(headers))")
        assert "connect-src 'self'" in headers["content-security-policy"]  # binds the worker
        assert not problems


def test_a_new_release_takes_the_place_of_the_old_one(browser, site, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    with hosting(folder) as host, visit(browser, host.address) as page:
        release = (folder / "release.js").read_text()
        (folder / "release.js").write_text(re.sub(r'"version": "\w+"', '"version": "newer"', release))
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
        page.wait_for_function("caches.keys().then((names) => names.length === 2)")  # the old one is still in use
        page.goto("about:blank")
        page.goto(host.address)
        page.wait_for_selector("body[data-ready]")
        page.wait_for_function("caches.keys().then((names) => names.length === 1 && names[0].endsWith('newer'))")
