"""What is seen before training begins: labels out of range, tests that go round the data, a full disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.idx_files import write_idx
from rigs.net_rig import inner_product, layer, logged, make_solver, messages, softmax_loss

BASE = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 1 snapshot_after_train: false '


def data(folder: Path, labels: list[int], more: str = "") -> str:
    write_idx(folder / "images", np.zeros((len(labels), 2, 2)))
    write_idx(folder / "labels", np.array(labels))
    source = f'data_param {{ source: "images" backend: IDX batch_size: 2 {more} }}'
    return layer("d", "Data", top=["x", "label"], more=source)


def run(solver: SGDSolver) -> list[str]:
    """The warnings of a run."""
    lines = logged()
    try:
        solver.solve()
    finally:
        solver.close()
    return messages([line for line in lines if line.startswith("W")])


@pytest.mark.parametrize("more", ["", "shuffle: true"])
def test_labels_without_a_class(tmp_path: Path, more: str) -> None:
    net = data(tmp_path, [0, 1, 2, 0, 4, 1, 3, 2], more) + inner_product("fc", "x", 3) + softmax_loss("fc")
    lines = logged()
    solver = make_solver(tmp_path, net, BASE)
    with pytest.raises(CaffeError) as caught:
        run(solver)
    assert str(caught.value) == (
        f'{tmp_path}/net.prototxt:1: layer "d" (Data): expected labels from 0 to 2, of which layer "loss" '
        "(SoftmaxWithLoss) takes the class, got 4 in record 4, and 2 such in all; mend the data, let the scores have "
        "more classes, or name it as ignore_label."
    )
    assert not any("Solving" in line for line in lines)


def test_labels_that_are_ignored_or_pass_through_a_split(tmp_path: Path) -> None:
    scores = inner_product("fc", "x", 3)
    ignoring = softmax_loss("fc", more="loss_param { ignore_label: 7 }")
    solver = make_solver(tmp_path, data(tmp_path, [0, 7, 1, 2]) + scores + ignoring, BASE)
    assert run(solver) == []
    accuracy = layer("accuracy", "Accuracy", ["fc", "label"], ["accuracy"])
    solver = make_solver(tmp_path, data(tmp_path, [0, 7, 1, 2]) + scores + ignoring + accuracy, BASE)
    with pytest.raises(CaffeError, match=r'layer "accuracy" \(Accuracy\) takes the class, got 7 in record 1'):
        run(solver)


def test_labels_that_a_layer_changes_are_left_to_it(tmp_path: Path) -> None:
    half = layer("half", "Power", ["label"], ["half"], "power_param { scale: 0.5 }")
    net = data(tmp_path, [0, 4, 2, 0]) + half + inner_product("fc", "x", 3) + softmax_loss("fc", "half")
    assert run(make_solver(tmp_path, net, BASE)) == []


@pytest.mark.parametrize(("batches", "warned"), [(2, 0), (3, 1)])
def test_tests_that_go_round_the_data(tmp_path: Path, batches: int, warned: int) -> None:
    net = data(tmp_path, [0, 1, 2, 0]) + inner_product("fc", "x", 3) + softmax_loss("fc")
    solver = make_solver(tmp_path, net, BASE + f"test_iter: {batches} test_interval: 1")
    assert run(solver) == warned * [
        'Test net (#0): test_iter 3 x batch_size 2 = 6 is more than the 4 records of layer "d", so that some count '
        "more than once."
    ]


def test_an_empty_source(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=r'net\.prototxt:1: layer "d" \(Data\): .*images.*'):
        make_solver(tmp_path, data(tmp_path, []) + inner_product("fc", "x", 3) + softmax_loss("fc"), BASE)


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = data(tmp_path, [0, 1, 2, 0]) + inner_product("fc", "x", 3) + softmax_loss("fc")
    text = BASE.replace("snapshot_after_train: false", f'snapshot_prefix: "{tmp_path}/s"')
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 1, 99))  # type: ignore[attr-defined]
    (warning,) = run(make_solver(tmp_path, net, text))
    assert warning.startswith(f"{tmp_path} has 9.9e-05 MB free, and a snapshot takes about 0.00012 MB: it cannot be")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 1, 120))  # type: ignore[attr-defined]
    assert run(make_solver(tmp_path, net, text)) == []
