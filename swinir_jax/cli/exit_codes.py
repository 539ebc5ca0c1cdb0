"""Exit codes of commands that work on one file after the other.

0 is success; the parser exits with 2 for bad options.
"""

SOME_FAILED = 1
ALL_FAILED = 3
INTERRUPTED = 130  # by Ctrl-C


def code_of(failed: int, done: int) -> int:
    """Returns the exit code of a run by the numbers of files that failed and that did not."""
    if not failed:
        return 0
    return SOME_FAILED if done else ALL_FAILED
