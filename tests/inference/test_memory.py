import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from swinir_jax.cli.main import main
from swinir_jax.inference.memory import free_bytes

FAULTS = """
import resource, sys
import numpy as np
from swinir_jax.machine import keep_scratch

if sys.argv[1] == "kept":
    keep_scratch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    arrays = [np.ones(8 << 20, np.uint8) for _ in range(6)]  # more than imports leave free
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_scratch_memory_is_cleared_once_and_not_for_each_operation():
    def faults(word):
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", FAULTS, word]
        done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert 3 * faults("kept") < faults("as it is")


def test_what_a_device_has_in_use_is_not_free():
    assert free_bytes(SimpleNamespace(memory_stats=lambda: {"bytes_limit": 10, "bytes_in_use": 4})) == 6


def test_the_command_sets_malloc_of_its_process(monkeypatch, capsys):
    called = []
    monkeypatch.setattr("swinir_jax.cli.main.keep_scratch", lambda: called.append(True))
    assert main(["models"]) == 0
    assert called == [True]
