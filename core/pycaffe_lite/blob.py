"""Blob: an array of values and, beside it, an array of their derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.errors import ShapeError
from pycaffe_lite.memory import aligned_bytes

Array = NDArray[np.floating]

ARRAYS = ("_data", "_diff")


def _allocate(shape: tuple[int, ...], order: tuple[int, ...] | None, dtype: np.dtype) -> Array:
    """Zeros of logical `shape` whose axes lie in memory in `order`, outermost first."""
    memory = aligned_bytes(prod(shape) * dtype.itemsize).view(dtype)
    if order is None:
        return memory.reshape(shape)
    return memory.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


class Blob:
    """An N-dimensional array `data` and its derivative `diff`.

    The shape is logical, N x C x H x W for images, as in Caffe. The memory is whatever the blob's producer finds
    fastest: `order` names the axes from the outermost to the innermost, so (0, 2, 3, 1) is channels-last. Readers need
    not care; NumPy's own functions keep the order by themselves.

    Both arrays come into being, as zeros, when they are first asked for: a blob through which nothing is
    propagated back never has a diff.

    Args:
        shape: the lengths of the axes, each >= 0; () is a scalar.
        order: a permutation of the axes, or None for C order.
        dtype: float32, as Caffe computes; float64 for gradient checks.

    Attributes:
        pinned: whether both arrays keep their place and C order, see `pin`.
        moved: whether both arrays are parts of larger ones, see `move_to`.
    """

    pinned = False
    moved = False

    def __init__(
        self,
        shape: Sequence[int] = (),
        order: Sequence[int] | None = None,
        dtype: np.dtype | type = np.float32,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self._shape: tuple[int, ...] = ()
        self._order: tuple[int, ...] | None = None
        self._data: Array | None = None
        self._diff: Array | None = None
        self._wanted: tuple[int, ...] | None = None
        self._room: dict[str, Array] = {}
        self.reshape(*shape, order=order)

    # -- shape ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def order(self) -> tuple[int, ...] | None:
        """The axes from the outermost in memory to the innermost; None for C order."""
        return self._order

    @property
    def count(self) -> int:
        """The number of elements."""
        return prod(self._shape)

    @property
    def num_axes(self) -> int:
        return len(self._shape)

    def reshape(self, *shape: int, order: Sequence[int] | None = None) -> None:
        """Takes a new shape; the values survive, in logical order, if the number of elements stays the same.

        Raises:
            ShapeError: for a negative length, or more elements than Caffe can count (2**31 - 1).
        """
        new = tuple(int(length) for length in shape)
        new_order = None if order is None or list(order) == sorted(order) else tuple(order)
        if self.pinned:
            self._wanted, new_order = new_order, None
        if new == self._shape and new_order == self._order:
            return
        if any(length < 0 for length in new):
            raise ShapeError(f"A blob needs lengths of 0 or more, got shape {list(new)}.")
        if prod(new) > 2**31 - 1:
            raise ShapeError(f"A blob holds at most 2**31 - 1 elements, got shape {list(new)}.")
        keep = prod(new) == self.count and new_order is None and self._order is None
        self._shape, self._order = new, new_order
        if self.pinned:
            for name in ARRAYS:
                self._resize(name)
            return
        self._data = self._data.reshape(new) if keep and self._data is not None else None
        self._diff = self._diff.reshape(new) if keep and self._diff is not None else None

    def reshape_like(self, other: Blob) -> None:
        """Takes shape and memory order of another blob."""
        self.reshape(*other.shape, order=other.wanted_order)

    # -- values --------------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The values, of logical `shape`."""
        if self._data is None:
            self._data = _allocate(self._shape, self._order, self.dtype)
        return self._data

    @data.setter
    def data(self, values: Array) -> None:
        self._take("_data", self._checked(values))

    @property
    def diff(self) -> Array:
        """The derivatives of the loss with respect to `data`, of the same shape."""
        if self._diff is None:
            self._diff = _allocate(self._shape, self._order, self.dtype)
        return self._diff

    @diff.setter
    def diff(self, values: Array) -> None:
        self._take("_diff", self._checked(values))

    def _take(self, name: str, values: Array) -> None:
        """Takes an array over as it is, without a copy and with any strides; a pinned blob copies it."""
        own = getattr(self, name.lstrip("_")) if self.pinned else None
        if own is None or same_memory(own, values):
            setattr(self, name, values)
        else:
            np.copyto(own, values)

    def _checked(self, values: Array) -> Array:
        if values.shape != self._shape:
            raise ShapeError(f"Expected an array of shape {list(self._shape)}, got {list(values.shape)}.")
        return values

    @property
    def has_diff(self) -> bool:
        """Whether the diff has been allocated."""
        return self._diff is not None

    def share_data(self, other: Blob) -> None:
        """Reads and writes the values of another blob with as many elements, under this blob's shape."""
        self._data = other.data if other.shape == self._shape else other.data.reshape(self._shape)

    def share_diff(self, other: Blob) -> None:
        """Reads and writes the diff of another blob with as many elements, under this blob's shape."""
        self._diff = other.diff if other.shape == self._shape else other.diff.reshape(self._shape)

    def move_to(self, data: Array, diff: Array) -> None:
        """Copies values and diff into flat memory, in this blob's memory order, and becomes a view of it."""
        self.moved = True
        order = self._order or range(self.num_axes)
        back = [int(axis) for axis in np.argsort(order)]
        for name, memory in (("_data", data), ("_diff", diff)):
            view = memory.reshape([self._shape[axis] for axis in order]).transpose(back)
            old = getattr(self, name)
            if old is not None:
                view[...] = old
            setattr(self, name, view)

    # -- memory that somebody else holds ---------------------------------------------------------------------

    def pin(self, others: Iterable[Blob] = ()) -> None:
        """Keeps data and diff where they are, and in C order, as those who hold views of them expect.

        Arrays that a pinned blob is given are copied into its own. A reshape leaves what lies in memory, as Caffe's
        does: the first values in C order stay, and those that a smaller shape has no place for are there again with
        a larger one.

        Args:
            others: blobs that may share this one's arrays, as the tops of a Split do; they share them afterwards, too.
        """
        if not self.pinned:
            self.pinned, self._wanted = True, self._order
            self._lay_out(None, others)

    @property
    def wanted_order(self) -> tuple[int, ...] | None:
        """The memory order that a pinned blob goes back to, see `order`."""
        return self._wanted if self.pinned else self._order

    def unpin(self, others: Iterable[Blob] = ()) -> None:
        """Goes back to the memory order that its producer wants, with the same values."""
        if self.pinned:
            self.pinned = False
            self._room.clear()
            self._lay_out(self._wanted, others)

    def _lay_out(self, order: tuple[int, ...] | None, others: Iterable[Blob]) -> None:
        self._order = order
        moving = [name for name in ARRAYS if not _lies_in(getattr(self, name), order)]
        sharing = [blob for blob in others if blob.shape == self._shape and blob is not self] if moving else []
        for name in moving:
            old, new = getattr(self, name), _allocate(self._shape, order, self.dtype)
            np.copyto(new, old)
            setattr(self, name, new)
            for blob in sharing:
                theirs = getattr(blob, name)
                if theirs is not None and same_memory(theirs, old):
                    setattr(blob, name, new)

    def shares_memory(self, other: Blob) -> bool:
        """Whether data or diff of two blobs may lie in the same memory."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ARRAYS]
        return any(a is not None and b is not None and np.may_share_memory(a, b) for a, b in pairs)

    def _resize(self, name: str) -> None:
        """Brings an array of a pinned blob to the present shape, in the same memory if that has room."""
        array = getattr(self, name)
        if array is None:
            return
        room = self._room.get(name)
        if room is None or not np.may_share_memory(room, array):
            room = array.reshape(-1)
        if room.size < self.count:
            larger = _allocate((self.count,), None, self.dtype)
            larger[: room.size] = room
            room = larger
        self._room[name] = room
        setattr(self, name, room[: self.count].reshape(self._shape))

    # -- Caffe's older names for the four axes of an image batch ---------------------------------------------

    def _legacy(self, axis: int) -> int:
        if self.num_axes > 4:
            raise ShapeError(f"num, channels, height and width need at most 4 axes, got shape {list(self._shape)}.")
        return self._shape[axis] if axis < self.num_axes else 1

    @property
    def num(self) -> int:
        return self._legacy(0)

    @property
    def channels(self) -> int:
        return self._legacy(1)

    @property
    def height(self) -> int:
        return self._legacy(2)

    @property
    def width(self) -> int:
        return self._legacy(3)

    def __repr__(self) -> str:
        return f"Blob({shape_text(self._shape)})"


def same_memory(a: Array, b: Array) -> bool:
    """Whether two arrays are views of the same elements."""
    return a.ctypes.data == b.ctypes.data and a.strides == b.strides and a.shape == b.shape


def _lies_in(array: Array | None, order: tuple[int, ...] | None) -> bool:
    """Whether an array, if there is one, is dense in that order and may be written to."""
    if array is None:
        return True
    memory = array if order is None else array.transpose(order)
    return memory.flags.c_contiguous and memory.flags.writeable


def shape_text(shape: Sequence[int]) -> str:
    """A shape as Caffe prints it: `64 1 28 28 (50176)`."""
    return "".join(f"{length} " for length in shape) + f"({prod(shape)})"
