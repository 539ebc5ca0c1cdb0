"""Types of the documented calls, which `make lint` checks with mypy; nothing here runs."""

from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np

import swinir_jax


def calls(photo: np.ndarray, lq: jax.Array, key: jax.Array) -> None:
    model, params = swinir_jax.load_pretrained("lightweight_x2")
    assert_type(model, swinir_jax.SwinIR)
    assert_type(model.config.upscale, int)
    assert_type(model.apply({"params": params}, lq), jax.Array)
    assert_type(model.apply({"params": params}, photo), jax.Array)
    assert_type(model.apply({"params": params}, lq, deterministic=False, rngs={"dropout": key}), jax.Array)
    assert_type(model.apply({"params": params}, lq, mutable=["intermediates"]), Any)
    assert_type(swinir_jax.SwinIR(swinir_jax.SwinIRConfig(upscale=1), dtype=jnp.bfloat16), swinir_jax.SwinIR)
    assert_type(swinir_jax.fast_apply(model, params)(photo), jax.Array)
    assert_type(swinir_jax.load_exported("network.stablehlo")(lq), jax.Array)
    for restorer in (
        swinir_jax.Restorer(model, params),
        swinir_jax.load_restorer(swinir_jax.choose_models("clean")),
    ):
        assert_type(restorer(photo), np.ndarray)
        assert_type(restorer.restore(lq), np.ndarray)
    swinir_jax.save_pretrained("folder", model, params)


def mistakes() -> None:
    swinir_jax.load_pretraind  # type: ignore[attr-defined]  # noqa: B018
    swinir_jax.SwinIRConfig(upscal=2)  # type: ignore[call-arg]
