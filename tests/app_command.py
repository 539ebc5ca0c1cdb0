"""`swinir-jax app` in a process of its own."""

import contextlib
import re
import subprocess
import sys


@contextlib.contextmanager
def command(*options):
    """Runs `swinir-jax app`; yields the page's address."""
    arguments = [sys.executable, "-m", "swinir_jax.cli.main", "app", "--no-open", "--port", "0", *options]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stderr.readline, "")
            yield next(match[0] for line in lines if (match := re.search(r"http://127\.0\.0\.1:\d+/", line)))
        finally:
            process.terminate()
            assert process.wait(30) == 0
