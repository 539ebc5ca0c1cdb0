"""Steps that apply other steps: with a probability, one of several, in order, in random order."""

import dataclasses
from typing import TypeVar

import numpy as np

from swinir_jax.data.blind.step import Step

_Option = TypeVar("_Option")


@dataclasses.dataclass(frozen=True)
class Maybe:
    """Applies a step with a probability."""

    probability: float
    step: Step

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return self.step(image, target, rng) if rng.random() < self.probability else image


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Applies one of several steps, each with its probability."""

    steps: tuple[tuple[float, Step], ...]

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        return draw_one(self.steps, rng)(image, target, rng)


@dataclasses.dataclass(frozen=True)
class InOrder:
    """Applies steps one after another."""

    steps: tuple[Step, ...]

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        for step in self.steps:
            image = step(image, target, rng)
        return image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled:
    """Applies steps in a random order.

    Attributes:
      steps: steps to apply.
      probability: probability of the random order, else that of `steps`.
      before: indices of two steps that change places where the first would follow the second.
    """

    steps: tuple[Step, ...]
    probability: float = 1.0
    before: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray, target: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        order = [*range(len(self.steps))]
        if rng.random() < self.probability:
            order = rng.permutation(len(self.steps)).tolist()
        if self.before:
            first, second = map(order.index, self.before)
            if first > second:
                order[first], order[second] = order[second], order[first]
        for index in order:
            image = self.steps[index](image, target, rng)
        return image


def draw_one(options: tuple[tuple[float, _Option], ...], rng: np.random.Generator) -> _Option:
    """Returns one of several options, each with its probability."""
    weights = [weight for weight, _ in options]
    return options[int(rng.choice(len(options), p=weights))][1]
