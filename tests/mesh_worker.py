"""A process of forced host devices: `python mesh_worker.py DEVICES`, started by `run_worker`.

Restores images on a mesh and on one device, and prints what came out, as JSON.
"""

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import quick_programs
from goldens import TINY, params_of
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from swinir_jax import Restorer, SwinIR, SwinIRConfig
from swinir_jax.gpu import attention
from swinir_jax.models.windows import MASKED

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
    params = params_of(config)
    lq = np.random.default_rng(0).random((*size, config.in_chans), dtype=np.float32)
    options = {"pad": "minimal", **options}  # the sizes are those that the devices share
    expected = Restorer(SwinIR(config), params, **options).restore(lq)
    held = Restorer(SwinIR(config), params, mesh=mesh, **options)
    restored = held.restore(lq)
    (program,) = held.engine.programs._compiled.values()
    collectives = (
        r" (all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter)(?:-start)?\("
    )
    return {
        "shape": list(restored.shape),
        "difference": difference(restored, expected),
        "devices": len(program.input_shardings[0][1].device_set),
        "collectives": Counter(re.findall(collectives, program.as_text())),
    }


def difference(ours, expected) -> float:
    """The largest of two trees of arrays, relative to the largest value of each array."""
    return max(
        float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True)
    )


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.grad, argnums=(1, 2), has_aux=True)
def _gradients(model: SwinIR, params, lq):
    restored = model.apply({"params": params}, lq)
    return jnp.sum(jnp.sin(restored)), restored


def compare_apply(mesh: jax.sharding.Mesh, part: P, shape: tuple[int, ...]) -> float:
    """How far `jit(model.apply)` and its gradients on a mesh are from those on one device."""
    # Rows and columns less a shift of 2 do not divide by 4.
    config = dataclasses.replace(_ONE_GROUP, depths=(2,), num_heads=(2,), window_size=4, img_size=8)
    params = params_of(config)
    lq = np.random.default_rng(0).random(shape, dtype=np.float32)
    run = functools.partial(_gradients, SwinIR(config))
    placed = jax.device_put(params, NamedSharding(mesh, P())), jax.device_put(lq, NamedSharding(mesh, part))
    return difference(run(*placed), run(params, lq))


def compare_kernel(mesh: jax.sharding.Mesh, regions: jax.Array | None) -> float:
    """How far attention by the GPU's kernel, interpreted, and its gradients are from those on one device."""
    rng = np.random.default_rng(0)
    qkv = jnp.asarray(rng.standard_normal((4, 2, 1, 64, 24)), jnp.bfloat16)
    bias = jnp.asarray(rng.standard_normal((2, 64, 64)), jnp.float32)

    @functools.partial(jax.jit, static_argnums=0)
    @functools.partial(jax.value_and_grad, argnums=(1, 2))
    def gradients(attend, qkv, bias):
        return jnp.sum(jnp.sin(attend(qkv, bias, regions, attention.Settings(0.3, MASKED)).astype(jnp.float32)))

    divided = functools.partial(attention.divided_attention, mesh)
    placed = jax.device_put((qkv, bias), (NamedSharding(mesh, P(mesh.axis_names)), NamedSharding(mesh, P())))
    return difference(gradients(divided, *placed), gradients(attention.window_attention, qkv, bias))


def run_worker(devices: int) -> dict:
    """What a process of so many devices printed."""
    here = Path(__file__)
    environment = {"PYTHONPATH": f"{here.parent}{os.pathsep}{here.parents[1]}", "JAX_PLATFORMS": "cpu"}
    flags = f"--xla_force_host_platform_device_count={devices} {quick_programs.FLAGS}"
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
    explicit = jax.make_mesh((devices,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    auto = jax.make_mesh((devices // 2, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    results = {
        "rows and columns do not divide": compare(TINY, (37, 37), explicit, tile=0),  # 5 of each
        "rows": compare(_ONE_GROUP, (64, 21), auto, tile=0),
        "columns": compare(_ONE_GROUP, (21, 64), explicit, tile=0),
        "tiles": compare(_ONE_GROUP, (37, 29), explicit, tile=16, overlap=8),  # 4 x 3
    }
    if devices == 4:
        results |= {name: compare(config, (41, 64), explicit, tile=0) for name, config in _NETWORKS.items()}
        with jax.set_mesh(explicit):
            results["a mesh is set"] = compare(_ONE_GROUP, (29, 64), explicit, tile=0)
        results["apply"] = {
            f"{name} {part}": compare_apply(mesh, part, shape)
            for name, mesh, axes in (("explicit", explicit, "x"), ("auto", auto, ("x", "y")))
            for part, shape in ((P(axes), (4, 13, 18, 3)), (P(None, axes), (1, 48, 16, 3)))
        }
        regions = jnp.arange(2 * 64).reshape(2, 1, 64) // 50
        results["kernel"] = {name: compare_kernel(auto, r) for name, r in (("shifted", regions), ("plain", None))}
    print(json.dumps(results))


if __name__ == "__main__":
    main(int(sys.argv[1]))
