"""The site without a connection, after a new release, and beside other pages of the host."""

import contextlib
import os
import re
import shutil
import time

import pytest
from picture_files import make_pixels
from site_server import expected_pixels, hosting
from site_visits import PHOTO, assert_alike, download, finish, give, pixels_of, visit

from swinir_jax.files import file_sha256


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
        digest = file_sha256(copied / "choices.json")[:16]
        replace(copied / "release.js", r"choices.json\?\w+", f"choices.json?{digest}")
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


def test_a_release_that_is_half_published_is_not_kept(browser, copied):
    with hosting(copied) as host, visit(browser, host.address) as page:
        replace(copied / "release.js", r"trouble.js\?\w+", "trouble.js?newer")  # the file itself is still the old one
        replace(copied / "release.js", r'"version": "\w+"', '"version": "newer"')
        page.evaluate(
            """navigator.serviceWorker.ready.then((registration) => new Promise((resolve) => {
              registration.addEventListener("updatefound", ({ target: { installing } }) =>
                installing.addEventListener("statechange", () => resolve(installing.state)));
              registration.update();
            })).then((state) => (self.state = state))"""
        )
        assert page.evaluate("state") == "redundant"
        page.goto("about:blank")
        page.goto(host.address)
        page.wait_for_selector("body[data-ready]")
        assert page.evaluate("crossOriginIsolated")  # by the old release


def test_a_page_in_place_of_a_network_is_not_kept(browser, copied):
    network = copied / "networks" / "double.onnx"
    weights = network.read_bytes()
    network.write_text("<p>Log in</p>")
    with hosting(copied) as host, visit(browser, host.address) as page:
        give(page, "photo.png", PHOTO)
        finish(page, "failed")
        network.write_bytes(weights)
        page.locator("#failed [data-do=again]").click()
        finish(page)


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
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script(script)
        page.goto(address)
        yield page


def test_pictures_given_before_the_page_is_ready_are_not_lost(browser, site):
    script = """
    const workers = Object.getPrototypeOf(navigator.serviceWorker);
    const { register } = workers;
    const allowed = new Promise((resolve) => (self.allow = resolve));
    workers.register = function (...given) { return allowed.then(() => register.apply(this, given)); };"""
    with hosting(site) as host, first_visit(browser, host.address, script) as page:
        page.locator("#formats", has_text="PNG").wait_for()  # the page takes pictures, and the settings are to come
        with page.expect_file_chooser():
            page.locator("#empty [data-do=choose]").click()
        give(page, "nothing.png", b"")
        assert "getting ready" in page.text_content("#formats")
        page.evaluate("allow()")
        finish(page, "failed")
        assert "PNG" in page.text_content("#formats")
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
