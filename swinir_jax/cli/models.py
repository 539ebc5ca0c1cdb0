"""`swinir-jax models`."""

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
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
    width = max(len(entry.name) for entry in entries)
    for purpose in PURPOSES.values():
        print(f"{purpose.label} (--for {purpose.name})")
        for entry in entries:
            if entry.purpose == purpose.name:
                print(f"  {entry.name:{width}}  {_describe(entry)}")
                if entry.scores:
                    print(f"  {'':{width}}  {_scores(entry.scores)}")
        print(f"  taken at scale {purpose.scale}, the default: {_models(choose_models(purpose.name))}")
        print()
    print("fast: the paper's small networks; medium: about 6 times as long for the same picture; slow: longer still.")
    return 0


def _models(choice: Choice) -> str:
    return ", then ".join(step.model for step in choice.passes)


def _describe(entry: Entry) -> str:
    size = f"{entry.parameters / 1e6:4.1f} M parameters, {entry.bytes / 1e6:3.0f} MB"
    return f"{entry.task} {entry.level}; {size}; {entry.speed}; {entry.place}"


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    """Formats the main scores: `Set5: PSNR-Y 35.02 (baseline 33.68), ...`."""
    measured = scores[0]
    listed = ", ".join(
        f"{metric.replace('_', '-').upper()} {format_score(metric, value)}"
        f" (baseline {format_score(metric, measured['baseline'][metric])})"
        for metric, value in measured["scores"].items()
    )
    return f"{measured['set']}, {measured['task']} {measured['level']}: {listed}"
