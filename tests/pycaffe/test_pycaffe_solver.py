"""caffe.SGDSolver and the others: nets, steps, rates, callbacks, snapshots."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net as EngineNet
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.proto.text import parse
from pycaffe_lite.pycaffe.solvers import Solver
from pycaffe_lite.solvers.registry import get_solver as engine_solver
from rigs.idx_files import write_idx

NET = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 2 dim: 6 dim: 6 } shape { dim: 4 }
    data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" include { phase: TEST } }
"""
SOLVER = """
net: "net.prototxt" test_iter: 1 test_interval: 3 base_lr: 0.1 momentum: 0.9 weight_decay: 0.001
lr_policy: "step" gamma: 0.5 stepsize: 2 display: 100 max_iter: 6 snapshot_prefix: "s" random_seed: 3
"""
TYPES = {
    "SGD": "SGDSolver",
    "Nesterov": "NesterovSolver",
    "AdaGrad": "AdaGradSolver",
    "RMSProp": "RMSPropSolver",
    "AdaDelta": "AdaDeltaSolver",
    "Adam": "AdamSolver",
}
WITHOUT_MOMENTUM = ("AdaGrad", "RMSProp")

Make = Callable[..., Solver]


def merged(more: str) -> str:
    """The solver with other values, or further ones."""
    param = parse(SOLVER, SolverParameter)
    param.MergeFrom(parse(more, SolverParameter))
    return to_text(param)


@pytest.fixture
def make(here: Path) -> Make:
    """Makes a solver of files in the working folder."""

    def build(solver: str = "", net: str = NET, kind: str | None = None) -> Solver:
        (here / "net.prototxt").write_text(net)
        (here / "solver.prototxt").write_text(merged(solver))
        return caffe.get_solver("solver.prototxt") if kind is None else getattr(caffe, kind)("solver.prototxt")

    return build


@pytest.fixture
def write(here: Path) -> Callable[[str], str]:
    def write(kind: str) -> str:
        (here / "net.prototxt").write_text(NET)
        text = SOLVER.replace(" momentum: 0.9", "") if kind in WITHOUT_MOMENTUM else SOLVER
        more = " rms_decay: 0.9" if kind == "RMSProp" else ""
        (here / "solver.prototxt").write_text(f'{text} type: "{kind}" {more}')
        return str(here / "solver.prototxt")

    return write


# -- classes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_has_its_class_and_the_engines_numbers(kind: str, write: Callable[[str], str]) -> None:
    path = write(kind)
    engine = engine_solver(path)
    engine.step(5)
    cls = getattr(caffe, TYPES[kind])
    for made in (caffe.get_solver, cls):
        solver = made(path)
        assert type(solver) is cls
        assert issubclass(cls, caffe.SGDSolver)
        solver.step(5)
        for ours, theirs in zip(solver.net.params["conv"], engine.net.params["conv"], strict=True):
            np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-5, atol=1e-7)


def test_the_class_counts_and_not_the_text(write: Callable[[str], str]) -> None:
    solver = caffe.SGDSolver(write("Adam"))
    assert type(solver) is caffe.SGDSolver
    solver.step(2)
    assert solver.iter == 2


def test_the_base_is_no_solver(write: Callable[[str], str]) -> None:
    with pytest.raises(TypeError, match=r"caffe\.get_solver"):
        Solver(write("SGD"))


@pytest.mark.parametrize(
    ("solver", "sentence"),
    [('type: "Sgd"', 'did you mean "SGD"'), ("iter_size: 0", "iter_size"), ('lr_policy: "none"', "lr_policy")],
)
def test_a_solver_that_cannot_be_is_a_runtime_error(solver: str, sentence: str, make: Make) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        make(solver)
    with pytest.raises(RuntimeError, match="nosuch"):
        caffe.SGDSolver("nosuch.prototxt")


# -- attributes --------------------------------------------------------------------------------------------


def test_nets_of_a_solver(make: Make) -> None:
    solver = make()
    assert isinstance(solver.net, caffe.Net)
    assert solver.net is solver.net
    assert solver.test_nets is solver.test_nets
    assert [type(net) for net in solver.test_nets] == [caffe.Net]
    assert list(solver.net.blobs) == ["data", "label", "conv", "ip", "loss"]
    assert "acc" in solver.test_nets[0].outputs


def test_a_net_outlives_its_solver(here: Path) -> None:
    write_idx(here / "x-images", np.zeros((8, 3, 3)))
    write_idx(here / "x-labels", np.arange(8) % 3)
    (here / "net.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "d" top: "l" '
        'data_param { source: "x-images" backend: IDX batch_size: 2 } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "d" top: "ip" inner_product_param { num_output: 3 } }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "l" top: "loss" }'
    )
    (here / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 3')
    net = caffe.SGDSolver("solver.prototxt").net
    gc.collect()
    labels = net.blobs["l"].data
    assert [(net.forward() and labels.tolist()) for _ in range(4)] == [[0, 1], [2, 0], [1, 2], [0, 1]]
    layer = net.layers[0].inner
    del net
    gc.collect()
    with pytest.raises(CaffeError, match="closed"):
        layer.forward([], [])


def test_parameters_can_be_read_and_set(make: Make) -> None:
    solver = make()
    assert (solver.param.max_iter, solver.param.display, solver.param.layer_wise_reduce) == (6, 100, True)
    solver.param.base_lr = 0
    before = solver.net.params["ip"][0].data.copy()
    solver.step(1)
    np.testing.assert_array_equal(solver.net.params["ip"][0].data, before)
    solver.param.max_iter = 3
    solver.solve()
    assert solver.iter == 3
    with pytest.raises(AttributeError):
        solver.iter = 0  # type: ignore[misc]


def test_test_nets_use_the_trained_parameters_after_a_test(make: Make) -> None:
    solver = make()
    early = solver.test_nets[0].params["conv"][0].data
    assert not np.array_equal(early, solver.net.params["conv"][0].data)
    solver.step(1)
    assert np.shares_memory(solver.test_nets[0].params["conv"][0].data, solver.net.params["conv"][0].data)
    solver.step(1)
    solver.net.params["conv"][0].data.reshape(-1)[:] = 4
    assert (solver.test_nets[0].params["conv"][0].data == 4).all()
    solver.test_nets[0].forward()


def test_share_weights(make: Make, here: Path) -> None:
    solver = make()
    net = caffe.Net("net.prototxt", caffe.TEST)
    solver.share_weights(net)
    solver.net.params["ip"][0].data[...] = 2
    solver.step(1)
    np.testing.assert_array_equal(net.params["ip"][0].data, solver.net.params["ip"][0].data)


def test_held_parameters_stay_live(make: Make) -> None:
    solver = make()
    held = [(blob.data, blob.diff) for blobs in solver.net.params.values() for blob in blobs]
    assert all(data.flags.c_contiguous and diff.flags.c_contiguous for data, diff in held)
    solver.step(3)
    for (data, diff), blob in zip(held, [b for v in solver.net.params.values() for b in v], strict=True):
        assert np.shares_memory(data, blob.data)
        assert np.shares_memory(diff, blob.diff)
        np.testing.assert_array_equal(data, blob.inner.data)


def test_weights_that_are_written_are_trained_on(make: Make) -> None:
    solver = make("base_lr: 0")
    for blobs in solver.net.params.values():
        for blob in blobs:
            blob.data.ravel()[:] = 0
    solver.step(1)
    np.testing.assert_allclose(solver.net.blobs["loss"].data, np.log(5), rtol=1e-5)


# -- steps and rates ---------------------------------------------------------------------------------------


def test_step_and_solve_count(make: Make) -> None:
    solver = make()
    solver.step(0)
    assert solver.iter == 0
    solver.step(4)
    assert solver.iter == 4
    solver.solve()
    assert solver.iter == 6
    solver.step(3)
    solver.solve()
    assert solver.iter == 9


def test_a_loop_of_ones_own_lowers_its_rate(make: Make) -> None:
    """forward, backward and apply_update by hand are a step; the rate follows the policy."""
    hand, whole = make(), make()
    rates = []
    for _ in range(5):
        rates.append(hand.lr)
        hand.net.clear_param_diffs()
        hand.net.forward()
        hand.net.backward()
        hand.apply_update()
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.05, 0.025], rtol=1e-6)
    assert hand.iter == 5
    assert whole.lr == pytest.approx(0.1)


@pytest.mark.parametrize("policy", ["fixed", "exp", "inv", "multistep", "poly", "sigmoid", "plateau"])
def test_reading_the_rate_changes_nothing(policy: str, make: Make) -> None:
    more = f'lr_policy: "{policy}" power: 0.75 stepvalue: 2 stepvalue: 4'
    more += " plateau_winsize: 1 plateau_winsize: 2" if policy == "plateau" else ""
    seen = []
    for reads in (0, 3):
        solver = make(more)
        for _ in range(5):
            for _ in range(reads):
                assert solver.lr > 0 or policy == "poly"
            solver.step(1)
        seen.append(solver.net.params["ip"][0].data.copy())
    np.testing.assert_array_equal(*seen)


def test_numbers_that_are_not_finite_do_not_stop_a_step(make: Make) -> None:
    solver = make()
    solver.net.params["ip"][1].data[...] = np.nan
    solver.step(2)
    assert solver.iter == 2
    assert np.isnan(solver.net.blobs["loss"].data)


def test_callbacks(make: Make) -> None:
    solver = make("iter_size: 2")
    seen: list[str] = []
    solver.add_callback(lambda: seen.append("start"), lambda: seen.append("gradients"))
    solver.net.after_forward(lambda number: seen.append("forward") if number == 0 else None)
    solver.step(2)
    assert seen == ["start", "forward", "forward", "gradients"] * 2
    with pytest.raises(TypeError, match="two functions"):
        solver.add_callback(None, None)  # type: ignore[arg-type]


def test_a_callback_may_change_gradients(make: Make) -> None:
    solver = make("weight_decay: 0")
    before = solver.net.params["conv"][0].data.copy()
    solver.add_callback(lambda: None, lambda: solver.net.params["conv"][0].diff.reshape(-1).fill(0))
    solver.step(2)
    np.testing.assert_array_equal(solver.net.params["conv"][0].data, before)


def test_an_error_in_a_callback_comes_out(make: Make) -> None:
    solver = make()
    solver.add_callback(lambda: 1 / 0, lambda: None)
    with pytest.raises(ZeroDivisionError):
        solver.step(1)


# -- snapshots ---------------------------------------------------------------------------------------------


def test_snapshot_and_restore(make: Make, here: Path) -> None:
    solver = make()
    solver.step(2)
    solver.snapshot()
    assert {path.name for path in here.glob("s_iter*")} >= {"s_iter_2.caffemodel", "s_iter_2.solverstate"}
    solver.step(3)
    expected = solver.net.params["ip"][0].data.copy()
    other = make()
    held = other.net.params["ip"][0].data
    other.restore("s_iter_2.solverstate")
    assert other.iter == 2
    other.step(3)
    np.testing.assert_array_equal(held, expected)
    third = make()
    third.solve("s_iter_2.solverstate")
    assert third.iter == 6


def test_what_the_engine_reads_pycaffe_has_written_and_back(make: Make) -> None:
    solver = make()
    solver.step(3)
    solver.snapshot()
    engine = engine_solver("solver.prototxt")
    engine.restore("s_iter_3.solverstate")
    engine.step(2)
    engine.snapshot()
    solver.restore("s_iter_5.solverstate")
    for ours, theirs in zip(solver.net.params["conv"], engine.net.params["conv"], strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    solver.step(1)
    engine.restore("s_iter_5.solverstate")
    engine.step(1)
    np.testing.assert_allclose(solver.net.params["conv"][0].data, engine.net.params["conv"][0].data, rtol=1e-5)


def test_a_snapshot_that_cannot_be_written_is_an_error(make: Make) -> None:
    solver = make('snapshot_after_train: false snapshot_prefix: "nosuch/s"')
    with pytest.raises(CaffeError, match="nosuch/s_iter_0"):
        solver.snapshot()
    with pytest.raises(RuntimeError, match="nosuch"):
        solver.restore("nosuch.solverstate")


def test_the_files_are_those_of_caffe(make: Make) -> None:
    solver = make()
    solver.step(1)
    solver.snapshot()
    net: Any = EngineNet("net.prototxt", TRAIN, weights="s_iter_1.caffemodel")
    np.testing.assert_array_equal(net.params["conv"][0].data, solver.net.params["conv"][0].data)
