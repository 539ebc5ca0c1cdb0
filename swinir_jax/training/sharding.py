"""Distribution of training over devices and processes."""

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
from swinir_jax.machine import usable_cores
from swinir_jax.training.state import TrainState
from swinir_jax.training.step import train_step

logger = logging.getLogger(__name__)

# Axes of the mesh. Devices along "model" share one copy of EMA and optimiser state; devices along "data" have equal
# parts of it. The batch is divided over both axes.
AXES = ("data", "model")

# Variables for processes started by hand: host:port of the first process, number of processes, index of this one.
_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# Variables by which JAX recognises SLURM, Open MPI and Kubernetes.
_LAUNCHERS = ("SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE", "JOB_COMPLETION_INDEX")
# XLA flag that sets the number of CPU devices.
_DEVICE_COUNT_FLAG = "xla_force_host_platform_device_count"
# XLA flag for the seconds after which a process is aborted whose devices wait for each other.
_WAIT_FLAG = "xla_cpu_collective_call_terminate_timeout_seconds"
_LONGEST_WAIT = 7 * 24 * 3600


def initialize_distributed() -> None:
    """Joins the processes of a pod or cluster into one run; a single process stays alone.

    Call this before any other function of JAX. TPU pods, SLURM, Open MPI and Kubernetes are recognised; elsewhere set
    $JAX_COORDINATOR_ADDRESS, $JAX_NUM_PROCESSES and $JAX_PROCESS_ID for each process.

    Raises:
      InputError: if only some of the three variables are set, or the numbers are not valid.
    """
    if jax.distributed.is_initialized():
        return
    if any(name in os.environ for name in _BY_HAND):
        address, count, index = _by_hand()
        jax.distributed.initialize(address, count, index, cluster_detection_method="deactivate")
    elif importlib.util.find_spec("libtpu") or any(name in os.environ for name in _LAUNCHERS):
        try:
            jax.distributed.initialize()
        except ValueError as error:  # the process is not part of a cluster
            logger.info("Training in one process: %s", error)


def _by_hand() -> tuple[str, int, int]:
    missing = [name for name in _BY_HAND if not os.environ.get(name)]
    if missing:
        raise InputError(f"Training in several processes needs {', '.join(_BY_HAND)}; not set: {', '.join(missing)}.")
    address, *numbers = (os.environ[name] for name in _BY_HAND)
    try:
        count, index = map(int, numbers)
    except ValueError as error:
        raise InputError(f"JAX_NUM_PROCESSES and JAX_PROCESS_ID must be numbers, got {', '.join(numbers)}.") from error
    if not 0 <= index < count:
        raise InputError(f"JAX_PROCESS_ID must lie in 0..JAX_NUM_PROCESSES - 1, got {index} of {count}.")
    return address, count, index


def divide_cpu(images: int, unit: int = 1) -> None:
    """Divides the CPU into the greatest number of devices with equal shares of a batch; call it before JAX starts.

    Each device is a core with separate images and a separate copy of the training state, which is faster than dividing
    each operation. GPUs and TPUs are unaffected. The number of CPU devices does not change in a run of several
    processes, or if `$JAX_NUM_CPU_DEVICES` or `$XLA_FLAGS` sets it.

    Args:
      images: images in a batch, or in a micro-batch.
      unit: divisor of the number of devices.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] >= 0 or _DEVICE_COUNT_FLAG in os.environ.get("XLA_FLAGS", "")
    if chosen or jax.distributed.is_initialized():
        return
    fitting = [count for count in range(1, usable_cores() + 1) if images % count == 0 and count % unit == 0]
    if fitting:
        try:
            jax.config.update("jax_num_cpu_devices", max(fitting))
        except RuntimeError:
            logger.debug("JAX has started already; the number of CPU devices stays the same.")
            return
        flags = os.environ.get("XLA_FLAGS", "")
        if _WAIT_FLAG not in flags:  # 40 by default, which a process that is stopped and continued exceeds
            os.environ["XLA_FLAGS"] = f"{flags} --{_WAIT_FLAG}={_LONGEST_WAIT}".lstrip()


def make_mesh(shard_optimizer: int = 1) -> Mesh:
    """Returns the mesh of all devices of all processes, with the axes "data" and "model".

    Args:
      shard_optimizer: number of devices along "model".

    Raises:
      InputError: if `shard_optimizer` does not divide the number of devices.
    """
    devices = jax.device_count()
    if shard_optimizer < 1 or devices % shard_optimizer:
        raise InputError(f"--shard-optimizer {shard_optimizer} does not divide the {devices} devices.")
    # The default, Explicit, would need shardings for some operations of losses and optimisers.
    shape = (devices // shard_optimizer, shard_optimizer)
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def check_batch_size(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Checks that all devices get equal numbers of images in each micro-batch.

    Raises:
      InputError: if they do not; the message names the nearest possible sizes.
    """
    unit = mesh.size * accumulate
    if batch_size < 1 or batch_size % unit:
        parts = f"{mesh.size} devices" + (f" times {accumulate} micro-batches" if accumulate > 1 else "")
        below = batch_size // unit * unit
        sizes = " or ".join(str(size) for size in (below, below + unit) if size > 0)
        raise InputError(f"--batch-size {batch_size} is not a multiple of {parts}; take {sizes}.")


def state_shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Returns the shardings of a state.

    Args:
      mesh: mesh from `make_mesh`.
      state: state of arrays or shapes.

    Returns:
      The same tree of NamedShardings. EMA and optimiser states are split over "model" along their longest divisible
      axis; everything else is replicated.
    """

    def split(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: _split(mesh, leaf.shape), tree)

    whole = jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), state)
    adversary = state.adversary and whole.adversary.replace(opt_state=split(state.adversary.opt_state))
    return whole.replace(ema=split(state.ema), opt_state=split(state.opt_state), adversary=adversary)


def _split(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    parts = mesh.shape["model"]
    axes = [axis for axis, side in enumerate(shape) if side % parts == 0]
    if parts == 1 or not axes:
        return NamedSharding(mesh, PartitionSpec())
    axis = max(axes, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "model"))


def place_state(mesh: Mesh, state: TrainState) -> TrainState:
    """Places a state, equal in all processes, on the devices with the shardings from `state_shardings`."""
    return jax.jit(lambda state: state, out_shardings=state_shardings(mesh, state))(state)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Places a copy of a tree, equal in all processes, on each device."""
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)


def abstract_state(mesh: Mesh, state: TrainState) -> TrainState:
    """Returns the shapes, dtypes and shardings of a state of arrays or shapes, as the target of a restore."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        state_shardings(mesh, state),
    )


def place_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Makes a global batch `[B, ...]` from the parts `[B / processes, ...]` of all processes, on their devices."""
    sharding = _batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, images) for name, images in batch.items()}


def _batch_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(AXES))


def compile_step(mesh: Mesh, state: TrainState, *, fast: bool = True) -> jax.stages.Wrapped:
    """Returns a jitted `train_step` for global arrays on a mesh, which overwrites the buffers of the state."""
    shardings: Any = state_shardings(mesh, state)
    return jax.jit(
        functools.partial(train_step, mesh=mesh, fast=fast),
        in_shardings=(shardings, _batch_sharding(mesh)),
        out_shardings=(shardings, NamedSharding(mesh, PartitionSpec())),
        donate_argnums=0,
    )
