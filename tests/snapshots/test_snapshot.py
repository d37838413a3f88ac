"""Snapshots: their fields, their readers, and training that goes on from them as if it had never stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverState
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.golden_solvers import FOLDER, fed_solver, read_case
from rigs.net_rig import inner_product, inputs, layer, logged, make_solver, messages, softmax_loss

ERRORS = FOLDER.parent / "cli" / "errors"
BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 1 snapshot_prefix: "s" '
NET = (
    layer(
        "data", "DummyData", top=["x", "label"],
        more='dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } data_filler { type: "constant" value: 1 } }',
    )
    + inner_product("fc", "x", 3)
    + softmax_loss("fc")
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def golden_solver(prefix: str, first: int = 0) -> SGDSolver:
    text = read_case(FOLDER / "cases" / "sgd_all.prototxt")
    text.param.snapshot_prefix = prefix
    return fed_solver(text, first)


def model(path: str | Path) -> NetParameter:
    return NetParameter.FromString(Path(path).read_bytes())


def state(path: str | Path) -> SolverState:
    return SolverState.FromString(Path(path).read_bytes())


def without_values(message: NetParameter | SolverState) -> str:
    """The text of a message whose blobs keep their shapes alone."""
    blobs = [b for made in message.layer for b in made.blobs] if isinstance(message, NetParameter) else message.history
    for blob in blobs:
        del blob.data[:]
    return text_format.MessageToString(message)


# -- what is written ---------------------------------------------------------------------------------------


def test_a_model_has_the_texts_of_caffes(folder: Path) -> None:
    solver = golden_solver("s")
    solver.iter = 10
    solver.snapshot()
    golden = FOLDER / "resume" / "sgd_all_iter_10.caffemodel"
    assert without_values(model("s_iter_10.caffemodel")) == without_values(model(golden))


def test_the_weights_of_caffe_written_again_give_the_same_bytes(folder: Path) -> None:
    golden = FOLDER / "resume" / "sgd_all_iter_10.caffemodel"
    solver = golden_solver("s")
    solver.net.copy_from(str(golden))
    solver.net.save("again.caffemodel")
    assert Path("again.caffemodel").read_bytes() == golden.read_bytes()


def test_a_state_of_caffe_written_again_gives_the_same_bytes(folder: Path) -> None:
    (folder / "snap").mkdir()
    for kind in ("caffemodel", "solverstate"):
        name = f"sgd_all_iter_10.{kind}"
        (folder / "snap" / name).write_bytes((FOLDER / "resume" / name).read_bytes())
    golden = Path("snap/sgd_all_iter_10.solverstate").read_bytes()
    solver = golden_solver("snap/sgd_all")
    solver.restore("snap/sgd_all_iter_10.solverstate")
    solver.snapshot()
    assert Path("snap/sgd_all_iter_10.solverstate").read_bytes() == golden


def test_the_fields_of_a_state(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE.replace('"fixed"', '"step" stepsize: 2 gamma: 0.5') + "max_iter: 5")
    solver.solve()
    saved = state("s_iter_5.solverstate")
    assert (saved.iter, saved.learned_net, saved.current_step) == (5, "s_iter_5.caffemodel", 2)
    for blob, ours in zip(saved.history, solver.history, strict=True):
        assert tuple(blob.shape.dim) == ours.shape
        np.testing.assert_array_equal(np.array(blob.data, np.float32), ours.data.ravel())


def test_the_fields_of_a_model(folder: Path) -> None:
    solver = make_solver(folder, 'name: "tiny" ' + NET, BASE + "max_iter: 2")
    solver.solve()
    saved = model("s_iter_2.caffemodel")
    assert saved.name == "tiny"
    assert [(made.name, made.type, made.phase) for made in saved.layer] == [
        ("data", "DummyData", 0),
        ("fc", "InnerProduct", 0),
        ("loss", "SoftmaxWithLoss", 0),
    ]
    assert saved.layer[2].loss_weight == [1]
    for blob, ours in zip(saved.layer[1].blobs, solver.net.params["fc"], strict=True):
        assert tuple(blob.shape.dim) == ours.shape
        assert not blob.diff
        np.testing.assert_array_equal(np.array(blob.data, np.float32), ours.data.ravel())


def test_values_are_written_in_logical_order(folder: Path) -> None:
    text = inputs(x=[1, 3, 5, 5]) + layer(
        "conv",
        "Convolution",
        ["x"],
        ["conv"],
        'convolution_param { num_output: 4 kernel_size: 2 weight_filler { type: "xavier" } }',
    )
    solver = make_solver(folder, text, BASE)
    weight = solver.net.params["conv"][0]
    assert not weight.data.flags.c_contiguous
    solver.snapshot()
    saved = np.array(model("s_iter_0.caffemodel").layer[1].blobs[0].data, np.float32)
    np.testing.assert_array_equal(saved.reshape(weight.shape), weight.data)


def test_diffs_go_in_on_request(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE + "max_iter: 1 snapshot_diff: true")
    solver.solve()
    for blob, ours in zip(model("s_iter_1.caffemodel").layer[1].blobs, solver.net.params["fc"], strict=True):
        np.testing.assert_array_equal(np.array(blob.diff, np.float32), ours.diff.ravel())
        assert ours.diff.any()


def test_splits_are_written_as_caffe_writes_them(folder: Path) -> None:
    solver = make_solver(folder, NET + layer("aside", "Silence", ["fc"]), BASE)
    solver.snapshot()
    assert [made.name for made in model("s_iter_0.caffemodel").layer] == [
        "data", "fc", "fc_fc_0_split", "loss", "aside",
    ]  # fmt: skip


# -- going on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 7])
def test_resuming_gives_the_bits_of_a_run_that_never_stopped(folder: Path, at: int) -> None:
    straight = golden_solver("straight")
    straight.step(12)
    first = golden_solver("s")
    first.step(at)
    first.snapshot()
    second = golden_solver("s", first=at * first.param.iter_size)
    second.restore(f"s_iter_{at}.solverstate")
    second.step(12 - at)
    for ours, theirs in zip(second.parameters.blobs, straight.parameters.blobs, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    for ours, theirs in zip(second.history, straight.history, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    assert (second.iter, second.current_step) == (straight.iter, straight.current_step)


def test_solving_from_a_snapshot(folder: Path) -> None:
    make_solver(folder, NET, BASE + "max_iter: 3").solve()
    lines = logged()
    solver = make_solver(folder, NET, BASE + "max_iter: 5 display: 1")
    solver.solve("s_iter_3.solverstate")
    said = messages(lines)
    assert "SGDSolver: restoring history" in said
    assert [line for line in said if ", lr = " in line] == ["Iteration 3, lr = 0.1", "Iteration 4, lr = 0.1"]


def test_a_snapshot_at_the_end_trains_no_further(folder: Path) -> None:
    text = BASE + "max_iter: 3 display: 1 test_iter: 1 test_interval: 3 test_initialization: false"
    make_solver(folder, NET, text).solve()
    lines = logged()
    solver = make_solver(folder, NET, text)
    weights = solver.net.params["fc"][0].data
    solver.solve("s_iter_3.solverstate")
    said = messages(lines)
    assert solver.iter == 3
    assert sum(line.startswith("Iteration 3, loss = ") for line in said) == 1
    assert said[-1] == "Optimization Done."
    np.testing.assert_array_equal(weights.ravel(), model("s_iter_3.caffemodel").layer[1].blobs[0].data)


def test_the_weights_are_looked_for_beside_the_state_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_solver(folder, NET, BASE + "max_iter: 3").solve()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    solver = make_solver(folder, NET, BASE)
    solver.restore(str(folder / "s_iter_3.solverstate"))
    assert solver.iter == 3


def run_in_a_folder(folder: Path, seed: int) -> None:
    """Three iterations, with their snapshot in `run`."""
    (folder / "run").mkdir(exist_ok=True)
    make_solver(folder, NET, BASE.replace('"s"', '"run/s"').replace("seed: 1", f"seed: {seed}") + "max_iter: 3").solve()


def test_moved_weights_come_before_those_of_the_path_in_the_state(folder: Path) -> None:
    run_in_a_folder(folder, 1)
    expected = model("run/s_iter_3.caffemodel").layer[1].blobs[0].data[:]
    (folder / "run").rename("moved")
    run_in_a_folder(folder, 2)
    solver = make_solver(folder, NET, BASE)
    for name in ("solverstate", "caffemodel", "resume"):
        lines = logged()
        solver.restore(f"moved/s_iter_3.{name}")
        np.testing.assert_array_equal(solver.net.params["fc"][0].data.ravel(), expected)
        assert not [line for line in lines if line.startswith("W")]
    Path("moved/s_iter_3.resume").unlink()
    solver.net.params["fc"][0].data[...] = 0
    solver.restore("moved/s_iter_3.solverstate")
    np.testing.assert_array_equal(solver.net.params["fc"][0].data.ravel(), expected)


def test_a_state_that_was_moved_alone_tells_whether_its_weights_are_the_right_ones(folder: Path) -> None:
    run_in_a_folder(folder, 1)
    expected = model("run/s_iter_3.caffemodel").layer[1].blobs[0].data[:]
    (folder / "moved").mkdir()
    for name in ("solverstate", "resume"):
        Path(f"run/s_iter_3.{name}").rename(f"moved/s_iter_3.{name}")
    solver = make_solver(folder, NET, BASE)
    solver.restore("moved/s_iter_3.solverstate")
    np.testing.assert_array_equal(solver.net.params["fc"][0].data.ravel(), expected)
    run_in_a_folder(folder, 2)
    with pytest.raises(FileError) as caught:
        solver.restore("moved/s_iter_3.solverstate")
    assert str(caught.value) == (
        "run/s_iter_3.caffemodel is damaged, or not the weights that moved/s_iter_3.solverstate was written with: its "
        "length or checksum is not what moved/s_iter_3.resume says; remove that file to use it all the same."
    )
    Path("moved/s_iter_3.resume").unlink()
    lines = logged()
    solver.restore("moved/s_iter_3.solverstate")
    assert messages([line for line in lines if line.startswith("W")]) == [
        "moved/s_iter_3.solverstate has no weights of its own name beside it, so those it names are taken, "
        "run/s_iter_3.caffemodel; nothing tells whether they are still the ones it was written with."
    ]


def test_a_state_without_weights_leaves_them(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE)
    before = solver.net.params["fc"][0].data.copy()
    history = [{"shape": {"dim": blob.shape}, "data": [2.0] * blob.count} for blob in solver.history]
    Path("bare.solverstate").write_bytes(SolverState(iter=4, history=history).SerializeToString())
    solver.restore("bare.solverstate")
    assert solver.iter == 4
    assert (solver.history[0].data == 2).all()
    np.testing.assert_array_equal(solver.net.params["fc"][0].data, before)


def test_a_state_of_old_files_has_four_axes(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE)
    history = [
        {"num": 1, "channels": 1, "height": 3, "width": 3, "data": range(9)},
        {"num": 1, "channels": 1, "height": 1, "width": 3, "data": range(3)},
    ]
    Path("old.solverstate").write_bytes(SolverState(iter=1, history=history).SerializeToString())
    solver.restore("old.solverstate")
    np.testing.assert_array_equal(solver.history[0].data.ravel(), range(9))


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "There is no file"),
        (b"", "is empty; expected a solver's state"),
        (b"\x00" * 64, r"is not a file of a solver's state"),
        (b"\xff" * 64, "a solver's state"),
        (b'net: "x"\n', r"is not a file of a solver's state .*it holds text"),
        (SolverState(learned_net="x").SerializeToString(), "does not say which iteration"),
        (SolverState(iter=-1).SerializeToString(), "expected an iteration of 0 or more, got -1"),
        (SolverState(iter=1).SerializeToString(), "expected 2 history blobs .* solver type SGD, got 0"),
        (
            SolverState(iter=1, history=[{"shape": {"dim": [n]}, "data": [0] * n} for n in (9, 3)]).SerializeToString(),
            r"expected history blob 0 to have shape \[3, 3\], got \[9\]",
        ),
        (
            SolverState(
                iter=1,
                learned_net="gone.caffemodel",
                history=[{"shape": {"dim": d}, "data": [0] * int(np.prod(d))} for d in ([3, 3], [3])],
            ).SerializeToString(),
            'no learned_net "gone.caffemodel": looked for',
        ),
    ],
    ids=[
        "missing",
        "empty",
        "zeros",
        "garbage",
        "text",
        "no_iteration",
        "negative",
        "no_history",
        "shape",
        "no_weights",
    ],
)
def test_states_that_cannot_be(folder: Path, content: bytes | None, problem: str) -> None:
    solver = make_solver(folder, NET, BASE)
    if content is not None:
        Path("x.solverstate").write_bytes(content)
    before = [blob.data.copy() for blob in solver.parameters.blobs]
    with pytest.raises(CaffeError, match=problem):
        solver.restore("x.solverstate")
    assert solver.iter == 0
    for blob, old in zip(solver.parameters.blobs, before, strict=True):
        np.testing.assert_array_equal(blob.data, old)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_files(folder: Path, share: float) -> None:
    make_solver(folder, NET, BASE + "max_iter: 1").solve()
    Path("s_iter_1.resume").unlink()  # its checksums would tell before the reader does
    whole = Path("s_iter_1.solverstate").read_bytes()
    Path("cut.solverstate").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CaffeError):
        make_solver(folder, NET, BASE).restore("cut.solverstate")
    weights = Path("s_iter_1.caffemodel").read_bytes()
    Path("s_iter_1.caffemodel").write_bytes(weights[: int(len(weights) * share)])
    with pytest.raises(FileError, match="is truncated, or not a file of weights"):
        make_solver(folder, NET, BASE).restore("s_iter_1.solverstate")


def test_a_device_is_no_snapshot(folder: Path) -> None:
    with pytest.raises(FileError, match="is a device"):
        make_solver(folder, NET, BASE).restore("/dev/zero")


def test_a_folder_as_prefix_gets_the_solvers_name(folder: Path) -> None:
    (folder / "out").mkdir()
    make_solver(folder, NET, BASE.replace('"s"', '"out"') + "max_iter: 1").solve()
    assert (folder / "out" / "solver_iter_1.caffemodel").is_file()


def test_without_a_prefix_the_solvers_path_is_it(folder: Path) -> None:
    make_solver(folder, NET, BASE.replace('snapshot_prefix: "s"', "") + "max_iter: 1").solve()
    assert (folder / "solver_iter_1.solverstate").is_file()
