"""What a person does with the site, which restores pictures in the browser."""

import contextlib
import io
import os
import re
import shutil
import time

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


def test_an_animation_is_reduced_with_a_note(page):
    first, *others = (Image.fromarray(make_pixels(3)[:, ::step]) for step in (1, -1))
    file = io.BytesIO()
    first.save(file, "WEBP", lossless=True, save_all=True, append_images=others)
    page.set_input_files("#file", [{"name": "a.webp", "mimeType": "image/webp", "buffer": file.getvalue()}])
    finish(page)
    assert "The first of 2 frames." in page.text_content("#notes")
    assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), ["double"], 2))


UNREADABLE = {
    "a text": (
        "notes.txt",
        b"Dear diary, this is no picture.",
        "cannot be read as a picture",
        "notes.txt: damaged, too large, or",
    ),
    "0 bytes": ("nothing.png", b"", "This file is empty.", "nothing.png"),
    "a cut PNG": ("torn.png", PHOTO[:-600], "cannot be read as a picture", "torn.png: damaged, too large, or"),
    "a cut JPEG": (
        "torn.jpg",
        pillow_bytes(make_pixels(3), "JPEG")[:-300],
        "cannot be read as a picture",
        "torn.jpg: damaged, too large, or",
    ),
    "too many pixels": (
        "wide.png",
        pillow_bytes(np.zeros((4000, 4200), np.uint8), "PNG"),
        "too large",
        "4200 x 4000 pixels, enlarged 2 times,",
    ),
    "a side that no canvas has": (  # whose pixels Firefox would read as black
        "strip.png",
        pillow_bytes(np.full((4, 32768), 200, np.uint8), "PNG"),
        "too large",
        "32768 x 4 pixels; a side may have up to 32767",
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
    page.route("**/networks/double.onnx*", lambda route: None)  # never answered
    give(page, "photo.png", PHOTO)
    page.locator("#doing", has_text="Loading the network").wait_for()
    page.get_by_role("button", name="Stop").click()
    finish(page, "failed")
    assert page.text_content("#trouble") == "Stopped."
    page.unroute("**/networks/double.onnx*")
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
        failing = "export const env = { wasm: {} }, InferenceSession = { create: () => Promise.reject(new Error()) };"
        page.route("**/ort.webgpu.min.js*", lambda route: route.fulfill(content_type="text/javascript", body=failing))
        give(page, "photo.png", PHOTO)
        finish(page)
        assert "because the graphics card failed" in page.text_content("#notes")
        assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), ["double"], 2))


@pytest.mark.parametrize(
    "missing",
    [
        "worker.js",
        "double.onnx",
        "ort.wasm.min.js",
        "ort-wasm-simd-threaded.js",
        "ort-wasm-simd-threaded.wasm",
    ],
)
def test_what_cannot_be_fetched_is_explained_and_fetched_again(browser, address, missing):
    with visit(browser, address, service_workers="block") as page:
        page.route(f"**/{missing}*", lambda route: route.abort())
        give(page, "photo.png", PHOTO)
        finish(page, "failed")
        assert "Is there a connection?" in page.text_content("#trouble")
        page.unroute(f"**/{missing}*")
        page.locator("#failed [data-do=again]").click()
        finish(page)


def test_nothing_leaves_the_machine(browser, address, host, site):
    del host.requests[:]
    with visit(browser, address, service_workers="block") as page:
        asked = []
        page.context.on("request", lambda request: asked.append(request.url))
        give(page, "photo.png", PHOTO)
        finish(page)
        assert any("/networks/double.onnx" in url for url in asked)  # requests of the worker are seen, too
        assert not [url for url in asked if not url.startswith((address, "blob:"))]
        assert {method for method, _ in host.requests} == {"GET"}  # which have no body
        release = (site / "release.js").read_text()
        own = {f"/some/place/{file}" for file in ("", *re.findall('"(.*)"', release))}
        assert {path for _, path in host.requests} <= own  # a query holds nothing but the hash of a file of the site
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


@pytest.fixture
def copied(site, tmp_path):
    """Returns the folder of a site that can be changed. Its files are old: browsers keep such without asking again."""
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    for file in folder.rglob("*"):
        os.utime(file, (1e9, 1e9))
    return folder


def wait_for(page, expression):
    """Waits until a promise comes true; Playwright's `wait_for_function` would take the promise itself for true."""
    end = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def replace(file, pattern, new):
    text, count = re.subn(pattern, new, file.read_text())
    assert count
    file.write_text(text)


def test_a_new_release_takes_the_place_of_the_old_one(browser, copied):
    with hosting(copied) as host, visit(browser, host.address) as page:
        networks = page.evaluate("fetch('choices.json').then((answer) => answer.json())")["networks"]
        double, repair = (networks[name]["file"] for name in ("double", "repair"))
        for file in (double, repair):
            page.evaluate(f"fetch('{file}').then((answer) => answer.arrayBuffer())")
            wait_for(page, f"caches.match('{file}').then(Boolean)")

        (copied / "networks" / "double.onnx").write_text("new weights")
        for name in ("choices.json", "release.js"):
            replace(copied / name, re.escape(double), "networks/double.onnx?newer")
        replace(copied / "release.js", r'"version": "\w+"', '"version": "newer"')
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
        names = "caches.keys().then((names) => names.map((name) => name.split(' ').at(-1)).sort().join())"
        wait_for(page, f"{names}.then((names) => names.endsWith('large,newer'))")
        assert page.evaluate(f"caches.match('{double}').then(Boolean)")  # the old release is still in use
        page.goto("about:blank")
        page.wait_for_timeout(1000)  # until no page uses the old one
        page.goto(host.address)
        page.wait_for_selector("body[data-ready]")
        wait_for(page, f"{names}.then((names) => names === 'large,newer')")
        wait_for(page, f"caches.match('{double}').then((kept) => !kept)")
        assert page.evaluate("fetch('networks/double.onnx?newer').then((answer) => answer.text())") == "new weights"
        del host.requests[:]
        assert page.evaluate(f"fetch('{repair}').then((answer) => answer.ok)")
        assert not host.requests  # what is unchanged is still kept


def test_other_pages_of_the_host_are_left_alone(browser, copied):
    (copied / "blog.html").write_text("a text")
    with hosting(copied) as host, visit(browser, host.address) as page:
        answer = page.goto(f"{host.address}blog.html")
        assert answer.text() == "a text"
        assert "content-security-policy" not in answer.headers
        assert page.evaluate("caches.match(location).then((kept) => !kept)")


@contextlib.contextmanager
def first_visit(browser, address, script):
    """Yields the page of a window of its own, which runs a script before those of the page."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(script)
    page.goto(address)
    yield page
    context.close()


def test_pictures_given_before_the_page_is_ready_are_not_lost(browser, address):
    script = """
    const workers = Object.getPrototypeOf(navigator.serviceWorker);
    const { register } = workers;
    const allowed = new Promise((resolve) => (self.allow = resolve));
    workers.register = function (...given) { return allowed.then(() => register.apply(this, given)); };"""
    with first_visit(browser, address, script) as page:
        page.locator("#formats", has_text="PNG").wait_for()  # the page takes pictures, and the settings are to come
        give(page, "nothing.png", b"")
        page.evaluate("allow()")
        finish(page, "failed")
        assert page.locator("#list li").count() == 1


def test_a_site_that_cannot_be_kept_is_ready_at_once(browser, copied):
    (copied / "icon.svg").unlink()
    patient = "const { setTimeout } = self; self.setTimeout = (call, ms) => ms < 10000 && setTimeout(call, ms);"
    with hosting(copied) as host, first_visit(browser, host.address, patient) as page:
        page.wait_for_selector("body[data-ready]")
        assert not page.evaluate("crossOriginIsolated")


def test_a_page_opened_as_a_file_says_what_it_needs(browser, site):
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    assert "from a web server" in page.inner_text("#formats")
    page.close()
