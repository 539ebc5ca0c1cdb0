"""The tensors that are taken from a file with wrappers, prefixes or several networks."""

import numpy as np
import pytest
from goldens import TINY, generated_weights
from weight_files import EXPECTED, FIRST, INPUTS, error_of, official_tensors, read_content, under

from swinir_jax import InputError
from swinir_jax.checkpoints.names import official_shapes

WEIGHTS = official_tensors()
OTHERS = generated_weights(official_shapes(TINY), 2)


@pytest.mark.as_shipped
@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.*[!z]")), ids=lambda path: path.name)
def test_small_inputs_give_the_original_answer(path):
    if path.name == "x1_pixelshuffle.pth":
        assert error_of(path, EXPECTED["x1_pixelshuffle"]) < 2**-11  # the file's weights are rounded to float16
    else:
        assert error_of(path, EXPECTED["rect_8x12" if path.name == "rect_8x12.pth" else "whole"]) < 1e-5


@pytest.mark.parametrize("path", [
    "", "_orig_mod.", "net.", "netG.", "net_g.", "generator.", "params_ema.", "module._orig_mod.", "model.module.net.",
    "state_dict/module._orig_mod.", "net/", "net_g/", "netG/", "generator/", "G/", "ema/", "model_ema/", "weights/",
    "a/b/c/d/e/f/g/h.i.j.", "my model/", "checkpoint/0/", "net._checkpoint_wrapped_module.",
])  # fmt: skip
def test_any_wrapper_and_prefix(monkeypatch, path):
    tensors, notes = read_content(monkeypatch, {"iter": 3, **under(path, WEIGHTS)})
    assert tensors.keys() == WEIGHTS.keys()
    assert not notes


def test_a_list_of_names_and_tensors_is_read_as_a_dict(monkeypatch):
    tensors, notes = read_content(monkeypatch, [*WEIGHTS.items()])
    assert tensors.keys() == WEIGHTS.keys()
    assert not notes


@pytest.mark.parametrize("averaged", [
    "params_ema/", "params-ema/", "ema/", "model_ema/", "net_g_ema/", "netG_ema/", "EMA/", "modelEMA/", "emaModel/",
    "ema_model.", "state_dict_ema/", "swa_model/module.", "generator_avg/", "ema/shadow/", "average_model/",
    "averaged/", "moving_average/", "polyak/", "params_slow/",
])  # fmt: skip
@pytest.mark.parametrize("raw", ["params/", "net_g/", "model/"])
@pytest.mark.parametrize("first", [True, False])
def test_averaged_weights_are_wanted_under_any_name(monkeypatch, averaged, raw, first):
    parts = [under(averaged, WEIGHTS), under(raw, OTHERS)]
    content = {**parts[0], **parts[1]} if first else {**parts[1], **parts[0]}
    tensors, notes = read_content(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert len(notes) == 1
    assert "took the averaged ones" in notes[0]
    tensors, notes = read_content(monkeypatch, content, "raw")
    assert tensors[FIRST] is OTHERS[FIRST]
    assert "took the raw ones" in notes[0]


def test_a_counter_tells_that_weights_are_averaged(monkeypatch):
    content = {**under("model/", OTHERS), "other": {"n_averaged": np.array(7), **under("module.", WEIGHTS)}}
    assert read_content(monkeypatch, content)[0][FIRST] is WEIGHTS[FIRST]


EXCHANGED = {  # the container of the raw weights, and tensors that mark the exchange
    "MMEngine": ("ema_state_dict", {"ema_state_dict": {"steps": np.array(5)}}),
    "Lightning": ("current_model_state", {"averaging_state": {"n_averaged": np.array(3)}}),
}


@pytest.mark.parametrize("trainer", EXCHANGED)
@pytest.mark.parametrize("prefix", ["", "net."])
def test_trainers_that_save_the_average_as_the_state_dict(monkeypatch, trainer, prefix):
    raw, marks = EXCHANGED[trainer]
    content = {"state_dict": under(prefix, WEIGHTS), **marks, raw: {**under(prefix, OTHERS), **marks.get(raw, {})}}
    tensors, notes = read_content(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert "took the averaged ones, state_dict" in notes[0]
    assert read_content(monkeypatch, content, "raw")[0][FIRST] is OTHERS[FIRST]


@pytest.mark.parametrize("raw", ["params_no_ema/", "non_ema/", "before-ema/", "preEma/", "net_without_avg."])
def test_a_negation_before_a_word_tells_raw_weights(monkeypatch, raw):
    for average in ("params/", "params_ema/"):  # also without a word, the others are averages
        content = {**under(raw, OTHERS), **under(average, WEIGHTS)}
        assert read_content(monkeypatch, content)[0][FIRST] is WEIGHTS[FIRST]
        assert read_content(monkeypatch, content, "raw")[0][FIRST] is OTHERS[FIRST]


@pytest.mark.parametrize("name", ["schema", "cinema.", "emanet/", "remap/"])
def test_other_words_are_not_averages(monkeypatch, name):
    path = name if name[-1] in "./" else f"{name}/"
    assert read_content(monkeypatch, under(path, WEIGHTS), "raw")[0].keys() == WEIGHTS.keys()


def test_the_first_of_several_networks_is_taken_and_the_others_named(monkeypatch):
    content = {**under("netG_A/", WEIGHTS), **under("netG_C/", OTHERS), **under("netG_B/", OTHERS)}
    tensors, notes = read_content(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert notes == ["x.pth holds several networks; took the first, netG_A, and left netG_C, netG_B."]


@pytest.mark.parametrize("name", ["init", "pretrained", "net_g_init"])
def test_a_network_that_a_training_began_from_is_taken_last(monkeypatch, name):
    content = {**under(f"{name}/", OTHERS), **under("best/", WEIGHTS), **under("last/", OTHERS)}
    tensors, notes = read_content(monkeypatch, content)
    assert tensors[FIRST] is WEIGHTS[FIRST]
    assert notes == [f"x.pth holds several networks; took the first trained one, best, and left {name}, last."]


def test_networks_beside_each_other_do_not_mix(monkeypatch):
    tensors, notes = read_content(monkeypatch, {**under("", OTHERS), **under("ema.", WEIGHTS)})
    assert tensors.keys() == WEIGHTS.keys()
    assert "ema" in notes[0]
    assert read_content(monkeypatch, {**under("", OTHERS), **under("ema.", WEIGHTS)}, "raw")[0].keys() == OTHERS.keys()


def test_modules_outside_of_the_network_are_left_and_named(monkeypatch):
    disc = {"net_d.conv0.weight": np.zeros((4, 3, 3, 3)), "net_d.conv_first.weight": np.zeros((4, 3, 3, 3))}
    vgg = {f"loss.vgg.features.{i}.weight": np.zeros((4, 3, 3, 3)) for i in range(3)}
    optimizer = {"optimizer": {"state": {0: {"exp_avg": np.zeros(3)}}, "param_groups": []}}
    tensors, notes = read_content(monkeypatch, {"state_dict": {**disc, **vgg, **under("net_g.", WEIGHTS)}, **optimizer})
    assert tensors.keys() == WEIGHTS.keys()
    assert notes == ["x.pth holds more than the network; left state_dict.net_d, state_dict.loss."]


WRAPPERS = ("module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_forward_module")


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", ["", "net."])
def test_wrapped_modules_in_the_middle_of_names(monkeypatch, wrapper, prefix):
    wrapped = {prefix + name.replace("blocks.0.", f"blocks.0.{wrapper}."): t for name, t in WEIGHTS.items()}
    tensors, notes = read_content(monkeypatch, wrapped)
    assert tensors.keys() == WEIGHTS.keys()
    assert not notes


def test_two_networks_that_differ_in_a_wrapper_alone_do_not_mix(monkeypatch):
    tensors, notes = read_content(monkeypatch, {**under("", WEIGHTS), **under("module.", OTHERS)})
    assert all(tensors[name] is WEIGHTS[name] for name in WEIGHTS)
    assert "left module" in notes[0]


def test_plain_attributes_of_pickled_modules_are_no_weights(monkeypatch):
    def module(parameters, **modules):
        return {"": {"_parameters": parameters, "_buffers": {}, "_modules": modules, "mean": np.zeros((1, 3, 1, 1))}}

    network = module({}, conv_first=module({"weight": WEIGHTS[FIRST]}))
    assert read_content(monkeypatch, {"net": network})[0].keys() == {FIRST}


def test_shared_and_endless_containers_are_entered_once(monkeypatch):
    content = {"params": dict(WEIGHTS)}
    content["again"], content["params"]["self"] = content["params"], content
    for _ in range(64):
        content = {"a": content, "b": content, "c": [content, content]}
    tensors, _ = read_content(monkeypatch, content)
    assert tensors.keys() == WEIGHTS.keys()


def test_strange_keys_stay_on_one_line(monkeypatch):
    for key in ("a\nb", "\x1b[31m", 10**5000, b"x", None, "x" * 100_000):
        with pytest.raises(InputError, match="no weights") as caught:
            read_content(monkeypatch, {key: 1})
        assert str(caught.value).isprintable()
    content = {"a\nb\x1b": under("", OTHERS), **under("ema/", WEIGHTS)}
    [note] = read_content(monkeypatch, content)[1]
    assert note.isprintable()
