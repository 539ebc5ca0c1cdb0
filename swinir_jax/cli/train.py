"""`swinir-jax train`, also `python train.py`."""

import argparse
import functools
import logging
import sys

import jax

from swinir_jax.cli.dataclass_arguments import FieldParser, with_fields
from swinir_jax.cli.devices import check_devices
from swinir_jax.cli.exit_codes import ENDED_EARLY
from swinir_jax.configs import families, load_experiment
from swinir_jax.errors import InputError
from swinir_jax.training.checkpoint import SaveError, read_config
from swinir_jax.training.experiment import Experiment
from swinir_jax.training.loop import TrainingError, train_and_evaluate
from swinir_jax.training.sharding import divide_cpu, initialize_distributed

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command; `run` parses the options after the name of the experiment."""
    table = "\n".join(f"  {summary}\n    {' '.join(names)}" for summary, names in families().items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s EXPERIMENT --workdir DIR [--data.hq folder:DIR] [--FIELD VALUE ...]"
    parser.epilog = f"experiments:\n{table}\n\n`{parser.prog} EXPERIMENT --help` lists its options and their defaults."
    parser.add_argument("experiment", metavar="EXPERIMENT", help="train by this recipe, one of those below")
    parser.add_argument("options", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False


def run(args: argparse.Namespace) -> int:
    """Trains to the last step, or until the run is asked to stop."""
    recipe = load_experiment(args.experiment)
    options = parse_options(args, recipe)
    if not options.workdir:
        raise InputError("The name of --workdir is empty.")
    if options.profile < 0:
        raise InputError(f"--profile must be at least 0, got {options.profile}.")
    stored = read_config(options.workdir)
    experiment = with_fields(stored if stored and stored.name == recipe.name else recipe, vars(options))
    initialize_distributed()
    if not experiment.network.has_dropout:  # the compiler divides a step with dropout, badly on CPUs
        divide_cpu(experiment.batch_size // experiment.optimizer.accumulate, experiment.shard_optimizer)
    check_devices()
    if options.quiet or jax.process_index():
        logging.getLogger("swinir_jax").setLevel(logging.ERROR)
    if not options.debug:
        _hide_background_tracebacks()
    try:
        train_and_evaluate(experiment, options.workdir, profile=options.profile)
    except (TrainingError, SaveError) as error:
        logger.error("%s", error, exc_info=options.debug)
        return ENDED_EARLY
    return 0


@functools.cache
def _hide_background_tracebacks() -> None:
    """Hides tracebacks of a failed save, which the log reports in one line, up to the end of the process.

    Orbax closes its event loop during other writes of TensorStore; each of them then prints a traceback, some when the
    interpreter ends.
    """
    unraisablehook = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            unraisablehook(unraisable)

    sys.unraisablehook = hook
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def parse_options(args: argparse.Namespace, experiment: Experiment) -> argparse.Namespace:
    """Parses the options after the name of the experiment.

    Args:
      args: arguments of the command, with these options unparsed.
      experiment: defaults that the help shows.

    Returns:
      `workdir`, `profile`, `quiet`, `debug`, and the given fields of the experiment by their dotted names.

    Raises:
      InputError: if an option is unknown or missing, or its value has the wrong type.
    """
    prog = f"swinir-jax train {args.experiment}"
    parser = FieldParser(
        prog=prog,
        usage=f"{prog} --workdir DIR [--data.hq folder:DIR] [--FIELD VALUE ...]",
        description="Train a network, or continue the run in the workdir with the options of the last time. The text "
        "behind an option says what its value is, and which value the experiment has.",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        required=True,
        help="write checkpoints, metrics and pictures into this folder, a path or gs://...; a run in it continues",
    )
    parser.add_argument(
        "--profile", type=int, metavar="INT", default=0,
        help="trace this many steps by JAX's profiler, after the first three, into profile/ by the logs (default: 0)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", default=args.quiet, help="print errors only")
    parser.add_argument("--debug", action="store_true", default=args.debug, help="show the traceback of an error")
    parser.add_fields(experiment, skip=("name",))
    return parser.parse(args.options)
