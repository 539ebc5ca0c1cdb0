"""What a person does with the page."""

import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from site_visits import SECONDS, download, finish, wait_for_tiles


def assert_shown(page, width, height):
    """Checks that both pictures are drawn, one above the other, in the result's proportions."""
    page.evaluate("() => Promise.all(['before', 'after'].map((id) => document.getElementById(id).decode()))")
    sizes = page.evaluate(
        "['before', 'after'].map((id) => [document.getElementById(id).naturalWidth, "
        "document.getElementById(id).naturalHeight])"
    )
    assert sizes == [[width // 2, height // 2], [width, height]]
    boxes = page.evaluate(
        "['before', 'after'].map((id) => document.getElementById(id).getBoundingClientRect().toJSON())"
    )
    for side in ("x", "y", "width", "height"):
        assert boxes[0][side] == pytest.approx(boxes[1][side], abs=1)
    assert boxes[1]["width"] / boxes[1]["height"] == pytest.approx(width / height, rel=0.02)


@pytest.mark.parametrize("name", ["deep.png", "turned.jpg", "cmyk.jpg", "scan.tif", "Überblick 山.png"])
def test_the_download_is_what_the_command_writes(page, pictures, name):
    file, expected = pictures[name]
    page.set_input_files("#file", file)
    finish(page)
    result = download(page)
    assert result.suggested_filename == expected.name
    assert result.path().read_bytes() == expected.read_bytes()
    line = page.text_content("#list .state")
    width, height = map(int, re.match(r"(\d+) \S (\d+), ", line).groups())
    assert_shown(page, width, height)
    assert page.text_content("#live") == f"{expected.name} is restored."


def test_stop_and_start_again(page, pictures):
    file, expected = pictures["photo200.png"]
    page.set_input_files("#file", file)
    wait_for_tiles(page)
    page.get_by_role("button", name="Stop").click()
    finish(page, "failed")
    assert page.text_content("#trouble") == "Stopped."
    page.locator("#failed [data-do=again]").click()
    finish(page)
    assert download(page).path().read_bytes() == expected.read_bytes()


def test_a_picture_that_is_removed_at_work_is_not_announced(page, pictures):
    page.evaluate(
        """() => {
          window.said = [];
          const live = document.getElementById("live");
          new MutationObserver(() => window.said.push(live.textContent)).observe(live, { childList: true });
        }"""
    )
    page.set_input_files("#file", pictures["photo200.png"][0])
    wait_for_tiles(page)
    page.locator("#list .remove").click()
    finish(page, "empty")
    page.set_input_files("#file", pictures["photo40.png"][0])  # waits until the other one has ended
    finish(page)
    assert page.evaluate("window.said") == ["photo40.png is restored."]


def test_a_preview_is_not_waited_for_when_the_picture_is_removed(page, pictures):
    held = []
    page.route("**/before", lambda route: held.append(route))
    with page.expect_request("**/before", timeout=SECONDS):
        page.set_input_files("#file", pictures["photo200.png"][0])
    wait_for_tiles(page)
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.locator("#list .remove").click()
    assert held
    for route in held:
        route.continue_()  # would be answered with 404, which the console reports
    page.unroute("**/before")
    page.set_input_files("#file", pictures["photo40.png"][0])
    finish(page)


def test_a_program_that_fails_at_the_start_is_named(page):
    page.route("**/api/choices", lambda route: route.fulfill(status=500))
    page.reload()
    page.locator("#formats", has_text="could not be restored").wait_for()
    assert page.get_attribute("body", "data-ready") is None
    page.unroute("**/api/choices")
    page.get_by_role("button", name="Load again").click()
    page.wait_for_selector("body[data-ready]")


def test_several_files_are_a_queue_with_one_archive(page, pictures):
    names = {"photo40.png": "a.png", "photo30.png": "b.png", "photo20.png": "a.png", "deep.png": "A.png"}
    buffers = [
        {"name": name, "mimeType": "image/png", "buffer": pictures[given][0].read_bytes()}
        for given, name in names.items()
    ]
    page.set_input_files("#file", buffers)
    page.wait_for_selector("#list li:nth-child(4)[data-state=done]", timeout=SECONDS)
    archive = download(page, "#zip")
    with zipfile.ZipFile(io.BytesIO(archive.path().read_bytes())) as files:
        assert files.testzip() is None
        assert files.namelist() == ["a.png", "b.png", "a (1).png", "A (2).png"]
        for name, given in zip(files.namelist(), names, strict=True):
            assert files.read(name) == pictures[given][1].read_bytes()
    page.click("#list li:nth-child(2) .pick")
    assert download(page).path().read_bytes() == pictures["photo30.png"][1].read_bytes()


def test_the_list_holds_small_copies_of_pictures(page, pictures):
    page.set_input_files("#file", pictures["photo200.png"][0])
    finish(page)
    page.locator("#list canvas:not([hidden])").wait_for()
    small, middle = page.evaluate(
        """() => {
          const canvas = document.querySelector("#list canvas");
          const data = [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
          return [canvas.width, [0, 1, 2, 3].map((i) => data.filter((_, k) => k % 4 === i)
            .reduce((sum, value) => sum + value) * 4 / data.length)];
        }"""
    )
    assert small < 100
    with Image.open(pictures["photo200.png"][0]) as image:
        expected = np.asarray(image)[:, 4:-4].mean((0, 1))  # 200 x 208 pixels, of which the middle is shown
    assert middle == pytest.approx([*expected, 255], abs=2)
    assert page.locator("#list img").count() == 0


def test_a_reload_in_mid_job_goes_on(page, pictures):
    file, expected = pictures["photo200.png"]
    page.set_input_files("#file", file)
    wait_for_tiles(page)
    leaves = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(leaves)  # no question, as the server keeps the picture
    page.set_input_files("#file", pictures["photo40.png"][0])
    assert not page.evaluate(leaves)
    page.locator("#list li:nth-child(2) .remove").click()
    assert page.evaluate(leaves)
    page.reload()
    finish(page)
    assert page.locator("#list li").count() == 1
    assert download(page).path().read_bytes() == expected.read_bytes()
    page.reload()  # the result is still there, but not the picture
    finish(page)
    assert not page.get_by_role("button", name="Restore again").is_visible()
    page.locator("#list .remove").click()
    finish(page, "empty")


def test_zoom_shows_the_pixels_of_the_result(page, pictures):
    page.set_input_files("#file", pictures["photo150.png"][0])
    finish(page)
    assert_shown(page, 316, 300)
    for label, width in (("100 %", 316), ("200 %", 632), ("400 %", 1264)):
        page.get_by_role("button", name=label).click()
        assert page.locator("#slider").bounding_box()["width"] == pytest.approx(width, abs=1)
        assert page.get_by_role("button", name=label).get_attribute("aria-pressed") == "true"
    before = page.evaluate("document.getElementById('viewport').scrollLeft")
    middle = page.evaluate("document.getElementById('viewport').clientWidth") / 2
    assert before + middle == pytest.approx(1264 / 2, abs=2)
    box = page.locator("#viewport").bounding_box()
    x, y = box["x"] + 60, box["y"] + 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y - 20)
    page.mouse.up()
    assert page.evaluate("document.getElementById('viewport').scrollLeft") == before + 50
    page.get_by_role("button", name="Fit").click()
    inside = page.locator("#slider").bounding_box()
    assert inside["width"] <= box["width"]
    assert inside["height"] <= box["height"] + 1


def test_a_comparison_that_takes_its_time_is_told(page, pictures):
    held = []
    page.route("**/after", lambda route: held.append(route))
    with page.expect_request("**/after", timeout=SECONDS):
        page.set_input_files("#file", pictures["photo30.png"][0])
    finish(page)
    assert page.is_visible("#drawing")
    [route] = held
    route.continue_()
    page.locator("#drawing").wait_for(state="hidden")
    assert_shown(page, 76, 60)


def test_a_result_that_cannot_be_shown_is_downloaded(page, pictures):
    file, expected = pictures["photo30.png"]
    page.route("**/after", lambda route: route.fulfill(status=204))  # as for a picture larger than memory
    page.set_input_files("#file", file)
    page.get_by_text("too large to be shown").wait_for(timeout=SECONDS)
    assert download(page).path().read_bytes() == expected.read_bytes()


def test_a_result_that_is_not_kept_any_more_is_not_called_complete(page, pictures):
    page.route("**/after", lambda route: route.fulfill(status=404))
    page.set_input_files("#file", pictures["photo30.png"][0])
    finish(page, "failed")
    assert page.text_content("#trouble") == "This picture is not kept any more."
    assert "Restore this one again" in page.text_content("#reason")
    assert not page.is_visible("#list .get")
    page.unroute("**/after")
    page.locator("#failed [data-do=again]").click()
    finish(page)
    assert_shown(page, 76, 60)


def test_an_archive_leaves_out_results_that_are_not_kept_any_more(page, pictures):
    page.set_input_files("#file", [pictures[name][0] for name in ("photo40.png", "photo30.png", "photo20.png")])
    page.wait_for_selector("#list li:nth-child(3)[data-state=done]", timeout=SECONDS)
    first = page.get_attribute("#list li:nth-child(1) .get", "href")
    page.route(f"**/{first}", lambda route: route.fulfill(status=404))
    archive = download(page, "#zip")
    with zipfile.ZipFile(io.BytesIO(archive.path().read_bytes())) as files:
        assert files.namelist() == ["photo30.png", "photo20.png"]
    assert page.text_content("#list li:nth-child(1) .state") == "This picture is not kept any more."


def test_an_archive_without_the_program_is_explained(page, pictures):
    page.set_input_files("#file", [pictures[name][0] for name in ("photo40.png", "photo30.png")])
    page.wait_for_selector("#list li:nth-child(2)[data-state=done]", timeout=SECONDS)
    held = []
    page.route("**/result", lambda route: held.append(route))
    with page.expect_request("**/result"):
        page.click("#zip")
    page.click("#zip")  # once is enough
    assert page.text_content("#unsaved") == "Packing the ZIP file"
    [route] = held
    route.abort()
    page.locator("#unsaved", has_text="Is it still running?").wait_for()


def test_a_browser_that_keeps_nothing_for_the_page(page, pictures):
    page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) {
          Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
        }"""
    )
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#file", pictures["photo30.png"][0])
    finish(page)
    assert download(page).path().read_bytes() == pictures["photo30.png"][1].read_bytes()


def test_a_browser_without_full_screen_offers_none(page):
    button = page.locator("[data-do=fullscreen]")
    assert button.get_attribute("hidden") is None
    page.add_init_script("Object.defineProperty(document, 'fullscreenEnabled', { value: false });")  # as on an iPhone
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert button.get_attribute("hidden") is not None
