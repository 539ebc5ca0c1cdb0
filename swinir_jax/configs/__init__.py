"""The experiments that can be trained by name: each module here that has an EXPERIMENT."""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping

from swinir_jax.errors import InputError
from swinir_jax.training.experiment import Experiment

NAMES: tuple[str, ...] = tuple(
    sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "recipes")
)


def load_experiment(name: str) -> Experiment:
    """The experiment of this name.

    Raises:
      InputError: if there is none; the message tells the nearest names.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4) or NAMES
        raise InputError(f"{name}: no such experiment; the nearest names are {', '.join(near)}.")
    return dataclasses.replace(importlib.import_module(f"{__name__}.{name}").EXPERIMENT, name=name)


def summaries() -> Mapping[str, str]:
    """The first line of each experiment's description, by name."""
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in NAMES}
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules.items()}
