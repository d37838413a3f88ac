"""Files: finding them, and reading nets and solvers from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pycaffe_lite.errors import CaffeError, FileError, ParseError
from pycaffe_lite.paths import LARGEST_TEXT, find_file
from pycaffe_lite.proto.read import read_net, read_solver
from rigs import GOLDEN

WEIGHTS = GOLDEN / "formats" / "weights"


def written(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


# -- nets and solvers ----------------------------------------------------------------------------------------


def test_reads_a_net_and_where_its_layers_are(tmp_path: Path) -> None:
    path = written(tmp_path, "net.prototxt", "name: 'n'\nlayer { name: 'a' }\nlayer { name: 'b' }\n")
    net = read_net(path)
    assert [layer.name for layer in net.param.layer] == ["a", "b"]
    assert net.location(1) == f"{path}:3: "


def test_takes_path_objects(tmp_path: Path) -> None:
    path = Path(written(tmp_path, "net.prototxt", "name: 'n'"))
    assert read_net(path).path == str(path)  # type: ignore[arg-type]


def test_reads_a_solver_and_where_its_fields_are(tmp_path: Path) -> None:
    path = written(tmp_path, "s.prototxt", "base_lr: 0.1\nlr_policy: 'step'\n")
    solver = read_solver(path)
    assert solver.param.lr_policy == "step"
    assert solver.location("lr_policy") == f"{path}:2: "
    assert solver.location("gamma") == f"{path}: "


def test_comments_in_another_encoding_are_no_error(tmp_path: Path) -> None:
    path = written(tmp_path, "net.prototxt", b"# \xc4\xe3\xba\xc3\nname: 'n'")
    assert read_net(path).param.name == "n"


def test_parse_errors_begin_with_the_path(tmp_path: Path) -> None:
    path = written(tmp_path, "s.prototxt", "base_lr: 0.1\nbase_rl: 1")
    with pytest.raises(ParseError) as caught:
        read_solver(path)
    assert str(caught.value).startswith(f"{path}:2:1: ")


# -- files that are no text ----------------------------------------------------------------------------------

NO_TEXT = [
    (b"", "is empty; expected the text (prototxt) of a solver."),
    (b" \n\t\n", "is blank"),
    (b"\xff\xfen\0e\0t\0", "is UTF-16 text"),
    (b"<!DOCTYPE html>\n<html>", "is a web page"),
    (b"  <html>", "is a web page"),
    (b"\x89HDF\r\n\x1a\n" + bytes(50), "is a binary file"),
    (b"\n\x05LeNet\xa2\x06\x05", "is a binary file"),
    (bytes(100), "is a binary file"),
]


@pytest.mark.parametrize(("data", "problem"), NO_TEXT)
def test_says_what_a_file_is_instead(tmp_path: Path, data: bytes, problem: str) -> None:
    path = written(tmp_path, "solver.prototxt", data)
    with pytest.raises(FileError) as caught:
        read_solver(path)
    assert str(caught.value).startswith(f"{path} ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("name", "flag"),
    [("shape.caffemodel", "--weights"), ("shared_iter_3.solverstate", "--snapshot")],
)
def test_says_where_weights_go(name: str, flag: str) -> None:
    with pytest.raises(FileError, match=flag):
        read_solver(str(WEIGHTS / name))


def test_refuses_what_is_too_large_for_a_text(tmp_path: Path) -> None:
    path = written(tmp_path, "net.prototxt", b"# " + b"x" * LARGEST_TEXT)
    with pytest.raises(FileError, match="larger than 16 MiB"):
        read_net(path)


def test_refuses_folders(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        read_net(str(tmp_path))


def test_a_device_is_no_text() -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("needs /dev/zero")
    with pytest.raises(FileError, match="binary"):
        read_net("/dev/zero")


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "no/such/net.prototxt"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(FileError):
        read_net(path)


# -- finding files -------------------------------------------------------------------------------------------


def test_the_working_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "work/net.prototxt", "")
    solver = written(tmp_path, "other/solver.prototxt", "")
    written(tmp_path, "other/net.prototxt", "")
    monkeypatch.chdir(tmp_path / "work")
    assert find_file("net.prototxt", solver) == "net.prototxt"


@pytest.mark.parametrize("beside", ["other/solver.prototxt", "other"])
def test_then_the_place_beside_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    written(tmp_path, "other/solver.prototxt", "")
    written(tmp_path, "other/sub/net.prototxt", "")
    monkeypatch.chdir(tmp_path)
    assert find_file("sub/net.prototxt", beside) == os.path.join("other", "sub/net.prototxt")


def test_folders_are_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "train_lmdb/data.mdb", "")
    monkeypatch.chdir(tmp_path)
    assert find_file("train_lmdb") == "train_lmdb"


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, "net.prototxt", "")
    assert find_file(path, "elsewhere/solver.prototxt") == path


def test_a_missing_file_is_told_with_all_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError) as caught:
        find_file("net.prototxt", "other/solver.prototxt", "net")
    message = str(caught.value)
    assert message.startswith('There is no net "net.prototxt": looked for ')
    for place in (tmp_path / "net.prototxt", tmp_path / "other" / "net.prototxt"):
        assert str(place) in message
    assert f"the working folder {tmp_path}" in message


def test_a_missing_file_brings_the_nearest_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "lenet_train_test.prototxt", "")
    written(tmp_path, "zeros.prototxt", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"did you mean \".*lenet_train_test.prototxt\"\?$"):
        find_file("lenet_train.prototxt")
    with pytest.raises(FileError) as caught:
        find_file("nothing.prototxt")
    assert "did you mean" not in str(caught.value)


def test_a_named_file_must_have_a_name() -> None:
    with pytest.raises(CaffeError, match="Expected the path of a net"):
        find_file("", "solver.prototxt", "net")
