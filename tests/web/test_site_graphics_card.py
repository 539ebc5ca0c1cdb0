"""The site on graphics cards that fail."""

import numpy as np
import pytest
from picture_files import make_pixels, pillow_bytes
from site_server import expected_pixels
from site_visits import PHOTO, assert_alike, download, finish, give, pixels_of, visit


def test_a_failing_graphics_card_is_replaced_by_the_processor(webgpu_browser, host):
    with visit(webgpu_browser, host.address, service_workers="block") as page:
        failing = "export const env = { wasm: {} }, InferenceSession = { create: () => Promise.reject(new Error()) };"
        page.route("**/ort.webgpu.min.js*", lambda route: route.fulfill(content_type="text/javascript", body=failing))
        give(page, "photo.png", PHOTO)
        finish(page)
        assert "because the graphics card failed" in page.text_content("#notes")
        assert_alike(pixels_of(download(page)), expected_pixels(make_pixels(3), ["double"], 2))


# A graphics card that restores the first tile to black and then fails.
CARD = """
let lose;
let tiles = 0;
let fault = null;
const lost = new Promise((resolve) => (lose = resolve));
const device = {
  lost,
  pushErrorScope() {},
  popErrorScope: async () => fault,
};
export const env = { wasm: {}, webgpu: { device } };
export const Tensor = class { constructor(type, data, shape) { this.shape = shape; } };
export const InferenceSession = { create: async () => ({ run }) };
async function run({ image: { shape: [, , height, width] } }) {
  tiles += 1;
  if (tiles === 2) FAILS;
  return { restored: { getData: async () => new Float32Array(3 * 4 * height * width) } };
}
"""


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param("{ lose({ message: 'reset' }); await new Promise(() => {}); }", id="lost"),
        pytest.param("fault = { message: 'out of memory' }", id="no memory"),
    ],
)
def test_a_graphics_card_that_fails_between_two_tiles_is_replaced_by_the_processor(browser, host, fails):
    pixels = make_pixels(3, h=16, w=200)
    with visit(browser, host.address, service_workers="block") as page:
        found = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({}) } });"

        def find_card(route):
            route.fulfill(content_type="text/javascript", body=found + route.fetch().text())

        card = CARD.replace("FAILS", fails)
        page.route("**/browser/runtime.js", find_card)
        page.route("**/ort.webgpu.min.js*", lambda route: route.fulfill(content_type="text/javascript", body=card))
        give(page, "photo.png", pillow_bytes(pixels, "PNG"))
        finish(page)
        assert "because the graphics card failed" in page.text_content("#notes")
        result = pixels_of(download(page))
        page.locator("#finished [data-do=again]").click()  # on the processor from the start
        finish(page)
        assert "because the graphics card failed" in page.text_content("#notes")
        np.testing.assert_array_equal(result, pixels_of(download(page)))
        whole = expected_pixels(pixels, ["double"], 2)
        assert np.abs(result.astype(int) - whole).mean() < 1  # seams


def test_a_browser_that_fails_to_look_for_a_graphics_card(browser, host):
    with visit(browser, host.address, service_workers="block") as page:

        def fail(route):
            failing = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: () => Promise.reject() } });"
            route.fulfill(content_type="text/javascript", body=failing + route.fetch().text())

        page.route("**/browser/runtime.js", fail)
        give(page, "photo.png", PHOTO)
        finish(page)
