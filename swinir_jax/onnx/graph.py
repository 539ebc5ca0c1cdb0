"""Graphs of ONNX operators, written as arithmetic on tensors."""

import dataclasses
from typing import Any

import numpy as np

FLOAT = 1  # onnx.TensorProto.FLOAT


@dataclasses.dataclass(frozen=True)
class Node:
    """An operator with the names of its inputs and outputs."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Graph:
    """Nodes in the order of computation, and their constants by name.

    Equal nodes exist once, and so do equal constants: all layers share the mask that each of them asks for.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[Any, tuple[str, ...]] = {}

    def weight(self, name: str, values: np.ndarray) -> "Tensor":
        """Stores weights under a name. Weights stored in another dtype than float32 are computed with in float32."""
        self.constants[name] = values
        stored = Tensor(self, name)
        return stored if values.dtype == np.float32 else self.apply("Cast", stored, to=FLOAT)

    def constant(self, value: "int | float | np.ndarray") -> "Tensor":
        """Stores integers as int64 and other numbers as float32."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = (f"constant_{len(self.constants)}",)
            self.constants[self._known[key][0]] = array
        return Tensor(self, self._known[key][0])

    def apply(self, operator: str, *operands: "Operand | None", **attributes: Any) -> "Tensor":
        """Applies an operator of one output; None is an optional input that is left out."""
        return self.apply_many(operator, 1, *operands, **attributes)[0]

    def apply_many(self, operator: str, outputs: int, *operands: "Operand | None", **attributes: Any) -> "list[Tensor]":
        """Applies an operator of several outputs."""
        inputs = tuple("" if x is None else self._tensor(x).name for x in operands)
        key = (operator, outputs, inputs, repr(attributes))
        if key not in self._known:
            self._known[key] = tuple(f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs))
            self.nodes.append(Node(operator, inputs, self._known[key], attributes))
        return [Tensor(self, name) for name in self._known[key]]

    def pruned(self, result: "Tensor") -> "Graph":
        """Returns the part of the graph that a tensor is computed from."""
        part, needed = Graph(), {result.name}
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                part.nodes.append(node)
                needed.update(node.inputs)
        part.nodes.reverse()
        part.constants = {name: values for name, values in self.constants.items() if name in needed}
        return part

    def _tensor(self, operand: "Operand") -> "Tensor":
        return operand if isinstance(operand, Tensor) else self.constant(operand)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A named value of a graph; arithmetic on tensors adds nodes to the graph.

    Lengths of axes, such as `x.side(1)`, are int64 tensors of shape `[1]`.
    """

    graph: Graph
    name: str

    def __add__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Add", self, other)

    def __sub__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Sub", self, other)

    def __mul__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Mul", self, other)

    def __truediv__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Div", self, other)

    def __floordiv__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Div", self, other)  # ONNX divides integers without remainder

    def __mod__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("Mod", self, other)

    def __matmul__(self, other: "Operand") -> "Tensor":
        return self.graph.apply("MatMul", self, other)

    def side(self, axis: int) -> "Tensor":
        """Returns the length of an axis."""
        return self.graph.apply("Shape", self, start=axis, end=axis + 1)

    def reshape(self, *sides: "int | Tensor") -> "Tensor":
        """Returns the values in another shape; one side may be -1."""
        return self.graph.apply("Reshape", self, self._joined(sides))

    def transpose(self, *axes: int) -> "Tensor":
        """Returns the axes in another order."""
        return self.graph.apply("Transpose", self, perm=axes)

    def cut(self, axes: tuple[int, ...], start: int, *ends: "int | Tensor") -> "Tensor":
        """Returns the part from `start` to each axis's end."""
        starts = np.full(len(axes), start)
        return self.graph.apply("Slice", self, starts, self._joined(ends), np.asarray(axes))

    def take(self, indices: "Operand", axis: int) -> "Tensor":
        """Returns the entries of an axis at indices, as `numpy.take`."""
        return self.graph.apply("Gather", self, indices, axis=axis)

    def _joined(self, sides: "tuple[int | Tensor, ...]") -> "Operand":
        if not any(isinstance(side, Tensor) for side in sides):
            return np.asarray(sides)
        parts = [side if isinstance(side, Tensor) else np.asarray([side]) for side in sides]
        return self.graph.apply("Concat", *parts, axis=0)


Operand = Tensor | np.ndarray | int | float


def arange(side: Tensor) -> Tensor:
    """Returns 0, 1, ... up to a side, int64."""
    return side.graph.apply("Range", 0, side.graph.apply("Squeeze", side, np.asarray([0])), 1)
