"""The parts of the engine in the browser give what their models in Python give."""

import base64

import numpy as np
import onnxruntime
import pytest
from goldens import relative_error
from site_server import NETWORKS, hosting

from swinir_jax import load_pretrained
from swinir_jax.data.degradations import imresize
from swinir_jax.images.transparency import extend_colours
from swinir_jax.inference.colour import resize
from swinir_jax.inference.padding import cut, first_pixel, mirrored, pad_image
from swinir_jax.inference.plan import Layout
from swinir_jax.onnx.file import onnx_file

LARGEST_TILE = 192
PIXELS = np.random.default_rng(0).random((270, 200, 3), np.float32)

# Functions for the browser's side: images as objects with planes, and float32 as base64.
TOOLS = """
const parts = (name) => import(new URL(`browser/${name}.js`, location));
const pack = (floats) => {
  const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};
const unpack = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const asImage = ({ height, width, planes }) => ({ height, width, planes: planes.map(unpack) });
"""


def ask(page, function, **values):
    """Calls a function in the browser with an object of values."""
    return page.evaluate(f"async (given) => {{ {TOOLS} return await ({function})(given); }}", values)


def packed(plane):
    return base64.b64encode(np.ascontiguousarray(plane, "<f4").tobytes()).decode()


def as_planes(image):
    return {"height": image.shape[0], "width": image.shape[1], "planes": [packed(image[..., i]) for i in range(3)]}


def unpacked(planes, height, width):
    return np.stack([np.frombuffer(base64.b64decode(plane), "<f4").reshape(height, width) for plane in planes], axis=-1)


@pytest.fixture(scope="module")
def address(host):
    return host.address


@pytest.fixture
def context_options():
    return {"service_workers": "block"}  # thus the page is not isolated, and networks run on one thread


RESTORE = """async ({ entry, image }) => {
  const [{ chooseProvider, makeRuntime }, { restoreByTiles }] = await Promise.all([parts("runtime"), parts("tiling")]);
  const site = await (await fetch("choices.json")).json();
  const provider = await chooseProvider();
  const [network] = await makeRuntime(provider, site.runtimes[provider]).load([entry], () => {});
  let tiles = 0;
  const restored = await restoreByTiles(asImage(image), network, () => (tiles += 1));
  return { provider, tiles, planes: restored.planes.map(pack) };
}"""


def in_onnx_runtime(file, config, image):
    """Restores `[h, w, 3]` by a file of the site in tiles, with padding and blending of `swinir_jax.inference`."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    layout = Layout.of(config, tile="auto", overlap=None, blend="smooth", pad="reflect")
    size = image.shape[:2]
    padded = layout.padded(size)
    limit = LARGEST_TILE // config.window_size * config.window_size
    tile = layout.alone(size, limit if max(padded) > limit else 0)
    grid = layout.grid(padded, tile)

    def run(batch):
        answers = [session.run(None, {"image": lq.transpose(2, 0, 1)[None]})[0] for lq in batch]
        return np.concatenate(answers).transpose(0, 2, 3, 1)

    restored = grid.restore(pad_image(image, *padded, "reflect"), run, 1, lambda count: None)
    return cut(restored, size, config.upscale, "reflect"), len(grid)


def assert_restored_alike(page, folder, name, config, image, provider="wasm"):
    """Compares the browser's answer before rounding with ONNX Runtime's in Python."""
    file = f"networks/{name}.onnx"
    length = (folder / file).stat().st_size
    entry = {"file": file, "bytes": length, "scale": config.upscale, "window": config.window_size}
    answer = ask(page, RESTORE, entry=entry, image=as_planes(image))
    expected, tiles = in_onnx_runtime(folder / file, config, image)
    assert answer["provider"] == provider
    assert answer["tiles"] == tiles
    assert relative_error(unpacked(answer["planes"], *expected.shape[:2]), expected) <= 1e-5
    return tiles


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("size", "tiles"), [((64, 80), 1), ((270, 200), 4), ((1, 3), 1)])
def test_wasm_gives_what_onnx_runtime_gives(page, site, name, size, tiles):
    # Without an adapter of WebGPU, as in a browser that has none, WASM is taken.
    config = NETWORKS[name][0].config
    assert assert_restored_alike(page, site, name, config, PIXELS[: size[0], : size[1]]) == tiles


def test_a_bundled_network_runs_in_wasm(page, site):
    model, params = load_pretrained("lightweight_x2")
    (site / "networks" / "bundled.onnx").write_bytes(onnx_file(model.config, params))
    assert_restored_alike(page, site, "bundled", model.config, PIXELS[:48, :64])


def test_webgpu_gives_what_onnx_runtime_gives(webgpu_browser, site):
    with hosting(site) as host:
        page = webgpu_browser.new_page(service_workers="block")
        page.set_default_timeout(120_000)
        page.goto(f"{host.address}choices.json")
        config = NETWORKS["double"][0].config
        assert_restored_alike(page, site, "double", config, PIXELS[:16, :16], provider="webgpu")


@pytest.mark.parametrize("window", [7, 8])
def test_tiles_are_those_of_python(page, window):
    sides = [1, 2, 9, 100, 175, 176, 177, 200, 333, 500, 1000]
    layers = ask(
        page,
        """async ({ window, sides }) => {
          const { layTiles } = await parts("tiling");
          return sides.map((side) =>
            layTiles(side, window, 2).map(({ pixels, first, weights }) => [[...pixels], first, [...weights]]));
        }""",
        window=window,
        sides=sides,
    )
    config = NETWORKS["repair" if window == 7 else "double"][0].config
    layout = Layout.of(config, tile="auto", overlap=None, blend="smooth", pad="reflect")
    limit = LARGEST_TILE // window * window
    for side, tiles in zip(sides, layers, strict=True):
        padded = layout.padded((side, side))
        grid = layout.grid(padded, layout.alone((side, side), limit if padded[0] > limit else 0))
        assert len(tiles) == len(grid.rows)
        places = mirrored(side, padded[0], "reflect")
        total = np.zeros(2 * padded[0])
        for (pixels, first, weights), start in zip(tiles, grid.rows, strict=True):
            assert pixels == places[start : start + grid.tile[0]].tolist()
            assert first == 2 * (start - first_pixel("reflect"))
            total[2 * start : 2 * start + len(weights)] += weights
        np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "size"), [("reduce", (21, 30)), ("reduce", (5, 9)), ("reduce", (1, 1)), ("enlarge", (56, 80))]
)
def test_resizing_is_matlabs_and_pillows(page, function, size):
    plane = PIXELS[:28, :40, 0]
    answer = ask(
        page,
        """async ({ plane, name, size }) => {
          const resize = (await parts("resizing"))[name];
          return pack(resize(unpack(plane), { height: 28, width: 40 }, { height: size[0], width: size[1] }));
        }""",
        plane=packed(plane),
        name=function,
        size=size,
    )
    expected = imresize(plane, size=size) if function == "reduce" else resize(plane[..., None], 2)[..., 0]
    np.testing.assert_allclose(unpacked([answer], *size)[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("visible", [0.0, 0.02, 0.5, 1.0])
def test_hidden_colours_are_filled_as_in_python(page, visible):
    image = PIXELS[:23, :34]
    alpha = np.where(np.random.default_rng(1).random((23, 34)) < visible, PIXELS[:23, 34:68, 0], 0)
    answer = ask(
        page,
        """async ({ image, alpha }) => {
          const { extendColours } = await parts("transparency");
          return extendColours(asImage(image), unpack(alpha)).planes.map(pack);
        }""",
        image=as_planes(image),
        alpha=packed(alpha),
    )
    np.testing.assert_allclose(unpacked(answer, 23, 34), extend_colours(image, alpha), atol=1e-5)


def test_a_picture_larger_than_a_canvas_is_read(page):  # on iOS of 2 ** 24 pixels; fewer are faster
    colour = ask(
        page,
        """async () => {
          const { getContext } = OffscreenCanvas.prototype;
          OffscreenCanvas.prototype.getContext = function (...given) {
            const context = getContext.apply(this, given);
            if (this.width * this.height > 2 ** 22) context.drawImage = () => {}; // it stays blank, without an error
            return context;
          };
          const canvas = Object.assign(document.createElement("canvas"), { width: 2100, height: 2000 });
          const context = canvas.getContext("2d");
          context.fillStyle = "rgb(200 100 50)";
          context.fillRect(0, 0, 2100, 2000);
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          const { decode } = await parts("decoding");
          const { image, alpha } = await decode(new File([blob], "large.png"), () => {});
          const isEven = image.planes.every((plane) => plane.every((value) => value === plane[0]));
          return isEven && !alpha && image.planes.map((plane) => Math.round(plane[0] * 255));
        }""",
    )
    assert colour == [200, 100, 50]


def test_an_answer_that_is_not_finite_is_no_picture(page):
    message = ask(
        page,
        """async ({ image }) => {
          const { restoreImage } = await parts("restoring");
          const network = { scale: 1, window: 8, run: async (data) => data.fill(NaN, 920, 921) };
          const options = { isGray: false, onTile: () => {} };
          return restoreImage(asImage(image), [network], 1, options).then(() => "", (error) => error.message);
        }""",
        image=as_planes(PIXELS[:23, :34]),
    )
    assert "not finite" in message
