"""The training loop: what happens in which order, tests, snapshots, display, requests to stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.solvers.loop import SNAPSHOT, STOP
from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.report import IterationReport, TestReport
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.idx_files import write_idx
from rigs.net_rig import data_threads, inner_product, layer, logged, make_solver, messages, softmax_loss, write_solver

ONES = """dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 }
  data_filler { type: "constant" value: 1 } data_filler { type: "constant" value: 1 } }"""
DATA = layer("data", "DummyData", top=["x", "label"], more=ONES)
NET = (
    'name: "tiny" '
    + DATA
    + inner_product("fc", "x", 3)
    + layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"], "include { phase: TEST }")
    + softmax_loss("fc")
)
BASE = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 '
TIMES = re.compile(r"\([^()]* iter/s, [^()]*s/(\d+) iters\)")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which snapshots are written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def story(lines: list[str]) -> list[str]:
    """The log from the first iteration on, without times, and numbers as `#`."""
    said = [TIMES.sub(r"(\1 iters)", line) for line in messages(lines)]
    said = said[said.index("Solving tiny") :]
    return [re.sub(r"= [-+.\de]+", "= #", line) for line in said]


def run(
    folder: Path, text: str, during: Callable[[SGDSolver, object], None] = lambda solver, report: None
) -> list[str]:
    """The story of a run; `during` is called with each report."""
    lines = logged()
    solver = make_solver(folder, NET, BASE + text)
    for report in solver.run():
        during(solver, report)
    return story(lines)


def test_the_order_of_a_run(folder: Path) -> None:
    text = 'snapshot_prefix: "s" max_iter: 4 display: 2 test_iter: 1 test_interval: 2 snapshot: 3'
    assert run(folder, text) == [
        "Solving tiny",
        "Learning Rate Policy: fixed",
        "Iteration 0, Testing net (#0)",
        "    Test net output #0: accuracy = #",
        "    Test net output #1: loss = # (* 1 = # loss)",
        "Iteration 0 (1 iters), loss = #",
        "    Train net output #0: loss = # (* 1 = # loss)",
        "Iteration 0, lr = #",
        "Iteration 2, Testing net (#0)",
        "    Test net output #0: accuracy = #",
        "    Test net output #1: loss = # (* 1 = # loss)",
        "Iteration 2 (2 iters), loss = #",
        "    Train net output #0: loss = # (* 1 = # loss)",
        "Iteration 2, lr = #",
        "Snapshotting to binary proto file s_iter_3.caffemodel",
        "Snapshotting solver state to binary proto file s_iter_3.solverstate",
        "Snapshotting to binary proto file s_iter_4.caffemodel",
        "Snapshotting solver state to binary proto file s_iter_4.solverstate",
        "Iteration 4, loss = #",
        "Iteration 4, Testing net (#0)",
        "    Test net output #0: accuracy = #",
        "    Test net output #1: loss = # (* 1 = # loss)",
        "Optimization Done.",
    ]


def test_nothing_is_shown_without_display(folder: Path) -> None:
    said = run(folder, "max_iter: 3 snapshot_after_train: false")
    assert said == ["Solving tiny", "Learning Rate Policy: fixed", "Optimization Done."]


def test_display_and_tests_that_do_not_divide_max_iter_do_not_come_at_the_end(folder: Path) -> None:
    said = run(folder, "max_iter: 3 display: 2 test_iter: 1 test_interval: 2 snapshot_after_train: false")
    assert said[-2:] == ["Iteration 2, lr = #", "Optimization Done."]


def test_every_report_comes_in_order(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE + "max_iter: 4 test_iter: 2 test_interval: 2 snapshot_after_train: false")
    kinds = [(type(report), report.iteration) for report in solver.run()]
    tests, updates = TestReport, IterationReport
    assert kinds == [(tests, 0), (updates, 0), (updates, 1), (tests, 2), (updates, 2), (updates, 3), (tests, 4)]


def test_step_does_so_many_iterations(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE + "max_iter: 1")
    solver.step(3)
    solver.step(2)
    assert solver.iter == 5


# -- tests -------------------------------------------------------------------------------------------------


def test_no_test_at_the_start_if_test_initialization_says_so(folder: Path) -> None:
    text = "max_iter: 4 test_iter: 1 test_interval: 2 snapshot_after_train: false test_initialization: "
    tested = [line for line in run(folder, text + "false") if "Testing" in line]
    assert tested == ["Iteration 2, Testing net (#0)", "Iteration 4, Testing net (#0)"]


def test_the_loss_of_a_test_is_shown_on_request(folder: Path) -> None:
    lines = logged()
    text = "max_iter: 1 test_iter: 2 test_interval: 5 test_compute_loss: true snapshot_after_train: false"
    (report, *_) = make_solver(folder, NET, BASE + text).run()
    said = messages(lines)
    at = said.index("Iteration 0, Testing net (#0)")
    (loss,) = (output.value for output in report.outputs if output.name == "loss")  # type: ignore[union-attr]
    assert said[at + 1] == f"Test loss: {loss:g}"
    assert report.loss == pytest.approx(loss)


COUNTING = layer(
    "data", "DummyData", top=["x"], more='dummy_data_param { shape { dim: 1 dim: 1 } data_filler { type: "uniform" } }'
)


def test_a_test_is_the_mean_over_its_batches(folder: Path) -> None:
    net = COUNTING + inner_product("fc", "x", 1, "param { lr_mult: 0 } param { lr_mult: 0 } loss_weight: 0.5")
    solver = make_solver(folder, net, BASE + "max_iter: 1 test_iter: 7 test_interval: 1")
    values: list[float] = []
    forward = solver.test_nets[0].forward_loss

    def remembering() -> float:
        loss = forward()
        values.append(float(solver.test_nets[0].blobs["fc"].data[0, 0]))
        return loss

    solver.test_nets[0].forward_loss = remembering  # type: ignore[method-assign]
    (report,) = solver.test_all()
    assert len(set(values)) == 7
    assert report.outputs[0].value == pytest.approx(np.mean(values))  # type: ignore[union-attr]
    assert report.outputs[0].loss_weight == 0.5  # type: ignore[union-attr]


def test_the_test_net_uses_the_weights_of_the_train_net(folder: Path) -> None:
    solver = make_solver(folder, NET, BASE + "max_iter: 20 test_iter: 1 test_interval: 20 snapshot_after_train: false")
    reports = [report for report in solver.run() if isinstance(report, TestReport)]
    losses = [report.outputs[1].value for report in reports]
    assert losses[1] < losses[0]
    assert losses[1] == pytest.approx(solver.net.forward_loss())


def test_several_test_nets(folder: Path) -> None:
    (folder / "other.prototxt").write_text(NET.replace('"tiny"', '"other"').replace("value: 1 } }", "value: 0 } }"))
    text = (
        'max_iter: 1 test_net: "other.prototxt" test_iter: 1 test_iter: 2 test_iter: 3 test_interval: 1 '
        'test_state { } test_state { stage: "a" } test_state { level: 3 stage: "b" } snapshot_after_train: false'
    )
    lines = logged()
    net = NET + layer("more", "Silence", ["fc"], more='include { stage: "a" phase: TEST }')
    solver = make_solver(folder, net, BASE + text)
    assert [made.name for made in solver.test_nets] == ["other", "tiny", "tiny"]
    assert ["more" in made.layer_names for made in solver.test_nets] == [False, True, False]
    assert [line for line in messages(lines) if line.startswith("Creating t")] == [
        "Creating training net from net file: net.prototxt",
        "Creating test net (#0) specified by net file: other.prototxt",
        "Creating test net (#1) specified by net file: net.prototxt",
        "Creating test net (#2) specified by net file: net.prototxt",
    ]
    reports = [report for report in solver.run() if isinstance(report, TestReport)]
    assert [(report.iteration, report.net) for report in reports] == [(i, n) for i in (0, 1) for n in (0, 1, 2)]


def test_a_net_inside_the_solver(folder: Path) -> None:
    path = folder / "solver.prototxt"
    path.write_text(
        f"{BASE} net_param {{ {NET} }} max_iter: 2 test_iter: 1 test_interval: 2 snapshot_after_train: false"
    )
    lines = logged()
    solver = get_solver(str(path))
    solver.solve()
    assert "Creating training net specified in net_param." in messages(lines)
    assert "Creating test net (#0) specified by net_param" in messages(lines)
    assert (solver.iter, len(solver.test_nets)) == (2, 1)


def test_train_state_chooses_layers(folder: Path) -> None:
    net = NET + layer("more", "Silence", ["fc"], more='include { stage: "a" min_level: 2 }')
    for state, there in (("", False), ('train_state { stage: "a" level: 2 }', True)):
        assert ("more" in make_solver(folder, net, BASE + state).net.layer_names) is there


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("test_iter: 1", r"solver\.prototxt:2: expected a test_interval of 1 or more with test_iter, got 0"),
        (
            'test_net: "net.prototxt"',
            r"solver\.prototxt: expected test_iter once for each of the 1 test net\(s\), got 0",
        ),
        ("test_iter: 1 test_interval: 1 test_state { } test_state { }", "one for each of the 1 test net.s., got 2"),
        ("test_iter: -1 test_interval: 1", r"expected test_iter of 0 or more, got \[-1\]"),
        ("average_loss: 0", r"solver\.prototxt:2: expected average_loss of 1 or more, got 0"),
        ("iter_size: 0", r"expected iter_size of 1 or more, got 0"),
        ('regularization_type: "L3"', 'expected regularization_type "L1" or "L2", or "decoupled", got "L3"'),
        ('lr_policy: "step"', r'solver\.prototxt: lr_policy "step" needs stepsize > 0, got 0'),
        ('type: "Sgd"', 'unknown solver type "Sgd"; did you mean "SGD"'),
        ('type: "Newton"', 'unknown solver type "Newton"; the known types are SGD'),
        (
            'snapshot_prefix: "none/s"',
            r'"none/s" to lie in a folder that exists, .*none does not; make it with "mkdir -p none"',
        ),
        ('train_net: "net.prototxt"', "got net and train_net"),
        ('weights: "missing.caffemodel"', r'no weights file "missing\.caffemodel": looked for'),
    ],
)
def test_settings_that_cannot_be(folder: Path, text: str, problem: str) -> None:
    base = BASE.replace('lr_policy: "fixed"', "") if "lr_policy" in text else BASE
    with pytest.raises(CaffeError, match=problem):
        make_solver(folder, NET, base + text)


def test_a_solver_without_a_net(tmp_path: Path) -> None:
    (tmp_path / "solver.prototxt").write_text(BASE)
    with pytest.raises(CaffeError, match=r"expected one of net, net_param, train_net, train_net_param .*, got none"):
        get_solver(str(tmp_path / "solver.prototxt"))


# -- requests ----------------------------------------------------------------------------------------------


def asking(request: str, iteration: int) -> Callable[[SGDSolver, object], None]:
    """Asks once, after an iteration."""

    def ask(solver: SGDSolver, report: object) -> None:
        if isinstance(report, IterationReport) and report.iteration == iteration:
            solver.requested = request

    return ask


def test_stopping_takes_a_snapshot(folder: Path) -> None:
    text = 'max_iter: 9 snapshot_prefix: "s" test_iter: 1 test_interval: 9 test_initialization: false'
    assert run(folder, text, asking(STOP, 2)) == [
        "Solving tiny",
        "Learning Rate Policy: fixed",
        "Snapshotting to binary proto file s_iter_3.caffemodel",
        "Snapshotting solver state to binary proto file s_iter_3.solverstate",
        "Optimization stopped early.",
    ]


def test_stopping_where_a_snapshot_is_due_takes_one_only(folder: Path) -> None:
    said = run(folder, 'max_iter: 9 snapshot_prefix: "s" snapshot: 3', asking(STOP, 2))
    assert sum("caffemodel" in line for line in said) == 1


def test_stopping_without_snapshots(folder: Path) -> None:
    said = run(folder, "max_iter: 9 snapshot_after_train: false", asking(STOP, 2))
    assert said[2:] == ["Optimization stopped early."]
    assert not list(folder.glob("*.caffemodel"))


def test_asking_for_a_snapshot(folder: Path) -> None:
    said = run(folder, 'max_iter: 4 snapshot_prefix: "s"', asking(SNAPSHOT, 1))
    assert [line.split()[-1] for line in said if "proto file" in line] == [
        "s_iter_2.caffemodel",
        "s_iter_2.solverstate",
        "s_iter_4.caffemodel",
        "s_iter_4.solverstate",
    ]
    assert said[-1] == "Optimization Done."


@pytest.mark.parametrize("request_", [STOP, SNAPSHOT])
def test_requests_are_served_between_the_batches_of_a_test(folder: Path, request_: str) -> None:
    lines = logged()
    text = 'max_iter: 2 snapshot_prefix: "s" test_iter: 5 test_interval: 5'
    solver = make_solver(folder, NET, BASE + text)
    forward, batches = solver.test_nets[0].forward_loss, []

    def asking_in_the_second() -> float:
        batches.append(solver.iter)
        if len(batches) == 2:
            solver.requested = request_
        return forward()

    solver.test_nets[0].forward_loss = asking_in_the_second  # type: ignore[method-assign]
    reports = list(solver.run())
    said = story(lines)
    if request_ == STOP:
        assert (len(batches), reports, solver.iter) == (2, [], 0)
        assert said[2:] == [
            "Iteration 0, Testing net (#0)",
            "Test interrupted.",
            "Snapshotting to binary proto file s_iter_0.caffemodel",
            "Snapshotting solver state to binary proto file s_iter_0.solverstate",
            "Optimization stopped early.",
        ]
    else:
        assert (len(batches), solver.iter) == (5, 2)
        assert said[3] == "Snapshotting to binary proto file s_iter_0.caffemodel"


# -- faults ------------------------------------------------------------------------------------------------


def test_a_snapshot_that_cannot_be_written_does_not_end_the_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: object, path: str, pieces: object) -> None:
        raise FileError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr("pycaffe_lite.writing.FileSet.add", full)
    lines = logged()
    solver = make_solver(folder, NET, BASE + 'max_iter: 4 snapshot: 2 snapshot_prefix: "s"')
    solver.solve()
    assert solver.iter == 4
    errors = [line for line in lines if line.startswith("E")]
    assert [line.split("] ")[1] for line in errors] == [
        f"Cannot write s_iter_{i}.caffemodel: No space left on device. Training goes on without this snapshot."
        for i in (2, 4)
    ]


def test_a_solver_that_fails_leaves_no_threads(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", np.zeros((4, 5, 5)))
    write_idx(tmp_path / "labels", np.zeros(4))
    source = f'data_param {{ source: "{tmp_path}/images" backend: IDX batch_size: 2 }}'
    net = layer("data", "Data", top=["x", "label"], more=source) + inner_product("fc", "x", 3) + softmax_loss("fc")
    before = data_threads()
    get_solver(str(write_solver(tmp_path, net, BASE))).close()
    broken = layer("bad", "Bad", more="include { phase: TEST }")
    for text, more in ((net + broken, "test_iter: 1 test_interval: 1"), (net, 'weights: "missing"')):
        with pytest.raises(CaffeError) as caught:
            make_solver(tmp_path, text, BASE + more)
        # The traceback keeps the solver alive, so nobody else can have closed it.
        assert caught.tb is not None
        assert data_threads() == before
