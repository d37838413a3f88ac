"""InfogainLoss: with the identity it is SoftmaxWithLoss; its matrix's file; what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto import caffe_pb2
from rigs.layer_rig import Rig

SHAPE, LABELS = (2, 3, 4), (2, 4)


def text(kind: str = "InfogainLoss", more: str = "") -> str:
    return f'type: "{kind}" bottom: "x" bottom: "label" top: "loss" {more}'


def write(path: Path, **fields: object) -> str:
    path.write_bytes(caffe_pb2.BlobProto(**fields).SerializeToString())  # type: ignore[arg-type]
    return f'infogain_loss_param {{ source: "{path.name}" }}'


@pytest.mark.parametrize("more", ["", "loss_param { ignore_label: 1 }", "loss_param { normalization: FULL }"])
def test_the_identity_gives_softmax_loss(more: str, generator: np.random.Generator) -> None:
    x, label = generator.normal(size=SHAPE), generator.integers(0, 3, LABELS)
    rig = Rig(text(more='bottom: "H" ' + more), [x, label, np.eye(3)])
    plain = Rig(text("SoftmaxWithLoss", more), [x, label])
    np.testing.assert_allclose(rig.forward(), plain.forward(), rtol=1e-6)
    ours = rig.backward([np.array(3.0)], [True, False, False])[0]
    np.testing.assert_allclose(ours, plain.backward([np.array(3.0)], [True, False])[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("field", ["data", "double_data"])
def test_matrix_of_a_file_is_that_of_a_bottom(field: str, tmp_path: Path, generator: np.random.Generator) -> None:
    x, label, matrix = generator.normal(size=SHAPE), generator.integers(0, 3, LABELS), generator.normal(size=(3, 3))
    more = write(tmp_path / "H.binaryproto", **{field: matrix.ravel()}, num=1, channels=1, height=3, width=3)
    (ours,) = Rig(text(more=more), [x, label], folder=str(tmp_path)).forward()
    (expected,) = Rig(text(more='bottom: "H"'), [x, label, matrix]).forward()
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_a_probability_of_0_counts_as_1e_20() -> None:
    (loss,) = Rig(text(more='bottom: "H"'), [np.array([[0, 1e4]]), np.zeros(1), np.eye(2)]).forward()
    np.testing.assert_allclose(loss, -np.log(1e-20), rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "expected infogain_loss_param { source: … }"),
        ('infogain_loss_param { source: "none.binaryproto" }', 'no infogain matrix "none.binaryproto"'),
        (
            'infogain_loss_param { source: "text" }',
            r"text is not a file of an infogain matrix \(\.binaryproto\): it holds text",
        ),
        ('infogain_loss_param { source: "folder" }', "Cannot read"),
        ('infogain_loss_param { source: "empty" }', "empty is empty; expected an infogain matrix"),
        ('infogain_loss_param { source: "small" }', r"3 x 3 values.* got 4 value"),
    ],
)
def test_files_that_are_no_matrix(more: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("1 0\n0 1\n")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "small", data=[1, 0, 0, 1], num=1, channels=1, height=2, width=2)
    with pytest.raises(CaffeError, match=rf"(?s)\(InfogainLoss\): .*{words}"):
        Rig(text(more=more), [np.zeros(SHAPE), np.zeros(LABELS)], folder=str(tmp_path))


@pytest.mark.parametrize(("down", "words"), [([True, True, False], "its targets"), ([True, False, True], "its matrix")])
def test_labels_and_matrix_get_no_gradient(down: list[bool], words: str) -> None:
    rig = Rig(text(more='bottom: "H"'), [np.zeros((2, 3)), np.zeros(2), np.eye(3)])
    rig.forward()
    with pytest.raises(CaffeError, match=f"cannot propagate to {words}"):
        rig.backward([np.ones(())], down)
