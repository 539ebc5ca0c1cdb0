"""Where a Restorer's work runs: on one device, or shared among those of a mesh."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from swinir_jax.errors import InputError
from swinir_jax.inference.padding import padded_side
from swinir_jax.models import SwinIR
from swinir_jax.models.rows import SplitRows

_AXIS = "devices"


class Devices:
    """The devices of a mesh, in one row whatever the mesh's shape: each takes a part of a batch or of an image's rows.

    Results are those of one device, to rounding: the devices send each other the rows next to their parts, and nothing
    else.

    Attributes:
      count: number of devices.
      first: one of them.
      sharing: how many of them have one memory: all of a CPU's, or each has its own.
    """

    def __init__(self, mesh: Mesh | None):
        """Takes over a mesh.

        Args:
          mesh: of any axes, names and axis types; None for JAX's first device.

        Raises:
          InputError: if it is no mesh, or has devices of other processes.
        """
        if mesh is None:
            devices = np.array(jax.local_devices()[:1])
        elif not isinstance(mesh, Mesh):
            raise InputError(f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}.")
        elif mesh.is_multi_process:
            raise InputError("A Restorer's mesh is of devices of its own process, got one that spans several.")
        else:
            devices = mesh.devices.ravel()
        self._mesh = Mesh(devices, (_AXIS,))
        self.count: int = devices.size
        self.first: jax.Device = devices[0]
        self.sharing = self.count if self.first.platform == "cpu" else 1

    def place(self, params: Any) -> Any:
        """Puts parameters on each device."""
        return jax.device_put(params, NamedSharding(self._mesh, PartitionSpec()))

    def fill(self, batch: np.ndarray, window_size: int) -> np.ndarray:
        """Appends rows of zeros to a single image `[1, h, w, C]` until each device gets as many windows."""
        if batch.shape[0] > 1:
            return batch
        rows = self._filled(batch.shape[1], window_size) - batch.shape[1]
        return np.pad(batch, ((0, 0), (0, rows), (0, 0), (0, 0))) if rows else batch

    def compile(self, model: SwinIR, params: Any, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """The network as a program of all devices.

        Args:
          model: the network.
          params: from `place`.
          shape: `[B, h, w, C]`, B a multiple of the number of devices; or `[1, h, w, C]`, h a multiple of the window.

        Returns:
          `(params, fill(lq)) -> restored`, `[B, H * upscale, w * upscale, C]`, of which the first h * upscale rows are
          the result.
        """
        rows, part, (batch, height, *rest) = None, PartitionSpec(_AXIS), shape
        if batch == 1 and self.count > 1:
            filled = self._filled(height, model.config.window_size)
            rows, part = SplitRows(_AXIS, filled // self.count, height), PartitionSpec(None, _AXIS)
            height = filled

        def restore(params: Any, lq: jax.Array) -> Any:
            return model.apply({"params": params}, lq, rows=rows)

        run: Any = restore
        if self.count > 1:
            run = jax.shard_map(restore, mesh=self._mesh, in_specs=(PartitionSpec(), part), out_specs=part)
        lq = jax.ShapeDtypeStruct((batch, height, *rest), np.float32, sharding=NamedSharding(self._mesh, part))
        with jax.set_mesh(self._mesh):  # in place of one that the caller has set
            return jax.jit(run).lower(params, lq).compile()

    def _filled(self, height: int, window_size: int) -> int:
        return padded_side(height, window_size * self.count, "minimal")
