import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from swinir_jax.inference.memory import keep_scratch

if sys.argv[1] == "kept":
    keep_scratch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(6)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_scratch_memory_is_cleared_once_and_not_for_each_operation():
    def faults(word):
        done = subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, text=True, check=True)
        return int(done.stdout)

    pages = 6 * (1 << 20) // 4096
    assert faults("kept") < 2 * pages
    assert faults("as it is") > 10 * pages  # else glibc has learnt it by itself
