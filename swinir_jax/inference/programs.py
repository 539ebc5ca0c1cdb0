"""Compiled programs of the network, one for each shape of its input."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.inference.memory import free_bytes, program_bytes
from swinir_jax.inference.sharding import Devices
from swinir_jax.machine import release_unused
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)

_TELLING_PIXELS = 2**16  # in smaller programs, the weights count for more than the pixels


class Programs:
    """Compiles the network for each input shape on first use, and runs it.

    Threads may share it; they wait for each other's compiling. Can be pickled and copied: the copy takes the weights
    along and compiles anew on devices of the same platform.

    Attributes:
      model: the network.
      devices: devices that run the network.
      weights: the parameters as the programs take them, on the devices.
    """

    def __init__(self, model: SwinIR, params: Mapping[str, Any], mesh: jax.sharding.Mesh | None, *, fast: bool):
        """Puts the weights on devices.

        Args:
          model: the network.
          params: parameters of the network.
          mesh: devices of this process; None for one device: the one that holds committed parameters, else JAX's
            default device.
          fast: whether a single device runs `swinir_jax.cpu` or the kernel of `swinir_jax.gpu`.

        Raises:
          InputError: if the mesh has devices of other processes.
        """
        leaves = jax.tree.leaves(params)
        self.model = model
        self.devices = Devices(_one_device(leaves) if mesh is None else mesh, fast=fast)
        self.weights = self.devices.place(params, model)
        self._forget()

    def _forget(self) -> None:
        self._compiled: dict[tuple[int, ...], jax.stages.Compiled] = {}
        self._needs: dict[tuple[int, ...], int] = {}  # bytes; also of dropped programs
        self._lock = threading.RLock()  # else each thread would compile the same program, and drop that of another

    def __len__(self) -> int:
        """Returns the number of compiled programs."""
        return len(self._compiled)

    def __getstate__(self) -> tuple[SwinIR, Devices, Any]:
        return self.model, self.devices, jax.device_get(self.weights)

    def __setstate__(self, state: tuple[SwinIR, Devices, Any]) -> None:
        self.model, self.devices, weights = state
        self.weights = self.devices.put(weights)
        self._forget()

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Restores a batch.

        Args:
          batch: `[B, h, w, C]` float32, sides multiples of the window.

        Returns:
          `[B, h * upscale, w * upscale, C]` float32.

        Raises:
          InputError: if the memory of the device does not suffice.
        """
        with _naming_size(batch.shape):
            return self.devices.run(self.compiled(batch.shape), self.weights, batch)

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Compiles the program for `[B, h, w, C]` images; raises InputError if the memory does not suffice."""
        with _naming_size(shape):
            self.compiled(shape)

    def compiled(self, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """Returns the program for `[B, h, w, C]` images."""
        with self._lock:
            if shape not in self._compiled:
                start = time.perf_counter()
                release_unused()  # reading the weights has freed memory
                self._compiled[shape] = self.devices.compile(self.model, self.weights, shape)
                release_unused()
                logger.info("compiled for %s in %.1f s", "x".join(map(str, shape)), time.perf_counter() - start)
            return self._compiled[shape]

    def need(self, shape: tuple[int, ...]) -> int:
        """Returns the bytes that the program for `[B, h, w, C]` images takes; compiles the program if necessary."""
        with self._lock:
            if shape not in self._needs:
                self._needs[shape] = program_bytes(self.compiled(shape))
            return self._needs[shape]

    def expected_need(self, shape: tuple[int, ...]) -> float:
        """Returns the bytes that a program will take by the largest known one; 0 if all known ones are small."""
        with self._lock:
            known = max(self._needs, key=math.prod, default=())
        if math.prod(known[:3]) < _TELLING_PIXELS:
            return 0.0
        return self._needs[known] * math.prod(shape) / math.prod(known)

    def drop(self, shape: tuple[int, ...]) -> None:
        """Forgets a program that will not run."""
        with self._lock:
            self._compiled.pop(shape, None)

    def free(self) -> float:
        """Returns the free memory of each device in bytes."""
        return free_bytes(self.devices.first) / self.devices.sharing


@contextlib.contextmanager
def _naming_size(shape: tuple[int, ...]) -> Iterator[None]:
    """Names the size of an image for which the memory does not suffice."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        h, w = shape[1:3]
        raise InputError(f"Not enough memory for {w}x{h} pixels at once; take smaller tiles (tile=N).") from error


def _one_device(leaves: list[Any]) -> jax.sharding.Mesh:
    committed = [leaf.devices() for leaf in leaves if isinstance(leaf, jax.Array) and leaf.committed]
    local = [device for devices in committed for device in devices if device.process_index == jax.process_index()]
    if not local:  # then the default device, where JAX puts an array
        local = [*jax.device_put(np.zeros(())).devices()]
    device = min(local, key=lambda device: device.id)
    return jax.sharding.Mesh(np.array([device]), ("devices",))
