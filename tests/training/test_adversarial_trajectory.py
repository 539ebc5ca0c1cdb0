"""Five steps of KAIR's adversarial training in PyTorch, repeated."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
from goldens import GOLDENS, generated_discriminator, generated_weights, params_of, relative_error
from training_runs import EXPERIMENT

from swinir_jax.checkpoints.names import params_to_official
from swinir_jax.config import SwinIRConfig
from swinir_jax.features import FEATURE_NETWORKS
from swinir_jax.features.weights import params_from_tensors
from swinir_jax.models.discriminator import SPECTRAL
from swinir_jax.training.experiment import DiscriminatorOptimizerConfig, GanConfig, LossConfig, OptimizerConfig
from swinir_jax.training.state import create_state
from swinir_jax.training.step import train_step

CASE = np.load(GOLDENS / "real_world" / "gan_trajectory.npz")
CONFIG = SwinIRConfig.from_dict(json.loads(str(CASE["config"])))
SEED, STEPS, BATCH_SIZE = (int(CASE[name]) for name in ("seed", "steps", "batch_size"))
RATE = float(CASE["learning_rate"])


def start(dtype):
    experiment = dataclasses.replace(
        EXPERIMENT,
        network=CONFIG,
        optimizer=OptimizerConfig(schedule="constant", learning_rate=RATE),
        gan=GanConfig(
            loss="gan",
            weight=float(CASE["gan_weight"]),
            features=int(CASE["ndf"]),
            optimizer=DiscriminatorOptimizerConfig(schedule="constant", learning_rate=RATE),
        ),
        ema_decay=float(CASE["ema_decay"]),
        ema_warmup=False,
        steps=STEPS,
        batch_size=BATCH_SIZE,
    )
    weights = params_of(CONFIG, SEED)
    discriminator = generated_discriminator(json.loads(str(CASE["d_parameters"])), SEED)
    vgg19 = FEATURE_NETWORKS["vgg19"]
    state = create_state(experiment, weights)

    def cast(tree):
        return jax.tree.map(lambda leaf: jnp.array(leaf, dtype), tree)

    params, opposed = cast(state.params), cast(discriminator["params"])
    adversary = state.adversary.replace(
        params=opposed,
        spectral=cast(discriminator[SPECTRAL]),
        opt_state=state.adversary.optimizer.init(opposed),
        network=state.adversary.network.clone(dtype=dtype),
    )
    return state.replace(
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        opt_state=state.optimizer.init(params),
        model=state.model.clone(dtype=dtype),
        adversary=adversary,
        features=cast(params_from_tensors(vgg19, generated_weights(vgg19.shapes, SEED))),
        loss_config=LossConfig(perceptual="vgg19"),
    )


def batch_of(step):
    def images(seed, side):
        rng = np.random.default_rng(SEED * 1000 + seed + step)
        return rng.random((BATCH_SIZE, side, side, 3), dtype=np.float32).astype(np.float64)

    return {"lq": images(100, 16), "hq": images(200, 16 * CONFIG.upscale)}


def official_discriminator(tree):
    """Kernels and biases by the official names."""
    names = {"kernel": "weight_orig", "bias": "bias"}
    flat = {f"{layer}.{names[part]}": np.asarray(leaf) for layer, parts in tree.items() for part, leaf in parts.items()}
    flat = {name: leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf for name, leaf in flat.items()}
    return {name.replace("weight_orig", "weight") if name[:5] in ("conv0", "conv9") else name: leaf
            for name, leaf in flat.items()}  # fmt: skip


def test_the_original_trajectory():
    # As the original was run. In float32, Adam's signs of tiny gradients differ after some steps: 2e-5 in the losses.
    with jax.enable_x64(True):
        state, metrics = start(jnp.float64), []
        step = jax.jit(train_step)
        for t in range(STEPS):
            state, values = step(state, batch_of(t))
            metrics.append(values)
            if t == 0:  # Adam's first moment is then 0.1 times the gradient
                generator, opposed = (s.opt_state[0].mu for s in (state, state.adversary))
        ours = {"pixel": "pixel", "perceptual": "perceptual", "real": "d_real", "fake": "d_fake",
                "real_logit": "pred_real", "fake_logit": "pred_fake", "adversarial": "adversarial"}  # fmt: skip
        for name, theirs in ours.items():
            np.testing.assert_allclose([m[name] for m in metrics], CASE[theirs], rtol=1e-9, err_msg=name)
        gradients = {
            "g": params_to_official(jax.tree.map(lambda leaf: np.asarray(leaf) / 0.1, generator), CONFIG),
            "d": official_discriminator(jax.tree.map(lambda leaf: leaf / 0.1, opposed)),
        }
        for network, found in gradients.items():
            norms = [np.linalg.norm(found[name]) for name in CASE[f"{network}_grad_keys"]]
            np.testing.assert_allclose(norms, CASE[f"{network}_grad_norms"], rtol=1e-9)
        trees = {
            "g": params_to_official(jax.tree.map(np.asarray, state.params), CONFIG),
            "ema": params_to_official(jax.tree.map(np.asarray, state.ema), CONFIG),
            "d": official_discriminator(state.adversary.params)
            | {f"{layer}.weight_u": vectors["u"] for layer, vectors in state.adversary.spectral.items()},
        }
        for name in (name for name in CASE if "/" in name):
            network, _, tensor = name.partition("/")
            assert relative_error(trees[network][tensor], CASE[name]) < 1e-9, name
