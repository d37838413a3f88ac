"""A folder as one has it after a first training: what the pages and the help of commands speak of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from rigs import ROOT


def fill_clone(folder: Path) -> None:
    """Puts configs/ (a copy), data/ and lenet_iter_10000.caffemodel, which has learned nothing, into a folder."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "data").symlink_to(ROOT / "data")
    net = Net(str(ROOT / "configs" / "lenet" / "train_test.prototxt"), TRAIN)
    net.save(str(folder / "lenet_iter_10000.caffemodel"))
    net.close()


def write_images(folder: Path, listed_in: str, labels: str = "{i}") -> None:
    """Writes a dozen pictures of 64 x 48 pixels into images/, and a list of them with labels."""
    cv2 = pytest.importorskip("cv2")
    (folder / "images").mkdir(exist_ok=True)
    generator = np.random.default_rng(1)
    lines = []
    for i in range(12):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), generator.integers(0, 256, (48, 64, 3), np.uint8))
        lines.append(f"{i}.png {labels.format(i=i % 3)}\n")
    (folder / listed_in).write_text("".join(lines))
