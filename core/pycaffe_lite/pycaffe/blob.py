"""Blobs as pycaffe shows them: whatever is written into their arrays arrives.

The engine lays most images out channels-last. A script written for Caffe counts on C order: `data.reshape(-1)[:] = x`
and `data.ravel()[:] = x` would write into a copy. So a blob whose data or diff is asked for is pinned: it moves to C
order, and stays there as long as any array that was handed out, or any view of one, is alive. Afterwards the next pass
lays it out again as it likes. Nets of which nobody holds arrays run as fast as the engine does.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np

from pycaffe_lite import blob as engine
from pycaffe_lite.blob import Array
from pycaffe_lite.pycaffe.faults import BadType

Others = Callable[[], Iterable[engine.Blob]]


class _Memory:
    """What an array is made of that has been handed out: it is the base of all its views, and it is not the blob's."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


class Blob:
    """N-dimensional data and diff.

    `data` and `diff` are float32 arrays in C order that share the blob's memory. Write into them, `data[...] = x`.

    Args:
        inner: the engine's blob.
        lender: who pins it, see Lender; None: a lender of its own.
    """

    def __init__(self, inner: engine.Blob, lender: Lender | None = None) -> None:
        self.inner = inner
        self._lender = lender or Lender(lambda: (), lambda blob: None)
        self._handed: dict[str, Callable[[], Array | None]] = {}

    @property
    def data(self) -> Array:
        """The values, of the blob's shape; writing into them changes the blob."""
        return self._hand_out("data")

    @data.setter
    def data(self, values: object) -> None:
        raise AttributeError("A blob's data keeps its place; write into it: blob.data[...] = values.")

    @property
    def diff(self) -> Array:
        """The derivatives of the loss with respect to the data, of the same shape."""
        return self._hand_out("diff")

    @diff.setter
    def diff(self, values: object) -> None:
        raise AttributeError("A blob's diff keeps its place; write into it: blob.diff[...] = values.")

    def _hand_out(self, name: str) -> Array:
        self._lender.pin(self.inner)
        array = getattr(self.inner, name)
        known = self._handed.get(name)
        handed = known() if known is not None else None
        if handed is not None and engine.same_memory(handed, array):
            return handed
        handed = cast(Array, np.asarray(_Memory(array)))
        self._handed[name] = self._lender.note(self.inner, handed)
        return handed

    def reshape(self, *shape: int) -> None:
        """Takes a new shape; what lies in memory stays, also what a smaller shape has no place for.

        Args:
            shape: the lengths of the axes, as single arguments.

        Raises:
            TypeError: for a tuple in the place of single lengths.
            ShapeError: for a negative length, or more than 2**31 - 1 elements.
        """
        for length in shape:
            if not isinstance(length, (int, np.integer)):
                raise BadType(f"Blob.reshape takes lengths one by one, such as reshape(1, 3, 8, 8), got {length!r}.")
        self._lender.pin(self.inner)
        self.inner.reshape(*shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.inner.shape

    @property
    def count(self) -> int:
        """The number of elements."""
        return self.inner.count

    @property
    def num(self) -> int:
        """The length of axis 0; 1 if there is none."""
        return self.inner.num

    @property
    def channels(self) -> int:
        """The length of axis 1; 1 if there is none."""
        return self.inner.channels

    @property
    def height(self) -> int:
        """The length of axis 2; 1 if there is none."""
        return self.inner.height

    @property
    def width(self) -> int:
        """The length of axis 3; 1 if there is none."""
        return self.inner.width

    def __repr__(self) -> str:
        return repr(self.inner)


class Lender:
    """Pins the blobs of a net that somebody holds arrays of, and lets them go when nobody does.

    Args:
        others: gives all blobs of the net that might share memory with one another.
        prepare: called before a blob is pinned.
    """

    def __init__(self, others: Others, prepare: Callable[[engine.Blob], object]) -> None:
        self._others, self._prepare = others, prepare
        self._shown: dict[int, Blob] = {}
        self._pinned: dict[int, engine.Blob] = {}
        self._held: dict[int, list[weakref.ref[Any]]] = {}

    def show(self, inner: engine.Blob) -> Blob:
        """The pycaffe blob for an engine's one; always the same."""
        known = self._shown.get(id(inner))
        if known is None:
            known = self._shown[id(inner)] = Blob(inner, self)
        return known

    def pin(self, inner: engine.Blob) -> None:
        """Pins a blob until nobody holds its arrays, or for good if it was pinned already."""
        if not inner.pinned:
            self._prepare(inner)
            inner.pin(self._others())
            self._pinned[id(inner)] = inner

    def note(self, inner: engine.Blob, handed: Array) -> weakref.ref[Any]:
        """Remembers an array that has been handed out; returns a reference that does not keep it alive."""
        reference: weakref.ref[Any] = weakref.ref(handed)
        held = [known for known in self._held.get(id(inner), ()) if known() is not None]
        self._held[id(inner)] = [*held, reference]
        return reference

    def keep(self, blobs: Iterable[engine.Blob]) -> None:
        """Never lets go of these, which are pinned."""
        for inner in blobs:
            self._pinned.pop(id(inner), None)

    def let_go(self) -> None:
        """Unpins the blobs whose arrays nobody holds any more."""
        for key, inner in [*self._pinned.items()]:
            if any(reference() is not None for reference in self._held.get(key, ())):
                continue
            if inner.wanted_order is None:  # it stays where it is
                inner.unpin()
            elif self._shares_with_a_held_one(inner):
                continue
            else:
                inner.unpin(self._others())
            self._held.pop(key, None)
            del self._pinned[key]

    def _shares_with_a_held_one(self, inner: engine.Blob) -> bool:
        """Whether its memory cannot move because another blob's handed out arrays are in it."""
        return any(
            other is not inner
            and other.pinned
            and other.shares_memory(inner)
            and any(reference() is not None for reference in self._held.get(id(other), ()))
            for other in self._others()
        )
