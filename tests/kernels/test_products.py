"""The products of a linear map: any shape, whole or cut into pieces, and few threads or many."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.kernels import products
from pycaffe_lite.parallel import set_num_threads

SHAPES = [(1, 1, 1), (3, 5, 2), (700, 300, 260), (130, 300, 700), (0, 3, 4), (3, 4, 0)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_products(rows: int, inputs: int, outputs: int, threads: int, generator: np.random.Generator) -> None:
    set_num_threads(threads)
    x, weight = generator.normal(size=(rows, inputs)), generator.normal(size=(outputs, inputs))
    bias, dy = generator.normal(size=outputs), generator.normal(size=(rows, outputs))
    y, dx, dw, db = np.empty((rows, outputs)), np.empty((rows, inputs)), np.ones(weight.shape), np.ones(outputs)
    products.multiply(x, weight, y, bias)
    products.multiply_back(dy, weight, dx)
    products.add_weight_gradient(dy, x, dw)
    products.add_bias_gradient(dy, db)
    for ours, expected in ((y, x @ weight.T + bias), (dx, dy @ weight), (dw, 1 + dy.T @ x), (db, 1 + dy.sum(0))):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def test_pieces_follow_from_the_shapes() -> None:
    assert len(products.cuts(1000, 10)) == 1
    pieces = products.cuts(1000, 100 * products.PIECE_PRODUCTS)
    assert len(pieces) == 1000 // products.LEAST_WIDTH
    assert min(cut.stop - cut.start for cut in pieces) >= products.LEAST_WIDTH


def test_the_gradient_of_one_row_is_that_of_the_product_to_the_bit() -> None:
    """An outer product, added part by part, has the bits of BLAS's."""
    rng = np.random.default_rng(3)
    dy, x = (rng.normal(size=(1, n)).astype(np.float32) for n in (300, 700))
    dy[0, :3] = 0, np.nan, np.inf
    before = rng.normal(size=(300, 700)).astype(np.float32)
    for order in "CF":
        diff = np.array(before, order=order)
        products.add_weight_gradient(dy, x, diff)
        np.testing.assert_array_equal(diff, before + dy.T @ x)
