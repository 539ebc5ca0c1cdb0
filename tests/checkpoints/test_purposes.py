import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
from goldens import TINY, official_checkpoints, params_of

from swinir_jax import InputError, choose_models
from swinir_jax.checkpoints.catalogue import list_models, list_purposes, purpose_of
from swinir_jax.checkpoints.names import official_buffers, parameter_shapes
from swinir_jax.checkpoints.purposes import PURPOSES, SCALES, Pass, describe_passes, further_passes
from swinir_jax.checkpoints.store import save_model
from swinir_jax.checkpoints.zoo import OFFICIAL, bundled_models

pytestmark = pytest.mark.usefixtures("no_weights_on_this_machine")

ENTRIES = {entry.name: entry for entry in list_models()}
CASES = [(name, scale, quality) for name in PURPOSES for scale in SCALES for quality in ("fast", "best")]


@pytest.mark.parametrize(("purpose", "scale", "quality"), CASES)
def test_every_purpose_scale_and_quality_has_networks_that_exist(purpose, scale, quality):
    choice = choose_models(purpose, scale, quality=quality)
    assert [step.scale for step in choice.passes] == [ENTRIES[step.model].scale for step in choice.passes]
    reached = math.prod(step.scale for step in choice.passes)
    assert reached >= scale
    assert choice.is_resized == (reached > scale)
    assert ENTRIES[choice.passes[0].model].purpose == purpose or (purpose, quality) == ("photo", "fast")
    assert {ENTRIES[step.model].purpose for step in choice.passes[1:]} <= {"clean"}
    assert "{" not in str(choice)


@pytest.mark.parametrize(("purpose", "scale", "quality"), CASES)
@pytest.mark.parametrize("level_index", [0, -1])
def test_every_level_has_a_network(purpose, scale, quality, level_index):
    if PURPOSES[purpose].levels:
        choice = choose_models(purpose, scale, quality=quality, level=PURPOSES[purpose].levels[level_index])
        assert all(step.model in ENTRIES for step in choice.passes)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_fast_choices_fetch_nothing_where_a_bundled_network_is(purpose):
    bundled = {ENTRIES[name].purpose for name in bundled_models()}
    for scale in SCALES:
        first, *others = choose_models(purpose, scale).passes
        assert first.place == ("bundled" if purpose in bundled else "to be fetched")
        assert {step.place for step in others} <= {"bundled"}


@pytest.mark.parametrize(
    ("purpose", "scale", "line"),
    [
        ("photo", None, "photo, scale 2: real_x2 (bundled); removes noise, JPEG and mild blur"),
        (
            "photo",
            8,
            "photo, scale 8: real_x4 (bundled), then lightweight_x2 (bundled); removes noise, JPEG and mild blur",
        ),
        ("photo", 1, "photo, scale 1: real_denoise (bundled); removes noise, JPEG and mild blur"),
        ("clean", 3, "clean, scale 3: lightweight_x3 (bundled); for clean pictures, small"),
        ("clean", 4, "clean, scale 4: lightweight_x4 (bundled); for clean pictures, small"),
        (
            "clean",
            1,
            "clean, scale 1: lightweight_x2 (bundled), then MATLAB's bicubic to scale 1; for clean pictures, small",
        ),
        (
            "jpeg",
            2,
            "jpeg, scale 2: jpeg_light (bundled), then lightweight_x2 (bundled); for JPEG of any quality from 10 to 90",
        ),
        ("noise", None, "noise, scale 1: color_denoise_light (bundled); for noise of any sigma from 5 to 50"),
        (
            "gray-noise",
            None,
            "gray-noise, scale 1: 004_grayDN_DFWB_s128w8_SwinIR-M_noise25 (to be fetched); for gray noise of sigma 25; "
            "no bundled network is",
        ),
    ],
)
def test_choices_in_a_line(purpose, scale, line):
    assert str(choose_models(purpose, scale)) == line


@pytest.mark.parametrize("chain", ["photo", "photo_strong"])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_photograph_gets_the_bundled_networks_that_were_measured_to_be_best(scale, chain):
    file = Path(__file__).parents[2] / "benchmarks" / "results" / "photo_networks.json"
    measured = [row for row in json.loads(file.read_text()) if (row["scale"], row["chain"]) == (scale, chain)]
    best = max(measured, key=lambda row: row["psnr_y"])
    assert [step.model for step in choose_models("photo", scale).passes] == best["networks"]


def test_a_stand_in_names_the_network_that_suits_better():
    choice = choose_models("photo", 4)
    assert choice.better == choose_models("photo", 4, quality="best").passes[0].model
    assert OFFICIAL[choice.better].task == "real_sr"
    assert choose_models("clean", 4).better is None


def test_levels_choose_the_network():
    assert "noise15" in choose_models("noise", quality="best", level=15).passes[0].model
    assert "jpeg40" in choose_models("jpeg", quality="best").passes[0].model
    assert choose_models("noise", level=15).passes[0].model == "color_denoise_light"


def test_files_on_this_machine_are_cached(tmp_path):
    for folder, weights_dir in (("cache", None), ("given", tmp_path / "given")):
        assert choose_models("gray-noise", weights_dir=weights_dir).passes[0].place == "to be fetched"
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "004_grayDN_DFWB_s128w8_SwinIR-M_noise25.pth"
        file.touch()
        assert choose_models("gray-noise", weights_dir=weights_dir).passes[0].place == "cached"
        file.unlink()


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        (("portrait",), {}, "portrait"),
        (("photo", 5), {}, "1, 2, 3, 4, 8, got 5"),
        (("photo", 2.0), {}, "got 2.0"),
        (("photo", True), {}, "got True"),
        (("photo",), {"quality": "good"}, "good"),
        (("noise",), {"level": 20}, "Wrong level 20 .--level.: .* noise .* levels 15, 25, 50"),
        (("clean",), {"level": 25}, "Wrong level 25 .--level.: .* clean .--for. takes no level"),
    ],
)
def test_other_arguments_are_refused(arguments, options, word):
    with pytest.raises(InputError, match=word):
        choose_models(*arguments, **options)


@pytest.mark.parametrize(
    ("reached", "scale", "models"),
    [
        (2, 2, []),
        (4, 2, []),
        (1, 2, ["lightweight_x2"]),
        (1, 3, ["lightweight_x3"]),
        (2, 3, ["lightweight_x2"]),
        (3, 8, ["lightweight_x3"]),
        (1, 8, ["lightweight_x4", "lightweight_x2"]),
    ],
)
def test_further_passes_reach_the_scale(reached, scale, models):
    assert [step.model for step in further_passes(reached, scale)] == models


def test_passes_are_described_with_what_follows():
    given = Pass("runs/mine", 2, "given")
    assert describe_passes((given,), 2) == "runs/mine (given)"
    assert describe_passes((given,), 1) == "runs/mine (given), then MATLAB's bicubic to scale 1"


def test_sizes_of_official_files_are_those_of_their_tensors():
    known = official_checkpoints()
    for file_name, described in known["checkpoints"].items():
        architecture = known["architectures"][described["architecture"]]
        model = OFFICIAL[file_name.removesuffix(".pth")]
        buffers = sum(
            math.prod(shape) * (8 if dtype == "int64" else 4) for shape, dtype in architecture["buffers"].values()
        )
        assert model.parameters == architecture["num_parameters"]
        assert model.file_bytes == 4 * model.parameters + buffers


def counted(config, depths):
    shortened = dataclasses.replace(config, depths=depths, num_heads=config.num_heads[:1] * len(depths))
    return sum(map(math.prod, parameter_shapes(shortened).values()))


@pytest.mark.parametrize("name", [name for name in OFFICIAL if name.startswith("Swin2SR_")])
def test_sizes_of_swin2sr_files_are_those_of_the_network(name):
    model, config = OFFICIAL[name], OFFICIAL[name].config
    one = counted(config, (1,))
    layer, block = counted(config, (2,)) - one, counted(config, (1, 1)) - one  # all layers and all RSTBs are alike
    further_layers = sum(depth - 1 for depth in config.depths)
    assert model.parameters == one + (len(config.depths) - 1) * block + further_layers * layer
    assert model.file_bytes == 4 * model.parameters + sum(b.nbytes for b in official_buffers(config).values())


def test_swin2sr_files_belong_to_purposes():
    found = {name.removeprefix("Swin2SR_"): entry for name, entry in ENTRIES.items() if name.startswith("Swin2SR_")}
    assert {name: (entry.purpose, entry.task, entry.scale) for name, entry in found.items()} == {
        "ClassicalSR_X2_64": ("clean", "classical_sr", 2),
        "ClassicalSR_X4_64": ("clean", "classical_sr", 4),
        "Lightweight_X2_64": ("clean", "lightweight_sr", 2),
        "RealworldSR_X4_64_BSRGAN_PSNR": ("photo", "real_sr", 4),
        "CompressedSR_X4_48": ("jpeg", "compressed_sr", 4),
        "Jpeg_dynamic": ("jpeg", "jpeg_car", 1),
    }
    assert {entry.license for entry in found.values()} == {"Apache-2.0"}


def test_bundled_models_are_described():
    entry = ENTRIES["color_denoise_light"]
    assert (entry.purpose, entry.task, entry.level, entry.scale) == ("noise", "color_dn", "noise 15, 25, 50", 1)
    assert (entry.parameters, entry.speed, entry.place) == (905_283, "fast", "bundled")
    assert entry.bytes == bundled_models()["color_denoise_light"].stat().st_size
    assert ENTRIES["lightweight_x4"].scale == 4


def test_purposes_are_listed_with_all_choices():
    listed = {purpose["name"]: purpose for purpose in list_purposes()}
    assert [*listed] == [*PURPOSES]
    for purpose in listed.values():
        assert len(purpose["choices"]) == 2 * len(SCALES)
        for choice in purpose["choices"]:
            assert choice == choose_models(purpose["name"], choice["scale"], quality=choice["quality"]).as_dict()


def test_purpose_of_a_bundled_network_is_known_by_the_content_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, path in bundled_models().items():
        assert purpose_of(str(path)) == purpose_of(name) is not None
        if path.is_file():
            shutil.copy(path, "copy.safetensors")
            assert purpose_of("copy.safetensors") == purpose_of(name)
    Path("lightweight_x2.safetensors").write_bytes(b"other weights")
    assert purpose_of("lightweight_x2.safetensors") is None
    save_model("jpeg_light", params_of(TINY), TINY)
    assert purpose_of("jpeg_light") is None
