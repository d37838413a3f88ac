"""MVN: against NumPy, its four axes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.layer_rig import CHANNELS_LAST, Rig


def text(fields: str, top: str = "y") -> str:
    return f'type: "MVN" bottom: "x" top: "{top}" mvn_param {{ {fields} }}'


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("shape", [(5,), (2, 7), (2, 3, 8), (2, 3, 4, 5)])
def test_mean_and_deviation(shape: tuple[int, ...], across: bool, order: tuple[int, ...] | None) -> None:
    x = np.random.default_rng(6).normal(100, 3, shape)
    axes = tuple(range(1 if across else 2, len(shape)))
    centred = x - x.mean(axes, keepdims=True)
    for fields, expected in (
        ("normalize_variance: false", centred),
        ("eps: 0.5", centred / (x.std(axes, keepdims=True) + 0.5)),
    ):
        (y,) = Rig(text(f"across_channels: {str(across).lower()} {fields}"), [x], order=order).forward()
        assert y.shape == (*shape, 1, 1, 1)[:4]
        np.testing.assert_allclose(y.reshape(shape), expected, rtol=1e-4, atol=1e-4)


def test_equal_values_become_0() -> None:
    (y,) = Rig(text(""), [np.full((2, 3, 4, 4), 0.1)]).forward()
    assert not y.any()


def test_in_place_a_blob_of_two_axes_gets_four() -> None:
    net = Net(
        parse(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } } '
            'layer { name: "m" type: "MVN" bottom: "x" top: "x" mvn_param { across_channels: true } }',
            caffe_pb2.NetParameter,
        )
    )
    for _ in range(2):
        out = net.forward(x=np.array([[1, 2, 3], [4, 8, 12]]).reshape(net.blobs["x"].shape))["x"]
    np.testing.assert_allclose(out.reshape(2, 3), [[-1.2247, 0, 1.2247]] * 2, rtol=1e-4, atol=1e-6)
    assert out.shape == (2, 3, 1, 1)


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4, 5)])
def test_other_numbers_of_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CaffeError, match=r"\(MVN\): expected a bottom of one to four axes"):
        Rig(text(""), [np.zeros(shape)])
