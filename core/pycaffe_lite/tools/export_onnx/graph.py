"""A graph of ONNX operations that grows layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]

FLOAT, INT64, DOUBLE = 1, 7, 11
"""ONNX's numbers of the types of values."""


class FixedBatch(Exception):
    """The graph can only be made for one batch size."""


@dataclass
class Op:
    """An operation.

    Attributes:
        kind: its ONNX op_type.
        inputs, outputs: the names of values; an empty input is left out.
        attributes: by name.
        name: unique in the graph.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str


@dataclass(frozen=True)
class Form:
    """A blob's shape, at the batch size of the text and at another one; they are equal where that changes nothing."""

    at: Shape
    other: Shape

    @property
    def axes(self) -> int:
        """How many axes it has."""
        return len(self.at)

    @property
    def target(self) -> list[int]:
        """What Reshape is to be told: the lengths, -1 for the one that follows the batch size.

        Raises:
            FixedBatch: more than one does.
        """
        result = [a if a == b else -1 for a, b in zip(self.at, self.other, strict=True)]
        if result.count(-1) > 1:
            raise FixedBatch
        return result

    def length(self, axis: int) -> int:
        """The length of an axis.

        Raises:
            FixedBatch: it follows the batch size.
        """
        if self.at[axis] != self.other[axis]:
            raise FixedBatch
        return self.at[axis]

    def __getitem__(self, part: slice) -> Form:
        return Form(self.at[part], self.other[part])

    def __add__(self, more: Sequence[int]) -> Form:
        return Form((*self.at, *more), (*self.other, *more))


@dataclass
class Graph:
    """Operations and constants.

    Attributes:
        opset: the version of the operators.
        ops: in the order they run.
        constants: values that are known.
        layer: the layer whose operations are added, after which they are called.
        reserved: the names of the inputs, which nothing else may have.
    """

    opset: int
    ops: list[Op] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    layer: str = ""
    reserved: Collection[str] = ()
    _names: Counter[str] = field(default_factory=Counter)

    def name(self, what: str = "") -> str:
        """A new name, for an operation or a value of the layer."""
        base = f"{self.layer}/{what}" if what else self.layer
        while True:
            self._names[base] += 1
            name = base if self._names[base] == 1 else f"{base}_{self._names[base]}"
            if name not in self.reserved:
                return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds an operation; returns the name of its output, of several a list."""
        names = [self.name("value") for _ in range(outputs)]
        self.ops.append(Op(kind, list(inputs), names, attributes, self.name(kind)))
        return names[0] if outputs == 1 else names

    def constant(self, values: Any, dtype: type = np.float32, what: str = "constant") -> str:
        """A known value; returns its name."""
        name = self.name(what)
        self.constants[name] = np.array(values, dtype, order="C")
        return name

    def ints(self, *values: int) -> str:
        """A list of whole numbers, as axes and shapes are."""
        return self.constant(list(values), np.int64)

    def reshape(self, value: str, form: Form) -> str:
        """A value in another shape."""
        return str(self.add("Reshape", value, self.ints(*form.target)))

    def reduce(self, kind: str, value: str, axes: Sequence[int], keep: bool) -> str:
        """ReduceMean and the like, whose axes became an input with opset 18 (ReduceSum: 13)."""
        if kind == "ReduceSum" or self.opset >= 18:
            return str(self.add(kind, value, self.ints(*axes), keepdims=int(keep)))
        return str(self.add(kind, value, axes=list(axes), keepdims=int(keep)))

    def lengths(self, value: str, begin: int, end: int) -> str:
        """The lengths of some axes, as whole numbers."""
        return str(self.add("Slice", self.add("Shape", value), self.ints(begin), self.ints(end), self.ints(0)))

    def reversed(self, value: str, axis: int) -> str:
        """A value with an axis turned round."""
        return str(self.add("Slice", value, self.ints(-1), self.ints(-(2**31)), self.ints(axis), self.ints(-1)))

    def scaled(self, value: str, factor: float, shift: float = 0.0) -> str:
        """factor x + shift, without what changes nothing."""
        if factor != 1:
            value = self.add("Mul", value, self.constant(factor))
        return self.add("Add", value, self.constant(shift)) if shift else value

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives values other names."""
        for op in self.ops:
            op.inputs = [names.get(value, value) for value in op.inputs]
            op.outputs = [names.get(value, value) for value in op.outputs]
        self.constants = {names.get(name, name): values for name, values in self.constants.items()}
