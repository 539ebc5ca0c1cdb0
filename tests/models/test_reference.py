import jax
import pytest
from goldens import FAMILY, FORWARD, further_answers, golden_case, relative_error

from swinir_jax import SwinIR, cpu
from swinir_jax.checkpoints.names import params_from_official

pytestmark = pytest.mark.as_shipped


@pytest.mark.parametrize("path", [*FORWARD, *FAMILY], ids=lambda path: path.stem)
def test_modules_and_cpu_equal_the_original_and_each_other(path):
    config, weights, lq, expected = golden_case(path)
    params = params_from_official(weights, config)
    apply = jax.jit(lambda params, lq: SwinIR(config).apply({"params": params}, lq, mutable=["intermediates"]))
    by_modules, collections = apply(params, lq)
    (further,) = collections.get("intermediates", {}).get("answers", [()])
    on_cpu = jax.jit(lambda weights, lq: cpu.restore(weights, lq, config))(cpu.prepare(params, config), lq)
    assert by_modules.shape == on_cpu.shape == expected.shape
    assert relative_error(by_modules, expected) < 1e-5
    assert relative_error(on_cpu, expected) < 1e-5
    # Both round one function, equal in float64 (tests/cpu); in the one case each is off by 2e-6.
    assert relative_error(on_cpu, by_modules) < (3e-6 if path.stem == "gray_denoise" else 2e-6)
    for answer, original in zip(further, further_answers(path), strict=True):
        assert relative_error(answer, original) < 1e-5
