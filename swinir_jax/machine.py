"""Memory, cores and units of the machine, and what malloc keeps for this process."""

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

_CGROUP_LIST = Path("/proc/self/cgroup")  # lines of number, controllers (none in version 2) and group
_CGROUPS = (
    (Path("/sys/fs/cgroup"), "", ("memory.max", "memory.current")),
    (Path("/sys/fs/cgroup/memory"), "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
)  # of versions 2 and 1: where groups lie, the controller, and the files of limit and use

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_UNITS = {"avx512_bf16", "bf16"}  # AMD's, Arm's
_INTEL_BFLOAT16_UNITS = {"amx_bf16"}  # Intel's avx512_bf16 multiplies no faster than its units for float32

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def free_machine_bytes() -> int:
    """Returns the memory that this process can still take, in bytes, within the limit of a container."""
    return max(0, min([psutil.virtual_memory().available, *_container_bytes()]))


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


def usable_cores() -> int:
    """Returns the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gains_by_bfloat16() -> bool:
    """Returns whether the processor multiplies faster in bfloat16 than in float32; True on systems that do not tell."""
    try:
        text = _CPU_INFO.read_text()
    except OSError:
        return True
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    units = _INTEL_BFLOAT16_UNITS if re.search(r"^vendor_id\s*: GenuineIntel", text, re.MULTILINE) else _BFLOAT16_UNITS
    return flags is None or not units.isdisjoint(flags[1].split())


def _container_bytes() -> list[int]:
    """Returns the memory that each control group of the process leaves; psutil does not know these limits."""
    free = []
    for folder, (limit, use) in _control_groups():
        try:
            reclaimable = re.search(
                r"^(?:total_)?inactive_file (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE
            )
            cached = int(reclaimable[1]) if reclaimable else 0
            free.append(int((folder / limit).read_text()) - int((folder / use).read_text()) + cached)
        except (OSError, ValueError):  # there is no control group, or no limit ("max")
            continue
    return free


def _control_groups() -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yields the folders of the process's groups and of those around them, with the names of the files."""
    try:
        lines = [line.split(":", 2) for line in _CGROUP_LIST.read_text().splitlines()]
        groups = {controller: group for _, controllers, group in lines for controller in controllers.split(",")}
    except (OSError, ValueError):
        groups = {}
    for root, controller, names in _CGROUPS:
        folder = root / groups.get(controller, "").lstrip("/")
        for above in (folder, *folder.parents):
            if above.is_relative_to(root):
                yield above, names
