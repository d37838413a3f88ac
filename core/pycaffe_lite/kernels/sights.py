"""What the pixels of two sides see of each other through a sliding window, as offsets into memory.

Along each axis a window sees pixels at equal distances, and a pixel sees windows: those that begin at the same place
between two strides see the same taps. So whatever a piece of one side reads of the other is given by two short tables,
where each position begins and how far each tap is from there; `tiles` computes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.copying import border
from pycaffe_lite.kernels.windows import Span, Window
from pycaffe_lite.memory import Loans


class Axis(NamedTuple):
    """Along one axis, the positions of one side that see the other side's places at the same distances.

    Attributes:
        positions: of the side that is computed.
        sources: for each of them a place on the other side, which may be outside.
        taps: the taps that lie on some place there.
        shifts: for each tap how far it is from there.
    """

    positions: np.ndarray
    sources: np.ndarray
    taps: np.ndarray
    shifts: np.ndarray

    @property
    def reach(self) -> Span:
        """The places that are seen, from the first to behind the last."""
        return int(self.sources[0] + self.shifts.min()), int(self.sources[-1] + self.shifts.max() + 1)


def windows_along(window: Window, axis: int, span: Span) -> list[Axis]:
    """The windows of a span see pixels."""
    positions, taps = np.arange(*span), np.arange(window.kernel[axis])
    sources, shifts = positions * window.stride[axis] - window.pad[axis], taps * window.dilation[axis]
    return [Axis(positions - span[0], sources, taps, shifts)]


def pixels_along(window: Window, axis: int, span: Span) -> list[Axis]:
    """The pixels of a span see windows: those that lie alike between two windows' beginnings see the same taps."""
    stride, axes = window.stride[axis], []
    distances = np.arange(window.kernel[axis]) * window.dilation[axis]
    beginning = np.arange(*span) + window.pad[axis]
    for phase in range(stride):
        (positions,), (taps,) = np.nonzero(beginning % stride == phase), np.nonzero(distances % stride == phase)
        if len(positions) and len(taps):
            axes.append(Axis(positions, beginning[positions] // stride, taps, -(distances[taps] // stride)))
    return axes


class Sight(NamedTuple):
    """What a block of one side sees of the other.

    Attributes:
        axes: pairs of what is alike along both axes.
        reach: along both axes the places that are seen.
        taken: those of them that there are.
        edges, inside: of the memory for them all, indices of the border and of those that there are.
        whole: whether there is no border.
        complete: whether each position sees some place.
    """

    axes: list[tuple[Axis, Axis]]
    reach: tuple[Span, Span]
    taken: tuple[slice, slice]
    edges: list[Any]
    inside: Any
    whole: bool
    complete: bool

    def source(self, images: Array, loans: Loans) -> Array:
        """The part of images that is seen, with a border of zeros: a view where it needs none."""
        rows, columns = self.taken
        part = images[:, rows, columns]
        if self.whole:
            return part
        (top, bottom), (left, right) = self.reach
        batch, channels, size = len(images), images.shape[-1], (bottom - top, right - left)
        if part.strides[-1] > part.strides[-2]:  # planes, which are copied as such
            padded = loans.take((batch, channels, *size), images.dtype, (0, 2, 3, 1))
        else:
            skew = 64 // images.itemsize if channels % 64 == 0 else 0  # else many pixels share a place in the cache
            padded = loans.take((batch, *size, channels + skew), images.dtype)[..., :channels]
        for edge in self.edges:
            padded[edge] = 0
        np.copyto(padded[self.inside], part)
        return padded


def sight(axes: Sequence[list[Axis]], sizes: Sequence[int], spans: Sequence[Span]) -> Sight:
    """Puts both axes together.

    Args:
        axes: for each what `windows_along` or `pixels_along` gives.
        sizes: of the side that is seen.
        spans: the positions that see it.
    """
    reaches = [(min(a.reach[0] for a in along), max(a.reach[1] for a in along)) for along in axes]
    taken, widths = [], []
    for (begin, end), size in zip(reaches, sizes, strict=True):
        inside = min(max(begin, 0), size), min(max(end, 0), size)
        before = min(max(-begin, 0), end - begin)
        taken.append(slice(*inside))
        widths.append((before, end - begin - before - (inside[1] - inside[0])))
    edges, inner = border((1, *(end - begin for begin, end in reaches)), widths)
    seen = [
        sum(len(a.positions) for a in along) == end - begin for along, (begin, end) in zip(axes, spans, strict=True)
    ]
    pairs, whole = list(product(axes[0], axes[1])), not any(map(any, widths))
    return Sight(pairs, (reaches[0], reaches[1]), (taken[0], taken[1]), edges, inner, whole, all(seen))


class Tables(NamedTuple):
    """Offsets into memory, in elements.

    Attributes:
        rows: for each position, image by image, where its source is.
        steps: for each tap and channel how far it is from there.
        shifts: the same for the first channel alone.
        places: for each position where its own pixel is.
        taps: the numbers of the taps.
    """

    rows: np.ndarray
    steps: np.ndarray
    shifts: np.ndarray
    places: np.ndarray
    taps: np.ndarray


def tables(seen: Sight, source: Array, result: Array, kernel_width: int) -> list[Tables]:
    """For each of the pairs of axes, the offsets into `source` and `result`, N x H x W x C."""
    steps, own = ([stride // array.itemsize for stride in array.strides] for array in (source, result))
    batch, channels = np.arange(len(source)), np.arange(source.shape[-1]) * steps[3]
    (top, _), (left, _) = seen.reach
    found = []
    for y, x in seen.axes:
        rows = _grid(batch * steps[0], (y.sources - top) * steps[1], (x.sources - left) * steps[2])
        shifts = y.shifts * steps[1], x.shifts * steps[2]
        places = _grid(batch * own[0], y.positions * own[1], x.positions * own[2])
        taps = _grid(y.taps * kernel_width, x.taps)
        found.append(Tables(rows, _grid(*shifts, channels), _grid(*shifts), places, taps))
    return found


def _grid(*parts: np.ndarray) -> np.ndarray:
    """The sums of one of each of the parts, the last one's running fastest."""
    total: Any = 0
    for i, part in enumerate(parts):
        total = total + part.reshape(-1, *(1,) * (len(parts) - 1 - i))
    return total.reshape(-1).astype(np.int32)


class Sights:
    """Both sides' tables for a window of two axes, each worked out when it is first needed.

    Args:
        window: the geometry.
        images, maps: both sides' sizes along the axes.
    """

    def __init__(self, window: Window, images: Sequence[int], maps: Sequence[int]) -> None:
        self.window, self.images, self.maps = window, images, maps
        self._sights: dict[tuple[bool, Span], Sight | None] = {}
        self._tables: dict[Any, list[Tables]] = {}

    def windows(self, images: Array, maps: Array, rows: Span, loans: Loans) -> tuple[Array, Tables]:
        """What some rows of windows see of the images, in borrowed memory or as a view, and the table.

        Args:
            images: whole images.
            maps: those rows of the maps.
            rows: from the first to behind the last.
        """
        seen = self._sight(True, rows)
        assert seen is not None
        source = seen.source(images, loans)
        return source, self._find(True, rows, seen, source, maps)[0]

    def places(self, images: Array, maps: Array, rows: Span) -> np.ndarray:
        """Where the pixels of those rows of maps are; `images` is what the windows see."""
        seen = self._sight(True, rows)
        assert seen is not None
        return self._find(True, rows, seen, images, maps)[0].places

    def pixels(self, maps: Array, images: Array, rows: Span, loans: Loans) -> tuple[Array, list[Tables], bool]:
        """What some rows of pixels see of the maps, the tables, and whether each of them sees something.

        Args:
            maps: whole maps.
            images: those rows of the images.
        """
        seen = self._sight(False, rows)
        if seen is None:
            return maps, [], False
        source = seen.source(maps, loans)
        return source, self._find(False, rows, seen, source, images), seen.complete

    @cached_property
    def pixel_taps(self) -> list[np.ndarray]:
        """The taps of each of the tables that `pixels` gives for all rows."""
        along = [pixels_along(self.window, axis, (0, size)) for axis, size in enumerate(self.images)]
        return [_grid(y.taps * self.window.kernel[1], x.taps) for y, x in product(*along)]

    def _sight(self, of_windows: bool, rows: Span) -> Sight | None:
        key = of_windows, rows
        if key not in self._sights:
            look = windows_along if of_windows else pixels_along
            spans = rows, (0, (self.maps if of_windows else self.images)[1])
            axes = [look(self.window, axis, span) for axis, span in enumerate(spans)]
            seen = sight(axes, self.images if of_windows else self.maps, spans) if all(axes) else None
            self._sights[key] = seen
        return self._sights[key]

    def _find(self, of_windows: bool, rows: Span, seen: Sight, source: Array, own: Array) -> list[Tables]:
        key = of_windows, rows, source.strides, own.strides, source.shape[-1], len(own)
        if key not in self._tables:
            self._tables[key] = tables(seen, source, own, self.window.kernel[1])
        return self._tables[key]
