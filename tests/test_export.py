import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import TINY, TINY_SWIN2SR, TINY_UNSHUFFLED, compiled, image, params_of, relative_error

import swinir_jax
from swinir_jax import InputError, SwinIR, SwinIRConfig, export_network, load_exported
from swinir_jax.checkpoints.store import save_model
from swinir_jax.cli.main import main

PARAMS = params_of(TINY)
SMALL = SwinIRConfig(in_chans=1, embed_dim=6, depths=(1,), num_heads=(2,), img_size=4, window_size=4)
SMALL_PARAMS = params_of(SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def dynamic(folder):
    """Exports a network for any shape and three platforms."""
    export_network(SwinIR(TINY), PARAMS, folder / "dynamic", platforms=("cpu", "cuda", "tpu"))
    return folder / "dynamic"


@pytest.fixture(scope="module")
def small(folder):
    """Exports a bfloat16 network for one shape."""
    export_network(SwinIR(SMALL, dtype=jnp.bfloat16), SMALL_PARAMS, folder / "small", shape=(1, 8, 12, 1))
    return folder / "small"


def rewritten(source, target, **members):
    """Copies an exported file with other members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.split(".")[0], old.read(name)))
    return target


@pytest.mark.as_shipped
@pytest.mark.parametrize("shape", [(2, 16, 24, 3), (1, 61, 51, 3)])  # 12 windows, and 56 after padding
def test_exported_network_of_any_size_equals_the_model(dynamic, shape):
    lq = image(*shape)
    expected = jax.jit(SwinIR(TINY).apply)({"params": PARAMS}, lq)
    restored = load_exported(dynamic)(lq)
    assert restored.shape == expected.shape
    assert relative_error(restored, expected) < 1e-6


@pytest.mark.as_shipped
@pytest.mark.parametrize("config", [TINY_SWIN2SR, TINY_UNSHUFFLED], ids=["swin2sr", "unshuffled"])
def test_relatives_of_any_size(config, folder):
    config = dataclasses.replace(config, depths=(2,), num_heads=(2,))
    params = params_of(config)
    path, lq = folder / f"{config.family}{config.unshuffle}", image(1, 67, 30, 3)
    export_network(SwinIR(config), params, path, platforms=("cpu",))
    network = load_exported(path)
    assert network.config == config
    assert [str(side) for side in network.shape[1:3]] == [f"{config.side_multiple}*{name}" for name in "hw"]
    assert relative_error(network(lq), compiled(SwinIR(config))({"params": params}, lq)) < 1e-6


def test_network_inside_jit_and_scan(dynamic):
    network, lq = load_exported(dynamic), image(2, 1, 16, 24, 3)
    _, restored = jax.jit(lambda lq: jax.lax.scan(lambda carry, frame: (carry, network(frame)), 0, lq))(lq)
    np.testing.assert_allclose(restored, [network(frame) for frame in lq], atol=1e-5)


@pytest.mark.parametrize(("capability", "platform"), [("9.0", "cuda"), ("gfx942", "rocm")])
def test_files_for_gpus_of_one_maker(dynamic, monkeypatch, capability, platform):
    network = load_exported(dynamic)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(compute_capability=capability)])
    for name in ("cuda", "rocm", "tpu"):
        monkeypatch.setattr(network, "platforms", (name,))
        assert network.runs_here() == (name == platform)


def test_attributes_of_a_loaded_network(dynamic, small):
    network = load_exported(dynamic)
    assert (network.config, network.dtype, network.platforms) == (TINY, "float32", ("cpu", "cuda", "tpu"))
    assert [str(side) for side in network.shape] == ["b", "8*h", "8*w", "3"]
    network = load_exported(small)
    assert (network.config, network.dtype, network.shape) == (SMALL, "bfloat16", (1, 8, 12, 1))
    assert network.platforms == ("cpu", "cuda", "rocm", "tpu")


def test_self_tests(dynamic, small):
    assert load_exported(dynamic).self_test() < 1e-6
    assert load_exported(small).self_test() < 1e-6


def test_exports_where_jit_is_disabled(tmp_path):
    with jax.disable_jit():
        export_network(SwinIR(SMALL), SMALL_PARAMS, tmp_path / "network", platforms=["cpu"])
    assert load_exported(tmp_path / "network").self_test() < 1e-6


def test_equal_exports_are_equal_files(small, tmp_path):
    export_network(SwinIR(SMALL, dtype=jnp.bfloat16), SMALL_PARAMS, tmp_path / "again", shape=np.array([1, 8, 12, 1]))
    assert (tmp_path / "again").read_bytes() == small.read_bytes()


def test_image_is_padded_to_the_fixed_shape(small):
    lq, network = image(1, 7, 9, 1), load_exported(small)
    expected = jax.jit(SwinIR(SMALL, dtype=jnp.bfloat16).apply)({"params": SMALL_PARAMS}, lq)
    np.testing.assert_allclose(network(lq), expected, atol=1e-2)
    for shape in ((1, 4, 12, 1), (2, 8, 12, 1), (1, 8, 13, 1)):
        with pytest.raises(InputError, match=r"takes \[1, 8, 12, 1\].*got an array of shape"):
            network(image(*shape))
    with pytest.raises(InputError, match=r"takes \[B, h, w, 1\].*got an array of shape \(1, 8, 12, 3\)"):
        network(image(1, 8, 12, 3))


def test_files_contain_no_source_paths(dynamic):
    with zipfile.ZipFile(dynamic) as archive:
        program = archive.read("program.bin")
    assert b".py" not in program
    assert str(Path(swinir_jax.__file__).parents[1]).encode() not in program


@pytest.mark.parametrize(
    ("lq", "word"),
    [
        (np.zeros((8, 8, 3), np.float32), r"takes \[B, h, w, 3\] images.*a batch of one is x\[None\]"),
        (np.zeros((1, 3, 8, 8), np.float32), r"x\.transpose\(0, 2, 3, 1\)"),
        (np.full((1, 8, 8, 3), 200, np.float32), "divide an image in 0..255"),
        (np.full((1, 8, 8, 3), np.nan, np.float32), "not finite"),
        (np.zeros((1, 0, 8, 3), np.float32), "got an array of shape"),
        (np.zeros((1, 8, 8, 3), np.uint8), "divide 8-bit images by 255"),
    ],
)
def test_arrays_that_cannot_be_restored_are_refused(dynamic, lq, word):
    with pytest.raises(InputError, match=word):
        load_exported(dynamic)(lq)


def test_what_is_not_a_network_with_its_parameters(tmp_path):
    for arguments, word in (((SwinIR(TINY), {"params": PARAMS}), "pass variables"), ((None, PARAMS), "got NoneType")):
        with pytest.raises(InputError, match=word):
            export_network(*arguments, tmp_path / "x")


@pytest.mark.as_shipped
@pytest.mark.parametrize("shape", [(2, 16, 24, 3), (1, 61, 51, 3)])
def test_file_for_cpus_only_has_the_cpu_program(tmp_path, shape):
    export_network(SwinIR(TINY), PARAMS, tmp_path / "cpu", platforms=("cpu",))
    network, lq = load_exported(tmp_path / "cpu"), image(*shape)
    assert "stablehlo.while" in network._program.mlir_module()  # loops over layers and groups of windows
    assert network.self_test() < 1e-6
    assert relative_error(network(lq), jax.jit(SwinIR(TINY).apply)({"params": PARAMS}, lq)) < 2e-6


def test_runs_without_flax(dynamic):
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("flax", "orbax", "optax"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
import swinir_jax
network = swinir_jax.load_exported(sys.argv[1])
assert network.self_test() < network.test.tolerance
assert network(np.zeros((1, 5, 9, 3), np.float32)).shape == (1, 10, 18, 3)
assert "swinir_jax.models" not in sys.modules
try:
    swinir_jax.Restorer
except ImportError as error:
    print(error)
"""
    root = str(Path(swinir_jax.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(dynamic)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "flax\n"), done.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"shape": (1, 8, 12)}, "The shape must be"),
        ({"shape": (1, 8, 12, 3)}, "got 1,8,12,3"),
        ({"shape": (0, 8, 12, 1)}, "got 0,8,12,1"),
        ({"shape": (1, 8, 13, 1)}, "multiples of 4, got"),
        ({"platforms": ("cpu", "gpu")}, "got gpu"),
        ({"platforms": ()}, "got none"),
    ],
)
def test_bad_shapes_and_platforms_are_refused(tmp_path, options, word):
    with pytest.raises(InputError, match=word):
        export_network(SwinIR(SMALL), SMALL_PARAMS, tmp_path / "x", **options)
    assert not list(tmp_path.iterdir())


def test_position_embedding_has_one_size(tmp_path):
    config = SwinIRConfig.from_dict({**SMALL.to_dict(), "ape": True, "img_size": 8})
    params = params_of(config)
    for shape in (None, (1, 8, 12, 1)):
        with pytest.raises(InputError, match="ape"):
            export_network(SwinIR(config), params, tmp_path / "x", shape=shape)
    export_network(SwinIR(config), params, tmp_path / "x", shape=(2, 8, 8, 1))
    assert load_exported(tmp_path / "x").self_test() < 1e-6


def test_other_dtypes_are_refused():
    with jax.enable_x64(True), pytest.raises(InputError, match="got float64"):
        export_network(SwinIR(SMALL, dtype=jnp.float64), SMALL_PARAMS, "x")


def test_a_network_without_a_finite_answer_is_not_exported(tmp_path):
    norm = SMALL_PARAMS["norm"]
    broken = {**SMALL_PARAMS, "norm": {**norm, "scale": np.full_like(norm["scale"], np.inf)}}
    with pytest.raises(InputError, match="answer is not finite"):
        export_network(SwinIR(SMALL), broken, tmp_path / "x", shape=(1, 8, 8, 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(small, tmp_path, share):
    data = small.read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="cut: damaged, or not an exported network"):
        load_exported(tmp_path / "cut")


def test_changed_byte_is_found(small, tmp_path):
    data = bytearray(small.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed").write_bytes(data)
    with pytest.raises(InputError, match="changed: damaged"):
        load_exported(tmp_path / "changed")


def test_other_files_are_refused(small, tmp_path):
    with pytest.raises(InputError, match="nothing: cannot be read"):
        load_exported(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        load_exported(tmp_path)
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(InputError, match="not an exported network"):
        load_exported(tmp_path / "other")
    metadata = json.dumps({"format": "swinir-jax exported network 2"})
    with pytest.raises(InputError, match="network 2'; this version reads"):
        load_exported(rewritten(small, tmp_path / "newer", metadata=metadata))
    with pytest.raises(InputError, match=rf"exported by JAX {jax.__version__}, cannot be read"):
        load_exported(rewritten(small, tmp_path / "program", program=b"\0" * 100))


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")


@pytest.mark.usefixtures("no_cache")
def test_command(tmp_path, capsys):
    save_model(tmp_path / "model", SMALL_PARAMS, SMALL)
    export = ["export", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--shape", "1,8,8,1"]
    assert main([*export, "--platforms", "cuda,tpu"]) == 0
    output = capsys.readouterr().err
    assert "float32, [1, 8, 8, 1], for cuda, tpu" in output
    assert "not tested" in output
    assert main(["export", "--check", str(tmp_path / "out")]) == 2
    assert "exported for cuda, tpu, and JAX runs on cpu" in capsys.readouterr().err
    assert main([*export, "--platforms", "cpu"]) == 0
    assert "self-test passed" in capsys.readouterr().err


@pytest.mark.usefixtures("no_cache")
def test_command_checks(small, tmp_path, capsys):
    assert main(["export", "--check", str(small)]) == 0
    assert "self-test passed" in capsys.readouterr().err
    np.save(tmp_path / "expected.npy", np.ones(96, np.float32))
    wrong = rewritten(small, tmp_path / "wrong", expected=(tmp_path / "expected.npy").read_bytes())
    assert main(["export", "--quiet", "--check", str(wrong)]) == 1
    assert "wrong: self-test failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ([], "--out"),
        (["--out", "x", "--check", "y"], "not allowed"),
        (["--out", "x", "--shape", "1,8,8,3", "--dynamic"], "not allowed"),
        (["--out", "x", "--shape", "1,a"], "a shape is like"),
    ],
)
def test_bad_command_lines_are_refused(options, word, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", *options])
    assert word in capsys.readouterr().err
