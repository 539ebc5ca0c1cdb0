"""Loops over parts of a network whose parameters have equal shapes: one program, compiled once, serves all of them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# (x, parameters of a part, what all parts share) -> x; it closes over no array, for a derivative could not follow.
Step = Callable[[jax.Array, Any, Any], jax.Array]


def one_by_one(step: Step, x: jax.Array, parts: Sequence[Any], shared: Any) -> jax.Array:
    """`step` over the parts, each with a program of its own."""
    for part in parts:
        x = step(x, part, shared)
    return x


def scan(step: Step, x: jax.Array, parts: Sequence[Any], shared: Any) -> jax.Array:
    """`one_by_one`, as a loop over the parts' stacked parameters."""
    return lax.scan(lambda x, part: (step(x, part, shared), None), x, _stack(parts))[0]


def in_turn(step: Step, x: jax.Array, parts: Sequence[Any], shared: Any) -> jax.Array:
    """`one_by_one`, as a loop whose every turn fetches the parameters of its part.

    A derivative would keep them for each turn: see `with_derivative_of`.
    """
    return lax.fori_loop(0, len(parts), lambda i, x: step(x, _fetch(i, parts), shared), x)


def with_derivative_of(differentiable: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` where no derivative is asked; else `differentiable`, the same by a way that suits derivatives."""
    either = jax.custom_jvp(function)

    def jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
        values, tree = jax.tree.flatten(primals)
        slopes = jax.tree.leaves(tangents, is_leaf=_is_zero)
        moving = [i for i, slope in enumerate(slopes) if not _is_zero(slope)]

        def of_moving(moved: Sequence[Any]) -> Any:
            given = dict(zip(moving, moved, strict=True))
            return differentiable(*jax.tree.unflatten(tree, [given.get(i, value) for i, value in enumerate(values)]))

        return jax.jvp(of_moving, ([values[i] for i in moving],), ([slopes[i] for i in moving],))

    either.defjvp(jvp, symbolic_zeros=True)  # else zeros would be made, and computed with, for all that stands still
    return either


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _fetch(i: jax.Array, parts: Sequence[Any]) -> Any:
    """`parts[i]`."""

    def choose(i: jax.Array) -> Any:
        return lax.switch(i, [lambda part=part: part for part in parts])

    def index(i: jax.Array) -> Any:
        return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), _stack(parts))

    # XLA's CPU backend would hold what is stacked beside the parameters, and a GPU waits for the CPU to choose.
    return lax.platform_dependent(i, cpu=choose, default=index)


def _stack(parts: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
