"""Runs a case of golden/forks/ and compares it with what the fork computed; its README.md tells how."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN

FOLDER = Path(__file__).parent.parent / "golden" / "forks"
PHASES = {"TRAIN": TRAIN, "TEST": TEST}
MOVES = ("Permute", "ShuffleChannel", "Reorg", "Reverse", "Transpose", "Upsample_SegNet", "Upsample_nearest")
"""Folders whose tops must be equal, since values are only moved."""


def cases() -> list[str]:
    """The cases, as `Type/case`."""
    return sorted(str(path.parent.relative_to(FOLDER)) for path in FOLDER.glob("*/*/net.prototxt"))


class Golden:
    """A net, and what the fork computes with it.

    Args:
        case: its folder.
        phase: the net's; default: that of the case.
    """

    def __init__(self, case: str, phase: int | None = None) -> None:
        self.exact = case.split("/", maxsplit=1)[0] in MOVES or case.startswith("ROIPooling/")
        with np.load(FOLDER / case / "golden.npz") as arrays:
            self.arrays = {name: array for name, array in arrays.items() if name != "phase"}
            phase = PHASES[str(arrays["phase"])] if phase is None else phase
        self.net = Net(str(FOLDER / case / "net.prototxt"), phase)

    def _under(self, prefix: str) -> list[tuple[str, np.ndarray]]:
        return [(name[len(prefix) :], array) for name, array in self.arrays.items() if name.startswith(prefix)]

    def _param(self, name: str) -> Blob:
        *layer, index = name.split("/")
        blobs = self.net.params[layer[0]] if layer else next(iter(self.net.params.values()))
        return blobs[int(index)]

    def same(self, name: str, ours: np.ndarray, expected: np.ndarray, exact: bool = False) -> None:
        assert ours.shape == expected.shape, name
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(ours, expected, **tolerance, err_msg=name)

    def fill(self) -> None:
        """Sets parameters and inputs."""
        for name, value in self._under("param/"):
            self._param(name).data[...] = value
        for name, value in self._under("in/"):
            self.net.blobs[name].data[...] = value

    def check(self) -> None:
        self.fill()
        self.net.forward()
        for name, expected in self._under("top/"):
            self.same(f"top/{name}", self.net.blobs[name].data, expected, self.exact)
        for name, expected in self._under("paramafter/"):
            self.same(f"paramafter/{name}", self._param(name).data, expected)
        if self._under("topdiff/"):
            self._check_backward()

    def _check_backward(self) -> None:
        self.net.clear_param_diffs()
        for name, value in self._under("topdiff/"):
            self.net.blobs[name].diff[...] = value
        self.net.backward()
        for name, expected in self._under("bottomdiff/"):
            self.same(f"bottomdiff/{name}", self.net.blobs[name].diff, expected)
        for name, expected in self._under("paramdiff/"):
            self.same(f"paramdiff/{name}", self._param(name).diff, expected)
