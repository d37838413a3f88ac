"""The HDF5Output layer: Caffe's file, its one batch, and files that cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.golden_formats import FORMATS
from rigs.layer_rig import Rig

h5py = pytest.importorskip("h5py")


def text(path: Path | str) -> str:
    return f'type: "HDF5Output" bottom: "data" bottom: "label" hdf5_output_param {{ file_name: "{path}" }}'


def test_file_is_that_of_caffe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hdf5").mkdir()
    for name in ("output.prototxt", "list.txt", "one.h5", "two.h5"):
        (tmp_path / "hdf5" / name).write_bytes((FORMATS / "hdf5" / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    net = Net("hdf5/output.prototxt", TEST)
    net.forward()
    net.close()
    with h5py.File("hdf5/written.h5") as ours, h5py.File(FORMATS / "hdf5/written.h5") as theirs:
        assert list(ours) == list(theirs)
        for name, dataset in theirs.items():
            assert ours[name].dtype == dataset.dtype
            np.testing.assert_array_equal(ours[name], dataset)


def test_it_takes_one_batch(tmp_path: Path) -> None:
    rig = Rig(text(tmp_path / "out.h5"), [np.ones((2, 3)), np.ones(2)])
    rig.forward()
    with pytest.raises(CaffeError, match=r"out\.h5 has its batch already"):
        rig.forward()
    with h5py.File(tmp_path / "out.h5") as file:
        assert {name: dataset.shape for name, dataset in file.items()} == {
            "data": (2, 3, 1, 1),
            "label": (2, 1, 1, 1),
        }


def test_old_contents_go_when_the_net_is_built(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["data"] = 3
    Rig(text(tmp_path / "out.h5"), [np.ones((2, 3)), np.ones(2)])
    with h5py.File(tmp_path / "out.h5") as file:
        assert not list(file)


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "expected hdf5_output_param"), ("none/out.h5", "cannot write .*out.h5: no such"), (".", "cannot write")],
)
def test_files_that_cannot_be_written(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=rf"\(HDF5Output\): .*{words}"):
        Rig(text(tmp_path / name if name else ""), [np.ones((2, 3)), np.ones(2)])


@pytest.mark.parametrize(("data", "label"), [((2, 3), (3,)), ((2, 1, 1, 1, 1), (2,))])
def test_shapes_that_do_not_fit(data: tuple[int, ...], label: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="two bottoms of as many items, of up to four axes"):
        Rig(text(tmp_path / "out.h5"), [np.ones(data), np.ones(label)])


def test_its_derivative_is_0(tmp_path: Path) -> None:
    rig = Rig(text(tmp_path / "out.h5"), [np.ones((2, 3)), np.ones(2)])
    rig.bottom[0].diff[...] = 7
    assert not rig.backward([], [True, False])[0].any()
