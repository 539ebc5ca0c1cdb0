"""Placement of a Restorer's work on one device, or on those of a mesh by the compiler."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from swinir_jax import gpu
from swinir_jax.errors import InputError
from swinir_jax.inference.network import Functions, network_for
from swinir_jax.models import SwinIR

_AXIS = "devices"


class Devices:
    """The devices of a mesh of any shape, in one row; each takes a part of a batch or of one image.

    An image is divided into equal numbers of rows of windows or of columns of windows, whichever division employs more
    devices. The compiler inserts the exchange of the pixels next to each part. The result equals that of one device up
    to float32 rounding.

    Attributes:
      count: number of devices.
      first: first device.
      sharing: number of devices that share one memory: all on a CPU, else 1.
    """

    def __init__(self, mesh: Mesh, *, fast: bool):
        """Takes the devices of a mesh.

        Args:
          mesh: mesh with axes of any number, name and type.
          fast: whether a single device runs `swinir_jax.cpu` or the kernel of `swinir_jax.gpu`.

        Raises:
          InputError: if `mesh` is not a mesh, or has devices of other processes.
        """
        if not isinstance(mesh, Mesh):
            raise InputError(f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}.")
        if mesh.is_multi_process:
            raise InputError("A Restorer needs a mesh of this process's devices, got one that spans several processes.")
        self._devices = devices = mesh.devices.ravel()
        self.count: int = devices.size
        self.first: jax.Device = devices[0]
        self.sharing = self.count if self.first.platform == "cpu" else 1
        self._fast = fast and self.count == 1

    def place(self, params: Mapping[str, Any], model: SwinIR) -> Any:
        """Prepares copies of the parameters for the programs of `compile`, and puts them on each device."""
        return self.put(self.network(model).prepare(params))

    def put(self, weights: Any) -> Any:
        """Puts weights on each device."""
        return jax.device_put(weights, NamedSharding(Mesh(self._devices, (_AXIS,)), PartitionSpec()))

    def compile(self, model: SwinIR, weights: Any, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """Compiles the network for as many devices as can take equal parts.

        Args:
          model: network to compile.
          weights: prepared parameters from `place`.
          shape: `[B, h, w, C]` of the images; sides are multiples of the window.

        Returns:
          Program `(weights, lq) -> restored`, for `run`.
        """
        network = self.network(model)
        mesh, part = self._division(shape, model.config.side_multiple)
        lq = NamedSharding(mesh, part)
        run = jax.jit(network.restore, in_shardings=(NamedSharding(mesh, PartitionSpec()), lq), out_shardings=lq)
        # Replaces a mesh that the caller may have set; under `disable_jit` nothing could be lowered.
        with jax.set_mesh(mesh), jax.disable_jit(False):
            return run.lower(
                jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape, w.dtype), weights),
                jax.ShapeDtypeStruct(shape, np.float32),
            ).compile()

    def network(self, model: SwinIR) -> Functions:
        """Returns the functions that suit the devices."""
        return network_for(model, self.first.platform, fast=self._fast, fused=self._fast and gpu.runs_on(self.first))

    def _division(self, shape: tuple[int, ...], multiple: int) -> tuple[Mesh, PartitionSpec]:
        """Returns the mesh of devices with equal parts of a batch, and the axis along which the parts lie."""
        batch, height, width, _ = shape
        parts = {0: batch} if batch > 1 else {1: height // multiple, 2: width // multiple}
        counts = {axis: max(n for n in range(1, self.count + 1) if size % n == 0) for axis, size in parts.items()}
        axis = max(counts, key=lambda axis: counts[axis])
        return Mesh(self._devices[: counts[axis]], (_AXIS,)), PartitionSpec(*[None] * axis, _AXIS)

    def run(self, program: jax.stages.Compiled, weights: Any, lq: np.ndarray) -> np.ndarray:
        """Calls a program, which may have fewer devices than hold the weights."""
        # Explicit moves are allowed where a user has set `jax.transfer_guard("disallow")`.
        placed = jax.device_put((weights, lq), program.input_shardings[0])
        with jax.disable_jit(False):  # else JAX would refuse where a user has disabled it
            return np.asarray(jax.device_get(program(*placed)), np.float32)

    def __getstate__(self) -> tuple[list[tuple[str, int]], bool]:
        """Replaces the devices, which belong to one process, by their names."""
        return [(device.platform, device.id) for device in self._devices], self._fast

    def __setstate__(self, state: tuple[list[tuple[str, int]], bool]) -> None:
        """Finds the devices by name; any device of the platform replaces a single one."""
        names, fast = state
        local = {(device.platform, device.id): device for device in jax.local_devices(backend=names[0][0])}
        if len(names) == 1:
            local.setdefault(names[0], next(iter(local.values())))
        if not local.keys() >= set(names):
            raise InputError(f"This Restorer needs {len(names)} devices, of which this process has only some.")
        self.__init__(Mesh(np.array([local[name] for name in names]), (_AXIS,)), fast=fast)  # type: ignore[misc]
