"""The cases that `test_layer_contract.py` puts every layer type through.

To add a family of layers, write a module beside this one (it is found by itself) that calls `add` for each
case:

    from rigs.layer_cases.table import Case, add, labels

    add(Case(
        text='type: "Softmax" bottom: "x" top: "y" softmax_param { axis: 2 }',
        bottoms=((2, 3, 4),),         # a shape stands for normal values; see also values, labels, uniform
        tops=((2, 3, 4),),            # the shapes that must come out
        name="axis",
    ))

Give each type a case for every parameter that changes its arithmetic, small shapes (some tens of elements:
each costs two forwards in the gradient check), and one case with 4-axis bottoms if it takes images. A top
that names a bottom runs in place, and must give what it gives out of place.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pycaffe_lite.phase import TRAIN
from rigs.layer_rig import layer_param

Shape = tuple[int, ...]
Spec = Shape | Callable[[np.random.Generator], np.ndarray]


def values(array: object) -> Spec:
    """Just these values."""
    return lambda generator: np.array(array, np.float64)


def labels(shape: Shape, classes: int) -> Spec:
    """Whole numbers from 0 to classes - 1."""
    return lambda generator: generator.integers(0, classes, shape).astype(np.float64)


def uniform(shape: Shape, low: float, high: float) -> Spec:
    """Evenly spread values from low to high, for layers that take a part of the numbers only."""
    return lambda generator: generator.uniform(low, high, shape)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One layer, what it is fed, and what is known of the result.

    Attributes:
        text: the layer's prototxt without a name; `FOLDER` in it stands for the folder that `prepare` filled.
        bottoms: for each bottom its shape (normal values), or a function of a generator that makes its
            values.
        tops: the shapes that must come out.
        name: tells the cases of one type apart.
        phase: TRAIN or TEST.
        differentiable: the bottoms that have a derivative; None: all.
        weighted_tops: the tops that take part in the gradient check; None: all. The others get a diff of 0.
        param_values: makes the parameters' values; None: normal ones. "filler" leaves what the layer put in.
        differentiable_params: the parameters that have a derivative; None: all. Where no bottom has one, name
            them: a layer with neither is taken to have no backward.
        is_derivative: whether backward is forward's derivative; where a fork computes something else its numbers count,
            the layer's docstring says so, and golden/forks has them.
        rtol, atol, step: of the gradient check. Widen them only with a reason beside it.
        grow: the bottoms that get longer along axis 0 when the batch does; None: all.
        large: bottoms for the threads to share, where those above are too small for the layer to cut.
        prepare: writes the files that the layer reads into a folder.
        in_place_agrees: whether in place the result is that of the layer out of place.
        once: whether the layer refuses a second forward.
        arrange: does what a caller has to do to the layer before the first forward.
    """

    text: str
    bottoms: Sequence[Spec] = ()
    tops: Sequence[Shape] = ()
    name: str = "basic"
    phase: int = TRAIN
    differentiable: Sequence[int] | None = None
    weighted_tops: Sequence[int] | None = None
    param_values: Callable[[np.random.Generator, Shape], np.ndarray] | str | None = None
    differentiable_params: Sequence[int] | None = None
    is_derivative: bool = True
    rtol: float = 1e-5
    atol: float = 1e-7
    step: float = 1e-6
    grow: Sequence[int] | None = None
    large: Sequence[Spec] = ()
    prepare: Callable[[Path], None] | None = None
    in_place_agrees: bool = True
    once: bool = False
    arrange: Callable[[Any], None] | None = None

    @property
    def type(self) -> str:
        return str(layer_param(self.text).type)

    @property
    def in_place(self) -> bool:
        param = layer_param(self.text)
        return bool(set(param.bottom) & set(param.top))

    @property
    def wanted(self) -> Sequence[int]:
        """The bottoms that have a derivative."""
        return range(len(self.bottoms)) if self.differentiable is None else self.differentiable

    @property
    def has_backward(self) -> bool:
        return bool(self.wanted) or bool(self.differentiable_params)

    def arrays(self, generator: np.random.Generator, large: bool = False) -> list[np.ndarray]:
        """Values for the bottoms, in double precision."""
        specs = self.large if large and self.large else self.bottoms
        return [spec(generator) if callable(spec) else generator.normal(size=spec) for spec in specs]

    def grown(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The same with one more item: the first comes again at the end."""
        grow = range(len(arrays)) if self.grow is None else self.grow
        return [np.concatenate([a, a[:1]]) if i in grow and a.ndim else a for i, a in enumerate(arrays)]

    def out_of_place(self) -> str:
        """The text with tops of their own."""
        return re.sub(r'top: "(\w+)"', r'top: "\1_of_its_own"', self.text)


_CASES: dict[str, list[Case]] = {}


def add(case: Case) -> None:
    """Takes a case into the table; two of one type need different names."""
    known = _CASES.setdefault(case.type, [])
    assert case.name not in [other.name for other in known], f"{case.type} has two cases called {case.name}"
    known.append(case)


def all_cases() -> dict[str, list[Case]]:
    """The cases of all modules in this folder, by layer type."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        importlib.import_module(f"rigs.layer_cases.{path.stem}")
    return _CASES
