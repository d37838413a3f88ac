"""Messages with arrays: the bytes are those that protobuf itself writes."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.formats.blobproto import blob_pieces, with_blobs
from pycaffe_lite.proto.caffe_pb2 import BlobProto, LayerParameter, SolverState

SHAPES = [(), (1,), (3,), (2, 3), (2, 0, 3), (300, 1), (2, 1, 3, 4, 1)]


def proto(data: np.ndarray, diff: np.ndarray | None = None) -> BlobProto:
    """The same blob, made by protobuf."""
    blob = BlobProto()
    blob.shape.dim.extend(data.shape)
    double = "double_" if data.dtype == np.float64 else ""
    getattr(blob, f"{double}data").extend(data.ravel().tolist())
    if diff is not None:
        getattr(blob, f"{double}diff").extend(diff.ravel().tolist())
    return blob


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("with_diff", [False, True])
def test_a_blob(generator: np.random.Generator, shape: tuple[int, ...], dtype: type, with_diff: bool) -> None:
    data, diff = (generator.normal(size=shape).astype(dtype) for _ in range(2))
    given_diff = diff if with_diff else None
    expected = proto(data, given_diff).SerializeToString(deterministic=True)
    assert b"".join(blob_pieces(data, given_diff)) == expected


@pytest.mark.parametrize("value", [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(np.float32).tiny, 1e-45])
def test_special_values(value: float) -> None:
    data = np.full((2, 2), value, np.float32)
    back = BlobProto.FromString(b"".join(blob_pieces(data)))
    np.testing.assert_array_equal(np.array(back.data, np.float32).view(np.int32), data.ravel().view(np.int32))


def test_values_go_in_logical_order(generator: np.random.Generator) -> None:
    data = generator.normal(size=(2, 4, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    assert not data.flags.c_contiguous
    expected = proto(data).SerializeToString(deterministic=True)
    assert b"".join(blob_pieces(data)) == expected
    assert b"".join(blob_pieces(data.astype(">f4"))) == expected


def test_four_axes_in_place_of_a_shape() -> None:
    expected = BlobProto(num=1, channels=2, height=300, width=1, data=range(600)).SerializeToString()
    assert b"".join(blob_pieces(np.arange(600, dtype=np.float32).reshape(2, 300, 1), four_axes=True)) == expected


def blobs() -> tuple[list[list[bytes]], list[BlobProto]]:
    arrays = [np.arange(n, dtype=np.float32).reshape(1, n) for n in (2, 0, 50)]
    return [blob_pieces(array) for array in arrays], [proto(array) for array in arrays]


def test_blobs_in_the_midst_of_a_layer() -> None:
    """Fields come in the order of their numbers: some of a layer's before its blobs, some after."""
    ours, theirs = blobs()
    param = LayerParameter(name="conv", type="Convolution", bottom=["a"], top=["b"], phase=1, loss_weight=[2])
    param.convolution_param.num_output = 5
    param.param.add(lr_mult=2)
    pieces = with_blobs(param, "blobs", ours)
    param.blobs.extend(theirs)
    assert b"".join(pieces) == param.SerializeToString(deterministic=True)


def test_the_history_of_a_state() -> None:
    ours, theirs = blobs()
    state = SolverState(iter=300, learned_net="x.caffemodel", current_step=2)
    pieces = with_blobs(state, "history", ours)
    state.history.extend(theirs)
    assert b"".join(pieces) == state.SerializeToString(deterministic=True)


def test_the_message_itself_is_left_alone() -> None:
    state = SolverState(iter=300, current_step=2)
    with_blobs(state, "history", blobs()[0])
    assert state == SolverState(iter=300, current_step=2)


def test_without_blobs() -> None:
    state = SolverState(iter=1)
    assert b"".join(with_blobs(state, "history", [])) == state.SerializeToString()
