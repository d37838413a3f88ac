"""What the tests of pycaffe's modules share: small image files, and a way to be without a package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pycaffe_lite import net as engine
from pycaffe_lite import rng
from pycaffe_lite.phase import TEST


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Lets packages look as if they were not installed."""
    for package in packages:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)


def write_image(path: Path, rgb: np.ndarray) -> str:
    """An image file of pixels H x W, or H x W x 3 or 4 in RGB with the transparency last; returns its path."""
    pixels = rgb if rgb.ndim == 2 else rgb[:, :, [2, 1, 0, 3][: rgb.shape[2]]]
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels))
    return str(path)


def photo(height: int, width: int, channels: int = 3, seed: int = 3) -> np.ndarray:
    """A smooth image with edges, H x W x channels, uint8."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (5 + k + seed)) + np.cos(y / (7 + k)) + (x + 2 * y > width) for k in range(channels)]
    return np.clip(np.stack(waves, 2) * 60 + 100, 0, 255).astype(np.uint8)


def lengths(shape: Sequence[int]) -> str:
    """A shape in a prototxt's words."""
    return " ".join(f"dim: {length}" for length in shape)


CLASSES = 4


def write_image_net(
    folder: Path, batch: int = 3, channels: int = 3, height: int = 12, width: int = 10
) -> tuple[str, str]:
    """A net that classifies images, with weights; returns the paths of both."""
    model = folder / "deploy.prototxt"
    model.write_text(f"""
layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ {lengths((batch, channels, height, width))} }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{ num_output: 5 kernel_size: 3
        weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {{ num_output: {CLASSES}
        weight_filler {{ type: "gaussian" std: 0.05 }} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "ip" top: "prob" }}
""")
    weights = str(folder / "net.caffemodel")
    rng.set_random_seed(7)
    engine.Net(str(model), TEST).save(weights)
    return str(model), weights


def classes_of(paths: tuple[str, str], inputs: np.ndarray) -> np.ndarray:
    """What the net says of inputs, each by itself: N x classes."""
    net = engine.Net(paths[0], TEST, weights=paths[1])
    net.blobs["data"].reshape(1, *inputs.shape[1:])
    return np.concatenate([net.forward(data=one[np.newaxis])["prob"].copy() for one in inputs])
