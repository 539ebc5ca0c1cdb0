"""Memory of programs and devices."""

import jax

from swinir_jax.machine import free_machine_bytes


def program_bytes(compiled: jax.stages.Compiled) -> int:
    """Returns the bytes that a program takes while it runs: arguments, results and temporaries."""
    stats = compiled.memory_analysis()
    if stats is None:  # some backends do not say
        return 0
    return stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes


def free_bytes(device: jax.Device) -> int:
    """Returns the free bytes of a device, or of the machine if the device does not say."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_machine_bytes()
