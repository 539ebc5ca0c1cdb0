"""A process of forced host devices: `python mesh_worker.py DEVICES`, started by `run_worker`.

Restores images on a mesh and on one device, and prints what came out, as JSON.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jax
import numpy as np
from goldens import TINY, generated_weights

from swinir_jax import Restorer, SwinIR, SwinIRConfig
from swinir_jax.checkpoints.names import official_shapes, params_from_official

_ONE_GROUP = dataclasses.replace(TINY, depths=(2, 2), num_heads=(2, 2), embed_dim=8)
_NETWORKS = {
    "pixelshuffle": dataclasses.replace(_ONE_GROUP, upsampler="pixelshuffle", upscale=4),
    "nearest+conv": dataclasses.replace(_ONE_GROUP, upsampler="nearest+conv", upscale=4, resi_connection="3conv"),
    "window of 7": dataclasses.replace(
        _ONE_GROUP, upsampler="", upscale=1, in_chans=1, window_size=7, img_size=14, patch_norm=False
    ),
    "no shift": dataclasses.replace(_ONE_GROUP, img_size=4),
}


def compare(config: SwinIRConfig, size: tuple[int, int], mesh: jax.sharding.Mesh, **options) -> dict:
    """The largest difference from one device, relative to the largest value, and the program's communication."""
    params = params_from_official(generated_weights(official_shapes(config), 1), config)
    lq = np.random.default_rng(0).random((*size, config.in_chans), dtype=np.float32)
    expected = Restorer(SwinIR(config), params, **options).restore(lq)
    held = Restorer(SwinIR(config), params, mesh=mesh, **options)
    restored = held.restore(lq)
    (program,) = held._programs._compiled.values()
    collectives = (
        r" (all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter)(?:-start)?\("
    )
    return {
        "shape": list(restored.shape),
        "difference": float(np.abs(restored - expected).max() / np.abs(expected).max()),
        "collectives": Counter(re.findall(collectives, program.as_text())),
    }


def run_worker(devices: int) -> dict:
    """What a process of so many devices printed."""
    here = Path(__file__)
    environment = {"PYTHONPATH": f"{here.parent}{os.pathsep}{here.parents[1]}", "JAX_PLATFORMS": "cpu"}
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"  # compiles faster
    done = subprocess.run(
        [sys.executable, str(here), str(devices)],
        env={**os.environ, **environment, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main(devices: int) -> None:
    assert jax.device_count() == devices
    mesh = jax.make_mesh((devices,), ("x",))  # Explicit axes
    results = {
        "rows do not divide": compare(
            TINY if devices == 4 else _ONE_GROUP, (37, 29), mesh, tile=0
        ),  # 5 rows of windows
        "tiles": compare(_ONE_GROUP, (37, 29), mesh, tile=16, overlap=8),  # 4 x 3
    }
    if devices == 4:
        auto = (jax.sharding.AxisType.Auto,) * 2
        results["rows divide"] = compare(
            _ONE_GROUP, (64, 24), jax.make_mesh((2, 2), ("x", "y"), axis_types=auto), tile=0
        )
        for name, config in _NETWORKS.items():
            results[name] = compare(config, (41, 17), mesh, tile=0)
    if devices == 8:
        results["fewer rows than devices"] = compare(_ONE_GROUP, (3, 20), mesh, tile=0)
        with jax.set_mesh(mesh):
            results["a mesh is set"] = compare(_ONE_GROUP, (41, 17), mesh, tile=0)
        results["more than one band of windows"] = compare(_ONE_GROUP, (8 * 8 * 4, 8 * 9), mesh, tile=0)
    print(json.dumps(results))


if __name__ == "__main__":
    main(int(sys.argv[1]))
