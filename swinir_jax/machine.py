"""Free memory, cores and units of the machine."""

import os
import re
from pathlib import Path

import psutil

_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory"))  # versions 2 and 1
_CGROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}  # Intel's and AMD's, Intel's, Arm's


def free_machine_bytes() -> int:
    """Returns the memory that this process can still take, in bytes, within the limit of a container."""
    return max(0, min([psutil.virtual_memory().available, *_container_bytes()]))


def usable_cores() -> int:
    """Returns the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_bfloat16() -> bool:
    """Returns whether the processor has units for bfloat16; True on systems that do not tell."""
    try:
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", _CPU_INFO.read_text(), re.MULTILINE)
    except OSError:
        return True
    return flags is None or not _BFLOAT16_UNITS.isdisjoint(flags[1].split())


def _container_bytes() -> list[int]:
    """Returns the memory that each control group of a container leaves; psutil does not know these limits."""
    free = []
    for folder, (limit, use) in zip(_CGROUPS, _CGROUP_FILES, strict=True):
        try:
            reclaimable = re.search(
                r"^(?:total_)?inactive_file (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE
            )
            cached = int(reclaimable[1]) if reclaimable else 0
            free.append(int((folder / limit).read_text()) - int((folder / use).read_text()) + cached)
        except (OSError, ValueError):  # there is no control group, or no limit ("max")
            continue
    return free
