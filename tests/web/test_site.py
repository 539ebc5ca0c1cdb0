"""What a person does with the site, which restores pictures in the browser."""

import io
import zipfile

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes
from PIL import Image
from site_server import expected_pixels
from site_visits import PHOTO, SECONDS, assert_alike, download, finish, give, pixels_of


@pytest.fixture
def address(host):
    return host.address


@pytest.fixture
def context_options():
    return {"service_workers": "block"}  # faster: no second loading of the page, and one thread


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


def test_the_look_chooses_between_the_ends_of_a_network(page):
    choose(page, "photo")
    for look, network in ((None, "ended_0.5"), ("Strong", "ended_1")):
        if look:
            page.get_by_text(look, exact=True).click()
        give(page, f"{look}.png", pillow_bytes(make_pixels(3), "PNG"))
        finish(page)
        assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), [network], 2))


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


@pytest.mark.parametrize(("name", "kind"), [("a.webp", "image/webp"), ("a.jpg", "image/jpeg")])
def test_an_animation_is_reduced_with_a_note(page, name, kind):
    first, *others = (Image.fromarray(make_pixels(3)[:, ::step]) for step in (1, -1))
    file = io.BytesIO()
    first.save(file, "WEBP", lossless=True, save_all=True, append_images=others)
    page.set_input_files("#file", [{"name": name, "mimeType": kind, "buffer": file.getvalue()}])
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


def test_a_browser_that_keeps_nothing_for_the_site(page):
    page.add_init_script("CacheStorage.prototype.match = () => Promise.reject(new DOMException('', 'SecurityError'));")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    give(page, "photo.png", PHOTO)
    finish(page)


def test_a_file_that_is_gone_when_it_is_its_turn_is_named_as_the_cause(page, tmp_path):
    first, gone = tmp_path / "first.png", tmp_path / "gone.png"
    for file in (first, gone):
        file.write_bytes(PHOTO)
    page.set_input_files("#file", [first, gone])
    gone.unlink()
    page.wait_for_selector("#list li:nth-child(2)[data-state=failed]", timeout=SECONDS)
    assert "has changed meanwhile" in page.text_content("#list li:nth-child(2) .state")


def test_an_archive_leaves_out_a_result_that_is_removed_meanwhile(page):
    page.set_input_files("#file", [{"name": f"{n}.png", "mimeType": "", "buffer": PHOTO} for n in "abc"])
    page.wait_for_selector("#list li:nth-child(3)[data-state=done]", timeout=SECONDS)
    page.evaluate(
        """() => {
          const { fetch } = window;
          window.fetch = async (address) => {
            const answer = await fetch(address);
            window.fetch = fetch;
            document.querySelector("#list li:nth-child(2) .remove").click();
            return answer;
          };
        }"""
    )
    with page.expect_download() as archive:
        page.click("#zip")
    with zipfile.ZipFile(archive.value.path()) as files:
        assert files.namelist() == ["a.png", "c.png"]


def test_results_that_are_not_saved_are_not_left_without_a_question(page):
    stays = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert not page.evaluate(stays)
    give(page, "photo.png", PHOTO)
    assert page.evaluate(stays)
    finish(page)
    assert page.evaluate(stays)
    download(page)
    assert not page.evaluate(stays)
