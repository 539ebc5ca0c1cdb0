import dataclasses

import numpy as np
import pytest

from swinir_jax.configs import load_experiment
from swinir_jax.images import Picture, write_picture
from swinir_jax.training.validation import validation_pairs


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
