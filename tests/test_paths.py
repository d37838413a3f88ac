"""Files that a solver or a net names: found from any folder that one trains in, or else what may have been meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.paths import find_file
from pycaffe_lite.solvers.registry import get_solver
from rigs.proto_rig import CLASSES, DATA, LOSS, RATE, write


def test_trains_from_any_folder_what_names_its_files_from_caffes_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    folder = tmp_path / "caffe" / "models" / "toy"
    data = (
        'layer { name: "data" type: "Data" top: "data" top: "label" '
        'data_param { source: "data/toy/train.csv" backend: CSV batch_size: 2 } }\n'
    )
    write(tmp_path / "caffe" / "data" / "toy" / "train.csv", "label,a,b\n0,1,2\n1,2,1\n")
    write(folder / "net.prototxt", data + CLASSES + LOSS)
    text = f'net: "models/toy/net.prototxt"\n{RATE}snapshot_prefix: "models/toy/toy"\n'
    solver_path = write(folder / "solver.prototxt", text)
    (tmp_path / "elsewhere").mkdir()
    for place, path in (("caffe", solver_path), ("elsewhere", solver_path), ("caffe/models/toy", "solver.prototxt")):
        monkeypatch.chdir(tmp_path / place)
        solver = get_solver(path)
        solver.solve()
        solver.close()
        written = folder / "toy_iter_1.caffemodel"
        assert written.exists()
        written.unlink()
    taken = [line for line in messages if "a folder above its text" in line]
    root = str(tmp_path / "caffe")
    assert f'IThe net "models/toy/net.prototxt" is taken from {root}, a folder above its text.' in taken
    assert f'IThe data source "data/toy/train.csv" is taken from {root}, a folder above its text.' in taken


def test_the_working_folder_and_the_texts_own_come_before_those_above(here: Path) -> None:
    write(here / "a" / "b" / "sub" / "net", "own")
    write(here / "a" / "sub" / "net", "above")
    beside = str(here / "a" / "b" / "solver")
    assert find_file("sub/net", beside) == str(here / "a" / "b" / "sub" / "net")
    write(here / "sub" / "net", "working")
    assert find_file("sub/net", beside) == "sub/net"


@pytest.mark.parametrize("name", ["net.prototxt", "../x/net.prototxt", "/x/net.prototxt"])
def test_only_names_with_a_folder_are_looked_for_above(name: str, here: Path) -> None:
    write(here / "net.prototxt", "")
    write(here / "x" / "net.prototxt", "")
    solver = write(here / "a" / "b" / "c" / "solver", "")
    write(here / "elsewhere" / "nothing", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here / "elsewhere")
        if name.startswith(".."):
            assert find_file(name, solver) == name  # from the working folder, as it says
        else:
            with pytest.raises(FileError):
                find_file(name, solver)


@pytest.mark.parametrize("name", ["/home/someone/caffe/net.prototxt", "D:\\caffe\\net.prototxt", "models/net.prototxt"])
def test_a_path_of_another_machine_finds_its_file_beside_the_text(name: str, here: Path) -> None:
    write(here / "toy" / "net.prototxt", "")
    with pytest.raises(FileError, match=r'; did you mean "toy/net\.prototxt"\?$'):
        find_file(name, "toy/solver.prototxt", "net")


def test_paths_of_windows_are_read_with_slashes(here: Path) -> None:
    write(here / "toy" / "net.prototxt", "")
    assert find_file("toy\\net.prototxt", "solver.prototxt").replace("\\", "/") == "toy/net.prototxt"


@pytest.mark.parametrize("prefix", ["missing/", "missing/toy", "toy/missing/"])
def test_a_prefix_in_no_folder_is_refused_before_the_training(prefix: str, here: Path) -> None:
    write(here / "net.prototxt", DATA + CLASSES + LOSS)
    path = write(here / "solver.prototxt", f'net: "net.prototxt"\n{RATE}snapshot_prefix: "{prefix}"\n')
    with pytest.raises(CaffeError, match=r'solver.prototxt:3: .* to lie in a folder that exists.*"mkdir -p '):
        get_solver(path).solve()
