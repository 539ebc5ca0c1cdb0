"""`swinir-jax models`."""

import json
import re

import pytest

from swinir_jax.checkpoints import zoo
from swinir_jax.checkpoints.purposes import PURPOSES
from swinir_jax.cli.main import main

pytestmark = pytest.mark.usefixtures("no_weights_on_this_machine")


@pytest.fixture
def listed(capsys):
    """Returns what the command prints."""
    assert main(["models"]) == 0
    return capsys.readouterr().out


def test_models_are_listed_by_purpose(listed):
    headings = re.findall(r"^(\S.*)\n  swinir-jax restore PHOTO --for (\S+)$", listed, re.MULTILINE)
    assert headings == [(purpose.label, name) for name, purpose in PURPOSES.items()]
    assert (
        "005_colorDN_DFWB_s128w8_SwinIR-M_noise25: same size; medium; to be fetched; 123 MB, 11.5 M parameters; "
        "color_dn noise 25; Apache-2.0" in listed
    )
    assert re.search(r"jpeg_light: same size; fast; bundled; 2 MB, 0\.9 M parameters; ", listed)
    assert "--for photo\n    enlarges by 2: real_x2\n" in listed


def test_a_line_ends_with_scores_and_licence(listed):
    assert re.search(r"lightweight_x2: enlarges by 2; fast; .*; Set5: PSNR-Y \d\d\.\d\d \(baseline 33\.68\)", listed)
    assert len(re.findall(r"^    00\d_.*; Apache-2\.0$", listed, re.MULTILINE)) == 31
    for name in zoo.bundled_models():
        terms = "CC-BY-SA-4.0, .* free licences" if name == "real_x2_free" else "research use, trained on BSDS500"
        assert re.search(rf"^    {name}: .*; {terms} \(LICENSE-weights\)$", listed, re.MULTILINE)


def test_models_with_two_ends_are_marked(listed):
    assert re.findall(r"(\w+):.*; --strength 0..1; ", listed) == ["real_denoise", "real_x2", "real_x4"]


def test_models_as_json(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    models = {model["name"]: model for model in listed["models"]}
    assert models.keys() == zoo.bundled_models().keys() | zoo.OFFICIAL.keys()
    assert len(zoo.OFFICIAL) == 31 + 6  # of SwinIR and of Swin2SR
    keys = {"name", "purpose", "task", "level", "scale", "parameters", "bytes", "speed", "place", "license", "scores"}
    assert all(model.keys() == keys for model in models.values())
    assert all(model["license"] == zoo.weight_metadata(name)["license"] for name, model in models.items())
    assert models["lightweight_x2"]["scores"] == zoo.bundled_scores()["lightweight_x2"]
    assert models["003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN"]["speed"] == "slow"
    assert [purpose["name"] for purpose in listed["purposes"]] == [*PURPOSES]
    [choice] = [
        choice for choice in listed["purposes"][1]["choices"] if (choice["scale"], choice["quality"]) == (1, "fast")
    ]
    assert choice["is_resized"]
    assert choice["passes"] == [{"model": "lightweight_x2", "scale": 2, "place": "bundled"}]
