"""What a compiled program needs, what the device has left, and what malloc keeps of it."""

import contextlib
import ctypes

import jax

from swinir_jax.machine import free_machine_bytes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def program_bytes(compiled: jax.stages.Compiled) -> int:
    """Memory that a program takes while it runs: arguments, results and temporaries, in bytes."""
    stats = compiled.memory_analysis()
    if stats is None:  # a backend that does not tell
        return 0
    return stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes


def free_bytes(device: jax.Device) -> int:
    """Memory of a device that is free now, in bytes; of the machine where the device does not tell."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_machine_bytes()


def release_unused() -> None:
    """Gives back to the system what a compilation has freed; glibc would keep it for this process."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def keep_scratch() -> None:
    """Keeps for the next operation what one of XLA's frees; glibc would give it back to the system, which clears it.

    Sets malloc for the whole process, which is up to who owns it: the command does, a Restorer does not.
    The bounds are those that glibc itself comes to, but only once it has freed an array of about the first.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        for parameter, size in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 64 << 20)):
            ctypes.CDLL(None).mallopt(parameter, size)
