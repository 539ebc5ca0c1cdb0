"""Where a Restorer's work runs: on one device, or shared among those of a mesh by the compiler."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from swinir_jax.errors import InputError
from swinir_jax.inference.network import network_for
from swinir_jax.models import SwinIR

_AXIS = "devices"


class Devices:
    """The devices of a mesh, in one row whatever the mesh's shape: each takes a part of a batch, or of one image.

    Parts of an image are equal numbers of rows of windows, or of columns: whatever more of the devices can share. The
    compiler lets devices send each other the pixels next to their parts, and nothing else. Results are those of one
    device, to rounding.

    Attributes:
      count: number of devices.
      first: one of them.
      sharing: how many of them have one memory: all of a CPU's, or each has its own.
    """

    def __init__(self, mesh: Mesh, *, fast: bool):
        """Takes over a mesh.

        Args:
          mesh: of any axes, names and axis types.
          fast: whether a single CPU takes `swinir_jax.cpu`.

        Raises:
          InputError: if it is no mesh, or has devices of other processes.
        """
        if not isinstance(mesh, Mesh):
            raise InputError(f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}.")
        if mesh.is_multi_process:
            raise InputError("A Restorer's mesh is of devices of its own process, got one that spans several.")
        self._devices = devices = mesh.devices.ravel()
        self.count: int = devices.size
        self.first: jax.Device = devices[0]
        self.sharing = self.count if self.first.platform == "cpu" else 1
        self._fast = fast and self.count == 1

    def place(self, params: Mapping[str, Any], model: SwinIR) -> Any:
        """Puts on each device what the programs of `compile` take in place of the parameters."""
        return self.put(network_for(model, self.first.platform, fast=self._fast).prepare(params))

    def put(self, weights: Any) -> Any:
        """Puts weights on each device."""
        return jax.device_put(weights, NamedSharding(Mesh(self._devices, (_AXIS,)), PartitionSpec()))

    def compile(self, model: SwinIR, weights: Any, shape: tuple[int, ...]) -> jax.stages.Compiled:
        """The network as a program of as many devices as its work can be divided among.

        Args:
          model: the network.
          weights: from `place`.
          shape: `[B, h, w, C]`, sides in multiples of the window.

        Returns:
          `(weights, lq) -> restored`, for `run`.
        """
        network = network_for(model, self.first.platform, fast=self._fast)
        mesh, part = self._division(shape, model.config.window_size)
        lq = NamedSharding(mesh, part)
        run = jax.jit(network.restore, in_shardings=(NamedSharding(mesh, PartitionSpec()), lq), out_shardings=lq)
        with jax.set_mesh(mesh):  # in place of one that the caller has set
            return run.lower(
                jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape, w.dtype), weights),
                jax.ShapeDtypeStruct(shape, np.float32),
            ).compile()

    def _division(self, shape: tuple[int, ...], window_size: int) -> tuple[Mesh, PartitionSpec]:
        """The devices that have equal parts of a batch, and the axis along which these lie."""
        batch, height, width, _ = shape
        parts = {0: batch} if batch > 1 else {1: height // window_size, 2: width // window_size}
        counts = {axis: max(n for n in range(1, self.count + 1) if size % n == 0) for axis, size in parts.items()}
        axis = max(counts, key=lambda axis: counts[axis])
        return Mesh(self._devices[: counts[axis]], (_AXIS,)), PartitionSpec(*[None] * axis, _AXIS)

    def run(self, program: jax.stages.Compiled, weights: Any, lq: np.ndarray) -> np.ndarray:
        """`program(weights, lq)`, where the program may have fewer devices than the weights are on."""
        weights_sharding, _ = program.input_shardings[0]
        return np.asarray(program(jax.device_put(weights, weights_sharding), lq))

    def __getstate__(self) -> tuple[list[tuple[str, int]], bool]:
        """Names the devices, which are a process's own."""
        return [(device.platform, device.id) for device in self._devices], self._fast

    def __setstate__(self, state: tuple[list[tuple[str, int]], bool]) -> None:
        """Finds the devices of these names; in place of one alone, another of its platform will do."""
        names, fast = state
        here = {(device.platform, device.id): device for device in jax.local_devices(backend=names[0][0])}
        if len(names) == 1:
            here.setdefault(names[0], next(iter(here.values())))
        if not here.keys() >= set(names):
            raise InputError(f"This Restorer's mesh is of {len(names)} devices, of which not all are here.")
        self.__init__(Mesh(np.array([here[name] for name in names]), (_AXIS,)), fast=fast)  # type: ignore[misc]
