import dataclasses
import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from goldens import TINY, params_of

import swinir_jax
from swinir_jax import InputError, SwinIR, check_onnx, export_onnx
from swinir_jax.checkpoints.store import save_model
from swinir_jax.cli.main import main
from swinir_jax.onnx.check import OnnxSelfTest
from swinir_jax.onnx.export import _as_float16
from swinir_jax.onnx.file import onnx_file

CONFIG = dataclasses.replace(TINY, depths=(2,), num_heads=(2,))
PARAMS = params_of(CONFIG)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "x2.onnx"
    assert export_onnx(SwinIR(CONFIG), PARAMS, path, metadata={"name": "tiny"}) == 0
    return path


@pytest.fixture
def model_folder(tmp_path):
    save_model(tmp_path / "model", PARAMS, CONFIG)
    return str(tmp_path / "model")


def metadata_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_check_compares_onnx_runtime_with_jax(exported):
    assert 0 < check_onnx(exported) < 1e-6


def test_metadata(exported):
    found = metadata_of(exported)
    assert (found["name"], found["scale"], found["channels"], found["window"]) == ("tiny", "2", "3", "8")
    assert swinir_jax.SwinIRConfig.from_dict(json.loads(found["config"])) == CONFIG
    assert [test["shape"] for test in json.loads(found["self_tests"])] == [[1, 3, 19, 22], [1, 3, 2, 17]]


@pytest.mark.parametrize("float16", [False, True])
@pytest.mark.parametrize(
    ("changes", "window"), [({"family": "swin2sr"}, "8"), ({"unshuffle": 3}, "24")], ids=["swin2sr", "unshuffled"]
)
def test_relatives(tmp_path, changes, window, float16):
    config = dataclasses.replace(CONFIG, **changes)
    params = params_of(config)
    change = export_onnx(SwinIR(config), params, tmp_path / "x.onnx", float16=float16)
    # Swin2SR's LayerNorms behind the branches enlarge small results with their rounding errors.
    assert 1e-5 < change < 2**-10 if float16 else change == 0
    assert check_onnx(tmp_path / "x.onnx") < 1e-6  # two sizes, one with shifted windows
    assert metadata_of(tmp_path / "x.onnx")["window"] == window


def test_equal_exports_are_equal_files(exported, tmp_path):
    export_onnx(SwinIR(CONFIG), PARAMS, tmp_path / "again.onnx", metadata={"name": "tiny"})
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_float16_storage_halves_the_file_and_rounds_kernels_alone(exported, tmp_path):
    path = tmp_path / "half.onnx"
    change = export_onnx(SwinIR(CONFIG), PARAMS, path, float16=True)
    # Each product's relative error is at most 2^-11, and errors of a layer's many products partly cancel.
    assert 1e-5 < change < 2**-11
    assert check_onnx(path) < 1e-6  # the graph adds nothing to the rounding
    kernels = sum(leaf.size for leaf in jax.tree.leaves(PARAMS) if leaf.ndim > 1)
    without_weights = exported.stat().st_size - 4 * sum(leaf.size for leaf in jax.tree.leaves(PARAMS))
    vectors = 4 * sum(leaf.size for leaf in jax.tree.leaves(PARAMS) if leaf.ndim == 1)
    assert path.stat().st_size == pytest.approx(2 * kernels + vectors + without_weights, rel=0.1)


def test_scales_of_scores_are_not_rounded_to_float16():
    logit_scale = np.full((6, 1, 1), 4.604, np.float32)  # the exponential multiplies rounding errors
    np.testing.assert_array_equal(_as_float16(logit_scale), logit_scale)


def test_weights_too_large_for_float16_are_refused():
    with pytest.raises(InputError, match="above 65504"):
        _as_float16(np.full((2, 2), 7e4, np.float32))


def test_a_network_without_a_finite_answer_is_not_exported(tmp_path):
    broken = {**PARAMS, "norm": {**PARAMS["norm"], "scale": np.full_like(PARAMS["norm"]["scale"], np.nan)}}
    with pytest.raises(InputError, match="answer is not finite"):
        export_onnx(SwinIR(CONFIG), broken, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_wrong_weights_are_found(exported, tmp_path):
    model = onnx.load(exported)
    [norm] = [tensor for tensor in model.graph.initializer if tensor.name == "norm/scale"]
    norm.CopyFrom(onnx.numpy_helper.from_array(1.001 * onnx.numpy_helper.to_array(norm), norm.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert 1e-4 < check_onnx(tmp_path / "wrong.onnx") < 1e-2
    norm.CopyFrom(onnx.numpy_helper.from_array(np.nan * onnx.numpy_helper.to_array(norm), norm.name))
    onnx.save(model, tmp_path / "nan.onnx")
    assert np.isnan(check_onnx(tmp_path / "nan.onnx"))


def test_samples_of_a_test_cover_all_channels():
    test = OnnxSelfTest(seed=0, shape=(1, 3, 8, 8))
    restored = np.ones((1, 3, 64, 64), np.float32)
    answered = test.answered(restored)
    for channel in range(3):
        wrong = restored.copy()
        wrong[:, channel] += 0.1
        assert answered.error(wrong) == pytest.approx(0.1 / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(exported, tmp_path, share):
    data = exported.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"cut\.onnx: (damaged, or not an ONNX file|holds no self-tests)"):
        check_onnx(tmp_path / "cut.onnx")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.onnx: cannot be read"):
        check_onnx(tmp_path / "nothing.onnx")
    with pytest.raises(InputError, match="cannot be read"):
        check_onnx(tmp_path)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InputError, match="not an ONNX file"):
        check_onnx(tmp_path / "text.onnx")
    (tmp_path / "foreign.onnx").write_bytes(onnx_file(CONFIG, PARAMS))
    with pytest.raises(InputError, match="holds no self-tests"):
        check_onnx(tmp_path / "foreign.onnx")
    (tmp_path / "odd.onnx").write_bytes(onnx_file(CONFIG, PARAMS, metadata={"self_tests": "[{}]"}))
    with pytest.raises(InputError, match="damaged"):
        check_onnx(tmp_path / "odd.onnx")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"shape": (1, 8, 8, 3)}, "HxW.*got 1,8,8,3"),
        ({"shape": (0, 8)}, "got 0,8"),
        ({"shape": (16.5, 16)}, "got 16.5,16"),
    ],
)
def test_bad_shapes_are_refused(tmp_path, options, word):
    with pytest.raises(InputError, match=word):
        export_onnx(SwinIR(CONFIG), PARAMS, tmp_path / "x.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_network_with_position_embedding_needs_its_shape(tmp_path):
    config = dataclasses.replace(CONFIG, ape=True, img_size=(16, 24))
    params = params_of(config)
    for shape, got in ((None, "any size"), ((16, 16), "16x16")):
        with pytest.raises(InputError, match=f"ape.*must be 16x24, got {got}"):
            export_onnx(SwinIR(config), params, tmp_path / "x.onnx", shape=shape)
    export_onnx(SwinIR(config), params, tmp_path / "x.onnx", shape=np.array([15, 24]))
    assert check_onnx(tmp_path / "x.onnx") < 1e-6


def test_shape_of_a_position_embedding_behind_an_unshuffle(tmp_path):
    config = dataclasses.replace(CONFIG, ape=True, img_size=(16, 24), unshuffle=2)
    params = params_of(config)
    with pytest.raises(InputError, match=r"ape.*must be 32x48, got 16x24"):
        export_onnx(SwinIR(config), params, tmp_path / "x.onnx", shape=(16, 24))
    export_onnx(SwinIR(config), params, tmp_path / "x.onnx", shape=(30, 48))
    assert check_onnx(tmp_path / "x.onnx") < 1e-6


def test_variables_in_place_of_parameters_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"pass variables\['params'\]"):
        export_onnx(SwinIR(TINY), {"params": {}}, tmp_path / "x.onnx")


def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(InputError, match="compute in float32, not in bfloat16"):
        export_onnx(SwinIR(CONFIG, dtype=jnp.bfloat16), PARAMS, tmp_path / "x.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_package_is_named(exported, tmp_path, monkeypatch, package):
    def import_module(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(InputError, match=rf"need {package}: pip install onnx onnxruntime"):
        export_onnx(SwinIR(CONFIG), PARAMS, tmp_path / "x.onnx") if package == "onnx" else check_onnx(exported)


def test_command(model_folder, tmp_path, capsys):
    export = ["export", "--model", model_folder, "--out"]
    assert main([*export, str(tmp_path / "x2.onnx")]) == 0
    output = capsys.readouterr().err
    assert "MB, ONNX, images of any size" in output
    assert "self-test passed" in output
    assert metadata_of(tmp_path / "x2.onnx")["name"] == "model"
    assert main([*export, str(tmp_path / "x2"), "--format", "onnx", "--float16", "--shape", "8x12"]) == 0
    output = capsys.readouterr().err
    assert "images of 8x12" in output
    assert "float16 changes the result by" in output
    assert "self-test passed" in output
    assert main(["export", "--check", str(tmp_path / "x2.onnx")]) == 0
    assert "self-test passed, relative difference" in capsys.readouterr().err


def test_command_without_onnx_runtime(model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["export", "--model", model_folder, "--out", str(tmp_path / "x2.onnx")]) == 0
    assert "not tested, as onnxruntime is not installed" in capsys.readouterr().err


def test_command_reports_a_failed_test(exported, tmp_path, capsys):
    model = onnx.load(exported)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert main(["export", "--check", str(tmp_path / "wrong.onnx")]) == 1
    assert "wrong.onnx: self-test failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--out", "x.onnx", "--platforms", "cpu"], "--platforms is for stablehlo"),
        (["--out", "x", "--float16"], "--float16 is for ONNX files"),
        (["--out", "x.onnx", "--shape", "1,8,8,3"], "HxW"),
        (["--out", "x.onnx", "--dtype", "bfloat16"], "not in bfloat16"),
        (["--check", "nothing.onnx"], "nothing.onnx: cannot be read"),
    ],
)
def test_options_that_contradict_each_other_are_refused(model_folder, tmp_path, monkeypatch, options, word, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", model_folder, *options]) == 2
    message = capsys.readouterr().err
    assert word in message
    assert message.count("\n") == 1
    assert not list(tmp_path.glob("x*"))


def test_licence_of_known_weights():
    from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models, weight_metadata

    for name in bundled_models():
        assert weight_metadata(str(bundled_models()[name])) == weight_metadata(name)
        terms = "CC-BY-SA-4.0" if name == "real_x2_free" else "research"
        assert terms in weight_metadata(name)["license"]
    official = next(iter(OFFICIAL))
    assert weight_metadata(f"{official}.pth") == {"name": official, "license": "Apache-2.0"}
    assert weight_metadata(__file__) == {"name": "test_export.py"}
    assert weight_metadata(f"https://example.com/{official}.pth") == {"name": official}  # anybody's
    assert weight_metadata("a\udcff.pth")["name"] == "a\\udcff"
