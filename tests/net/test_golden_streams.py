"""One stream of random numbers through whole nets, against Caffe's: fillers, then masks or windows.

golden/streams/README.md tells how the arrays came to be.
"""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from rigs import GOLDEN
from rigs.net_rig import logged

FOLDER = GOLDEN / "streams"


def golden(case: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / case / "golden.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", ["lstm", "rnn"])
def test_recurrent_layers_draw_for_each_step(case: str) -> None:
    """The layer behind them starts with Caffe's weights, and the Dropout behind that drops what Caffe's does."""
    rng.set_random_seed(7)
    net = Net(str(FOLDER / case / "net.prototxt"), TRAIN)
    net.forward()
    expected = golden(case)
    params = {f"param/{name}/{i}": blob.data for name, blobs in net.params.items() for i, blob in enumerate(blobs)}
    assert set(params) == {key for key in expected if key.startswith("param/")}
    for key, values in params.items():
        np.testing.assert_array_equal(values, expected[key], err_msg=key)
    for name in ("x", "ip", "drop"):
        np.testing.assert_allclose(net.blobs[name].data, expected[f"blob/{name}"], rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(net.blobs["drop"].data == 0, expected["blob/drop"] == 0)


@pytest.mark.parametrize(("case", "warnings"), [("window_warp", 0), ("window_square_pad_mirror", 1)])
def test_windows_and_their_scale(case: str, warnings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`transform_param { scale }` does nothing in a WindowData layer, and a line in the log says so."""
    pytest.importorskip("cv2")
    monkeypatch.chdir(FOLDER / case)
    lines = logged()
    rng.set_random_seed(11)
    net = Net("net.prototxt", TRAIN)
    expected = golden(case)
    for i in range(3):
        net.forward()
        for name in ("data", "label"):
            np.testing.assert_allclose(net.blobs[name].data, expected[f"{name}/{i}"], rtol=1e-4, atol=1e-5)
    net.close()
    said = [line for line in lines if line.startswith("W")]
    assert len(said) == warnings
    assert all('layer "data" (WindowData): transform_param { scale: 0.5 } does nothing' in line for line in said)
