"""`--set KEY=VALUE`."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite_cli.train.settings import read_settings
from rigs.cli_rig import Command, write_run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def param(*settings: str) -> SolverParameter:
    return read_settings("solver.prototxt", settings).param


def test_nothing_set() -> None:
    assert param().base_lr == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("base_lr=0.5", "base_lr", 0.5),
        (" base_lr = 1e-3 ", "base_lr", 1e-3),
        ("max_iter=7", "max_iter", 7),
        ("snapshot_prefix=out/lenet", "snapshot_prefix", "out/lenet"),
        ('snapshot_prefix="a b"', "snapshot_prefix", "a b"),
        ("snapshot_prefix='a b'", "snapshot_prefix", "a b"),
        (r"snapshot_prefix=C:\runs\new", "snapshot_prefix", r"C:\runs\new"),
        ("snapshot_prefix=a=b", "snapshot_prefix", "a=b"),
        ('snapshot_prefix=a"b', "snapshot_prefix", 'a"b'),
        ("lr_policy=step", "lr_policy", "step"),
        ("test_initialization=false", "test_initialization", False),
        ("snapshot_format=HDF5", "snapshot_format", SolverParameter.HDF5),
        ("test_iter=5", "test_iter", [5]),
        ("test_iter=[5, 6]", "test_iter", [5, 6]),
        ("test_iter=[]", "test_iter", []),
        ("type=Adam", "type", "Adam"),
        ("solver_type=ADAM", "type", "Adam"),
    ],
)
def test_a_field(setting: str, field: str, value: object) -> None:
    got = getattr(param(setting), field)
    assert (list(got) if isinstance(value, list) else got) == pytest.approx(value)


def test_a_message() -> None:
    assert param('train_state={ level: 3 stage: "a" }').train_state.level == 3


def test_a_repeated_field_is_replaced_by_all_that_are_set() -> None:
    assert list(param("stepvalue=1", "stepvalue=2", "test_iter=9").stepvalue) == [1, 2]


def test_the_last_of_two_values_holds() -> None:
    assert param("base_lr=1", "base_lr=2").base_lr == 2


def test_an_older_form_in_the_file_gives_way(folder: Path) -> None:
    (folder / "solver.prototxt").write_text('solver_type: ADAGRAD lr_policy: "fixed"')
    assert param().type == "AdaGrad"
    assert param("type=RMSProp").type == "RMSProp"


@pytest.mark.parametrize("setting", ["base_lr", "", "=5", " =5"])
def test_other_forms_are_wrong_usage(setting: str) -> None:
    with pytest.raises(click.UsageError, match=r"--set: expected KEY=VALUE, like base_lr=0\.001, got"):
        param(setting)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("base_rl=1", r'--set:1:1: SolverParameter has no field "base_rl"; did you mean "base_lr"\?'),
        ("base_lr=fast", r'--set:1:10: "base_lr" takes a number, got "fast"'),
        ("max_iter=1.5", '"max_iter" takes a whole number'),
        ("snapshot_format=NPZ", '"snapshot_format" takes one of HDF5, BINARYPROTO'),
        ("base_lr=1 max_iter: 2 }", "--set"),
        ("base_lr=", "--set"),
    ],
)
def test_what_the_schema_does_not_allow(setting: str, problem: str) -> None:
    with pytest.raises(CaffeError, match=problem):
        param(setting)


def test_errors_do_not_point_to_the_line_that_was_replaced() -> None:
    command = Command("train", "--solver=solver.prototxt", "--set=average_loss=0", "--set=lr_policy=polka")
    assert command.status == 1
    assert command.sentence().startswith("solver.prototxt: ")


def test_the_run_uses_what_is_set() -> None:
    command = Command("train", "--solver=solver.prototxt", "--set=base_lr=0.25", "--set", "display=1")
    assert [line for line in command.said if ", lr = " in line] == [f"Iteration {i}, lr = 0.25" for i in range(4)]


def test_a_prefix_that_is_set_is_not_said_to_be_missing(folder: Path, messages: list[str]) -> None:
    (folder / "bare.prototxt").write_text('net: "net.prototxt"\nbase_lr: 0.1\nlr_policy: "fixed"\n')
    assert read_settings("bare.prototxt", ["snapshot_prefix=s/x"]).param.snapshot_prefix == "s/x"
    assert not [line for line in messages if "snapshot_prefix" in line]
    assert read_settings("bare.prototxt", ["max_iter=1"]).param.snapshot_prefix == "bare"
    assert [line for line in messages if "snapshot_prefix" in line] == [
        "Isnapshot_prefix was not specified and is set to bare"
    ]
