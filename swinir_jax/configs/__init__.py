"""Experiments by name: one module for each family, with the table EXPERIMENTS."""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping

from swinir_jax.errors import InputError
from swinir_jax.training.experiment import Experiment

_FAMILIES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
_EXPERIMENTS: Mapping[str, Experiment] = {
    name: dataclasses.replace(experiment, name=name)
    for family in _FAMILIES
    for name, experiment in family.EXPERIMENTS.items()
}
NAMES: tuple[str, ...] = tuple(_EXPERIMENTS)


def load_experiment(name: str) -> Experiment:
    """Returns an experiment by name.

    Raises:
      InputError: if the name is unknown; the message lists the nearest names.
    """
    if name not in _EXPERIMENTS:
        near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4) or NAMES
        raise InputError(f"{name}: no such experiment; the nearest names are {', '.join(near)}.")
    return _EXPERIMENTS[name]


def families() -> Mapping[str, tuple[str, ...]]:
    """Returns the names of the experiments by the first line of the family's docstring."""
    return {(family.__doc__ or "").splitlines()[0]: tuple(family.EXPERIMENTS) for family in _FAMILIES}
