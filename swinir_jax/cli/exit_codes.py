"""Exit codes of commands; 0 is success."""

from swinir_jax.errors import DownloadError, UnwritableError

SOME_FAILED = 1  # of several files
ENDED_EARLY = 1  # a training
TEST_FAILED = 1  # of an exported file
BROKEN_PIPE = 1
BAD_INPUT = 2  # as of argparse, for bad options
ALL_FAILED = 3
NOT_FETCHED = 4  # a later try may succeed
NOT_WRITABLE = 5
HUNG_UP = 129  # by SIGHUP
INTERRUPTED = 130  # by Ctrl-C
TERMINATED = 143  # by SIGTERM


def code_of(failed: int, done: int) -> int:
    """Returns the exit code of a run by the numbers of files that failed and that did not."""
    if not failed:
        return 0
    return SOME_FAILED if done else ALL_FAILED


def code_of_error(error: Exception) -> int:
    """Returns the exit code of a command that an error has ended."""
    codes = {DownloadError: NOT_FETCHED, UnwritableError: NOT_WRITABLE}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), BAD_INPUT)
