"""Convolutions from the images themselves: the tiles as plain Python and as compiled, and products over windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.kernels import direct, tiles
from pycaffe_lite.kernels.convolution import WindowProduct
from pycaffe_lite.kernels.direct import DirectProduct
from pycaffe_lite.kernels.windows import Window
from rigs.kernel_choice import DTYPES, PLAIN, compiled, using

SPECIAL = [np.nan, np.inf, -np.inf]


def products(kind: type[WindowProduct], window: Window, group: int, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """The three products of one kind, over values in the memory that they have."""
    images, maps, weight = values["images"], values["maps"], values["weight"]
    product = kind(window, images.shape, maps.shape, images.dtype, group)
    if isinstance(product, DirectProduct):  # also where it would gain nothing
        product.gathers = product.scatters = product.adds = True
    top, bottom = np.full_like(maps, 9), np.full_like(images, 9)
    weight_diff, bias_diff = np.ones_like(weight), np.ones(maps.shape[-1], maps.dtype)
    product.gather(images, weight, top, np.tile(values["bias"], maps.shape[2]))
    product.scatter(maps, weight, bottom)
    product.add_gradients(images, maps, maps, weight_diff, bias_diff)
    return {"top": top, "bottom": bottom, "weight diff": weight_diff, "bias diff": bias_diff}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Window, int, dict[str, np.ndarray]]:
    """A window, a number of groups, and small whole numbers for all sides."""
    two = st.tuples
    kernel = draw(two(*[st.integers(1, 4)] * 2))
    stride, dilation = (draw(two(*[st.integers(1, 3)] * 2)) for _ in range(2))
    pad = draw(two(*[st.integers(0, 5)] * 2))
    window = Window(kernel, stride, pad, dilation)
    sizes = [max(1, extent - 2 * p) + draw(st.integers(0, 9)) for extent, p in zip(window.extent, pad, strict=True)]
    batch, group = draw(st.integers(0, 3)), draw(st.sampled_from([1, 1, 2]))
    channels, outputs = (group * draw(st.sampled_from([1, 3, 7, 8, 16, 33])) for _ in range(2))
    dtype, rng = draw(st.sampled_from(DTYPES)), np.random.default_rng(draw(st.integers(0, 1000)))

    def numbers(*shape: int, special: bool = False) -> np.ndarray:
        values = rng.integers(-4, 5, shape).astype(dtype)
        if special:
            where = rng.random(shape) < 0.02
            values[where] = rng.choice(SPECIAL, int(where.sum()))
        return values

    special, planes = draw(st.booleans()), draw(st.booleans())
    images = numbers(batch, *sizes, channels, special=special)
    if planes:
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    maps = numbers(batch, *window.output(sizes), outputs, special=special)
    weight, bias = numbers(kernel[0] * kernel[1] * channels // group, outputs), numbers(outputs)
    return window, group, {"images": images, "maps": maps, "weight": weight, "bias": bias}


@settings(deadline=None, max_examples=80)
@given(cases(), st.sampled_from([1, 64]), st.sampled_from([50, 4_000_000]), st.sampled_from([3, 128]))
def test_it_computes_what_the_products_over_windows_do(
    case: tuple[Window, int, dict[str, np.ndarray]], few_taps: int, piece: int, band: int
) -> None:
    window, group, values = case
    dtype = values["images"].dtype
    with using(None):
        expected = products(WindowProduct, window, group, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "FEW_TAPS", few_taps)
        patch.setattr(direct, "PIECE_PRODUCTS", piece)
        with using(compiled(dtype)):
            fast = products(DirectProduct, window, group, values)
        patch.setattr(tiles, "BAND", band)  # plain Python reads it when it runs
        patch.setattr(direct, "BAND", band)
        with using(PLAIN):
            plain = products(DirectProduct, window, group, values)
    for name, value in expected.items():
        np.testing.assert_array_equal(plain[name], value, err_msg=f"{name}, plain")
        np.testing.assert_array_equal(fast[name], value, err_msg=f"{name}, compiled")


def test_without_compiled_loops_it_is_a_product_over_windows() -> None:
    rng = np.random.default_rng(0)
    values = {"images": rng.normal(size=(3, 9, 8, 4)), "maps": rng.normal(size=(3, 9, 8, 5))}
    values |= {"weight": rng.normal(size=(36, 5)), "bias": rng.normal(size=5)}
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    with using(None):
        results = [products(kind, window, 1, values) for kind in (WindowProduct, DirectProduct)]
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value, err_msg=name)


def test_a_tile_of_each_height_and_width() -> None:
    """Also where `least` is above, where something was begun, and beside memory that must not be written."""
    for dtype in DTYPES:
        panel, rng = tiles.panel_width(dtype), np.random.default_rng(0)
        for height in range(1, 2 * tiles.ROWS + 2):
            for width in range(1, 2 * panel + 2):
                source = rng.integers(-3, 4, (1, 1, height, 5)).astype(dtype)
                packed = np.zeros((-(-width // panel), 5, panel), dtype)
                weight = rng.integers(-3, 4, (1, 5, width)).astype(dtype)
                compiled(dtype).pack(weight, np.zeros(1, np.int32), packed)
                start, bias = rng.integers(-3, 4, (1, 1, height, width)).astype(dtype), np.arange(width).astype(dtype)
                result = np.full((1, 1, height, width + 3), 77, dtype)
                rows, starts, places = (np.arange(height, dtype=np.int32) * step for step in (5, width, width + 3))
                compiled(dtype).gathered_product(
                    source, rows, np.arange(5, dtype=np.int32), packed, start, starts, 1, bias,
                    result[..., 1:-2], places, -2.0, 4,
                )  # fmt: skip
                expected = np.maximum(start[0, 0] + bias + source[0, 0] @ weight[0], -2)
                np.testing.assert_array_equal(result[0, 0, :, 1:-2], expected)
                assert (result[..., [0, -2, -1]] == 77).all()
