"""`swinir-jax train`, also `python train.py`."""

import argparse
import contextlib
import dataclasses
import io
import logging
import re
from typing import Any

import jax

from swinir_jax.errors import InputError

try:
    import tyro
except ModuleNotFoundError as error:  # it comes with all the others
    raise InputError("Training needs more packages: pip install 'swinir-jax[train]'.") from error

from swinir_jax.configs import families, load_experiment
from swinir_jax.training.checkpoint import SaveError, read_config
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.loop import TrainingError, train_and_evaluate
from swinir_jax.training.sharding import divide_cpu, initialize_distributed

logger = logging.getLogger(__name__)

EXIT_ENDED_EARLY = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Options(Experiment):
    """Trains; a run that is in the workdir already goes on where it stopped, with the options of the last time."""

    workdir: str  # folder for checkpoints, metrics and pictures, on this machine or gs://...
    profile: int = 0  # steps of which a trace by JAX's profiler is written to profile/ beside the logs
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False  # print errors only
    debug: tyro.conf.FlagCreatePairsOff[bool] = False  # show the traceback of an error
    name: tyro.conf.Suppress[str] = ""  # the command's first argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments; those after the experiment's name are its fields, which `run` parses."""
    table = "\n".join(f"  {summary}\n    {' '.join(names)}" for summary, names in families().items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s EXPERIMENT --workdir DIR [--data.hq folder:DIR] [--FIELD VALUE ...]"
    parser.epilog = (
        f"experiments:\n{table}\n\n`{parser.prog} EXPERIMENT --help` lists all fields of one and their values."
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="one of those below")
    parser.add_argument("fields", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False


def run(args: argparse.Namespace) -> int:
    """Trains to the end, or until it is asked to stop."""
    recipe = load_experiment(args.experiment)
    options = _parse(args, recipe)
    stored = read_config(options.workdir)
    if stored and stored.name == recipe.name:
        options = _parse(args, stored)
    initialize_distributed()
    if not options.network.has_dropout:  # its step is left to the compiler, which divides it badly on CPUs
        divide_cpu(options.batch_size // options.optimizer.accumulate, options.shard_optimizer)
    if options.quiet or jax.process_index():
        logging.getLogger("swinir_jax").setLevel(logging.ERROR)
    experiment = Experiment(**_fields(options, Experiment))
    try:
        train_and_evaluate(experiment, options.workdir, profile=options.profile)
    except (TrainingError, SaveError) as error:
        logger.error("%s", error, exc_info=options.debug)
        return EXIT_ENDED_EARLY
    return 0


def _parse(args: argparse.Namespace, experiment: Experiment) -> _Options:
    """The command line's fields over those of an experiment."""
    default = _Options(**_fields(experiment, Experiment), workdir=tyro.MISSING, quiet=args.quiet, debug=args.debug)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(_Options, prog=f"train.py {args.experiment}", args=args.fields, default=default)
    except SystemExit as end:
        if not end.code:  # of --help
            raise
        raise InputError(_one_line(said.getvalue())) from end


def _fields(values: Experiment, of: type[Experiment]) -> dict[str, Any]:
    """Shallowly, as arguments of the class."""
    return {field.name: getattr(values, field.name) for field in dataclasses.fields(of)}


def _one_line(box: str) -> str:
    """What Tyro says in a box of a title and several paragraphs, without title, frame and help."""
    _, *paragraphs = re.split("[─-]{4,}", re.sub("[│╭╮╰╯]", " ", box))
    said = [" ".join(text.split()) for text in paragraphs]
    said = [text for text in said if text and not text.startswith(("Argument helptext", "For full helptext"))]
    return ". ".join(said).removeprefix(f"Error parsing {_Options.__name__}: ")
