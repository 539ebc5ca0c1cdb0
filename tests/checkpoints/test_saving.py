"""`save_pretrained`, and the folders of parameters that it has not written."""

import dataclasses
import json
import shutil
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from goldens import TINY, compiled, params_of

import swinir_jax
from swinir_jax import InputError, SwinIR
from swinir_jax.errors import UnwritableError

CONFIGS = {
    "colour": TINY,
    "gray": dataclasses.replace(TINY, in_chans=1, upscale=1, upsampler=""),
    "ape": dataclasses.replace(TINY, ape=True),
    "rectangle with ape": dataclasses.replace(TINY, ape=True, img_size=(16, 24)),
    "window 7": dataclasses.replace(TINY, window_size=7, img_size=14, img_range=255.0, qk_scale=0.3),
    "no shift": dataclasses.replace(TINY, img_size=8),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_saved_and_loaded_is_the_same_network(config, tmp_path):
    params = params_of(config)
    swinir_jax.save_pretrained(tmp_path / "model", SwinIR(config), params)
    model, loaded = swinir_jax.load_pretrained(tmp_path / "model")
    assert model == SwinIR(config)
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    for given, found in zip(jax.tree.leaves(params), jax.tree.leaves(loaded), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, given)


def test_arrays_of_jax_and_of_other_dtypes_are_saved_as_float32(tmp_path):
    params = params_of(TINY)
    rounded = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    for i, given in enumerate([rounded, jax.tree.map(np.float64, rounded), jax.device_put(rounded)]):
        swinir_jax.save_pretrained(tmp_path / f"{i}", SwinIR(TINY, dtype=jnp.bfloat16), given)
        _, loaded = swinir_jax.load_pretrained(tmp_path / f"{i}")
        for leaf, found in zip(jax.tree.leaves(rounded), jax.tree.leaves(loaded), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, np.asarray(leaf, np.float32))


def refusal(function, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_is_overwritten(tmp_path):
    model, params = SwinIR(TINY), params_of(TINY)
    (tmp_path / "empty").mkdir()
    swinir_jax.save_pretrained(tmp_path / "empty", model, params)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "photo.png").touch()
    (tmp_path / "file").touch()
    for name in ("empty", "results", "file"):
        assert f"{tmp_path / name}: exists already" in refusal(
            swinir_jax.save_pretrained, tmp_path / name, model, params
        )
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["photo.png"]
    swinir_jax.load_pretrained(tmp_path / "empty")


_ONE_OF_TWO = """
import sys
import jax
import swinir_jax

index, port, source, folder = int(sys.argv[1]), *sys.argv[2:]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, index)
model, params = swinir_jax.load_pretrained(source)
swinir_jax.save_pretrained(f"{folder}/by_both", model, params)
if index == 0:
    swinir_jax.save_pretrained(f"{folder}/by_the_first", model, params)
    swinir_jax.load_pretrained(f"{folder}/by_both")
else:
    swinir_jax.load_pretrained(source)
"""


def test_one_process_of_two_saves_and_reads_without_the_other(tmp_path):
    swinir_jax.save_pretrained(tmp_path / "source", SwinIR(TINY), params_of(TINY))
    (tmp_path / "saved").mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_OF_TWO, str(index), port, tmp_path / "source", tmp_path / "saved"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=600)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["by_both", "by_the_first"]
    for folder in (tmp_path / "saved").iterdir():
        _, loaded = swinir_jax.load_pretrained(folder)
        jax.tree.map(np.testing.assert_array_equal, loaded, params_of(TINY))


def test_a_weight_files_name_is_no_folder(tmp_path):
    for suffix in (".safetensors", ".pth"):
        refused = refusal(swinir_jax.save_pretrained, tmp_path / f"x{suffix}", SwinIR(TINY), params_of(TINY))
        assert "swinir-jax convert" in refused
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda params: {"params": params}, r"pass variables\['params'\]"),
        (lambda params: {k: v for k, v in params.items() if k != "norm"}, "missing norm/bias"),
        (
            lambda params: {**params, "norm": {"scale": np.zeros(12), "bias": np.zeros(11)}},
            r"norm/bias has shape \(11,\)",
        ),
        (lambda params: jax.tree.map(np.int32, params), "are floats, .* has int32"),
        (lambda params: jax.tree.map(np.complex64, params), "are floats, .* has complex64"),
        (lambda params: jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), params), "not finite"),
        (lambda params: jax.tree.map(lambda leaf: np.full(leaf.shape, 1e300), params), "float32 cannot hold"),
    ],
)
def test_parameters_of_another_network_are_not_written(change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        swinir_jax.save_pretrained(tmp_path / "model", SwinIR(TINY), change(params_of(TINY)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_orbax_writes(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(UnwritableError, match=r"model: cannot be written \(No space left on device\)"):
        swinir_jax.save_pretrained(tmp_path / "model", SwinIR(TINY), params_of(TINY))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_models_names_them(tmp_path):
    for name in ("b", "a"):
        swinir_jax.save_pretrained(tmp_path / name, SwinIR(TINY), params_of(TINY))
    assert "a folder of models; name one: a, b" in refusal(swinir_jax.load_pretrained, tmp_path)


def test_a_checkpoint_of_orbax_alone_names_save_pretrained(tmp_path):
    params = params_of(TINY)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "bare", params)
        checkpointer.save(tmp_path / "folder" / "params", params)
    with ocp.CheckpointManager(tmp_path / "steps") as manager:
        manager.save(3, args=ocp.args.StandardSave(params))
    for name in ("bare", "folder", "steps"):
        refused = refusal(swinir_jax.load_pretrained, tmp_path / name)
        assert str(tmp_path / name) in refused
        assert "config.json" in refused
        assert "swinir_jax.save_pretrained(folder, model, params)" in refused
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "bare")
    swinir_jax.save_pretrained(tmp_path / "model", SwinIR(TINY), restored)
    model, loaded = swinir_jax.load_pretrained(tmp_path / "model")
    lq = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(
        compiled(model)({"params": loaded}, lq), compiled(SwinIR(TINY))({"params": params}, lq)
    )


def test_a_folder_of_a_later_format_is_refused_by_its_number(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 2, "config": {}, "crc32": {}}))
    assert "format_version is 2; this version of swinir_jax reads 1" in refusal(swinir_jax.load_pretrained, tmp_path)
