"""The devices on which `swinir-jax restore` restores pictures, one on each at a time."""

import jax

from swinir_jax.errors import InputError
from swinir_jax.machine import free_machine_bytes

_CPU_PIXELS = 2**24  # of a result; larger pictures may need the memory of the next one and of the last one
_PIXEL_BYTES = 48  # of a result beside a GPU, in the host's memory: a picture is read, one restored and one written


def take_devices(count: int | None) -> list[jax.Device]:
    """Returns some devices of this machine.

    Args:
      count: number of devices; None for all GPUs or TPU chips, or for one CPU.

    Raises:
      InputError: if the machine has fewer devices.
    """
    devices = jax.local_devices()
    if count is None:
        return devices[:1] if devices[0].platform == "cpu" else devices
    if not 1 <= count <= len(devices):
        raise InputError(f"--devices must be 1 up to the number that JAX finds here, {len(devices)}; got {count}.")
    return devices[:count]


def largest_beside_others(devices: int) -> int:
    """Returns the pixels of the largest result beside which others are read, restored and written."""
    if jax.default_backend() == "cpu":
        return _CPU_PIXELS
    return max(_CPU_PIXELS, free_machine_bytes() // (2 * _PIXEL_BYTES * devices))
