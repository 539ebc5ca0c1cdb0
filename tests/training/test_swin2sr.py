"""A short training of Swin2SR's recipe by the command, stopped and resumed."""

import numpy as np
import pytest
from command_runs import FIELDS, make_images, metrics
from training_runs import assert_same_bits

from swinir_jax import load_pretrained
from swinir_jax.cli.main import main

SHORT = ["--batch-size=2", "--log-every=1", "--checkpoint.every=2"]


@pytest.mark.usefixtures("collected")
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    fields = [*FIELDS, *SHORT, "--optimizer.schedule=constant", *make_images(tmp_path)[:2]]  # no scores, so the latest
    for name, steps in (("whole", "4"), ("parts", "2"), ("parts", "4")):
        workdir = str(tmp_path / name)
        assert main(["train", "swin2sr_classical_x2", "--workdir", workdir, *fields, f"--steps={steps}"]) == 0
    whole, parts = (metrics(tmp_path / name, "train/loss") for name in ("whole", "parts"))
    assert [*whole] == [1, 2, 3, 4]
    assert whole == parts
    assert np.isfinite([*whole.values()]).all()
    (model, params), (_, resumed) = (load_pretrained(tmp_path / name) for name in ("whole", "parts"))
    assert model.config.family == "swin2sr"
    assert_same_bits(params, resumed)
