"""Exact resume: a run that goes on from a snapshot does what one that never stopped would have done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers import contract as base
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.solvers.loop import SNAPSHOT, STOP
from pycaffe_lite.solvers.report import IterationReport, Report, TestReport
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.net_rig import inner_product, inputs, layer, logged, make_solver, messages, softmax_loss
from rigs.random_run import NET, TYPES, new_solver, run, same_bits, write_random_run

BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 1 snapshot_prefix: "s" max_iter: 6 average_loss: 3 '


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def from_iteration(reports: Sequence[Report], iteration: int) -> list[Report]:
    return [report for report in reports if report.iteration >= iteration]


def stop_after(path: Path, iteration: int) -> None:
    """A run that is gone after an iteration's snapshot, as if it had been killed."""
    solver = new_solver(path)
    for report in solver.run():
        if isinstance(report, IterationReport) and report.iteration == iteration:
            break
    solver.close()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("at", [5, 6])
def test_each_solver_goes_on_as_if_it_had_never_stopped(folder: Path, kind: str, at: int) -> None:
    path = write_random_run(folder, f'type: "{kind}" {TYPES[kind]} snapshot: 1')
    reports, straight = run(path)
    stop_after(path, at)
    resumed, solver = run(path, f"s_iter_{at}.solverstate")
    assert resumed == from_iteration(reports, at)
    assert {type(report) for report in resumed} == {TestReport, IterationReport}
    same_bits(solver, straight)


@pytest.mark.parametrize("more", ["snapshot_format: HDF5", "iter_size: 3", 'net: "net.prototxt" clip_gradients: 0.01'])
@pytest.mark.parametrize("at", range(1, 12, 3))
def test_wherever_it_stops(folder: Path, more: str, at: int) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 1 " + more.replace('net: "net.prototxt"', ""))
    reports, straight = run(path)
    extension = ".h5" if "HDF5" in more else ""
    resumed, solver = run(path, f"s_iter_{at}.caffemodel{extension}")
    assert resumed == from_iteration(reports, at)
    same_bits(solver, straight)


def test_a_snapshot_is_handed_over_without_a_file(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9")
    one, other = new_solver(path), new_solver(path)
    one.step(5)
    other.take(one.where_it_stands())
    same_bits(other, one)
    np.testing.assert_equal(other.exact_state(), one.exact_state())
    one.close()
    other.close()
    assert not list(folder.glob("s_*"))


def test_without_the_file_it_goes_on_as_caffe_does(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 5")
    reports, _ = run(path)
    Path("s_iter_5.resume").unlink()
    lines = logged()
    resumed, _ = run(path, "s_iter_5.solverstate")
    assert resumed != from_iteration(reports, 5)
    assert (
        "There is no s_iter_5.resume beside the state: as in Caffe, the data begins at its first record, and random "
        "numbers anew."
    ) in messages(lines)


@pytest.mark.parametrize("request_", [STOP, SNAPSHOT])
@pytest.mark.parametrize("at", [0, 6])
def test_a_snapshot_in_the_midst_of_a_test(folder: Path, request_: str, at: int) -> None:
    """The resumed run does the whole test, with the batches and the patience it would have had."""
    path = write_random_run(folder, "momentum: 0.9")
    reports, straight = run(path)
    solver = new_solver(path)
    forward, batches = solver.test_nets[0].forward_loss, []

    def asking() -> float:
        batches.append(solver.iter)
        if batches.count(at) == 2:
            solver.requested = request_
        return forward()

    solver.test_nets[0].forward_loss = asking  # type: ignore[method-assign]
    for _ in solver.run():
        pass
    solver.close()
    resumed, second = run(path, f"s_iter_{at}.solverstate")
    assert resumed == from_iteration(reports, at)
    same_bits(second, straight)


def test_a_snapshot_in_the_test_at_the_end(folder: Path) -> None:
    """The final forward pass takes a batch; a run that goes on further must not miss it."""
    longer = write_random_run(folder, "momentum: 0.9")
    longer.write_text(longer.read_text().replace("max_iter: 12", "max_iter: 18"))
    reports, straight = run(longer)
    path = write_random_run(folder, "momentum: 0.9")
    solver = new_solver(path)
    for report in solver.run():
        if report.iteration == 12:
            solver.snapshot()
    solver.close()
    path.write_text(path.read_text().replace("max_iter: 12", "max_iter: 18"))
    resumed, second = run(path, "s_iter_12.solverstate")
    assert resumed == from_iteration(reports, 12)
    same_bits(second, straight)


def test_equal_runs_give_equal_files(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 5")
    files = []
    for _ in range(2):
        run(path)
        files.append([Path(f"s_iter_5.{kind}").read_bytes() for kind in ("caffemodel", "resume", "solverstate")])
    assert files[0] == files[1]


def test_changed_settings_are_listed(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 5")
    run(path)
    path.write_text(path.read_text().replace("base_lr: 0.01", "base_lr: 0.5").replace("stepvalue: 7", 'type: "SGD"'))
    lines = logged()
    run(path, "s_iter_5.solverstate")
    (line,) = [line for line in messages(lines) if line.startswith("Solver settings changed")]
    assert line == ("Solver settings changed since the snapshot: base_lr: 0.01 -> 0.5; stepvalue: 4, 7 -> 4")


def test_another_average_starts_the_smoothed_loss_anew(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 5")
    reports, _ = run(path)
    path.write_text(path.read_text().replace("average_loss: 4", "average_loss: 3"))
    resumed, _ = run(path, "s_iter_5.solverstate")
    ours, theirs = (
        [r for r in from_iteration(every, 5) if isinstance(r, IterationReport)] for every in (resumed, reports)
    )
    assert [report.loss for report in ours] == [report.loss for report in theirs]
    assert ours[0].smoothed_loss == ours[0].loss
    assert ours[3].smoothed_loss == pytest.approx(np.mean([report.loss for report in ours[1:4]]))


def test_multistep_finds_its_step_again(folder: Path) -> None:
    path = write_random_run(folder, "momentum: 0.9 snapshot: 5")
    run(path)
    path.write_text(path.read_text().replace("stepvalue: 4", "stepvalue: 8 stepvalue: 9").replace("stepvalue: 7", ""))
    resumed, solver = run(path, "s_iter_5.solverstate")
    rates = [report.rate for report in resumed if isinstance(report, IterationReport)]
    np.testing.assert_allclose(rates, [0.01] * 3 + [0.005] + [0.0025] * 3, rtol=1e-6)
    assert solver.current_step == 2


def test_other_data_is_refused_with_what_to_do(folder: Path) -> None:
    path = write_random_run(folder, "snapshot: 11", net=NET.replace("shuffle: true", ""))
    run(path)
    write_random_run(folder, "snapshot: 11", net=NET.replace("shuffle: true", "").replace("train-", "few-"))
    for kind in ("images", "labels"):
        whole = Path(f"train-{kind}").read_bytes()
        size = 64 if kind == "images" else 1
        head = 16 if kind == "images" else 8
        Path(f"few-{kind}").write_bytes(whole[:7] + bytes([3]) + whole[8 : head + 3 * size])
    with pytest.raises(
        CaffeError, match=r"That does not fit the state in s_iter_11\.resume; remove that file to begin"
    ):
        run(path, "s_iter_11.solverstate")


# -- what else remembers something -------------------------------------------------------------------------


def goes_on(folder: Path, net: str, setup: Callable[[SGDSolver], object] = lambda solver: None) -> None:
    """A run of a net gives the same reports and bits when it goes on from iteration 2 or 3."""
    everything = []
    for at in (None, 2, 3):
        solver = make_solver(folder, net, BASE + "snapshot: 1 test_iter: 2 test_interval: 2 display: 2")
        setup(solver)
        if at is not None:
            solver.restore(f"s_iter_{at}.solverstate")
        everything.append((list(solver.run()), solver))
        solver.close()
    (reports, straight), *others = everything
    for at, (resumed, solver) in zip((2, 3), others, strict=True):
        assert resumed == from_iteration(reports, at)
        same_bits(solver, straight)


RANDOM = """dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } data_filler { type: "gaussian" }
  data_filler { type: "constant" value: 1 } }"""


def test_made_up_data(folder: Path) -> None:
    goes_on(
        folder,
        layer("d", "DummyData", top=["x", "label"], more=RANDOM) + inner_product("fc", "x", 3) + softmax_loss("fc"),
    )


def test_carried_states(folder: Path) -> None:
    shapes = "shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 dim: 3 } shape { dim: 2 dim: 3 dim: 5 }"
    fillers = 'data_filler { type: "gaussian" } data_filler { value: 1 } data_filler { type: "gaussian" }'
    param = 'recurrent_param { num_output: 5 weight_filler { type: "xavier" } }'
    for kind in ("LSTM", "RNN"):
        net = (
            layer("d", "DummyData", top=["x", "cont", "y"], more=f"dummy_data_param {{ {shapes} {fillers} }}")
            + layer("r", kind, ["x", "cont"], ["r"], param)
            + layer("loss", "EuclideanLoss", ["r", "y"], ["loss"])
        )
        goes_on(folder, net)


def test_running_statistics(folder: Path) -> None:
    net = (
        layer("d", "DummyData", top=["x", "label"], more=RANDOM)
        + layer("n", "BatchNorm", ["x"], ["n"])
        + inner_product("fc", "n", 3)
        + softmax_loss("fc")
    )
    goes_on(folder, net)


@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_hdf5_rows(folder: Path, generator: np.random.Generator, shuffle: str) -> None:
    names = []
    for number, rows in enumerate((5, 2, 4)):
        with h5py.File(f"{number}.h5", "w") as file:
            file["x"] = generator.normal(size=(rows, 3))
            file["label"] = generator.integers(0, 3, rows)
        names.append(f"{number}.h5")
    Path("list").write_text("\n".join(names))
    param = f'hdf5_data_param {{ source: "list" batch_size: 3 shuffle: {shuffle} }}'
    goes_on(
        folder,
        layer("d", "HDF5Data", top=["x", "label"], more=param) + inner_product("fc", "x", 3) + softmax_loss("fc"),
    )


def test_lists_of_images(folder: Path, generator: np.random.Generator) -> None:
    cv2 = pytest.importorskip("cv2")
    for i in range(7):
        cv2.imwrite(f"{i}.png", generator.integers(0, 256, (6, 6, 3), np.uint8))
    Path("list").write_text("".join(f"{i}.png {i % 3}\n" for i in range(7)))
    more = (
        'image_data_param { source: "list" batch_size: 3 shuffle: true rand_skip: 3 } '
        "transform_param { mirror: true crop_size: 4 scale: 0.01 }"
    )
    goes_on(
        folder,
        layer("d", "ImageData", top=["x", "label"], more=more) + inner_product("fc", "x", 3) + softmax_loss("fc"),
    )


def test_arrays_in_memory(folder: Path, generator: np.random.Generator) -> None:
    arrays = generator.normal(size=(6, 1, 1, 3)), generator.integers(0, 3, 6)

    def give(solver: SGDSolver) -> None:
        for net in (solver.net, *solver.test_nets):
            net.set_input_arrays(*arrays)

    param = "memory_data_param { batch_size: 2 channels: 1 height: 1 width: 3 }"
    goes_on(
        folder,
        layer("d", "MemoryData", top=["x", "label"], more=param) + inner_product("fc", "x", 3) + softmax_loss("fc"),
        give,
    )


class Counting(Layer):
    """Adds to its bottom how often it has been run."""

    type = "Counting"

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.count = 0

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.count += 1
        top[0].data[...] = bottom[0].data + self.count % 5

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        bottom[0].diff[...] = top[0].diff

    def state(self) -> dict[str, int]:
        return {"count": self.count}

    def restore(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def counting_net() -> str:
    return (
        layer("d", "DummyData", top=["x", "label"], more=RANDOM)
        + layer("c", "Counting", ["x"], ["c"])
        + inner_product("fc", "c", 3)
        + softmax_loss("fc")
    )


def test_a_layer_of_the_users_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.registered(), "Counting", Counting)
    goes_on(folder, counting_net())


def counting_run(folder: Path) -> SGDSolver:
    return make_solver(folder, counting_net(), BASE)


def test_a_state_that_cannot_be_written_costs_the_snapshot_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.registered(), "Counting", Counting)
    monkeypatch.setattr(Counting, "state", lambda layer: {"count": object()})
    lines = logged()
    counting_run(folder).solve()
    assert [line for line in messages(lines) if "exact resume" in line] == [
        "Cannot write the state for an exact resume: Object of type object is not JSON serializable. Training goes on "
        "without this snapshot."
    ]
    assert not list(folder.glob("s_*"))


def test_a_layer_whose_state_fails_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.registered(), "Counting", Counting)
    counting_run(folder).solve()
    monkeypatch.setattr(Counting, "restore", lambda layer, state: state["no"])
    with pytest.raises(
        CaffeError, match=r'layer "c" \(Counting\): its restore\(\) failed: KeyError: .no.\. That does not fit'
    ):
        counting_run(folder).restore("s_iter_6.solverstate")


def test_a_layer_that_is_new_begins_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.registered(), "Counting", Counting)
    counting_run(folder).solve()
    path = Path("net.prototxt")
    path.write_text(path.read_text().replace('"c"', '"other"'))
    lines = logged()
    from pycaffe_lite.solvers.registry import get_solver

    get_solver("solver.prototxt").restore("s_iter_6.solverstate")
    assert 'layer "other" was not there when the snapshot was taken; it begins anew.' in messages(lines)


def test_a_net_without_anything_to_remember(folder: Path) -> None:
    net = inputs(x=[4, 3], label=[4]) + inner_product("fc", "x", 3) + softmax_loss("fc")
    goes_on(folder, net)
