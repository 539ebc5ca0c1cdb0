"""A run that compiles in a second."""

import dataclasses

import jax
import numpy as np
from goldens import params_of

from swinir_jax.config import SwinIRConfig
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.training.experiment import Experiment, GanConfig, ValidationConfig
from swinir_jax.training.state import TrainState, create_state

NETWORK = SwinIRConfig(
    upscale=2, upsampler="pixelshuffledirect", embed_dim=8, depths=(2,), num_heads=(2,), img_size=8, window_size=4
)
EXPERIMENT = Experiment(
    task="lightweight_sr",
    network=NETWORK,
    data=DataConfig(degradation=Degradation(kind="bicubic", low=2, high=2), patch_size=8),
    validation=ValidationConfig(level=2),
    steps=20,
    batch_size=4,
)
ADVERSARIAL = dataclasses.replace(
    EXPERIMENT,
    task="real_sr",
    data=DataConfig(degradation=Degradation(kind="blind", low=2, high=2), patch_size=8),
    gan=GanConfig(loss="gan", features=2, feature_matching=1.0, artifacts=1.0),
)
STILL = dataclasses.replace(EXPERIMENT, network=dataclasses.replace(NETWORK, drop_path_rate=0.0))


def first_state(experiment: Experiment = STILL) -> TrainState:
    """State with generated weights, because random initialisation takes seconds to compile."""
    return create_state(experiment, params_of(experiment.network))


def batch_of(step: int, size: int = 4) -> dict[str, np.ndarray]:
    """Random images that depend on the step alone."""
    rng = np.random.default_rng(step)
    return {name: rng.random((size, side, side, 3), dtype=np.float32) for name, side in (("lq", 8), ("hq", 16))}


def assert_same_bits(tree, other) -> None:
    """Asserts that two trees are equal bit for bit."""
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for one, two in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()
