"""The devices on which networks run; `swinir-jax restore` restores a picture on each at a time."""

import os

import jax

from swinir_jax.errors import InputError, one_line
from swinir_jax.machine import free_machine_bytes, usable_cores

_CPU_PIXELS = 2**24  # of a result; larger pictures may need the memory of the next one and of the last one
_PIXEL_BYTES = 16  # of a result beside a GPU, in the host's memory, of each picture that is read, restored or written
_MOST_FILES = 8


def check_devices() -> None:
    """Raises InputError if JAX finds no device, as where `$JAX_PLATFORMS` names a kind that this machine lacks."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        chosen = os.environ.get("JAX_PLATFORMS")
        asked = f" for JAX_PLATFORMS={chosen}" if chosen else ""
        reason = f" ({one_line(error)})" if str(error) else ""
        raise InputError(f"JAX finds no device{asked}{reason}.") from error


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


def files_beside(devices: int) -> int:
    """Returns how many pictures are read for a device at a time, and how many of its results are written.

    A core writes a PNG file more slowly than a GPU restores its picture. A CPU has its cores for the network.
    """
    if jax.default_backend() == "cpu":
        return 1
    return min(_MOST_FILES, max(1, usable_cores() // (2 * devices)))


def largest_beside_others(devices: int) -> int:
    """Returns the pixels of the largest result beside which others are read, restored and written."""
    if jax.default_backend() == "cpu":
        return _CPU_PIXELS
    pictures = devices * (1 + 2 * files_beside(devices))
    return max(_CPU_PIXELS, free_machine_bytes() // (2 * _PIXEL_BYTES * pictures))
