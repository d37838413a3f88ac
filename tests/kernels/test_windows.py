"""im2col and col2im against naive loops, and each other's adjoint."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.kernels.windows import Col2im, Im2col, Span, Window
from pycaffe_lite.memory import Loans


@st.composite
def windows(draw: st.DrawFn, axes: int | None = None) -> tuple[Window, tuple[int, ...]]:
    """A window and the sizes of an image into which it fits at least once."""
    count = draw(st.integers(1, 3)) if axes is None else axes
    kernel, stride, pad, dilation = (
        tuple(draw(st.lists(st.integers(least, most), min_size=count, max_size=count)))
        for least, most in ((1, 4), (1, 3), (0, 3), (1, 3))
    )
    window = Window(kernel, stride, pad, dilation)
    sizes = tuple(
        draw(st.integers(max(1, extent - 2 * p), max(1, extent - 2 * p) + 6))
        for extent, p in zip(window.extent, pad, strict=True)
    )
    return window, sizes


Geometry = tuple[Window, tuple[int, ...]]
CHANNELS = st.sampled_from([1, 2, 5, 16])


def columns(window: Window, x: np.ndarray, rows: Span) -> np.ndarray:
    """The matrix that Im2col makes."""
    with Loans() as loans:
        return Im2col(window, x.shape, rows).matrix(x, loans).copy()


def add_columns(
    window: Window, values: np.ndarray, rows: tuple[int, int], x: np.ndarray, pixels: tuple[int, int]
) -> None:
    """Adds these values of a matrix to the rows `pixels` of images."""
    col2im = Col2im(window, x.shape, rows, pixels)
    with col2im.empty(values.dtype) as matrix:
        matrix[...] = values.reshape(matrix.shape)
        col2im.add(matrix, x)


def naive_columns(window: Window, x: np.ndarray, rows: Span) -> np.ndarray:
    """The matrix of windows, value by value."""
    batch, sizes, channels = x.shape[0], x.shape[1:-1], x.shape[-1]
    count = (rows[1] - rows[0], *window.output(sizes)[1:])
    matrix = np.zeros((batch, *count, *window.kernel, channels), x.dtype)
    for place in product(range(batch), *map(range, count), *map(range, window.kernel)):
        n, at, tap = place[0], place[1 : 1 + len(sizes)], place[1 + len(sizes) :]
        at = (at[0] + rows[0], *at[1:])
        pixel = tuple(
            a * s + t * d - p for a, s, t, d, p in zip(at, window.stride, tap, window.dilation, window.pad, strict=True)
        )
        if all(0 <= i < size for i, size in zip(pixel, sizes, strict=True)):
            matrix[place] = x[(n, *pixel)]
    return matrix.reshape(batch * prod(count), -1)


def image(sizes: tuple[int, ...], channels: int, seed: int = 0, channels_last: bool = True) -> np.ndarray:
    """Two images of whole numbers, channels-last in shape, and in memory if wanted."""
    values = np.random.default_rng(seed).integers(1, 100, (2, *sizes, channels)).astype(np.float64)
    return values if channels_last else np.moveaxis(np.ascontiguousarray(np.moveaxis(values, -1, 1)), 1, -1)


def all_rows(window: Window, sizes: tuple[int, ...]) -> Span:
    return (0, window.output(sizes)[0])


@settings(deadline=None, max_examples=60)
@given(windows(), CHANNELS, st.booleans())
def test_columns_are_those_of_naive_loops(geometry: Geometry, channels: int, channels_last: bool) -> None:
    window, sizes = geometry
    x, rows = image(sizes, channels, channels_last=channels_last), all_rows(window, sizes)
    np.testing.assert_array_equal(columns(window, x, rows), naive_columns(window, x, rows))


@settings(deadline=None, max_examples=40)
@given(windows(), CHANNELS, st.data())
def test_columns_of_some_rows(geometry: Geometry, channels: int, data: st.DataObject) -> None:
    window, sizes = geometry
    last = all_rows(window, sizes)[1]
    first = data.draw(st.integers(0, last - 1))
    rows = (first, data.draw(st.integers(first + 1, last)))
    x = image(sizes, channels)
    np.testing.assert_array_equal(columns(window, x, rows), naive_columns(window, x, rows))


@settings(deadline=None, max_examples=60)
@given(windows(), CHANNELS)
def test_col2im_is_the_adjoint_of_im2col(geometry: Geometry, channels: int) -> None:
    """<im2col(x), y> = <x, col2im(y)> for all x and y; exact, with whole numbers."""
    window, sizes = geometry
    rows = all_rows(window, sizes)
    x = image(sizes, channels)
    naive = naive_columns(window, x, rows)
    matrix = np.random.default_rng(1).integers(-9, 9, naive.shape).astype(x.dtype)
    back = np.zeros_like(x)
    add_columns(window, matrix, rows, back, (0, sizes[0]))
    assert np.vdot(naive, matrix) == np.vdot(x, back)


@settings(deadline=None, max_examples=40)
@given(windows(), CHANNELS, st.data())
def test_bands_of_windows_and_of_pixels_add_up(geometry: Geometry, channels: int, data: st.DataObject) -> None:
    """Each band of image rows gets all from the rows of windows that reach it, and these are found."""
    window, sizes = geometry
    count = window.output(sizes)
    whole = naive_columns(window, image(sizes, channels), (0, count[0])).reshape(2, *count, -1)
    expected, back = np.zeros((2, *sizes, channels)), np.zeros((2, *sizes, channels))
    add_columns(window, whole, (0, count[0]), expected, (0, sizes[0]))
    cut = data.draw(st.integers(0, sizes[0]))
    for pixels in ((0, cut), (cut, sizes[0])):
        rows = window.windows_on(pixels, count[0])
        if pixels[0] < pixels[1] and rows[0] < rows[1]:
            add_columns(window, whole[:, rows[0] : rows[1]], rows, back[:, pixels[0] : pixels[1]], pixels)
    np.testing.assert_array_equal(back, expected)


@settings(deadline=None, max_examples=60)
@given(windows())
def test_windows_on_some_pixels_are_those_whose_taps_fall_there(geometry: Geometry) -> None:
    """The range may hold windows whose dilated taps step over the pixels, but leaves none out."""
    window, sizes = geometry
    count = window.output(sizes)[0]
    for first, last in ((0, 1), (0, sizes[0]), (sizes[0] - 1, sizes[0]), (sizes[0] // 2, sizes[0])):
        rows = window.windows_on((first, last), count)
        for at in range(count):
            taps = [at * window.stride[0] + t * window.dilation[0] - window.pad[0] for t in range(window.kernel[0])]
            if any(first <= pixel < last for pixel in taps):
                assert rows[0] <= at < rows[1]
        assert 0 <= rows[0] <= rows[1] <= count


@settings(deadline=None, max_examples=60)
@given(windows(axes=1), st.data())
def test_overlap_pairs_windows_with_the_pixels_under_a_tap(geometry: Geometry, data: st.DataObject) -> None:
    window, (size,) = geometry
    (count,) = window.output((size,))
    tap = data.draw(st.integers(0, window.kernel[0] - 1))
    begin = data.draw(st.integers(0, size))
    pixels = (begin, data.draw(st.integers(begin, size)))
    where, under = window.overlap(0, tap, (0, count), pixels)
    pairs = [
        (at, pixel - begin)
        for at in range(count)
        if pixels[0] <= (pixel := at * window.stride[0] + tap * window.dilation[0] - window.pad[0]) < pixels[1]
    ]
    assert list(zip(range(count)[where], range(size - begin)[under], strict=True)) == pairs


@given(windows())
def test_output_counts_the_windows_that_fit(geometry: Geometry) -> None:
    window, sizes = geometry
    for axis, count in enumerate(window.output(sizes)):
        starts = range(-window.pad[axis], sizes[axis] + window.pad[axis], window.stride[axis])
        room = sizes[axis] + window.pad[axis] - window.extent[axis]
        assert count == sum(start <= room for start in starts)


@given(windows())
def test_input_is_the_smallest_image_with_so_many_windows(geometry: Geometry) -> None:
    window, sizes = geometry
    count = window.output(sizes)
    smallest = window.input(count)
    assert window.output(smallest) == count
    assert all(a <= b for a, b in zip(smallest, sizes, strict=True))
    assert all(a < b for a, b in zip(window.output([size - 1 for size in smallest]), count, strict=True))


def test_an_image_smaller_than_the_kernel_has_no_window() -> None:
    assert Window((5,), (1,), (0,), (1,)).output((4,)) == (0,)
    assert Window((3,), (2,), (0,), (3,)).output((4,))[0] < 1


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_pointwise_window_copies_dense_images_not_at_all(channels_last: bool) -> None:
    window = Window((1, 1), (1, 1), (0, 0), (1, 1))
    x = image((3, 4), 5, channels_last=channels_last)
    with Loans() as loans:
        matrix = Im2col(window, x.shape, (0, 3)).matrix(x, loans)
        assert np.shares_memory(matrix, x) is channels_last
        np.testing.assert_array_equal(matrix, x.reshape(-1, 5))


def test_without_spatial_axes_the_matrix_is_the_image() -> None:
    window = Window((), (), (), ())
    x = image((), 6)
    np.testing.assert_array_equal(columns(window, x, (0, 1)), x)
