"""`swinir-jax COMMAND ...`."""

import argparse
import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from tqdm import tqdm

from swinir_jax.errors import InputError, printable

# Modules of this package; each has add_arguments(parser) and run(args) -> exit code, and is imported when it is used.
COMMANDS: Mapping[str, str] = {
    "restore": "restore photographs, or folders of them",
    "evaluate": "measure a model by the protocol of the paper",
    "train": "train a network, or go on with a run",
    "models": "list the models that can be had by name",
    "convert": "turn official weights into a model folder, and back",
    "export": "write a model as one file that runs without the code of the model",
    "prepare-data": "check a folder of training images, and cut it into records that are read fast",
}

EXIT_BROKEN_PIPE = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: arguments after the program's name; None for `sys.argv`.

    Returns:
      The exit code: 0; 1 if some files could not be restored; 2 for bad input; 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    try:
        args = _parse(argv)
        _prepare_streams()
        with _log_to_stderr(logging.ERROR if args.quiet else logging.INFO):
            _use_compilation_cache()
            _keep_scratch()
            return args.run(args)
    except BrokenPipeError:  # the reader of what is printed has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (InputError, OSError) as error:  # an OSError that nobody foresaw names its file, too
        if debug:
            raise
        print(f"swinir-jax: error: {printable(str(error))}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("swinir-jax: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the options."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, printable(f"{self.prog}: error: {message} (see {self.prog} --help)") + "\n")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="swinir-jax", description="SwinIR image restoration in JAX.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        command.add_argument("--quiet", action="store_true", help="print errors only")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if name in argv[:1]:
            module = importlib.import_module(f"swinir_jax.cli.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(argv)


def _prepare_streams() -> None:
    """Lets `print` escape names that standard output cannot show, as messages are; these never end up there."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:  # closed by who started the command
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _OneLine(logging.Formatter):
    """Keeps a message in one line, whatever names are in it; a traceback stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


class _BarHandler(logging.Handler):
    """Prints above the progress bars instead of through them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_OneLine())

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the work goes on though nobody can read of it
            tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def _log_to_stderr(level: int) -> Iterator[None]:
    """Prints what the package logs, and only that."""
    package, handler = logging.getLogger("swinir_jax"), _BarHandler()
    old_level = package.level
    package.addHandler(handler)
    package.propagate = False  # libraries install handlers of the root, which would print all again
    package.setLevel(level)
    orbax = logging.getLogger("absl")
    orbax_level = orbax.level
    orbax.setLevel(logging.ERROR)  # it warns of folders that are as they should be
    try:
        yield
    finally:
        orbax.setLevel(orbax_level)
        package.removeHandler(handler)
        package.setLevel(old_level)
        package.propagate = True


def _use_compilation_cache() -> None:
    """Keeps compiled programs for the next run, unless the user has said where or that not."""
    import jax
    import platformdirs

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = platformdirs.user_cache_path("swinir_jax") / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _keep_scratch() -> None:
    """Sets malloc for this process, which is the command's own."""
    from swinir_jax.inference.memory import keep_scratch

    keep_scratch()


if __name__ == "__main__":
    sys.exit(main())
