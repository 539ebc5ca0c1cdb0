"""The arithmetic of the network, for modules and `swinir_jax.cpu` alike.

Matrix products and convolutions take factors in the network's `dtype`. The residual stream, LayerNorm and softmax use
`residual_dtype(dtype)`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from swinir_jax.errors import InputError


def check_dtype(dtype: Any) -> None:
    """Refuses a dtype in which the network cannot compute.

    Raises:
      InputError: if `dtype` is not float32, bfloat16 or float64, or is float64 with x64 off. float16 overflows in the
        classical models, whose activations grow from block to block.
    """
    name = str(getattr(dtype, "__name__", dtype))
    if name == "float16":
        raise InputError("float16 overflows in SwinIR's classical models, whose activations grow; take bfloat16.")
    if name not in ("float32", "bfloat16", "float64"):
        raise InputError(f"dtype must be float32, bfloat16 or float64, got {name}.")
    if jax.dtypes.canonicalize_dtype(name) != name:  # JAX would warn and compute in float32
        raise InputError('dtype=float64 needs jax.config.update("jax_enable_x64", True) first; or take float32.')


def residual_dtype(dtype: Any) -> Any:
    """Returns the residual stream's dtype: float32, or float64 when everything runs in float64."""
    return jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32


def product_precision(dtype: Any) -> lax.Precision | None:
    """Returns the precision of products in `dtype`: full for float32, which GPUs and TPUs would round to fewer bits."""
    return None if jnp.dtype(dtype) == jnp.bfloat16 else lax.Precision.HIGHEST


def product(equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies two arrays of one dtype by `jnp.einsum`; sums and result are in the residual stream's dtype."""
    return jnp.einsum(
        equation, a, b, precision=product_precision(a.dtype), preferred_element_type=residual_dtype(a.dtype)
    )


def add_bias(y: jax.Array, bias: jax.Array) -> jax.Array:
    """Adds `[C]` to `[..., C]`, in the dtype of `y`; the gradient by the bias is a sum of float32 numbers.

    Were the bias converted before it is broadcast, bfloat16 numbers would be summed over all pixels. The compiler
    exchanges the two steps, so that they cost nothing.
    """
    return y + jnp.broadcast_to(bias, y.shape).astype(y.dtype)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    padding: str | Sequence[tuple[int, int]],
    dtype: Any,
    groups: int = 1,
    kernel_axes: str = "HWIO",
) -> jax.Array:
    """Convolves `[B, H, W, C]` with `[k, k, C / groups, features]`, or the kernel's axes in another order.

    Products are those of `dtype`.
    """
    return lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", kernel_axes, "NHWC"),
        feature_group_count=groups,
        precision=product_precision(dtype),
    )
