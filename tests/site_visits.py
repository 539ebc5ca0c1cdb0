"""What tests of the page and of the site do in a browser."""

import contextlib

import numpy as np
from picture_files import make_pixels, pillow_bytes
from PIL import Image

PHOTO = pillow_bytes(make_pixels(3), "PNG")
SECONDS = 60_000  # in milliseconds; the first picture waits for JAX or ONNX Runtime


def give(page, name, data):
    page.set_input_files("#file", [{"name": name, "mimeType": "", "buffer": data}])


def finish(page, state="finished"):
    page.wait_for_selector(f"#stage[data-state={state}]", timeout=SECONDS)


def wait_for_tiles(page):
    page.locator("#left", has_text="tiles").wait_for(timeout=SECONDS)


def download(page, selector="#save"):
    with page.expect_download() as started:
        page.click(selector)
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


@contextlib.contextmanager
def visit(browser, address, **options):
    """Yields the page of a window of its own, in which the console may report errors."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
