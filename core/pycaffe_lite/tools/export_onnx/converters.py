"""The table of layer types: for each a function that adds its operations to a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.tools.export_onnx.graph import Form, Graph


@dataclass
class Item:
    """A layer in its place.

    Attributes:
        layer: the layer.
        bottoms, tops: the shapes of its blobs.
        read: for each top, whether somebody reads it or it is an output.
    """

    layer: Any
    bottoms: list[Form]
    tops: list[Form]
    read: list[bool]

    @property
    def param(self) -> Any:
        """The layer's text."""
        return self.layer.layer_param

    def blob(self, index: int) -> np.ndarray:
        """A parameter."""
        return np.asarray(self.layer.blobs[index].data)

    def cannot(self, why: str) -> CaffeError:
        """An error that says why ONNX has nothing for this layer."""
        return CaffeError(f'{self.layer.location}layer "{self.layer.name}" ({self.param.type}): {why}')


Convert = Callable[[Graph, Item, Sequence[str]], Sequence[str]]

CONVERT: dict[str, Convert] = {}
"""A function for each type: from the values of the bottoms to those of the tops."""


def converts(*types: str) -> Callable[[Convert], Convert]:
    """Decorator: the types that a function is for."""

    def register(function: Convert) -> Convert:
        CONVERT.update(dict.fromkeys(types, function))
        return function

    return register


def weight(g: Graph, item: Item, index: int, values: np.ndarray | None = None) -> str:
    """A parameter as a constant called `layer/index`."""
    return g.constant(item.blob(index) if values is None else values, what=str(index))


def by_the_batch(g: Graph, x: str, axes: Sequence[int], eps: float) -> list[Any]:
    """A value with mean 0 and variance 1 over some of its axes; and that mean and variance, with axes of length 1."""
    mean = g.reduce("ReduceMean", x, axes, True)
    centred = g.add("Sub", x, mean)
    variance = g.reduce("ReduceMean", g.add("Mul", centred, centred), axes, True)
    return [g.add("Div", centred, g.add("Sqrt", g.scaled(variance, 1, eps))), mean, variance]
