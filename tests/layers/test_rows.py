"""BatchReindex and Embed, which take rows by number: numbers they refuse, and sums of repeated rows."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels.rows import add_rows
from pycaffe_lite.parallel import set_num_threads
from rigs.layer_rig import Rig

REINDEX = 'type: "BatchReindex" bottom: "x" bottom: "index" top: "y" '
EMBED = 'type: "Embed" bottom: "x" top: "y" '


@pytest.mark.parametrize("number", [-1, 3, 1e30, np.nan, np.inf])
def test_numbers_outside_are_refused(number: float) -> None:
    rig = Rig(REINDEX, [np.ones((3, 2)), np.array([0, number])])
    with pytest.raises(CaffeError, match="row numbers from 0 to 2"):
        rig.forward()
    rig = Rig(EMBED + "embed_param { input_dim: 3 num_output: 2 }", [np.array([0, number])])
    with pytest.raises(CaffeError, match="row numbers from 0 to 2"):
        rig.forward()


def test_an_empty_index_gives_an_empty_batch_and_no_gradient() -> None:
    rig = Rig(REINDEX, [np.ones((3, 2)), np.zeros(0)])
    assert rig.forward()[0].shape == (0, 2)
    assert not rig.backward([np.zeros((0, 2))], [True, False])[0].any()


@pytest.mark.parametrize("shapes", [((3, 2), (2, 1)), ((3, 2), ()), ((), (2,))])
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(CaffeError, match="expected a batch"):
        Rig(REINDEX, [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize("fields", ["", "input_dim: 3", "num_output: 3"])
def test_a_table_without_rows_or_columns_is_refused(fields: str) -> None:
    with pytest.raises(CaffeError, match="input_dim and num_output of 1 or more"):
        Rig(EMBED + f"embed_param {{ {fields} }}", [np.zeros(2)])


def test_nothing_is_propagated_into_numbers() -> None:
    reindex = Rig(REINDEX, [np.ones((3, 2)), np.zeros(1)])
    reindex.forward()
    with pytest.raises(CaffeError, match="cannot propagate to its index"):
        reindex.backward([np.ones((1, 2))], [True, True])
    embed = Rig(EMBED + "embed_param { input_dim: 3 num_output: 2 }", [np.zeros(1)])
    embed.forward()
    with pytest.raises(CaffeError, match="cannot propagate to its numbers"):
        embed.backward([np.ones((1, 2))], [True])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 400, 300)])
def test_rows_are_added_in_their_order(shape: tuple[int, ...], threads: int, generator: np.random.Generator) -> None:
    set_num_threads(threads)
    rows = np.array([4, 1, 4, 4, 0, 1])
    source = generator.normal(size=(6, *shape[1:])).astype(np.float32)
    ours = np.ones(shape, np.float32)
    expected = ours.copy()
    for row, item in zip(rows, source, strict=True):
        expected[row] += item
    add_rows(source, rows, ours)
    np.testing.assert_array_equal(ours, expected)
