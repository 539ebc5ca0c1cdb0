"""Memory of programs, devices and this process, and what malloc keeps of it."""

import contextlib
import ctypes
from typing import TYPE_CHECKING

import psutil

from swinir_jax.machine import free_machine_bytes

if TYPE_CHECKING:  # the command sets malloc's limits before it needs JAX
    import jax

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def program_bytes(compiled: "jax.stages.Compiled") -> int:
    """Returns the bytes that a program takes while it runs: arguments, results and temporaries."""
    stats = compiled.memory_analysis()
    if stats is None:  # some backends do not say
        return 0
    return stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes


def free_bytes(device: "jax.Device") -> int:
    """Returns the free bytes of a device, or of the machine if the device does not say."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_machine_bytes()


def resident_bytes() -> int:
    """Returns the bytes of memory that this process holds."""
    return psutil.Process().memory_info().rss


def release_unused() -> None:
    """Returns freed memory to the system, which glibc would keep for this process."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def keep_scratch() -> None:
    """Keeps the memory that one XLA operation frees for the next operation.

    glibc would return large blocks to the system, which clears them before each use. The setting concerns the whole
    process, so only the command calls this function. The bounds are those that glibc reaches by itself after it has
    freed one array of the first size.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        for parameter, size in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 64 << 20)):
            ctypes.CDLL(None).mallopt(parameter, size)
