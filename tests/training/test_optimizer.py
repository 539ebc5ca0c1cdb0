import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from swinir_jax import InputError
from swinir_jax.errors import option
from swinir_jax.training.experiment import OptimizerConfig
from swinir_jax.training.optimizer import make_optimizer


def rates(steps, count, **config):
    _, schedule = make_optimizer(OptimizerConfig(learning_rate=1.0, **config), steps)
    return np.array([schedule(jnp.int32(step)) for step in range(count)])


def test_multistep_halves_at_the_milestones():
    # KAIR's classical recipe with 500 steps, halved after 250, 400, 450 and 475.
    found = rates(500, 500)
    assert [int(step) for step in np.flatnonzero(np.diff(found)) + 1] == [250, 400, 450, 475]
    assert found[[0, 250, 400, 450, 475]].tolist() == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]


def test_cosine_falls_to_zero_and_constant_stays():
    found = rates(100, 101, schedule="cosine")
    np.testing.assert_allclose(found[[0, 50, 100]], [1, 0.5, 0], atol=1e-6)
    assert set(rates(100, 100, schedule="constant").tolist()) == {1.0}


def test_warm_up_rises_to_the_schedule():
    np.testing.assert_allclose(rates(100, 6, schedule="constant", warmup_steps=4), [0.25, 0.5, 0.75, 1, 1, 1])
    plain = rates(100, 100, schedule="cosine")
    np.testing.assert_array_equal(rates(100, 100, schedule="cosine", warmup_steps=4)[4:], plain[4:])


def run(config, gradients, start=1.0):
    """Parameters after steps with given gradients."""
    optimizer, schedule = make_optimizer(config, 100)
    param, state = jnp.float32(start), None
    for step, gradient in enumerate(gradients):
        state = optimizer.init(param) if state is None else state
        direction, state = optimizer.update(jnp.float32(gradient), state, param)
        param -= schedule(step) * direction
    return float(param)


def pytorch_adam(gradients, rate, eps, decay=0.0, start=1.0):
    """The formula of `torch.optim.Adam`, or of AdamW if `decay` is given, in float64."""
    param, m, v = start, 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        param -= rate * decay * param
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        param -= rate / (1 - 0.9**t) * m / (np.sqrt(v) / np.sqrt(1 - 0.999**t) + eps)
    return param


def test_adam_equals_pytorchs():
    gradients = [0.3, -0.2, 0.5, 0.1]
    config = OptimizerConfig(learning_rate=0.1, schedule="constant", eps=0.5)  # so large that its place matters
    np.testing.assert_allclose(run(config, gradients), pytorch_adam(gradients, 0.1, 0.5), rtol=1e-5)


def test_adamw_decays_beside_the_gradient():
    gradients = [0.3, -0.2, 0.5, 0.1]
    config = OptimizerConfig(name="adamw", learning_rate=0.1, schedule="constant", weight_decay=0.2)
    np.testing.assert_allclose(run(config, gradients), pytorch_adam(gradients, 0.1, 1e-8, decay=0.2), rtol=1e-5)


def muon(gradients):
    """Muon's last direction for a matrix, in float64: Nesterov's momentum of 0.95, five steps of Newton and Schulz."""
    momentum = np.zeros_like(gradients[0])
    for t, gradient in enumerate(gradients, 1):
        momentum = 0.95 * momentum + 0.05 * gradient
        ahead = 0.95 * momentum / (1 - 0.95 ** (t + 1)) + 0.05 * gradient / (1 - 0.95**t)
    x = ahead / np.linalg.norm(ahead)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return 0.2 * np.sqrt(max(x.shape)) * x


def test_muon_is_for_kernels_and_adam_for_the_rest():
    shapes = {"linear": {"kernel": (6, 18), "bias": (18,)}, "conv": {"kernel": (3, 3, 4, 5)}, "table": (9, 2)}
    rng = np.random.default_rng(0)
    gradients = [
        jax.tree.map(lambda s: rng.standard_normal(s), shapes, is_leaf=lambda s: isinstance(s, tuple)) for _ in range(3)
    ]
    directions = {}
    for name in ("muon", "adam"):
        optimizer, _ = make_optimizer(OptimizerConfig(name=name), 10)
        state = optimizer.init(jax.tree.map(jnp.zeros_like, gradients[0]))
        for gradient in gradients:
            directions[name], state = optimizer.update(jax.tree.map(jnp.float32, gradient), state)
    for name, shape in (("linear", (6, 18)), ("conv", (36, 5))):
        expected = muon([gradient[name]["kernel"].reshape(shape) for gradient in gradients])
        found = directions["muon"][name]["kernel"].reshape(shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name in ("bias", "table"):
        ours, adams = (optax.tree.get(directions[k], name) for k in ("muon", "adam"))
        np.testing.assert_array_equal(ours, adams)


def test_clipping_is_by_the_norm_over_all_parameters():
    config = OptimizerConfig(clip_norm=1.0, b1=0.0, b2=0.0, eps=1e9, schedule="constant")  # direction: gradient / eps
    optimizer, _ = make_optimizer(config, 10)
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    direction, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(direction["a"] * 1e9, [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(direction["b"] * 1e9, [0.8], rtol=1e-6)
    small = jax.tree.map(lambda leaf: leaf / 10, gradient)
    direction, _ = optimizer.update(small, optimizer.init(params), params)
    np.testing.assert_allclose(direction["b"] * 1e9, [0.4], rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "sgd"},
        {"schedule": "step"},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"milestones": (0.8, 0.5)},
        {"milestones": (0.5, 250_000.0)},
        {"b2": 1.0},
        {"eps": 0.0},
        {"clip_norm": 0.0},
        {"accumulate": 0},
        {"warmup_steps": -1},
        {"weight_decay": 0.1},  # of Adam
    ],
    ids=lambda values: "-".join(f"{name}={value}" for name, value in values.items()),
)
def test_optimizer_values_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=option(f"optimizer.{next(iter(values))}")):
        OptimizerConfig(**values)
