"""What a compiled program needs, and what the device has left."""

from pathlib import Path

import jax
import psutil

_CGROUP_FILES = {  # limit and use of a container, which the machine's own figures do not show
    "/sys/fs/cgroup/memory.max": "/sys/fs/cgroup/memory.current",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "/sys/fs/cgroup/memory/memory.usage_in_bytes",
}


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
    return min([psutil.virtual_memory().available, *_container_bytes()])


def _container_bytes() -> list[int]:
    free = []
    for limit, use in _CGROUP_FILES.items():
        try:
            free.append(int(Path(limit).read_text()) - int(Path(use).read_text()))
        except (OSError, ValueError):  # no such container, or one without a limit ("max")
            continue
    return free
