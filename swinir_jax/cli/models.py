"""`swinir-jax models`."""

import argparse
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from swinir_jax.checkpoints.catalogue import Entry, list_models, list_purposes
from swinir_jax.checkpoints.purposes import PURPOSES, Choice, choose_models
from swinir_jax.evaluation.report import format_score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print purposes, choices and models as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the bundled and the official models by purpose."""
    entries = list_models()
    if args.json:
        print(
            json.dumps(
                {"purposes": list_purposes(), "models": [dataclasses.asdict(entry) for entry in entries]}, indent=2
            )
        )
        return 0
    for purpose in PURPOSES.values():
        print(f"{purpose.label} (--for {purpose.name})")
        for entry in entries:
            if entry.purpose == purpose.name:
                print(f"  {_describe(entry)}")
        print(f"  --for {purpose.name} takes, at scale {purpose.scale}: {_names(choose_models(purpose.name))}")
        print()
    print("fast: the paper's small networks; medium: about 6 times as long for the same picture; slow: longer still.")
    return 0


def _names(choice: Choice) -> str:
    return ", then ".join(step.model for step in choice.passes)


def _describe(entry: Entry) -> str:
    """Formats an entry: `lightweight_x2: lightweight_sr 2; Set5: PSNR-Y 37.03 (baseline 33.68), ...`."""
    measured = _scores(entry.scores[0]) if entry.scores else f"{entry.task} {entry.level}"
    size = f"{entry.parameters / 1e6:.1f} M parameters, {entry.bytes / 1e6:.0f} MB"
    return f"{entry.name}: {measured}; {size}; {entry.speed}; {entry.place}; {entry.license}"


def _scores(measured: Mapping[str, Any]) -> str:
    scores = ", ".join(
        f"{metric.replace('_', '-').upper()} {format_score(metric, value)}"
        f" (baseline {format_score(metric, measured['baseline'][metric])})"
        for metric, value in measured["scores"].items()
    )
    return f"{measured['task']} {measured['level']}; {measured['set']}: {scores}"
