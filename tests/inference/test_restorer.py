import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, params_of
from PIL import Image
from restorers import network, photo

from swinir_jax import InputError, Restorer, SwinIR, fast_apply
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.data.degradations import gaussian_noise_official
from swinir_jax.images import Picture, read_picture, write_picture
from swinir_jax.inference.chain import NetworkChain


def answer(model, params, lq):
    return np.asarray(jax.jit(model.apply)({"params": params}, lq[None])[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(19, 14), (19, 14, 1), (19, 14, 3), (19, 14, 2), (19, 14, 4)])
def test_same_kind_out(tiny, dtype, shape):
    restored = Restorer(*tiny)(photo(*shape, dtype=dtype))
    assert restored.dtype == dtype
    assert restored.shape == (38, 28, *shape[2:])


def test_whole_image_is_what_the_model_answers(tiny):
    model, params = tiny
    lq = photo(19, 14, 3, dtype=np.float32)
    expected = answer(model, params, lq)
    whole = Restorer(*tiny, tile=0, pad="minimal")
    np.testing.assert_allclose(whole.restore(lq), expected, atol=1e-5)
    eight_bits = whole((lq * 255).round().astype(np.uint8))
    levels = answer(model, params, (lq * 255).round() / 255) * 255
    np.testing.assert_array_equal(eight_bits, np.clip(np.round(levels), 0, 255))


@pytest.mark.parametrize("size", [(19, 14), (1, 30), (3, 4)])
def test_a_margin_is_mirrored_around_the_image_and_cut_off(tiny, size):
    model, params = tiny
    lq = photo(*size, 3, dtype=np.float32)
    ends = [(8, -(side + 8) % 8 + (8 if -(side + 8) % 8 < 8 else 0)) for side in size]
    padded = np.pad(lq, (*ends, (0, 0)), mode="reflect")
    expected = answer(model, params, padded)[16 : 16 + 2 * size[0], 16 : 16 + 2 * size[1]]
    np.testing.assert_allclose(Restorer(*tiny, tile=0).restore(lq), expected, atol=1e-5)


def test_opaque_alpha_changes_nothing(tiny):
    image = photo(16, 16, 3)
    alpha = np.full((16, 16, 1), 255, np.uint8)
    restored = Restorer(*tiny)(np.concatenate([image, alpha], axis=-1))
    np.testing.assert_array_equal(restored[..., :3], Restorer(*tiny)(image))
    assert (restored[..., 3] == 255).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hidden_colours_do_not_show(tiny, dtype):
    image = photo(16, 24, 4, dtype=dtype)
    image[:, 12:, 3] = 0
    other = image.copy()
    other[:, 12:, :3] = 0
    np.testing.assert_array_equal(Restorer(*tiny)(image), Restorer(*tiny)(other))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_cut_out_gets_no_dark_fringe(tiny, dtype):
    colour = photo(1, 1, 3, dtype=dtype)
    cut_out = np.zeros((24, 24, 4), dtype)
    cut_out[6:18, 6:18] = np.concatenate([colour[0, 0], [255 if dtype == np.uint8 else 1]]).astype(dtype)
    plain = np.broadcast_to(colour, (24, 24, 3))
    np.testing.assert_array_equal(Restorer(*tiny)(cut_out)[..., :3], Restorer(*tiny)(np.ascontiguousarray(plain)))


def test_self_ensemble_is_the_mean_over_eight_turns(tiny):
    lq = photo(16, 24, 3, dtype=np.float32)
    once = Restorer(*tiny, tile=0)
    turns = [
        lambda x: x, lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x[::-1, ::-1],
        lambda x: x.swapaxes(0, 1), lambda x: x.swapaxes(0, 1)[::-1], lambda x: x.swapaxes(0, 1)[:, ::-1],
        lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    ]  # fmt: skip
    back = [*turns[:5], turns[6], turns[5], turns[7]]  # a quarter turn is undone by the other one
    total = sum(b(once.restore(np.ascontiguousarray(t(lq)))) for t, b in zip(turns, back, strict=True))
    np.testing.assert_allclose(Restorer(*tiny, tile=0, self_ensemble=True).restore(lq), total / 8, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), r"\[h, w, C\]"),
        (np.zeros((0, 8, 3), np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.int32), "int32"),
        (np.zeros((8, 8, 5), np.uint8), "3 channels, got an image of 5"),
        (np.full((8, 8, 3), np.nan, np.float32), "finite"),
        (np.concatenate([np.ones((8, 8, 3)), np.full((8, 8, 1), np.nan)], axis=-1), "finite"),
        ([[1, 2], [3]], "Not an image"),
        ("photo.png", r"an array \[h, w\] or \[h, w, C\], got str"),
        (Image.new("I", (8, 8)), "int32"),
        (np.full((8, 8, 3), 1e300), "finite"),
        (photo(8, 8, 3) * 1.0, "divide an image in 0..255 by 255, or pass uint8"),
        (photo(8, 8, 3) * np.float16(1), "divide"),
        (jnp.asarray(photo(8, 8) // 16, jnp.bfloat16), r"from 0 to 15"),
        (photo(8, 8, 3, dtype=np.float32) * 2 - 1, r"looks like \[-1, 1\]; pass \(image \+ 1\) / 2"),
        (photo(3, 8, 8), r"channels come last: image\.transpose\(1, 2, 0\)"),
        (photo(1, 8, 8, 3), r"for batches, call swinir_jax\.fast_apply"),
        (np.full((8, 8, 3), 2.5, np.float32), "from 2.5 to 2.5"),
        (photo(8, 8, 3, dtype=np.float32) - 2, r"\[0, 1\]"),
        (np.concatenate([np.ones((8, 8, 3)), np.full((8, 8, 1), 255.0)], axis=-1), "from 1 to 255"),
    ],
)
def test_images_that_cannot_be_restored(tiny, image, word):
    with pytest.raises(InputError, match=word):
        Restorer(*tiny)(image)


def test_pictures_of_pillow_are_gray_or_rgb(tiny):
    restorer, image = Restorer(*tiny), Image.fromarray(photo(16, 16, 3))
    for mode in ("L", "LA", "RGB", "RGBA"):
        converted = image.convert(mode)
        np.testing.assert_array_equal(restorer(converted), restorer(np.asarray(converted)))
    for mode in ("P", "1", "CMYK", "YCbCr", "HSV"):  # arrays of indices, bits and other colours
        with pytest.raises(InputError, match=rf'mode {mode} is neither gray nor RGB; pass image\.convert\("RGB"\)'):
            restorer(image.convert(mode))


@pytest.mark.parametrize("restorer", [Restorer, lambda *network: NetworkChain([network])])
def test_floats_on_another_scale_are_refused_and_noise_is_not(tiny, restorer):
    restorer = restorer(*tiny)
    image = photo(16, 16, 3, dtype=np.float32)
    noisy = gaussian_noise_official(image, 75)
    noisy[0, 0] = (-1.5, 2.5, 3)
    black = gaussian_noise_official(np.zeros_like(image), 50)
    for restore in (restorer, restorer.restore):
        with pytest.raises(InputError, match="divide"):
            restore(image * 255)
        assert np.isfinite(restore(noisy)).all()
        assert np.isfinite(restore(black)).all()


@pytest.mark.parametrize(
    ("options", "total", "programs"), [({}, 8, 2), ({"tile": 16, "overlap": 8, "pad": "minimal"}, 48, 1)]
)
def test_progress_counts_all_turns_once_their_programs_are_compiled(tiny, options, total, programs):
    seen, compiled = [], []

    def done(*counts):
        seen.append(counts)
        compiled.append(len(held.engine.programs))

    held = Restorer(*tiny, self_ensemble=True, done=done, **options)
    held.restore(photo(16, 56, 3, dtype=np.float32))
    assert sum(count for count, _ in seen) == total
    assert {t for _, t in seen} == {total}
    assert seen[0] == (0, total)
    assert set(compiled) == {programs}


def test_progress_counts_the_tiles_of_each_turn():
    seen = []
    lying = dataclasses.replace(TINY, ape=True, img_size=(16, 24))  # whose tiles are not square
    options = {"overlap": 8, "pad": "minimal"}
    held = Restorer(*network(lying), self_ensemble=True, done=lambda *counts: seen.append(counts), **options)
    held.restore(photo(16, 24, 3, dtype=np.float32))
    assert sum(count for count, _ in seen) == len(held.tile_works((16, 24))) == 4 * 1 + 4 * 2
    assert {total for _, total in seen} == {12}


def test_an_answer_that_is_not_finite_is_an_error(tiny):
    model, params = tiny
    broken = jax.tree.map(lambda leaf: leaf * np.float32(1e20), params)
    with pytest.raises(InputError, match="not finite"):
        Restorer(model, broken)(photo(16, 16, 3))


def test_byte_order_does_not_matter(tiny):
    image = photo(16, 16, 3, dtype=np.uint16)
    np.testing.assert_array_equal(Restorer(*tiny)(image.astype(">u2")), Restorer(*tiny)(image))


def test_byte_order_does_not_matter_in_batches_either(tiny):
    restore, lq = fast_apply(*tiny), photo(1, 16, 16, 3, dtype=np.float32)
    expected = restore(lq)
    np.testing.assert_array_equal(restore(lq.astype(">f4")), expected)
    np.testing.assert_array_equal(restore(lq.astype(np.longdouble)), expected)


def test_floats_of_all_kinds_and_lists(tiny):
    image = photo(16, 16, 3, dtype=np.float32)
    halves = image.astype(jnp.bfloat16)
    held = Restorer(*tiny)
    np.testing.assert_array_equal(held.restore(halves), held.restore(halves.astype(np.float32)))
    with pytest.raises(InputError, match="Not an image"):
        held.restore([[1, 2], [3]])


def test_rows_of_many_channels_are_no_planes():
    config = dataclasses.replace(TINY, in_chans=5)
    params = params_of(config)
    assert Restorer(SwinIR(config), params)(photo(4, 9, 5)).shape == (8, 18, 5)


@pytest.mark.parametrize("memory", ["2GB", -1, 1.5, True])
def test_memory_is_a_number_of_bytes(tiny, memory):
    with pytest.raises(InputError, match=f"memory must be a number of bytes, got {memory!r}"):
        Restorer(*tiny, memory=memory)


COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)], np.uint8)


BUNDLED = load_pretrained("lightweight_x4")


@functools.cache
def bundled(**options):
    return NetworkChain([BUNDLED], **options)


def by_rows(restorer, image, folder):
    write_picture(folder / "a.png", Picture(image))
    restorer.restore_file(folder / "a.png", folder / "b.png")
    return read_picture(folder / "b.png").pixels


@pytest.mark.parametrize("mode", ["whole", "tiles", "rows"])
def test_the_border_of_a_flat_colour_is_as_its_inside(mode, tmp_path):
    held = bundled(tile=0) if mode == "whole" else bundled(tile=40, overlap=8)
    for colour in COLOURS[1:3] if mode == "whole" else COLOURS[1:2]:
        image = np.broadcast_to(colour, (48, 35, 3)).copy()
        restored = by_rows(held, image, tmp_path) if mode == "rows" else held(image)
        inside = restored[64:128, 40:100].reshape(-1, 3).mean(axis=0)
        assert np.abs(restored - inside).max() < 3


def test_without_a_margin_the_border_of_a_flat_colour_is_off():
    image = np.broadcast_to(COLOURS[1], (48, 35, 3)).copy()
    restored = bundled(tile=0, pad="minimal")(image)
    assert np.abs(restored - restored[64:128, 40:100].reshape(-1, 3).mean(axis=0)).max() > 20


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad])
@pytest.mark.parametrize("method", ["__call__", "restore"])
def test_transformations_are_for_the_model(tiny, transform, method):
    held = Restorer(*tiny)
    with pytest.raises(InputError, match=r"model\.apply"):
        transform(lambda image: getattr(held, method)(image))(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"model\.apply"):
        jax.jit(lambda params: Restorer(tiny[0], params).tile)(tiny[1])


def of_whole_cache_lines(leaf):
    """Copies an array to memory that JAX on a CPU could take as it is."""
    memory = np.empty(leaf.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copied = memory[start : start + leaf.nbytes].view(leaf.dtype).reshape(leaf.shape)
    copied[...] = leaf
    return copied


def by_fast_apply(*network):
    apply = fast_apply(*network)
    return lambda image: apply(image[None])


@pytest.mark.parametrize(
    "held",
    [
        lambda *network: Restorer(*network, tile=0).restore,
        lambda *network: Restorer(*network, tile=0, fast=False).restore,
        by_fast_apply,
    ],
)
def test_parameters_that_are_donated_or_changed_later_do_not_matter(tiny, held):
    model, params = tiny
    image = photo(8, 8, 3, dtype=np.float32)
    expected = held(model, params)(image)

    on_device = jax.tree.map(jnp.array, params)
    restore = held(model, on_device)
    jax.block_until_ready(jax.jit(lambda tree: jax.tree.map(jnp.negative, tree), donate_argnums=0)(on_device))
    np.testing.assert_array_equal(restore(image), expected)

    on_host = jax.tree.map(of_whole_cache_lines, params)
    restore = held(model, on_host)
    for leaf in jax.tree.leaves(on_host):
        leaf[...] = -leaf
    np.testing.assert_array_equal(restore(image), expected)


@pytest.mark.parametrize("takes", [Restorer, fast_apply])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model, params: (model, {"params": params}), r"pass variables\['params'\]"),
        (lambda model, params: (params, model), "network comes first, the parameters second; got dict"),
        (lambda model, params: (model, None), "nested dictionary, got NoneType"),
        (lambda model, params: (model, {**params, "norm": {}}), "missing norm/"),
        (lambda model, params: (model, jax.eval_shape(lambda: params)), "shapes without values"),
    ],
)
def test_what_is_not_a_network_with_its_parameters(tiny, takes, change, words):
    with pytest.raises(InputError, match=words) as caught:
        takes(*change(*tiny))
    assert "\n" not in str(caught.value)
