import dataclasses
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from command_runs import make_images
from training_runs import STILL, first_state

from swinir_jax.configs import load_experiment
from swinir_jax.errors import InputError
from swinir_jax.images import Picture, write_picture
from swinir_jax.training import validation
from swinir_jax.training.divergence import DivergenceError
from swinir_jax.training.validation import describe_setting, validate, validation_pairs


@pytest.fixture
def folder(tmp_path):
    make_images(tmp_path)
    return tmp_path / "val"


def validated(folder, **values):
    return dataclasses.replace(STILL, validation=dataclasses.replace(STILL.validation, hq=str(folder), **values))


def described(experiment):
    return describe_setting(experiment, validation_pairs(experiment))


def test_unmeasurable_images_are_named_before_training(folder):
    write_picture(folder / "line.png", Picture(np.zeros((1, 40, 3), np.uint8)))
    with pytest.raises(InputError, match=r"line.png: 40x1 is smaller than a pixel of LQ of 2x2; .* --validation.hq"):
        validation_pairs(validated(folder))
    (folder / "line.png").unlink()
    photo = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(photo[: len(photo) // 2])  # its header is whole
    write_picture(folder / "small.png", Picture(np.zeros((14, 40, 3), np.uint8)))  # 10 pixels high without its border
    write_picture(folder / "deep.png", Picture(np.zeros((40, 40, 3), np.uint16)))
    with pytest.raises(InputError) as caught:
        validation_pairs(validated(folder))
    said = str(caught.value)
    assert "3 of 5 images cannot be measured" in said
    for part in ("cut.png: ", "small.png: SSIM needs sides of at least 11", "deep.png: the protocol"):
        assert part in said
    assert "\n" not in said
    for i in range(300):
        shutil.copy(folder / "small.png", folder / f"small{i}.png")
    with pytest.raises(InputError, match=r"303 of 305 images.*; and 300 more") as caught:
        validation_pairs(validated(folder))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("prefix", ["", "folder:"])
def test_validation_accepts_the_places_of_training(tmp_path, prefix):
    for name, side in (("hq/deep/a.png", 25), ("lq/deep/a_q.png", 13)):
        (tmp_path / name).parent.mkdir(parents=True)
        write_picture(tmp_path / name, Picture(np.zeros((side, side, 3), np.uint8)))
    lq = f",{tmp_path}/lq" if prefix else ""
    experiment = load_experiment("lightweight_sr_x2")
    config = dataclasses.replace(experiment.validation, hq=f"{prefix}{tmp_path}/hq{lq}", pairs="{}_q" if lq else "")
    expected = (tmp_path / "hq/deep/a.png", tmp_path / "lq/deep/a_q.png" if lq else None)
    assert validation_pairs(dataclasses.replace(experiment, validation=config)) == [expected]


def test_a_setting_consists_of_images_level_and_tile(folder, tmp_path):
    setting = described(validated(folder))
    assert setting.startswith("2 images (")
    shutil.copytree(folder, tmp_path / "moved")
    assert described(validated(tmp_path / "moved")) == setting
    assert described(validated(tmp_path / "moved", tile=16)) != setting
    assert described(validated(tmp_path / "moved", every=7, pictures=0)) == setting
    shutil.copy(folder / "0.png", tmp_path / "moved" / "1.png")
    assert described(validated(tmp_path / "moved")) != setting
    assert described(STILL) == ""


def test_so_many_pictures_are_shown_and_equal_names_are_numbered(folder, monkeypatch):
    enlarging = SimpleNamespace(restore=lambda lq: lq.repeat(2, axis=0).repeat(2, axis=1))
    monkeypatch.setattr(validation, "Restorer", lambda *arguments, **options: enlarging)
    shutil.copytree(folder, folder / "copies")
    pairs = validation_pairs(validated(folder))
    for count, names in ((0, []), (3, ["0", "1", "0_3"]), (9, ["0", "1", "0_3", "1_4"])):
        measured = validate(validated(folder, pictures=count), None, None, pairs)
        assert [*measured.pictures] == names


def test_infinite_results_are_divergence(folder):
    experiment = validated(folder)
    state = first_state()
    ruined = jax.tree.map(lambda leaf: np.full(leaf.shape, 1e30, np.float32), state.params)
    with pytest.raises(DivergenceError, match=r"not finite.*--optimizer.learning-rate"):
        validate(experiment, state.model, ruined, validation_pairs(experiment))
