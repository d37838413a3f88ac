"""The nets under configs/: each solver builds, and trains, from what its comments say one has to type."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.registry import get_solver
from rigs import ROOT
from rigs.config_runs import losses
from rigs.data_tools import run

SOLVERS = sorted((ROOT / "configs").glob("*/*solver.prototxt"))
MADE = {
    "cifar10": 'There is no data source "../../data/cifar10/cifar10_train_lmdb"',
    "ssd_shapes": 'There is no list of HDF5 files "../../data/shapes/train.txt"',
    "seg_shapes": 'There is no list of HDF5 files "../../data/shapes/train.txt"',
}
"""Folders whose data one has to make, and what is said without them; test_shapes.py has the latter two besides."""
HERE = [path for path in SOLVERS if path.parent.name not in MADE]
ELSEWHERE = [path for path in SOLVERS if path.parent.name in MADE]


def shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", HERE, ids=shown)
def test_it_builds_from_a_clone(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    solver = get_solver(str(path))
    assert len(solver.test_nets) == len(solver.param.test_iter) > 0
    solver.close()


@pytest.mark.parametrize("path", ELSEWHERE, ids=shown)
def test_what_needs_other_data_says_so(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaffeError) as problem:
        get_solver(str(tmp_path / "configs" / path.parent.name / path.name))
    text = str(problem.value)
    assert MADE[path.parent.name] in text
    assert "\n" not in text


@pytest.mark.parametrize("path", SOLVERS, ids=shown)
def test_a_solver_tells_nobody_to_type_another(path: Path) -> None:
    named = re.findall(r"--solver (\S+)", path.read_text(encoding="utf-8"))
    assert set(named) <= {path.relative_to(ROOT).as_posix()}


def test_the_readme_names_every_folder() -> None:
    text = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[(\w+)\]", text, re.MULTILINE)) == {path.parent.name for path in SOLVERS}
    for name in re.findall(r"configs/\S+\.prototxt", text):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize(
    ("folder", "output", "iterations", "before", "after"),
    [
        ("lstm", "loss", 100, 2.2, 1.5),  # one that knows nothing: ln 10 = 2.30
        ("siamese", "loss", 40, 0.15, 0.12),
        ("mnist_autoencoder", "l2_error", 40, 100, 40),
    ],
)
def test_a_short_run_learns(folder: str, output: str, iterations: int, before: float, after: float) -> None:
    found = losses(ROOT / "configs" / folder / "solver.prototxt", iterations, output)
    assert found[0] > before
    assert found[-1] < after


def write_patterns(folder: Path) -> None:
    """Files like CIFAR-10's with 60 images each: a pattern for each class, in noise."""
    generator = np.random.default_rng(3)
    patterns = generator.normal(size=(10, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        labels = generator.permutation(60) % 10
        images = 128 + 60 * patterns[labels] + 20 * generator.normal(size=(60, 3, 32, 32))
        pixels = images.clip(0, 255).reshape(60, -1)
        np.column_stack([labels, pixels]).astype(np.uint8).tofile(folder / f"{name}.bin")


@pytest.fixture(scope="module")
def cifar_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which one has typed what the solvers' comments say, with a small CIFAR-10 and smaller batches."""
    pytest.importorskip("lmdb")
    clone = tmp_path_factory.mktemp("clone")
    for folder in ("cifar-10-batches-bin", "configs/cifar10", "data/cifar10"):
        (clone / folder).mkdir(parents=True)
    write_patterns(clone / "cifar-10-batches-bin")
    run("convert-cifar", clone / "cifar-10-batches-bin", clone / "data/cifar10")
    for path in (ROOT / "configs" / "cifar10").iterdir():
        text = path.read_text(encoding="utf-8").replace("batch_size: 100", "batch_size: 20")
        (clone / "configs" / "cifar10" / path.name).write_text(text, encoding="utf-8")
    return clone


@pytest.mark.parametrize(("net", "iterations"), [("quick", 40), ("full", 90)])
def test_cifar10_learns(cifar_clone: Path, net: str, iterations: int) -> None:
    """The full net needs some seventy iterations to get going."""
    found = losses(cifar_clone / "configs" / "cifar10" / f"{net}_solver.prototxt", iterations)
    assert found[0] > 2.2
    assert found[-1] < 1.5
