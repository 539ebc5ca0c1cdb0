"""A process of a run, started by tests: `python training_worker.py JOBS`, with the arguments of `train` by workdir.

Trains each workdir to a number of steps, from the last checkpoint or from the start, and saves. The first process
prints the losses of each workdir. Both are JSON.
"""

import dataclasses
import functools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import quick_programs
from training_runs import ADVERSARIAL, EXPERIMENT, batch_of, first_state

from swinir_jax.training.checkpoint import Checkpoints
from swinir_jax.training.experiment import OptimizerConfig
from swinir_jax.training.sharding import (
    abstract_state,
    check_batch_size,
    compile_step,
    initialize_distributed,
    make_mesh,
    place_batch,
    place_state,
)
from swinir_jax.training.state import create_state

BATCH_SIZE = 8
# Devices could disagree on dropped branches and on the images of a micro-batch.
DIVIDED = {
    name: dataclasses.replace(
        experiment,
        network=dataclasses.replace(experiment.network, drop_path_rate=0.5),
        optimizer=dataclasses.replace(experiment.optimizer, accumulate=2),
    )
    for name, experiment in {"alone": EXPERIMENT, "adversarial": ADVERSARIAL}.items()
}
DIVIDED["muon"] = dataclasses.replace(EXPERIMENT, optimizer=OptimizerConfig(name="muon"))


@functools.cache  # compiling takes longer than the steps
def start(name: str, shard_optimizer: int) -> tuple:
    """Mesh, shapes of the state before the first step and compiled step."""
    mesh, experiment = make_mesh(shard_optimizer), DIVIDED[name]
    check_batch_size(BATCH_SIZE, mesh, experiment.optimizer.accumulate)
    shapes = jax.eval_shape(lambda: create_state(experiment))
    return mesh, shapes, compile_step(mesh, shapes)


def train(workdir: str, until: int, shard_optimizer: int = 1, name: str = "alone") -> tuple[list[float], dict]:
    """Losses of the steps done, and the state, saved."""
    mesh, shapes, step = start(name, shard_optimizer)
    checkpoints = Checkpoints(workdir, DIVIDED[name].checkpoint)
    done, losses = checkpoints.latest_step() or 0, []
    if done:
        state, data = checkpoints.restore(abstract_state(mesh, shapes))
        assert data == {"batches": done}
    else:
        state = place_state(mesh, first_state(DIVIDED[name]))
    share = BATCH_SIZE // jax.process_count()
    mine = slice(share * jax.process_index(), share * (jax.process_index() + 1))
    for t in range(done, until):
        batch = {name: images[mine] for name, images in batch_of(t, BATCH_SIZE).items()}
        state, metrics = step(state, place_batch(mesh, batch))
        losses.append(float(metrics["loss"] + metrics.get("real", 0) + metrics.get("fake", 0)))
    checkpoints.save(until, state, {"batches": until})
    checkpoints.close()
    return losses, state


def run_workers(jobs: Mapping[str, tuple], *, processes: int = 1, devices: int = 1) -> dict[str, list[float]]:
    """Trains in processes of their own, of so many forced devices each.

    Args:
      jobs: by workdir, the other arguments of `train`.
      processes: processes of each job.
      devices: devices of each process.

    Returns:
      The losses by workdir.
    """
    here = Path(__file__)
    flags = f"--xla_force_host_platform_device_count={devices} {quick_programs.FLAGS}"
    environment = {"PYTHONPATH": f"{here.parent}{os.pathsep}{here.parents[1]}", "XLA_FLAGS": flags}
    environment |= {"DEVICES": str(devices)}
    if processes > 1:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            environment["JAX_COORDINATOR_ADDRESS"] = f"127.0.0.1:{listener.getsockname()[1]}"
        environment["JAX_NUM_PROCESSES"] = str(processes)
    workers = [
        subprocess.Popen(
            [sys.executable, str(here), json.dumps(jobs)],
            env={**os.environ, **environment, **({"JAX_PROCESS_ID": str(index)} if processes > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(processes)
    ]
    try:
        outputs = [worker.communicate(timeout=240 * len(jobs)) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * processes, outputs
    return json.loads(outputs[0][0].splitlines()[-1])


def main() -> None:
    initialize_distributed()
    expected = int(os.environ.get("JAX_NUM_PROCESSES", 1))
    assert (jax.process_count(), jax.local_device_count()) == (expected, int(os.environ["DEVICES"]))
    losses = {workdir: train(workdir, *options)[0] for workdir, options in json.loads(sys.argv[1]).items()}
    if jax.process_index() == 0:
        print(json.dumps(losses), flush=True)


if __name__ == "__main__":
    main()
