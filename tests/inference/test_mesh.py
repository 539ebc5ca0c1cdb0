import jax
import numpy as np
import pytest
from goldens import TINY, generated_weights
from mesh_worker import run_worker

from swinir_jax import InputError, Restorer, SwinIR
from swinir_jax.checkpoints.names import official_shapes, params_from_official


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_many_devices_restore_as_one_and_send_only_rows(devices):
    for case, result in run_worker(devices).items():
        assert result["difference"] < 2e-6, (case, result)
        expected = set() if case == "tiles" else {"collective-permute"}
        assert set(result["collectives"]) == expected, (case, result)


@pytest.mark.parametrize(
    ("mesh", "word"),
    [
        (4, "got int"),
        (jax.sharding.AbstractMesh((4,), ("x",)), "got AbstractMesh"),
        (["cpu:0", "cpu:1"], "got list"),
    ],
)
def test_what_is_no_mesh(mesh, word):
    params = params_from_official(generated_weights(official_shapes(TINY), 1), TINY)
    with pytest.raises(InputError, match=word):
        Restorer(SwinIR(TINY), params, mesh=mesh)


def test_a_mesh_of_several_processes(monkeypatch):
    params = params_from_official(generated_weights(official_shapes(TINY), 1), TINY)
    monkeypatch.setattr(jax.sharding.Mesh, "is_multi_process", True)
    with pytest.raises(InputError, match="spans several"):
        Restorer(SwinIR(TINY), params, mesh=jax.make_mesh((1,), ("x",)))


def test_a_mesh_of_one_device():
    params = params_from_official(generated_weights(official_shapes(TINY), 1), TINY)
    lq = np.random.default_rng(0).random((19, 14, 3), dtype=np.float32)
    restored = Restorer(SwinIR(TINY), params, mesh=jax.make_mesh((1,), ("x",))).restore(lq)
    np.testing.assert_array_equal(restored, Restorer(SwinIR(TINY), params).restore(lq))
