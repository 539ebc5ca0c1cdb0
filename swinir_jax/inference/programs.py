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

    Can be pickled and copied: a copy compiles anew.

    Attributes:
      model: the network.
      params: its parameters, on the devices.
      devices: that run it.
    """

    def __init__(self, model: SwinIR, params: Mapping[str, Any], mesh: jax.sharding.Mesh | None):
        """Puts the parameters on devices.

        Args:
          model: the network.
          params: its parameters.
          mesh: the devices; None for one, as `jax.jit` would choose: that to which parameters are committed, else
            JAX's default device.

        Raises:
          InputError: if the mesh is none of this process.
        """
        leaves = jax.tree.leaves(params)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            raise traced("A Restorer")
        self.model, self._given, self._mesh = model, params, mesh
        self.devices = Devices(_one_device(leaves) if mesh is None else mesh)
        self.params = self.devices.place(params)
        self._compiled: dict[tuple[int, ...], jax.stages.Compiled] = {}
        self._needs: dict[tuple[int, ...], int] = {}  # bytes, of programs that were dropped, too

    def __len__(self) -> int:
        """Programs that are held."""
        return len(self._compiled)

    def __getstate__(self) -> tuple[SwinIR, Any, list[tuple[str, int]] | None]:
        devices = None if self._mesh is None else [(d.platform, d.id) for d in self._mesh.devices.flat]
        return self.model, self._given, devices  # the axes of a mesh make no difference

    def __setstate__(self, state: tuple[SwinIR, Any, list[tuple[str, int]] | None]) -> None:
        model, params, names = state
        mesh = None
        if names is not None:
            here = {(d.platform, d.id): d for platform, _ in names for d in jax.local_devices(backend=platform)}
            if not here.keys() >= set(names):
                raise InputError(f"This Restorer's mesh is of {len(names)} devices, of which not all are here.")
            mesh = jax.sharding.Mesh(np.array([here[name] for name in names]), ("devices",))
        self.__init__(model, params, mesh)  # type: ignore[misc]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Restores a batch.

        Args:
          batch: `[B, h, w, C]` float32, sides multiples of the window.

        Returns:
          `[B, h * upscale, w * upscale, C]` float32.

        Raises:
          InputError: if the device has not enough memory.
        """
        config = self.model.config
        try:
            restored = self.compiled(batch.shape)(self.params, self.devices.fill(batch, config.window_size))
            return np.asarray(restored)[:, : batch.shape[1] * config.upscale]
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
            # What the user's own code may mix says nothing about ours.
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                self._compiled[shape] = self.devices.compile(self.model, self.params, shape)
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
