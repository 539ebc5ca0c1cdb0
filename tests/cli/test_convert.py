"""`swinir-jax convert`; `tests/checkpoints` has what it writes."""

import os
import re
import signal
from pathlib import Path

import orbax.checkpoint as ocp
import pytest
from goldens import TINY, checkpoints

from swinir_jax.cli import convert as command
from swinir_jax.cli.main import main


def test_convert_there_and_back(capsys):
    source = str(checkpoints() / "params.pth")
    assert main(["convert", source, "model"]) == 0
    *_, assumed, told = capsys.readouterr().err.splitlines()
    assert "img_range=1" in assumed
    assert re.fullmatch(
        r"model: enlarges by 2 \(pixelshuffle\w*\), 3 channels, \d RSTBs? of \d+ features, [\d,]+ parameters", told
    )
    assert main(["convert", "model", "back.safetensors"]) == 0
    assert main(["convert", source, "model"]) == 2  # the folder exists
    assert main(["convert", str(checkpoints() / "truncated.pth"), "other"]) == 2
    assert sorted(os.listdir()) == ["back.safetensors", "model"]


def test_options_are_arguments_of_the_function(monkeypatch):
    called = []
    monkeypatch.setattr(command, "convert", lambda *values, **options: called.append((values, options)) or (TINY, 1))
    assert main(["convert", "a.pth", "b.safetensors"]) == 0
    files = "--weights raw --weights-dir given --strength 0.5 --no-shift --img-range 2 --qk-scale 0.3"
    options = ["--small", "--float16", "--to-img-range", "255", "--quiet", *files.split()]
    assert main(["convert", "a.pth", "b.safetensors", *options]) == 0
    (values, defaults), (again, given) = called
    assert values == again == ([("a.pth", 1.0)], Path("b.safetensors"))
    assert defaults == dict(
        small=False, float16=False, to_img_range=None, progress=True, weights="ema", weights_dir=None, strength=None,
        shift=None, img_range=None, qk_scale=None,
    )  # fmt: skip
    assert given == dict(
        small=True, float16=True, to_img_range=255.0, progress=False, weights="raw", weights_dir="given", strength=0.5,
        shift=False, img_range=2.0, qk_scale=0.3,
    )  # fmt: skip


@pytest.mark.parametrize("signalled", [False, True])
def test_ctrl_c_while_a_model_is_written_leaves_all_or_nothing(monkeypatch, signalled):
    source = str(checkpoints() / "params.pth")
    save = ocp.Checkpointer.save

    def interrupted(self, *args, **kwargs):
        save(self, *args, **kwargs)
        if signalled:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ocp.Checkpointer, "save", interrupted)
    assert main(["convert", source, "model"]) == (130 if signalled else 0)
    assert os.listdir() == ([] if signalled else ["model"])
