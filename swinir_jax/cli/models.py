"""`swinir-jax models`."""

import argparse
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from swinir_jax.checkpoints.catalogue import Entry, list_models, list_purposes
from swinir_jax.checkpoints.folders import is_two_ended
from swinir_jax.checkpoints.purposes import PURPOSES, Choice, choose_models
from swinir_jax.checkpoints.zoo import model_path
from swinir_jax.cli.output import say
from swinir_jax.evaluation.report import format_score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print purposes, choices and models as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the bundled and the official models by purpose."""
    entries = list_models()
    if args.json:
        models = [dataclasses.asdict(entry) for entry in entries]
        say(json.dumps({"purposes": list_purposes(), "models": models}, indent=2))
        return 0
    for purpose in PURPOSES.values():
        say(
            purpose.label,
            f"  swinir-jax restore PHOTO --for {purpose.name}",
            f"    {_enlargement(purpose.scale)}: {_names(choose_models(purpose.name))}",
            "  swinir-jax restore PHOTO --model NAME",
            *(f"    {_describe(entry)}" for entry in entries if entry.purpose == purpose.name),
            "",
        )
    say("fast: the paper's small networks; medium: about 6 times as long for the same picture; slow: longer still.")
    return 0


def _names(choice: Choice) -> str:
    return ", then ".join(step.model for step in choice.passes)


def _enlargement(scale: int) -> str:
    return "same size" if scale == 1 else f"enlarges by {scale}"


def _describe(entry: Entry) -> str:
    """Formats an entry, plain words first: `lightweight_x2: enlarges by 2; fast; bundled; 2 MB, ...`."""
    facts = [_enlargement(entry.scale), entry.speed, entry.place]
    facts += ["--strength 0..1"] * is_two_ended(model_path(entry.name))
    facts += [f"{entry.bytes / 1e6:.0f} MB, {entry.parameters / 1e6:.1f} M parameters"]
    facts += [_scores(entry.scores[0]) if entry.scores else f"{entry.task} {entry.level}"]
    return f"{entry.name}: {'; '.join([*facts, str(entry.license)])}"


def _scores(measured: Mapping[str, Any]) -> str:
    scores = ", ".join(
        f"{metric.replace('_', '-').upper()} {format_score(metric, value)}"
        f" (baseline {format_score(metric, measured['baseline'][metric])})"
        for metric, value in measured["scores"].items()
    )
    return f"{measured['task']} {measured['level']}; {measured['set']}: {scores}"
