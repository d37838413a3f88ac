"""The prefix of snapshots: what a solver's text means by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pycaffe_lite.solvers.loop import solver_text
from rigs.net_rig import logged
from rigs.proto_rig import write


def prefix_of(path: str) -> str:
    return solver_text(path).param.snapshot_prefix


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("lenet_solver.prototxt", "lenet_solver"), ("a.b/c.d.prototxt", "a.b/c.d"), ("./plain", "./plain")],
)
def test_snapshot_prefix_defaults_to_the_solvers_own_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name, "base_lr: 0.1")
    lines = logged()
    assert prefix_of(name) == prefix
    assert lines[0].endswith(f"] snapshot_prefix was not specified and is set to {prefix}")


def test_a_snapshot_prefix_that_is_a_folder_gets_the_solvers_name(tmp_path: Path) -> None:
    path = write(tmp_path / "lenet.prototxt", f"snapshot_prefix: '{tmp_path}'")
    assert prefix_of(path) == os.path.join(tmp_path, "lenet")


def test_a_given_snapshot_prefix_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "s.prototxt", "snapshot_prefix: 'snap'")
    assert prefix_of(path) == "snap"


def test_a_prefix_that_is_there_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "snapshots").mkdir()
    path = write(tmp_path / "a" / "solver.prototxt", 'snapshot_prefix: "snapshots/toy"\n')
    assert prefix_of(path) == "snapshots/toy"
