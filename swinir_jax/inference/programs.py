"""The network, compiled for one shape of images after another."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from swinir_jax.errors import InputError
from swinir_jax.inference.memory import free_bytes, program_bytes, release_unused
from swinir_jax.inference.sharding import Devices
from swinir_jax.models import SwinIR

logger = logging.getLogger(__name__)


class Programs:
    """The network on devices, compiled for each shape when it is first run.

    Can be pickled and copied: the weights travel, a copy compiles anew on devices of the same platform.

    Attributes:
      model: the network.
      devices: that run it.
      weights: what the programs take in place of the parameters, on the devices.
    """

    def __init__(self, model: SwinIR, params: Mapping[str, Any], mesh: jax.sharding.Mesh | None, *, fast: bool):
        """Puts the weights on devices.

        Args:
          model: the network.
          params: its parameters.
          mesh: the devices; None for one, as `jax.jit` would choose: that to which parameters are committed, else
            JAX's default device.
          fast: whether a CPU takes `swinir_jax.cpu`.

        Raises:
          InputError: if the mesh is none of this process.
        """
        leaves = jax.tree.leaves(params)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            raise traced("A Restorer")
        self.model = model
        self.devices = Devices(_one_device(leaves) if mesh is None else mesh, fast=fast)
        self.weights = self.devices.place(params, model)
        self._forget()

    def _forget(self) -> None:
        self._compiled: dict[tuple[int, ...], jax.stages.Compiled] = {}
        self._needs: dict[tuple[int, ...], int] = {}  # bytes, of programs that were dropped, too

    def __len__(self) -> int:
        """Programs that are held."""
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
          InputError: if the device has not enough memory.
        """
        try:
            return self.devices.run(self.compiled(batch.shape), self.weights, batch)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            h, w = batch.shape[1:3]
            raise InputError(f"Not enough memory for {w}x{h} pixels at once; take smaller tiles (tile=N).") from error

    def compiled(self, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """The program for `[B, h, w, C]` images."""
        if shape not in self._compiled:
            start = time.perf_counter()
            release_unused()  # by reading the weights, say
            self._compiled[shape] = self.devices.compile(self.model, self.weights, shape)
            release_unused()
            logger.info("compiled for %s in %.1f s", "x".join(map(str, shape)), time.perf_counter() - start)
        return self._compiled[shape]

    def need(self, shape: tuple[int, ...]) -> int:
        """Memory that the program for `[B, h, w, C]` images takes, in bytes; compiles it, once."""
        if shape not in self._needs:
            self._needs[shape] = program_bytes(self.compiled(shape))
        return self._needs[shape]

    def drop(self, shape: tuple[int, ...]) -> None:
        """Forgets a program that is not to be run."""
        self._compiled.pop(shape, None)

    def free(self) -> float:
        """Memory that is free for programs, in bytes of each device."""
        return free_bytes(self.devices.first) / self.devices.sharing


def traced(what: str) -> InputError:
    """The error for what is called inside a transformation of JAX."""
    return InputError(
        f"{what} reads and writes NumPy arrays, and cannot be transformed by jax.jit, vmap or grad; "
        'there, call model.apply({"params": params}, lq).'
    )


def _one_device(leaves: list[Any]) -> jax.sharding.Mesh:
    held = [leaf.devices() for leaf in leaves if isinstance(leaf, jax.Array) and leaf.committed]
    local = [device for devices in held for device in devices if device.process_index == jax.process_index()]
    if not local:  # wherever JAX would put an array
        local = [*jax.device_put(np.zeros(())).devices()]
    device = min(local, key=lambda device: device.id)
    return jax.sharding.Mesh(np.array([device]), ("devices",))
