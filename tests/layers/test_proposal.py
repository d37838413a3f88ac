"""Proposals: the anchors of the paper, what a loop proposes, and the stand-in for py-faster-rcnn's module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.proposal_base import Proposing, anchors
from pycaffe_lite.phase import TEST, TRAIN
from rigs.layer_rig import Rig
from rigs.net_rig import logged, messages

ANCHORS = [
    [-84, -40, 99, 55],
    [-176, -88, 191, 103],
    [-360, -184, 375, 199],
    [-56, -56, 71, 71],
    [-120, -120, 135, 135],
    [-248, -248, 263, 263],
    [-36, -80, 51, 95],
    [-80, -168, 95, 183],
    [-168, -344, 183, 359],
]
"""The nine anchors that Faster R-CNN's authors give, counted from 0."""

PYTHON = (
    'name: "proposal" type: "Python" bottom: "a" bottom: "b" bottom: "c" top: "rois" {} '
    'python_param {{ module: "{}" layer: "ProposalLayer" param_str: "{}" }}'
)


def bottoms(height: int = 6, width: int = 8, images: int = 1) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    scores = generator.uniform(0, 1, (images, 18, height, width))
    shifts = generator.normal(0, 0.3, (images, 36, height, width))
    return [scores, shifts, np.array([[96, 128, 1.5]])]


def proposals(scores: np.ndarray, shifts: np.ndarray, info: np.ndarray, before: int, after: int) -> np.ndarray:
    """What the paper's code computes, box by box: rows of score, x1, y1, x2, y2."""
    rows = []
    _, _, height, width = scores.shape
    for y in range(height):
        for x in range(width):
            for a, anchor in enumerate(ANCHORS):
                left, top, right, bottom = (edge + 16 * (y if i % 2 else x) for i, edge in enumerate(anchor))
                w, h = right - left + 1, bottom - top + 1
                dx, dy, dw, dh = shifts[0, 4 * a : 4 * a + 4, y, x]
                cx, cy, nw, nh = left + w / 2 + dx * w, top + h / 2 + dy * h, w * np.exp(dw), h * np.exp(dh)
                edges = np.array([cx - nw / 2, cy - nh / 2, cx + nw / 2, cy + nh / 2])
                box = np.clip(edges, 0, [info[1] - 1, info[0] - 1] * 2)
                if min(box[2:] - box[:2]) + 1 >= 16 * info[2]:
                    rows.append([scores[0, 9 + a, y, x], *box])
    rows.sort(key=lambda row: -row[0])
    kept: list[list[float]] = []
    for row in rows[:before]:
        if len(kept) < after and all(_overlap(row[1:], other[1:]) <= 0.7 for other in kept):
            kept.append(row)
    return np.array(kept)


def _overlap(a: list[float], b: list[float]) -> float:
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1))
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_the_anchors_are_those_of_the_paper() -> None:
    how = Proposing(16, 16, (0.5, 1, 2), (8, 16, 32), 16, 0, 0, 0.7)
    np.testing.assert_array_equal(anchors(how), ANCHORS)


@pytest.mark.parametrize(("before", "after"), [(6000, 300), (40, 300), (6000, 5)])
def test_proposes_what_a_loop_proposes(before: int, after: int) -> None:
    text = (
        'type: "Proposal" bottom: "a" bottom: "b" bottom: "c" top: "rois" top: "scores" '
        f"proposal_param {{ pre_nms_topn: {before} post_nms_topn: {after} }}"
    )
    arrays = bottoms()
    rig = Rig(text, arrays, phase=TEST, dtype=np.float64)
    assert rig.top[0].shape == (after, 5)
    rois, scores = rig.forward()
    expected = proposals(arrays[0], arrays[1], arrays[2][0], before, after)
    np.testing.assert_allclose(rois[:, 1:], expected[:, 1:], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scores, expected[:, 0])
    assert not rois[:, 0].any()


def test_proposes_for_each_image() -> None:
    text = 'type: "Proposal" bottom: "a" bottom: "b" bottom: "c" top: "rois"'
    (rois,) = Rig(text, bottoms(images=3), phase=TEST).forward()
    assert np.unique(rois[:, 0]).tolist() == [0, 1, 2]
    assert (np.diff(rois[:, 0]) >= 0).all()


@pytest.mark.parametrize(
    "given",
    ["'feat_stride': 16", "{'feat_stride': 16}", "feat_stride: 16", "'feat_stride': 16\\n'scales': [8, 16, 32]"],
)
def test_stands_in_for_a_module_that_is_missing(given: str, tmp_path: Path) -> None:
    lines = logged()
    arrays = bottoms()
    rig = Rig(PYTHON.format('top: "scores"', "rpn.proposal_layer", given), arrays, phase=TEST, folder=str(tmp_path))
    assert [blob.shape for blob in rig.top] == [(1, 5), (1, 1)]
    rois, scores = rig.forward()
    expected = proposals(arrays[0], arrays[1], arrays[2][0], 6000, 300)
    np.testing.assert_allclose(rois[:, 1:], expected[:, 1:], rtol=1e-4, atol=1e-3)
    assert scores.shape == (len(rois), 1)
    (line,) = [line for line in messages(lines) if "proposes" in line]
    assert line.startswith('layer "proposal": there is no module rpn.proposal_layer; a layer of this program proposes')


def test_reads_scales_and_ratios() -> None:
    text = "{'feat_stride': 16, 'scales': !!python/tuple [4, 8], 'ratios': (1,)}"
    generator = np.random.default_rng(1)
    arrays = [generator.uniform(size=(1, 4, 3, 3)), np.zeros((1, 8, 3, 3)), np.array([[600, 600, 1]])]
    (rois,) = Rig(PYTHON.format("", "rpn.proposal_layer", text), arrays, phase=TRAIN).forward()
    widths = (rois[:, 3] - rois[:, 1]).max()
    assert widths < 130


def test_the_users_module_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rpn_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "proposal_layer.py").write_text(
        "import caffe\n\n\nclass ProposalLayer(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(2, 5)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 7\n"
    )
    rig = Rig(PYTHON.format("", "rpn_of_test.proposal_layer", "16"), bottoms(), phase=TEST, folder=str(tmp_path))
    assert (rig.forward()[0] == 7).all()


@pytest.mark.parametrize("given", ["", "'scales': [8]", "'feat_stride': 0", "'feat_stride': x", "{", "'feat_stride'"])
def test_a_text_that_cannot_be_read_is_refused(given: str) -> None:
    with pytest.raises(CaffeError, match=r"expected param_str \"'feat_stride': 16\""):
        Rig(PYTHON.format("", "rpn.proposal_layer", given), bottoms(), phase=TEST)


def test_two_images_are_refused() -> None:
    with pytest.raises(CaffeError, match="one image at a time, as in py-faster-rcnn, got 2"):
        Rig(PYTHON.format("", "rpn.proposal_layer", "'feat_stride': 16"), bottoms(images=2), phase=TEST)


@pytest.mark.parametrize(
    ("module", "what"),
    [
        ("rpn.anchor_target_layer", "labels anchors"),
        ("rpn.proposal_target_layer", "labels proposals"),
        ("roi_data_layer.layer", "reads images with their boxes"),
    ],
)
def test_what_training_needs_is_named(module: str, what: str) -> None:
    with pytest.raises(CaffeError, match=f"{what} in Faster R-CNN's training, which is not built in: put py-faster"):
        Rig(PYTHON.format("", module, ""), bottoms(), phase=TRAIN)
