import jax
import numpy as np
import pytest
from goldens import TINY, params_of
from mesh_worker import run_worker

from swinir_jax import InputError, Restorer, SwinIR


@pytest.fixture(scope="module")
def of_four():
    return run_worker(4)


def check(results, devices):
    sharing = {"rows and columns do not divide": 1, "window of 7": 3}  # 6 rows of windows, 10 columns
    for case, result in results.items():
        assert result["difference"] < 2e-6, (case, result)
        assert result["devices"] == sharing.get(case, devices), (case, result)
        expected = set() if case == "tiles" or result["devices"] == 1 else {"collective-permute"}
        assert set(result["collectives"]) == expected, (case, result)


def test_two_devices_restore_as_one_and_send_only_pixels():
    check(run_worker(2), 2)


def test_four_devices_restore_as_one_and_send_only_pixels(of_four):
    check({case: result for case, result in of_four.items() if case not in ("apply", "kernel")}, 4)


def test_kernel_and_gradients_on_a_mesh_are_those_of_one_device(of_four):
    assert len(of_four["kernel"]) == 2
    assert max(of_four["kernel"].values()) < 1e-5, of_four["kernel"]


def test_apply_and_gradients_on_meshes_of_either_kind_are_those_of_one_device(of_four):
    assert len(of_four["apply"]) == 4
    assert max(of_four["apply"].values()) < 1e-5, of_four["apply"]


@pytest.mark.parametrize(
    ("mesh", "word"),
    [
        (4, "got int"),
        (jax.sharding.AbstractMesh((4,), ("x",)), "got AbstractMesh"),
        (["cpu:0", "cpu:1"], "got list"),
    ],
)
def test_what_is_no_mesh(mesh, word):
    params = params_of(TINY)
    with pytest.raises(InputError, match=word):
        Restorer(SwinIR(TINY), params, mesh=mesh)


def test_a_mesh_of_several_processes(monkeypatch):
    params = params_of(TINY)
    monkeypatch.setattr(jax.sharding.Mesh, "is_multi_process", True)
    with pytest.raises(InputError, match="spans several"):
        Restorer(SwinIR(TINY), params, mesh=jax.make_mesh((1,), ("x",)))


def test_a_mesh_of_one_device():
    params = params_of(TINY)
    lq = np.random.default_rng(0).random((19, 14, 3), dtype=np.float32)
    restored = Restorer(SwinIR(TINY), params, mesh=jax.make_mesh((1,), ("x",))).restore(lq)
    np.testing.assert_array_equal(restored, Restorer(SwinIR(TINY), params).restore(lq))


def test_a_cpu_takes_its_own_program_unless_told_otherwise():
    params = params_of(TINY)
    lq = np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)  # several groups of windows
    fast, slow = (Restorer(SwinIR(TINY), params, tile=0, fast=fast) for fast in (True, False))
    np.testing.assert_allclose(fast.restore(lq), slow.restore(lq), atol=1e-5)
    loops = [
        " while(" in program.as_text() for held in (fast, slow) for program in held.engine.programs._compiled.values()
    ]
    assert loops == [True, False]
