"""Runs a net of golden/nets/ and compares it with what Caffe computed; its README.md tells how."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.solvers.registry import get_solver
from rigs import GOLDEN

FOLDER = GOLDEN / "nets"


def manifest() -> dict[str, dict[str, Any]]:
    """The nets by name: note, train, test, tolerance."""
    return {entry["name"]: entry for entry in json.loads((FOLDER / "manifest.json").read_text())}


class GoldenNet:
    """One of the nets, and what Caffe computes with it."""

    def __init__(self, name: str) -> None:
        self.entry = manifest()[name]
        self.folder = FOLDER / name
        with np.load(self.folder / "golden.npz") as arrays:
            self.arrays = dict(arrays)

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays whose keys begin so, by the rest of their keys."""
        return {key[len(prefix) :]: array for key, array in self.arrays.items() if key.startswith(prefix)}

    def net(self, phase: int) -> Net:
        state = self.entry["test" if phase == TEST else "train"]
        return Net(str(self.folder / "net.prototxt"), phase, level=state["level"], stages=state["stages"])

    def set_inputs(self, net: Net, prefix: str) -> None:
        for name, values in self.under(prefix).items():
            if name in net.blobs:
                net.blobs[name].data[...] = values

    def set_params(self, net: Net, prefix: str) -> None:
        for key, values in self.under(prefix).items():
            layer, index = key.rsplit("/", 1)
            if layer in net.params:
                net.params[layer][int(index)].data[...] = values

    def same(self, prefix: str, ours: dict[str, np.ndarray]) -> None:
        """Fails unless ours has all arrays under a prefix, with the same values."""
        golden = self.under(prefix)
        assert golden
        for name, expected in golden.items():
            assert ours[name].shape == expected.shape, prefix + name
            np.testing.assert_allclose(ours[name], expected, **self.entry["tolerance"], err_msg=prefix + name)

    # -- the three parts of a case -------------------------------------------------------------------------

    def check_first_pass(self) -> None:
        net = self.net(TRAIN)
        self.set_params(net, "param/")
        self.set_inputs(net, "input/")
        net.clear_param_diffs()
        loss = net.forward_backward()
        np.testing.assert_allclose(loss, self.arrays["loss"], **self.entry["tolerance"])
        self.same("blob/", {name: blob.data for name, blob in net.blobs.items()})
        # Caffe's BatchNorm writes the diff of its bottom even where that is data, and nobody asks for it.
        written = {name: blob.diff for name, blob in net.blobs.items() if blob.has_diff}
        unasked = {f"diff/{name}" for name in net.inputs if name not in written}
        self.arrays = {key: array for key, array in self.arrays.items() if key not in unasked}
        self.same("diff/", written)
        self.same("param_diff/", _params(net, "diff"))

    def check_updates(self) -> dict[str, np.ndarray]:
        """Trains for three iterations; returns the parameters then."""
        solver = get_solver(str(self.folder / "solver.prototxt"))
        self.set_params(solver.net, "param/")
        for k in range(3):
            self.set_inputs(solver.net, f"step{k}/input/")
            solver.step(1)
            self.same(f"step{k}/output/", {name: blob.data for name, blob in solver.net.blobs.items()})
        ours = _params(solver.net, "data")
        self.same("param_after/", ours)
        return ours

    def check_test_net(self) -> None:
        net = self.net(TEST)
        self.set_params(net, "param_after/")
        self.set_params(net, "test_param/")
        self.set_inputs(net, "input/")
        net.forward()
        self.same("test_blob/", {name: blob.data for name, blob in net.blobs.items()})


def _params(net: Net, which: str) -> dict[str, np.ndarray]:
    return {f"{name}/{i}": getattr(b, which) for name, blobs in net.params.items() for i, b in enumerate(blobs)}
