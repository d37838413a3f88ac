"""Published nets with layers of Caffe's forks: they build, with the shapes and parameters that are known of them."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.model_zoo import fork_models
from rigs.net_rig import net_param

# Parameters: of SSD300 as ports of it to PyTorch count them (26,285,486); of MobileNet-SSD what its weights' 23.1 MB
# hold; of SegNet the 29.45 million that comparisons of nets give. Boxes: those that the papers name.
KNOWN = {
    "VGG-SSD 300": (26_285_486, 1000, 8732),
    "MobileNet-SSD 300": (5_783_417, 20_000, 1917),
    "SegNet 360x480": (29_450_000, 20_000, 0),
}


def build(text: str) -> Net:
    rng.set_random_seed(1)
    return Net(net_param(text), TEST)


@pytest.mark.parametrize("name", KNOWN)
def test_shapes_and_parameters(name: str) -> None:
    parameters, tolerance, boxes = KNOWN[name]
    net = build(fork_models.FORK_MODELS[name]())
    assert sum(blob.count for blobs in net.params.values() for blob in blobs) == pytest.approx(
        parameters, abs=tolerance
    )
    if boxes:
        assert net.blobs["mbox_priorbox"].shape == (1, 2, 4 * boxes)
        assert net.blobs["mbox_conf_flatten"].shape == (1, 21 * boxes)
    else:
        assert net.blobs["prob"].shape == (1, 11, 360, 480)


@pytest.mark.parametrize("name", ["ssd300", "mobilenet_ssd", "segnet"])
def test_narrow_ones_run_and_planned_too(name: str) -> None:
    """The rows of a detector are ordered by scores, so those of a planned net may change places where two are equal."""
    model = getattr(fork_models, name)
    text = model(90, 120, width=0.1) if name == "segnet" else model(width=0.1)
    outputs = []
    for planned in (False, True):
        net = build(text)
        if planned:
            net.plan()
        net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=net.blobs["data"].shape)
        (output,) = net.forward().values()
        outputs.append(output.copy())
    plain, planned = outputs
    assert np.isfinite(plain).all()
    if name == "segnet":
        np.testing.assert_allclose(planned, plain, 1e-4, 1e-6)
    else:
        assert plain.shape[-1] == 7
        assert plain.shape[2] > 1
        np.testing.assert_allclose(np.sort(planned[0, 0, :, 2]), np.sort(plain[0, 0, :, 2]), 1e-4)
