"""BatchNorm: the sums it keeps, that nobody learns them, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.formats.caffemodel import read_weights
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.proto.text import parse
from rigs.layer_rig import CHANNELS_LAST, Rig

NORM = 'type: "BatchNorm" bottom: "x" top: "y"'
X = np.random.default_rng(7).normal(3, 2, (4, 3, 5, 6))
AXES = (0, 2, 3)


@pytest.mark.parametrize("order", [None, CHANNELS_LAST])
def test_sums_after_two_passes(order: tuple[int, ...] | None) -> None:
    rig = Rig(NORM + "batch_norm_param { moving_average_fraction: 0.5 }", [X], order=order)
    rig.forward()
    rig.put([2 * X])
    rig.forward()
    mean, variance, weight = rig.params()
    m = X.size / 3
    np.testing.assert_allclose(mean, 2.5 * X.mean(AXES), rtol=1e-5)
    np.testing.assert_allclose(variance, 4.5 * X.var(AXES) * m / (m - 1), rtol=1e-5)
    assert weight == 1.5


def test_stored_statistics() -> None:
    rig = Rig(NORM, [X], phase=TEST)
    rig.set_params([np.array([2, 4, 6]), np.array([8, 2, 18]), np.array([2])])
    expected = (X - [[[1]], [[2]], [[3]]]) / np.sqrt(np.array([[[4]], [[1]], [[9]]]) + 1e-5)
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rig.params()[2], [2])


@pytest.mark.parametrize(("phase", "fields"), [(TRAIN, ""), (TEST, "use_global_stats: false")])
def test_a_batch_of_its_own_updates_the_sums_in_any_phase(phase: int, fields: str) -> None:
    rig = Rig(f"{NORM} batch_norm_param {{ {fields} }}", [X], phase=phase)
    (y,) = rig.forward()
    np.testing.assert_allclose(y.mean(AXES), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(AXES), 1, rtol=1e-4)
    assert rig.params()[2] == 1


def test_one_value_a_channel_has_no_correction() -> None:
    rig = Rig(NORM, [np.array([[3.0, 5]])])
    np.testing.assert_array_equal(rig.forward()[0], [[0, 0]])
    np.testing.assert_array_equal(rig.params()[1], [0, 0])


def test_one_axis_is_one_channel() -> None:
    (y,) = Rig(NORM, [np.array([1.0, 2, 3])]).forward()
    np.testing.assert_allclose(y, [-1.2247, 0, 1.2247], rtol=1e-4, atol=1e-6)


def test_the_derivative_survives_a_layer_that_works_in_place_on_the_top() -> None:
    rig = Rig(NORM, [X])
    rig.forward()
    expected = rig.backward([X])
    rig.top[0].data[...] = 0
    np.testing.assert_array_equal(rig.backward([X]), expected)


def test_a_large_mean_costs_no_digits() -> None:
    # float32 has steps of 1/16 at a million
    x = np.random.default_rng(7).integers(-64, 64, (50, 2, 10, 10)) / 4
    np.testing.assert_allclose(Rig(NORM, [x + 1e6]).forward()[0], Rig(NORM, [x]).forward()[0], rtol=1e-3, atol=0.06)


def test_its_statistics_are_not_learned(tmp_path: object) -> None:
    net = Net(
        parse(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 } } } '
            'layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" } '
            'layer { name: "l" type: "Reduction" bottom: "y" top: "l" loss_weight: 1 }',
            caffe_pb2.NetParameter,
        ),
        TRAIN,
    )
    assert net.parameters.lr_mult == [0, 0, 0]
    net.blobs["x"].data[...] = np.arange(8).reshape(4, 2)
    net.forward_backward()
    assert not any(blob.diff.any() for blob in net.params["n"])
    path = f"{tmp_path}/net.caffemodel"
    net.save(path)
    saved = caffe_pb2.NetParameter()
    with open(path, "rb") as file:
        saved.ParseFromString(file.read())
    assert [spec.lr_mult for spec in saved.layer[1].param] == [0, 0, 0]
    np.testing.assert_array_equal(next(w for w in read_weights(path) if w.name == "n").blobs[2], [1])


@pytest.mark.parametrize("specs", ["param { }", "param { lr_mult: 0 } param { lr_mult: 2 }"])
def test_a_rate_for_its_statistics_is_refused(specs: str) -> None:
    with pytest.raises(CaffeError, match=r"\(BatchNorm\): expected param \{ lr_mult: 0 \}"):
        Rig(NORM + specs, [X])


def test_a_scalar_and_another_number_of_channels_are_refused() -> None:
    with pytest.raises(CaffeError, match="expected a bottom of one axis or more, got a scalar"):
        Rig(NORM, [np.array(1.0)])
    rig = Rig(NORM, [X])
    rig.put([X[:, :2]])
    with pytest.raises(CaffeError, match=r"expected 3 channels, as when it was made, got shape \[4, 2, 5, 6\]"):
        rig.reshape()
