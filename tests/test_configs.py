import argparse
import dataclasses
import importlib
import pkgutil
import re
import shlex
import typing

import pytest

from swinir_jax import configs
from swinir_jax.checkpoints.pretrained import load_pretrained
from swinir_jax.checkpoints.zoo import OFFICIAL
from swinir_jax.cli import train
from swinir_jax.cli.dataclass_arguments import with_fields
from swinir_jax.cli.main import main
from swinir_jax.configs import NAMES, families, load_experiment
from swinir_jax.errors import InputError
from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.training.checks import check_experiment
from swinir_jax.training.experiment import LossConfig

# Learning rate, steps, batch, patch, loss and steps of the halvings in the original training code.
RECIPES = {
    "classical_sr_x2": (2e-4, 500_000, 32, 48, "l1", (250_000, 400_000, 450_000, 475_000)),
    "classical_sr_x8": (1e-4, 250_000, 32, 48, "l1", (125_000, 200_000, 225_000, 237_500)),
    "swin2sr_classical_x2": (2e-4, 500_000, 32, 64, "l1", (250_000, 400_000, 450_000, 475_000)),
    "lightweight_sr_x2": (2e-4, 500_000, 64, 64, "l1", (250_000, 400_000, 450_000, 475_000)),
    "lightweight_sr_x4": (1e-4, 250_000, 64, 64, "l1", (125_000, 200_000, 225_000, 237_500)),
    "gray_dn_noise15": (2e-4, 1_600_000, 8, 128, "charbonnier", (800_000, 1_200_000, 1_400_000, 1_500_000)),
    "color_dn_noise50": (1e-4, 800_000, 8, 128, "charbonnier", (400_000, 600_000, 700_000, 750_000)),
    "jpeg_car_q40": (2e-4, 1_600_000, 8, 126, "charbonnier", (800_000, 1_200_000, 1_400_000, 1_500_000)),
    "real_sr_x4_psnr": (2e-4, 1_000_000, 32, 64, "l1", (500_000, 800_000, 900_000, 950_000)),
    "real_sr_large_x2_psnr": (2e-4, 1_000_000, 32, 64, "l1", (500_000, 800_000, 900_000, 950_000)),
    "real_sr_x4_gan": (1e-4, 600_000, 32, 64, "l1", (400_000, 500_000, 550_000, 575_000)),
    "color_jpeg_car_q10": (1e-4, 800_000, 8, 126, "charbonnier", (400_000, 600_000, 700_000, 750_000)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_figures_of_the_original_training_code(name):
    e = load_experiment(name)
    halvings = tuple(round(share * e.steps) for share in e.optimizer.milestones)
    figures = (e.optimizer.learning_rate, e.steps, e.batch_size, e.data.patch_size, e.loss.name, halvings)
    assert figures == RECIPES[name]
    assert (e.optimizer.name, e.optimizer.weight_decay, e.optimizer.clip_norm) == ("adam", 0, None)
    assert e.network.img_size == e.data.patch_size


@pytest.mark.parametrize("name", NAMES)
def test_parts_fit_and_the_name_says_the_level(name):
    experiment = load_experiment(name)
    check_experiment(experiment)
    assert experiment.name == name
    degradation = experiment.data.degradation
    assert degradation.low <= experiment.validation.level <= degradation.high
    if level := re.search(r"\d+(?=$|_psnr$|_gan$)", name):
        assert degradation.low == degradation.high == int(level[0])
        assert name.startswith((experiment.task, "real_light", "swin2sr_classical"))


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_fit_the_body_of_the_network(name):
    experiment = load_experiment(name)
    if experiment.init_from:
        official = OFFICIAL.get(experiment.init_from)
        first = official.config if official else load_pretrained(experiment.init_from)[0].config
        changed = dict(upscale=experiment.network.upscale, img_size=experiment.network.img_size)
        assert dataclasses.replace(first, **changed) == experiment.network
        assert first.shift_size == experiment.network.shift_size
    else:
        assert name.endswith(("_x2", "_noise15", "_q40", "_light", "_psnr", "_gan"))


def test_the_recipe_of_swin2sr_trains_the_published_network():
    assert load_experiment("swin2sr_classical_x2").network == OFFICIAL["Swin2SR_ClassicalSR_X2_64"].config


def test_adversarial_recipes_have_the_weights_of_the_original_training_code():
    e = load_experiment("real_sr_large_x4_gan")
    assert (e.loss.weight, e.loss.perceptual, e.loss.perceptual_weight) == (1, "vgg19", 1)
    assert (e.gan.loss, e.gan.weight, e.gan.features, e.gan.optimizer.learning_rate) == ("gan", 0.1, 64, 1e-4)
    assert (e.gan.feature_matching, e.gan.artifacts, e.gan.warmup_steps) == (0, 0, 0)
    assert e.gan.optimizer.milestones == e.optimizer.milestones


def test_the_perceptual_loss_takes_all_feature_networks():
    names = typing.get_args(typing.get_type_hints(LossConfig)["perceptual"])
    assert names == ("none", *FEATURE_NETWORKS)


def test_commands_in_the_docstrings_can_be_parsed():
    commands = []
    for module in pkgutil.iter_modules(configs.__path__):
        text = importlib.import_module(f"swinir_jax.configs.{module.name}").__doc__
        commands += re.findall(r"python train.py (?:.*\\\n)*.*", text)
    assert len(commands) >= len(families())
    for command in commands:
        _, _, name, *fields = shlex.split(command.replace("\\\n", ""))
        arguments = argparse.Namespace(experiment=name, options=fields, quiet=False, debug=False)
        options = train.parse_options(arguments, load_experiment(name))
        assert with_fields(load_experiment(name), vars(options)).data.hq.startswith("folder:")


def test_help_lists_every_experiment(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = capsys.readouterr().out.split()
    assert [name for name in NAMES if name not in words] == []
    assert len(NAMES) >= 23


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"clasical_sr_x4: no such experiment.*classical_sr_x4"):
        load_experiment("clasical_sr_x4")
