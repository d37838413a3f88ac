"""Snapshots and weights as HDF5: Caffe's own files are read, and ours are laid out as they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, FileError, MissingExtra
from pycaffe_lite.formats import hdf5 as hdf5_files
from pycaffe_lite.net import Net
from pycaffe_lite.net.weights import weights_of
from pycaffe_lite.proto.read import read_solver
from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.cli_rig import NET as TINY
from rigs.cli_rig import SOLVER, Command, write_run
from rigs.golden_solvers import FOLDER, fed_solver, read_case
from rigs.net_rig import inner_product, inputs, layer, logged, make_net, make_solver, messages, softmax_loss

WEIGHTS = FOLDER.parent / "formats" / "weights"
BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 1 snapshot_prefix: "s" snapshot_format: HDF5 '
NET = inputs(x=[4, 3], label=[4]) + inner_product("fc", "x", 3) + softmax_loss("fc")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def layout(path: str | Path, values: bool = False) -> dict[str, Any]:
    """What is where in a file: None for groups, type and shape for datasets, and if wanted the values."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        found[name] = None
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype.str, item.shape, item.id.get_type().get_class())
            if values:
                found[name] += (item[()].tolist(),)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def shared_solver() -> SGDSolver:
    """The solver of the golden files whose net shares a weight, trained three times."""
    text = read_solver(str(WEIGHTS / "shared_solver.prototxt"))
    text.param.net = str(WEIGHTS / "shared.prototxt")
    text.param.snapshot_prefix = "weights/shared"
    solver = get_solver(text)
    assert isinstance(solver, SGDSolver)
    with np.load(WEIGHTS / "shared.npz") as arrays:
        for name in ("data", "label"):
            solver.net.blobs[name].data[...] = arrays[name]
        for name in ("a", "b"):
            for index, blob in enumerate(solver.net.params[name]):
                blob.data[...] = arrays[f"init/{name}/{index}"]
    return solver


def test_our_files_are_laid_out_as_caffes_are(folder: Path) -> None:
    (folder / "weights").mkdir()
    solver = shared_solver()
    solver.solve()
    for kind in ("caffemodel.h5", "solverstate.h5"):
        name = f"shared_iter_3.{kind}"
        assert layout(folder / "weights" / name) == layout(WEIGHTS / name)
    with h5py.File(folder / "weights/shared_iter_3.caffemodel.h5") as ours, np.load(WEIGHTS / "shared.npz") as golden:
        for kind, key in (("data", "params"), ("diff", "diff")):
            np.testing.assert_allclose(ours[kind]["a"]["0"], golden[f"{key}/a/0"], rtol=1e-4, atol=1e-6)
    with h5py.File(folder / "weights/shared_iter_3.solverstate.h5") as ours:
        assert ours["learned_net"][()] == b"weights/shared_iter_3.caffemodel.h5"
        assert ours["learned_net"].id.get_type().get_strpad() == h5py.h5t.STR_NULLTERM


def test_the_shared_weight_is_read_once(folder: Path) -> None:
    net = Net(str(WEIGHTS / "shared.prototxt"), weights=str(WEIGHTS / "shared_iter_3.caffemodel.h5"))
    binary = Net(str(WEIGHTS / "shared.prototxt"), weights=str(WEIGHTS / "shared_iter_3.caffemodel"))
    for name in ("a", "b"):
        for ours, theirs in zip(net.params[name], binary.params[name], strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data)


def test_a_net_that_does_not_share_it_lacks_it(folder: Path) -> None:
    net = inputs(data=[4, 6]) + inner_product("b", "data", 6)
    with pytest.raises(CaffeError, match=r'layer "b" .*expected 2 parameter\(s\) in .*h5, got 1; rename'):
        make_net(net).copy_from(str(WEIGHTS / "shared_iter_3.caffemodel.h5"))


def test_weights_that_caffe_converted() -> None:
    net = Net(str(WEIGHTS / "net.prototxt"), weights=str(WEIGHTS / "shape.caffemodel.h5"))
    with np.load(WEIGHTS / "net.npz") as arrays:
        for name in ("conv", "ip"):
            for index, blob in enumerate(net.params[name]):
                np.testing.assert_array_equal(blob.data, arrays[f"params/{name}/{index}"])


@pytest.mark.parametrize("kind", ["caffemodel.h5", "solverstate.h5"])
def test_caffes_snapshot_written_again_holds_the_same(folder: Path, kind: str) -> None:
    (folder / "snap").mkdir()
    for name in ("caffemodel.h5", "solverstate.h5"):
        (folder / "snap" / f"adam_all_iter_10.{name}").write_bytes(
            (FOLDER / "resume" / f"adam_all_iter_10.{name}").read_bytes()
        )
    text = read_case(FOLDER / "cases" / "adam_all.prototxt")
    text.param.snapshot_prefix = "snap/adam_all"
    text.param.snapshot_format = text.param.HDF5
    solver = fed_solver(text)
    solver.restore("snap/adam_all_iter_10.solverstate.h5")
    solver.snapshot()
    name = f"adam_all_iter_10.{kind}"
    assert layout(Path("snap") / name, values=True) == layout(FOLDER / "resume" / name, values=True)


def test_the_log_and_the_way_back(folder: Path) -> None:
    lines = logged()
    first = make_solver(folder, NET, BASE + "max_iter: 3")
    first.solve()
    assert [line for line in messages(lines) if line.startswith("Snapshotting")] == [
        "Snapshotting to HDF5 file s_iter_3.caffemodel.h5",
        "Snapshotting solver state to HDF5 file s_iter_3.solverstate.h5",
    ]
    second = make_solver(folder, NET, BASE)
    second.restore("s_iter_3.caffemodel.h5")
    assert second.iter == 3
    for ours, theirs in zip(
        second.parameters.blobs + second.history, first.parameters.blobs + first.history, strict=True
    ):
        np.testing.assert_array_equal(ours.data, theirs.data)
    assert not any("diff" in name for name in layout("s_iter_3.caffemodel.h5"))


def test_equal_nets_give_equal_bytes(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE)
    layers = weights_of(solver.net.layers)
    assert hdf5_files.weights_pieces(layers, "") == hdf5_files.weights_pieces(layers, "")
    solver.snapshot()
    for name in ("s_iter_0.caffemodel.h5", "s_iter_0.solverstate.h5"):
        with h5py.File(name) as file:
            times: list[int] = []
            file.visititems(lambda path, item, times=times: times.append(h5py.h5g.get_objinfo(item.id).mtime))
        assert set(times) == {0}


def test_names_with_slashes(folder: Path) -> None:
    text = inputs(x=[2, 3]) + inner_product("a/b", "x", 2) + inner_product("a", "x", 4) + inner_product("a/c/d", "x", 5)
    net = make_net(text)
    net.save("n.caffemodel.h5")
    other = make_net(text)
    other.copy_from("n.caffemodel.h5")
    for name, blobs in net.params.items():
        np.testing.assert_array_equal(other.params[name][0].data, blobs[0].data)


def test_the_test_command_takes_them(folder: Path) -> None:
    write_run(folder, TINY, SOLVER + "snapshot_format: HDF5\n")
    assert Command("train", "--solver=solver.prototxt").status == 0
    said = [
        Command("test", "--model=net.prototxt", f"--weights={name}", "--iterations=2").said
        for name in ("s_iter_4.caffemodel.h5",)
    ]
    Net("net.prototxt", 0, weights="s_iter_4.caffemodel.h5").save("same.caffemodel")
    binary = Command("test", "--model=net.prototxt", "--weights=same.caffemodel", "--iterations=2").said
    assert said[0][-4:] == binary[-4:]
    assert any(line.startswith("loss = ") for line in binary[-4:])
    finetuned = Command("train", "--solver=solver.prototxt", "--weights=s_iter_4.caffemodel.h5", "--iterations=1")
    assert finetuned.status == 0


def test_without_h5py_it_is_said_before_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"HDF5 snapshots need an extra package: .*pycaffe-lite\[hdf5\]"):
        make_solver(folder, NET, BASE)
    with pytest.raises(MissingExtra, match="HDF5 snapshots need an extra package"):
        make_net(NET).copy_from(str(WEIGHTS / "shape.caffemodel.h5"))


# -- what is refused ---------------------------------------------------------------------------------------


def write(path: str, make: Any) -> str:
    with h5py.File(path, "w") as file:
        make(file)
    return path


def _huge(file: Any) -> None:
    file.create_dataset("data/fc/0", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1 << 10, 1 << 10))


def _elsewhere(file: Any) -> None:
    file.create_group("data/fc")["0"] = h5py.ExternalLink("other.h5", "/data/fc/0")


def _texts(file: Any) -> None:
    file.create_dataset("data/fc/0", data=[b"one", b"two"])


def _cycle(file: Any) -> None:
    group = file.create_group("data/fc")
    group["again"] = group


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda file: None, "it has no group /data"),
        (lambda file: file.create_dataset("data", data=[1.0]), "it has no group /data"),
        (_huge, r"claims a shape of \[1048576, 1048576\], for which the file is too small"),
        (_texts, "holds .*expected numbers"),
        (_cycle, "more groups than nets have layers"),
        (_elsewhere, r"expected 2 parameter\(s\) in w.h5, got 0"),
        (lambda file: file.create_dataset("data/fc/99999999999", data=[1.0]), r"expected 2 parameter\(s\)"),
        (lambda file: file.create_dataset("data/fc/0", data=np.zeros((2, 2))), "got 1"),
    ],
    ids=["empty", "dataset", "huge", "texts", "cycle", "elsewhere", "number", "few"],
)
def test_weights_that_cannot_be(folder: Path, make: Any, problem: str) -> None:
    net = make_net(NET)
    with pytest.raises(CaffeError, match=problem):
        net.copy_from(write("w.h5", make))


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x00" * 100, b"net: 1", b"\x89HDF\r\n\x1a\n" * 99])
def test_garbage(folder: Path, content: bytes) -> None:
    Path("w.caffemodel.h5").write_bytes(content)
    Path("w.solverstate.h5").write_bytes(content)
    with pytest.raises(FileError, match=r"^w\.caffemodel\.h5 "):
        make_net(NET).copy_from("w.caffemodel.h5")
    with pytest.raises(FileError, match=r"^w\.solverstate\.h5 "):
        make_solver(folder, NET, BASE).restore("w.solverstate.h5")


def test_weights_are_no_state(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE)
    solver.net.save("w.solverstate.h5")
    with pytest.raises(FileError, match=r"is not a file of a solver's state .*: it has no group /history"):
        solver.restore("w.solverstate.h5")


def test_other_names_and_layers(folder: Path) -> None:
    lines = logged()
    net = make_net(NET + layer("quiet", "Silence", ["fc"]))
    write("w.h5", lambda file: file.create_group("data/unknown"))
    net.copy_from("w.h5")
    assert "Ignoring source layer unknown" in messages(lines)
