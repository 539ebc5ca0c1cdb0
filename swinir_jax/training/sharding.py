"""Training on all devices of all processes: who joins, and who holds what."""

import functools
import importlib.util
import logging
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from swinir_jax.errors import InputError
from swinir_jax.training.state import TrainState
from swinir_jax.training.step import train_step

logger = logging.getLogger(__name__)

# Devices along "data" hold the same, those along "model" share one copy of EMA and optimiser state; every device
# takes its part of the batch.
AXES = ("data", "model")

# What a person sets to start processes by hand: host:port of the first, how many, and which one this is.
_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# By these JAX recognises who started the processes: SLURM, Open MPI, Kubernetes.
_LAUNCHERS = ("SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE", "JOB_COMPLETION_INDEX")
# The XLA flag by which a person chooses the number of CPU devices.
_FORCED = "xla_force_host_platform_device_count"


def initialize_distributed() -> None:
    """Joins the processes of a pod or cluster into one run; does nothing where there is one process.

    To be called before anything else of JAX. TPU pods, SLURM, Open MPI and Kubernetes need nothing; elsewhere each
    process gets $JAX_COORDINATOR_ADDRESS, $JAX_NUM_PROCESSES and $JAX_PROCESS_ID.

    Raises:
      InputError: if only some of the three variables are set, or the numbers are none.
    """
    if jax.distributed.is_initialized():
        return
    if any(name in os.environ for name in _BY_HAND):
        address, count, index = _by_hand()
        jax.distributed.initialize(address, count, index, cluster_detection_method="deactivate")
    elif importlib.util.find_spec("libtpu") or any(name in os.environ for name in _LAUNCHERS):
        try:
            jax.distributed.initialize()
        except ValueError as error:  # says that there is no cluster, after all
            logger.info("Training in one process: %s", error)


def _by_hand() -> tuple[str, int, int]:
    missing = [name for name in _BY_HAND if not os.environ.get(name)]
    if missing:
        raise InputError(f"Several processes need {', '.join(_BY_HAND)}; not set: {', '.join(missing)}.")
    address, *numbers = (os.environ[name] for name in _BY_HAND)
    try:
        count, index = map(int, numbers)
    except ValueError as error:
        raise InputError(f"JAX_NUM_PROCESSES and JAX_PROCESS_ID are numbers, got {', '.join(numbers)}.") from error
    if not 0 <= index < count:
        raise InputError(f"JAX_PROCESS_ID lies in 0..JAX_NUM_PROCESSES - 1: got {index} of {count}.")
    return address, count, index


def divide_cpu(images: int, unit: int = 1) -> None:
    """Makes the CPU as many devices as its cores can take equal shares of a batch; call it before JAX starts.

    Each core then trains on images of its own, which is faster than sharing out each operation, and holds the state of
    training for itself. GPUs and TPUs are not concerned. A run of several processes keeps the devices that it has, as
    does one for which `$JAX_NUM_CPU_DEVICES` or `$XLA_FLAGS` chooses them.

    Args:
      images: of a batch, or of one of its micro-batches.
      unit: that the number of devices is to be a multiple of.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] >= 0 or _FORCED in os.environ.get("XLA_FLAGS", "")
    if chosen or jax.distributed.is_initialized():
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = [count for count in range(1, cores + 1) if images % count == 0 and count % unit == 0]
    if fitting:
        try:
            jax.config.update("jax_num_cpu_devices", max(fitting))
        except RuntimeError:
            logger.debug("JAX has started already: the CPU stays as it is.")


def make_mesh(shard_optimizer: int = 1) -> Mesh:
    """All devices of all processes, as `[data, model]`.

    Args:
      shard_optimizer: devices along "model".

    Raises:
      InputError: if it does not divide the number of devices.
    """
    devices = jax.device_count()
    if shard_optimizer < 1 or devices % shard_optimizer:
        raise InputError(f"--shard-optimizer {shard_optimizer} does not divide the {devices} devices.")
    # Auto: losses and optimisers may have operations that need a sharding under the default, Explicit.
    shape = (devices // shard_optimizer, shard_optimizer)
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Checks that each device gets as many images, in each micro-batch.

    Raises:
      InputError: if not; the message names the nearest sizes that do.
    """
    unit = mesh.size * accumulate
    if batch_size < 1 or batch_size % unit:
        parts = f"{mesh.size} devices" + (f" times {accumulate} micro-batches" if accumulate > 1 else "")
        below = batch_size // unit * unit
        sizes = " or ".join(str(size) for size in (below, below + unit) if size > 0)
        raise InputError(f"--batch-size {batch_size} is not a multiple of {parts}; take {sizes}.")


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Where each array of a state lies.

    Args:
      mesh: from `make_mesh`.
      state: arrays, or their shapes.

    Returns:
      The same tree of NamedShardings: EMA and optimiser state are split over "model" along their longest axis that
      it divides, all else is on each device.
    """
    whole = jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), state)
    ema, opt_state = jax.tree.map(lambda leaf: _split(mesh, leaf.shape), (state.ema, state.opt_state))
    return whole.replace(ema=ema, opt_state=opt_state)


def _split(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    parts = mesh.shape["model"]
    axes = [axis for axis, side in enumerate(shape) if side % parts == 0]
    if parts == 1 or not axes:
        return NamedSharding(mesh, PartitionSpec())
    axis = max(axes, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "model"))


def place_state(mesh: Mesh, state: TrainState) -> TrainState:
    """The state on all devices as `state_shardings` says; each process gives the same one."""
    return jax.jit(lambda state: state, out_shardings=state_shardings(mesh, state))(state)


def abstract_state(mesh: Mesh, state: TrainState) -> TrainState:
    """Shapes, dtypes and shardings that a state like this one, or like these shapes, has when it is restored."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        state_shardings(mesh, state),
    )


def place_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Puts this process' part of a batch, `[B / processes, ...]` each, on its devices: a global batch, `[B, ...]`."""
    sharding = _batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, images) for name, images in batch.items()}


def _batch_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(AXES))


def compile_step(mesh: Mesh, state: TrainState, *, fast: bool = True) -> jax.stages.Wrapped:
    """`train_step` for global arrays on a mesh; it takes over the buffers of the state that it gets."""
    shardings: Any = state_shardings(mesh, state)
    return jax.jit(
        functools.partial(train_step, mesh=mesh, fast=fast),
        in_shardings=(shardings, _batch_sharding(mesh)),
        out_shardings=(shardings, NamedSharding(mesh, PartitionSpec())),
        donate_argnums=0,
    )
