import dataclasses
import json

import pytest
from training_runs import EXPERIMENT

from swinir_jax import InputError
from swinir_jax.errors import option
from swinir_jax.training.checkpoint import read_config, write_config
from swinir_jax.training.experiment import Experiment


def test_the_experiment_is_stored_and_read(tmp_path):
    assert read_config(tmp_path) is None
    write_config(tmp_path, EXPERIMENT)
    assert read_config(tmp_path) == EXPERIMENT
    content = json.loads((tmp_path / "experiment.json").read_text())
    for broken in ({**content, "colour": 1}, {**content, "optimizer": {"learning_rates": 1}}, {"task": "x"}, [1]):
        (tmp_path / "experiment.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"experiment\.json: not readable"):
            read_config(tmp_path)
    (tmp_path / "experiment.json").write_text('{"task": ')
    with pytest.raises(InputError, match=r"experiment\.json: not readable"):
        read_config(tmp_path)


def test_a_run_stored_before_the_warm_up_of_the_average_continues_without(tmp_path):
    old = EXPERIMENT.to_dict()
    del old["ema_warmup"]
    (tmp_path / "experiment.json").write_text(json.dumps(old))
    assert read_config(tmp_path) == dataclasses.replace(EXPERIMENT, ema_warmup=False)


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"batch_size": 0}, {"ema_decay": 1.0}, {"dtype": "float16"}, {"log_every": 0}, {"seed": 2**32}],
    ids=str,
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=option(next(iter(values)))):
        Experiment.from_dict({**EXPERIMENT.to_dict(), **values})
