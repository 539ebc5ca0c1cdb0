"""What a compiled program needs, what the device has left, and what malloc keeps of it."""

import contextlib
import ctypes
import re
from pathlib import Path

import jax
import psutil

_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory"))  # versions 2 and 1
_CGROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
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
    return max(0, min([psutil.virtual_memory().available, *_container_bytes()]))


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


def _container_bytes() -> list[int]:
    """What a container may still take, which the machine's own figures do not show."""
    free = []
    for folder, (limit, use) in zip(_CGROUPS, _CGROUP_FILES, strict=True):
        try:
            reclaimable = re.search(
                r"^(?:total_)?inactive_file (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE
            )
            cached = int(reclaimable[1]) if reclaimable else 0
            free.append(int((folder / limit).read_text()) - int((folder / use).read_text()) + cached)
        except (OSError, ValueError):  # no such container, or one without a limit ("max")
            continue
    return free
