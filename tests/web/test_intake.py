"""How pictures come into the page, and what it says of files that it cannot restore."""

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes
from site_visits import SECONDS, download, finish


def files_as(page, files):
    """Returns a handle of a DataTransfer that holds files."""
    contents = [[path.name, list(path.read_bytes())] for path in files]
    return page.evaluate_handle(
        """(files) => {
          const data = new DataTransfer();
          for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
          return data;
        }""",
        contents,
    )


def test_the_button_opens_the_file_dialogue(page, pictures):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(pictures["photo40.png"][0])
    finish(page)


def test_drop_and_paste(page, pictures):
    (dropped, first), (pasted, second) = pictures["photo40.png"], pictures["photo30.png"]
    transfer = files_as(page, [dropped])
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    assert page.is_visible("#veil")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    assert not page.is_visible("#veil")
    finish(page)
    assert download(page).path().read_bytes() == first.read_bytes()
    page.evaluate(
        "(data) => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))", files_as(page, [pasted])
    )
    page.wait_for_selector("#list li:nth-child(2)[data-state=done]", timeout=SECONDS)
    assert download(page).path().read_bytes() == second.read_bytes()


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_what_holds_no_picture_is_answered(page, way):
    page.evaluate(
        """(way) => {
          const data = new DataTransfer();
          data.setData("text/uri-list", "https://example.org/photo.jpg");
          const event = way === "paste"
            ? new ClipboardEvent("paste", { clipboardData: data, cancelable: true })
            : new DragEvent("drop", { dataTransfer: data, cancelable: true });
          document.dispatchEvent(event);
        }""",
        way,
    )
    assert "not a link or a text" in page.text_content("#notice")
    assert page.text_content("#live") == page.text_content("#notice")
    finish(page, "empty")


def test_the_pages_own_pictures_are_not_dropped_on_it(page):
    begins = "document.images[0].dispatchEvent(new DragEvent('dragstart', { bubbles: true, cancelable: true }))"
    assert not page.evaluate(begins)  # Chromium offers such a picture as a file


UNREADABLE = {
    "a text": ("notes.txt", b"Dear diary, this is no picture.", "cannot be read as a picture", "notes.txt: not a PNG"),
    "a broken header": (
        "half.png",
        pillow_bytes(make_pixels(3), "PNG")[:20],
        "cannot be read as a picture",
        "half.png",
    ),
    "0 bytes": ("nothing.png", b"", "This file is empty.", "nothing.png"),
    "a cut file": ("torn.png", pillow_bytes(make_pixels(3), "PNG")[:-600], "could not be restored", "torn.png"),
    "too many bytes": ("big.png", bytes(1_000_001), "too large", "up to 1 MB"),
    "too many pixels": (
        "wide.png",
        pillow_bytes(np.zeros((500, 1001), np.uint8), "PNG"),
        "too large",
        "1001 x 500 pixels",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_restored_is_explained_and_the_next_picture_is_restored(page, pictures, tmp_path, case):
    name, data, heading, reason = UNREADABLE[case]
    (tmp_path / name).write_bytes(data)
    page.set_input_files("#file", tmp_path / name)
    finish(page, "failed")
    assert heading in page.text_content("#trouble")
    assert reason in page.text_content("#reason")
    assert name in page.text_content("#live")
    page.locator("#failed [data-do=remove]").click()
    finish(page, "empty")
    page.set_input_files("#file", pictures["photo40.png"][0])
    finish(page)


def test_a_file_that_changes_in_the_queue_is_named_as_the_cause(page, pictures, tmp_path):
    changing = tmp_path / "changing.png"
    changing.write_bytes(pictures["photo30.png"][0].read_bytes())
    page.set_input_files("#file", [pictures["photo200.png"][0], changing])
    changing.write_bytes(pictures["photo40.png"][0].read_bytes())
    page.wait_for_selector("#list li:nth-child(2)[data-state=failed]", timeout=SECONDS)
    assert "has changed meanwhile" in page.text_content("#list li:nth-child(2) .state")
