"""ONNX models of published nets of Caffe's forks: every blob of them, and boxes in the same number and order."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pycaffe_lite.net import Net
from pycaffe_lite.tools.export_onnx import Exported, export
from pycaffe_lite.tools.export_onnx.compare import difference, run, tops_beside, with_outputs
from rigs.published_nets import NETS, Published, drawn

each = pytest.mark.parametrize("known", NETS.values(), ids=NETS)

Arrays = dict[str, np.ndarray]


def both(net: Net, exported: Exported, given: Arrays, alone: bool) -> tuple[Arrays, Arrays]:
    """What the layers' tops are, and what onnxruntime has for them.

    Their names are those in the model; what folding has taken away is left out.

    Args:
        alone: whether the net has nothing of the model's, and the outputs are those of `Net.forward`; else layers whose
            tops jump get the model's values.
    """
    names = [name for node in exported.model.graph.node for name in node.output]
    for name, values in given.items():
        net.blobs[name].reshape(*values.shape)
        net.blobs[name].data[...] = values
    used = {*names} & {name for values in exported.values for name in values}
    theirs = run(with_outputs(exported.model, used), given, sorted(used))
    if not alone:
        return {name: values for _, name, values in tops_beside(net, exported, {**given, **theirs})}, theirs
    ours = {}
    for node, values in zip(net.nodes, exported.values, strict=True):
        node.forward()
        ours.update({name: blob.data.copy() for name, blob in zip(values, node.tops, strict=True)})
    ours.update((exported.outputs[blob], values.copy()) for blob, values in net.forward().items())
    return ours, theirs


def check(text: str, opset: int, fold: bool, batch: int = 1, alone: bool = True) -> None:
    net = drawn(text)
    given = {name: np.repeat(net.blobs[name].data, batch, axis=0) for name in net.inputs}
    given["data"][1:] *= -1
    exported = export(net, opset, fold)
    ours, theirs = both(net, exported, given, alone)
    assert theirs.keys() >= set(exported.outputs.values())
    for name, values in theirs.items():
        assert difference(name, ours[name], values).agrees, (name, difference(name, ours[name], values))
    assert all(np.ptp(ours[name]) > 1e-3 for name in exported.outputs.values())
    if "detection_out" in ours:
        check_rows(ours["detection_out"], theirs["detection_out"], batch)
    if "rois" in ours:
        assert len(ours["rois"]) == len(theirs["rois"]) > 5
        np.testing.assert_allclose(theirs["rois"], ours["rois"], rtol=1e-4, atol=1e-3)


def check_rows(ours: np.ndarray, theirs: np.ndarray, images: int) -> None:
    """Rows of image, class, score and box: as many, in the same order, and not few."""
    assert theirs.shape == ours.shape
    assert ours.shape[2] >= 10 * images
    assert set(ours[0, 0, :, 0]) == set(range(images))
    np.testing.assert_array_equal(theirs[..., :2], ours[..., :2])
    np.testing.assert_allclose(theirs[..., 2:], ours[..., 2:], rtol=1e-4, atol=1e-4)


@each
def test_in_small(known: Published) -> None:
    check(known.small(), 13, False)


@pytest.mark.parametrize("name", ["face detector", "YOLOv2", "R-FCN", "SegNet", "SE-ResNet-50", "ShuffleNet"])
def test_folded_and_with_new_operators(name: str) -> None:
    check(NETS[name].small(), 21, True)


@pytest.mark.parametrize("name", ["MobileNet-SSD", "face detector"])
def test_boxes_of_two_images(name: str) -> None:
    check(NETS[name].small(), 13, False, 2)


@pytest.mark.slow
@each
def test_in_full(known: Published) -> None:
    """Of SegNet's millions of windows some have two values that differ by rounding alone; either may be the maximum."""
    check((known.full or known.text)(), 13, False, alone=known is not NETS["SegNet"])
