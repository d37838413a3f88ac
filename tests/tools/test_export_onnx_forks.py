"""ONNX models of the layers of Caffe's forks give the numbers of the forks' own code."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST
from pycaffe_lite.tools.export_onnx import export
from pycaffe_lite.tools.export_onnx.compare import run
from rigs.golden_forks import Golden, cases

TRAINING = ("CenterLoss", "L1Loss", "MultiBoxLoss", "SegAccuracy", "SmoothL1Loss", "TripletLoss")
CASES = [case for case in cases() if not case.startswith(TRAINING) and "train" not in case.split("/")[1]]
# The operator has no threshold that falls.
NOT_THERE = ["DetectionOutput/adaptive_eta"]


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("case", CASES)
def test_a_model_gives_the_forks_numbers(case: str, opset: int) -> None:
    golden = Golden(case, TEST)
    golden.fill()
    if case in NOT_THERE:
        with pytest.raises(CaffeError, match="eta"):
            export(golden.net, opset)
        return
    exported = export(golden.net, opset)
    feed = {name: np.ascontiguousarray(golden.arrays[f"in/{name}"], np.float32) for name in golden.net.inputs}
    results = run(exported.model, feed, list(exported.outputs.values()))
    for name, new in exported.outputs.items():
        golden.same(f"top/{name}", results[new], golden.arrays[f"top/{name}"], golden.exact)
