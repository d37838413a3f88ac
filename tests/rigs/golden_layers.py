"""Runs a case of golden/layers/ and compares it with what Caffe computed; its README.md tells how."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from rigs import GOLDEN

FOLDER = GOLDEN / "layers"
PHASES = {"TRAIN": TRAIN, "TEST": TEST}


def manifest() -> list[dict[str, Any]]:
    """The cases: type, variant, note, phase, steps, backward, tolerance."""
    return list(json.loads((FOLDER / "manifest.json").read_text()))


class Golden:
    """A net of one layer, and what Caffe computes with it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        folder = FOLDER / entry["type"] / entry["variant"]
        self.entry = entry
        self.net = Net(str(folder / "net.prototxt"), PHASES[entry["phase"]])
        self.params = self.net.params.get("layer", [])
        with np.load(folder / "golden.npz") as arrays:
            self.arrays = dict(arrays)

    def _under(self, prefix: str) -> list[tuple[str, np.ndarray]]:
        return [(key[len(prefix) :], array) for key, array in self.arrays.items() if key.startswith(prefix)]

    def _same(self, prefix: str, ours: Callable[[str], np.ndarray]) -> None:
        for name, expected in self._under(prefix):
            assert ours(name).shape == expected.shape, prefix + name
            np.testing.assert_allclose(ours(name), expected, **self.entry["tolerance"], err_msg=prefix + name)

    def check(self) -> None:
        for i, value in self._under("param/"):
            self.params[int(i)].data[...] = value
        for step in range(self.entry["steps"]):
            at = f"step{step}/" if self.entry["steps"] > 1 else ""
            self._check_forward(at)
            if self.entry["backward"]:
                self._check_backward(at)

    def _check_forward(self, at: str) -> None:
        for blob, value in self._under(at + "bottom/"):
            self.net.blobs[blob].reshape(*value.shape)
            self.net.blobs[blob].data[...] = value
        self.net.forward()
        self._same(at + "top/", lambda blob: self.net.blobs[blob].data)
        self._same(at + "param_after/", lambda i: self.params[int(i)].data)

    def _check_backward(self, at: str) -> None:
        # In this order: the top and the blob of a Parameter layer share one diff.
        self.net.clear_param_diffs()
        for blob, value in self._under(at + "top_diff/"):
            self.net.blobs[blob].diff[...] = value
        self.net.backward()
        self._same(at + "bottom_diff/", lambda blob: self.net.blobs[blob].diff)
        self._same(at + "param_diff/", lambda i: self.params[int(i)].diff)
