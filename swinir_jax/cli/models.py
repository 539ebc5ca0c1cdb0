"""`swinir-jax models`."""

import argparse
from collections.abc import Mapping
from typing import Any

from swinir_jax.checkpoints.zoo import DEFAULT_MODEL, OFFICIAL, bundled_models, bundled_scores
from swinir_jax.evaluation.report import format_score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Does nothing: the command has no arguments."""


def run(args: argparse.Namespace) -> int:
    """Prints the bundled and the official models."""
    scores = bundled_scores()
    print("Bundled, ready to use:")
    for name in bundled_models():
        note = " (the default)" if name == DEFAULT_MODEL else ""
        print(f"  {name}{note}: {_describe(scores[name][0])}")
    print("Official, downloaded at first use:")
    width = max(map(len, OFFICIAL))
    for model in OFFICIAL.values():
        print(f"  {model.name:{width}}  {model.task} {model.level}")
    return 0


def _describe(measured: Mapping[str, Any]) -> str:
    """Formats task and scores: `lightweight_sr 2; Set5: PSNR-Y 35.02 (baseline 33.68), ...`."""
    scores = ", ".join(
        f"{metric.replace('_', '-').upper()} {format_score(metric, value)}"
        f" (baseline {format_score(metric, measured['baseline'][metric])})"
        for metric, value in measured["scores"].items()
    )
    return f"{measured['task']} {measured['level']}; {measured['set']}: {scores}"
