"""`swinir-jax COMMAND ...`."""

import argparse
import atexit
import contextlib
import gc
import importlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from swinir_jax.caches import user_cache
from swinir_jax.cli.completion import SHELLS, PrintCompletion
from swinir_jax.cli.exit_codes import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, code_of_error
from swinir_jax.cli.parser import Parser, PrintVersion
from swinir_jax.cli.termination import Terminated, describe_end, describe_refusal, hold_warning, raising_signals
from swinir_jax.errors import InputError, missing_package, printable
from swinir_jax.files import holding_interrupts, make_folder
from swinir_jax.machine import keep_scratch

logger = logging.getLogger(__name__)

# Command -> summary. The module of the same name has add_arguments(parser) and run(args) -> exit code.
COMMANDS: Mapping[str, str] = {
    "restore": "restore photographs, or folders of them",
    "app": "restore photographs on a page in the browser",
    "site": "write the page as static files, whose networks run in the browser",
    "evaluate": "measure a model by the protocol of the paper",
    "train": "train a network, or continue a run",
    "models": "list the models that are available by name",
    "convert": "turn official weights into a model folder, and back",
    "export": "write a model as one file that runs without the code of the model",
    "degrade": "show what a blind degradation makes of photographs",
    "prepare-data": "check folders of training images, and cut or degrade them in advance",
}

# Command -> extra with the packages that a plain installation lacks.
_EXTRAS: Mapping[str, str] = {"app": "app", "train": "train", "degrade": "train", "prepare-data": "train"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: arguments after the program's name; None for those of the process.

    Returns:
      Exit code, as docs/getting_started.md lists them.
    """
    argv = [_expanded(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    no_cache = _use_compilation_cache()
    debug = "--debug" in argv
    try:
        with raising_signals():
            if argv[:1] == ["train"]:
                hold_warning()
            args = _parse(argv)
            _prepare_streams()
            with _log_to_stderr(logging.ERROR if args.quiet else logging.INFO):
                if no_cache:
                    logger.warning("compiled programs are not kept for later runs: %s", no_cache)
                keep_scratch()
                atexit.register(gc.freeze)  # else the interpreter ends by collecting all of JAX, for 0.3 s
                return args.run(args)
    except BrokenPipeError:  # the reader of standard output, such as `head`, has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (InputError, OSError, MemoryError) as error:  # the text of an OSError names the file, too
        if debug:
            raise
        _complain(f"error: {describe_end(error)}")
        return code_of_error(error)
    except (ValueError, RuntimeError) as error:
        refusal = describe_refusal(error)
        if debug or not refusal:
            raise
        _complain(f"error: {refusal}")
        return BAD_INPUT
    except KeyboardInterrupt as error:
        _complain(describe_end(error))
        return error.exit_code if isinstance(error, Terminated) else INTERRUPTED


def _complain(line: str) -> None:
    with contextlib.suppress(OSError):  # a full or closed standard error leaves the exit code
        print(f"swinir-jax: {line}", file=sys.stderr, flush=True)


def _expanded(argument: str) -> str:
    """Puts the home folder in place of `~` in a path, where the shell has not: in quotes and behind `--option=`."""
    return re.sub(r"\A((?:--[\w.-]+=)?)~(?=/|\Z)", lambda match: match[1] + os.path.expanduser("~"), argument)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="swinir-jax", description="SwinIR image restoration in JAX.")
    parser.add_argument("--version", action=PrintVersion, nargs=0, help="print the version")
    parser.add_argument(
        "--print-completion", action=PrintCompletion, choices=SHELLS, help="print a script that completes commands"
    )
    is_completing = argv[:1] and argv[0].startswith("--print-completion")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        command.add_argument("--quiet", action="store_true", help="print errors only")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if name in argv[:1]:
            module = _module(name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
        elif is_completing:
            with contextlib.suppress(InputError):  # a command whose packages are missing completes by name
                _module(name).add_arguments(command)
    return parser.parse_args(argv)


def _module(command: str) -> ModuleType:
    """Imports the module of a command; some need packages that a plain installation lacks."""
    try:
        with holding_interrupts():  # which would crash modules of JAX while they are imported
            return importlib.import_module(f"swinir_jax.cli.{command.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if command not in _EXTRAS:
            raise
        raise missing_package(f"{command} needs {error.name}", _EXTRAS[command]) from error


def _prepare_streams() -> None:
    """Escapes characters that standard output cannot encode, and replaces a closed standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _OneLine(logging.Formatter):
    """Formatter that keeps a message in one line, but not a traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))


class _BarHandler(logging.Handler):
    """Handler that prints above the progress bars."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_OneLine())

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a closed standard error does not stop the work
            tqdm.write(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def _log_to_stderr(level: int) -> Iterator[None]:
    """Prints the package's log messages, and no other package's."""
    package, handler = logging.getLogger("swinir_jax"), _BarHandler()
    old_level = package.level
    package.addHandler(handler)
    package.propagate = False  # handlers that libraries install at the root would print messages again
    package.setLevel(level)
    absl = logging.getLogger("absl")
    absl_level = absl.level
    absl.setLevel(logging.ERROR)  # Orbax warns about folders that are in order
    try:
        yield
    finally:
        absl.setLevel(absl_level)
        package.removeHandler(handler)
        package.setLevel(old_level)
        package.propagate = True


def _use_compilation_cache() -> InputError | None:
    """Keeps compiled programs for later runs, in the folder of JAX's own variable if the user has set that.

    JAX reads the variables when it is imported.

    Returns:
      The error of a folder that cannot be written into; programs are not kept then.
    """
    # A program that cannot be kept or read, as on a full disk, is compiled: nothing for the user to do.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        if folder is None:
            folder = os.environ["JAX_COMPILATION_CACHE_DIR"] = str(user_cache("compiled"))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
        if folder and "://" not in folder:
            folder.encode()  # as JAX does, to UTF-8
            make_folder(Path(folder))
    except (InputError, UnicodeEncodeError) as error:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = ""
        return error if isinstance(error, InputError) else InputError(f"{folder}: the name is not UTF-8.")
    return None


if __name__ == "__main__":
    sys.exit(main())
