"""Published nets of Caffe's forks build with the shapes and parameters they are known to have, and run."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.net import Net
from rigs.published_nets import NETS, Published, drawn, empty

STATISTICS = {"BatchNorm": (0, 1, 2), "BN": (2, 3)}
"""Which blobs of a layer type keep what was seen of the data."""

each = pytest.mark.parametrize("known", NETS.values(), ids=NETS)


def count(net: Net) -> tuple[int, int]:
    """How many parameters are learned, and how many keep statistics."""
    learned = statistics = 0
    for node in net.layers:
        for i, blob in enumerate(node.blobs):
            if i in STATISTICS.get(node.type, ()):
                statistics += blob.count
            else:
                learned += blob.count
    return learned, statistics


@each
def test_it_has_the_shapes_and_parameters_it_is_known_for(known: Published) -> None:
    net = empty(known.text())
    for name, shape in known.shapes.items():
        found = net.blobs[name].shape
        assert len(found) == len(shape), name
        assert all(length in (-1, actual) for length, actual in zip(shape, found, strict=True)), (name, found)
    assert count(net) == (known.learned, known.statistics)


def check_output(net: Net) -> None:
    """Runs a net and looks whether what comes out is what such a net gives."""
    net.forward()
    for name in net.outputs:
        data = net.blobs[name].data
        assert np.isfinite(data).all(), name
        assert np.ptp(data) > 0, name
        if name in ("prob", "cls_prob"):
            np.testing.assert_allclose(data.sum(axis=1), 1, rtol=1e-4)
    if "detection_out" in net.blobs:
        rows = net.blobs["detection_out"].data[0, 0]
        classes = net.blobs["mbox_conf_reshape"].shape[2]
        assert set(rows[:, 1]) <= set(range(1, classes))
        assert np.all(np.diff(rows[:, 1]) >= 0)
        assert np.all(rows[:, 3:5] <= rows[:, 5:7])  # equal where all of a box is cut off
    if "rois" in net.blobs:
        rois = net.blobs["rois"].data
        height, width = net.blobs["data"].shape[2:]
        assert 1 < len(rois) <= 300
        assert np.all(rois[:, 1:] >= 0)
        assert np.all(rois[:, 1:] <= [width - 1, height - 1, width - 1, height - 1])
        assert len(net.blobs["cls_prob"].data) == len(net.blobs["bbox_pred"].data) == len(rois)


@each
def test_it_runs_in_small(known: Published) -> None:
    check_output(drawn(known.small()))


@each
@pytest.mark.slow
def test_it_runs(known: Published) -> None:
    check_output(drawn((known.full or known.text)()))
