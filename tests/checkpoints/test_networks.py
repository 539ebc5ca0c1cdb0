"""The network that is chosen among the tensors of a file, and averaged weights in other containers."""

import numpy as np
import pytest
from goldens import TINY, generated_weights
from weight_files import FIRST, official_tensors, read_content, under, write_safetensors

import swinir_jax
from swinir_jax import InputError
from swinir_jax.checkpoints.names import official_shapes

WEIGHTS = official_tensors()
RAW = {**WEIGHTS, **generated_weights(official_shapes(TINY), 2)}
AVERAGED = generated_weights(official_shapes(TINY), 3)


BESIDE = {
    "loss": {"perceptual.vgg.features.0.weight": np.zeros((4, 3, 3, 3))},
    "discriminator": {"discriminator.conv0.weight": np.zeros((4, 3, 3, 3))},
    "epoch": {"epoch": np.array(4)},
    "_extra_state": {"_extra_state": np.zeros(3)},
    "mean": {"mean": np.zeros((1, 3, 1, 1), np.float32)},
    "fft": {"fft": np.zeros(3, np.complex64)},
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("prefix", ["", "net."])
def test_tensors_beside_the_network_are_left_and_named(tmp_path, caplog, kind, prefix):
    beside = {prefix + name: tensor for name, tensor in BESIDE[kind].items()}
    path = write_safetensors(tmp_path / "x.safetensors", {**beside, **under(prefix, WEIGHTS)})
    _, params = swinir_jax.load_pretrained(path)
    np.testing.assert_array_equal(params["upsample_0"]["bias"], WEIGHTS["upsample.0.bias"])
    assert f"holds more than the network; left {prefix}{next(iter(BESIDE[kind])).split('.')[0]}." in caplog.text


@pytest.mark.parametrize("name", ["norm.extra", "layers.0.vgg.features.0.weight", "conv_up3.weight"])
def test_unexpected_tensors_inside_the_network_are_refused(tmp_path, name):
    path = write_safetensors(tmp_path / "x.safetensors", {**WEIGHTS, name: np.zeros(3, np.float32)})
    with pytest.raises(InputError, match=f"unexpected {name}|not the weights of a SwinIR"):
        swinir_jax.load_pretrained(path)


COPIES = {
    "a list in the order of parameters": {"ema": {"decay": 0.9, "shadow_params": list(AVERAGED.values())}},
    "names without dots": {"model_ema": {key.replace(".", ""): tensor for key, tensor in AVERAGED.items()}},
    "names without dots and with a prefix": {
        f"model_ema.net{key.replace('.', '')}": tensor for key, tensor in AVERAGED.items()
    },
    "names with underscores": {"ema": {"num_updates": np.array(3), **{
        key.replace(".", "_"): tensor for key, tensor in AVERAGED.items()
    }}},
}  # fmt: skip


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("path", ["", "state_dict/model.net."])
def test_averaged_weights_in_other_containers(monkeypatch, kind, path):
    if "prefix" in kind and not path:
        path = "net."
    content = {**COPIES[kind], **under(path, RAW)}
    tensors, notes = read_content(monkeypatch, content)
    assert tensors.keys() == WEIGHTS.keys()
    assert all(tensors[name] is tensor for name, tensor in AVERAGED.items())
    assert len(notes) == 1
    assert "took the averaged ones" in notes[0]
    assert read_content(monkeypatch, content, "raw")[0][FIRST] is RAW[FIRST]


@pytest.mark.parametrize(
    "values",
    [
        [*AVERAGED.values()][1:],
        [*AVERAGED.values(), np.zeros(3)],
        [*reversed(AVERAGED.values())],
    ],
)
def test_averages_that_do_not_match_are_named(monkeypatch, values):
    tensors, notes = read_content(monkeypatch, {"model": RAW, "ema": {"shadow_params": values}})
    assert tensors[FIRST] is RAW[FIRST]
    assert "ema.shadow_params may hold averaged weights, but number, names or shapes" in notes[0]
    assert not read_content(monkeypatch, {"model": RAW, "ema": {"shadow_params": values}}, "raw")[1]


def test_averages_of_gradients_are_no_weights(monkeypatch):
    tensors, notes = read_content(monkeypatch, {"model": RAW, "optimizer": {"exp_avg": list(AVERAGED.values())}})
    assert tensors[FIRST] is RAW[FIRST]
    assert not notes


def test_a_teacher_is_the_average_of_a_student_of_the_same_shapes(monkeypatch):
    teacher = under("teacher/", AVERAGED)
    assert read_content(monkeypatch, {**under("student/", RAW), **teacher})[0][FIRST] is AVERAGED[FIRST]
    smaller = {name: tensor for name, tensor in RAW.items() if not name.startswith("upsample")}
    for other in ({"student": smaller}, {"net": RAW}):  # distilled from a larger network
        assert read_content(monkeypatch, {**other, **teacher})[0][FIRST] is RAW[FIRST]


@pytest.mark.parametrize("damage", ["incomplete", "not finite"])
def test_the_error_of_averaged_weights_mentions_the_raw_ones(tmp_path, damage):
    averaged = dict(AVERAGED)
    averaged["norm.bias"] = averaged["norm.bias"] * np.float32("nan")
    if damage == "incomplete":
        del averaged["norm.bias"]
    tensors = {**under("params.", RAW), **under("params_ema.", averaged)}
    path = write_safetensors(tmp_path / "x.safetensors", tensors)
    with pytest.raises(
        InputError, match=r"norm\.bias.*\. x\.safetensors holds averaged .*--weights raw takes raw ones"
    ):
        swinir_jax.load_pretrained(path)
    assert swinir_jax.load_pretrained(path, weights="raw")[0].config.upscale == TINY.upscale


def test_masks_of_any_dtype(tmp_path):
    for dtype in (np.float16, np.bool_):
        tensors = {name: t.astype(dtype) if name.endswith("attn_mask") else t for name, t in WEIGHTS.items()}
        assert swinir_jax.load_pretrained(write_safetensors(tmp_path / "x.safetensors", tensors))[0].config == TINY
