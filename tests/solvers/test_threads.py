"""The same bits at any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import parallel
from rigs import GOLDEN
from rigs.idx_files import write_idx
from rigs.lenet import idx_sources
from rigs.net_rig import make_solver

LENET = GOLDEN / "training" / "lenet" / "lenet.prototxt"
SOLVER = (
    'base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005 clip_gradients: 5 random_seed: 1 '
    'snapshot_prefix: "s" max_iter: '
)


@pytest.fixture
def folder(tmp_path: Path, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with 200 images of noise as data."""
    write_idx(tmp_path / "images", generator.integers(0, 256, (200, 28, 28)))
    write_idx(tmp_path / "labels", generator.integers(0, 10, 200))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lenet() -> str:
    return idx_sources(LENET.read_text(), {"mnist_train_lmdb": "images", "mnist_test_lmdb": "images"})


def test_lenet_gives_the_same_bits_at_any_number_of_threads(folder: Path) -> None:
    results = []
    for threads in (1, 2, 8):
        parallel.set_num_threads(threads)
        solver = make_solver(folder, lenet(), SOLVER + "20")
        losses = [report.loss for report in solver.steps(20)]
        solver.close()
        assert solver.parameters.data is not None
        results.append((losses, solver.parameters.data.tobytes()))
    assert results[0][0][0] != results[0][0][-1]
    assert results[0] == results[1] == results[2]


def test_the_command_gives_the_same_files_at_any_number_of_threads(folder: Path) -> None:
    (folder / "net.prototxt").write_text(lenet())
    (folder / "solver.prototxt").write_text(f'net: "net.prototxt" {SOLVER} 3')
    files = []
    for threads, blas in (("1", "2"), ("3", "1")):
        command = [
            sys.executable,
            "-m",
            "pycaffe_lite_cli",
            "train",
            "--solver=solver.prototxt",
            f"--threads={threads}",
        ]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": blas, "OMP_NUM_THREADS": blas}
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
        files.append([Path(f"s_iter_3.{kind}").read_bytes() for kind in ("caffemodel", "solverstate")])
    assert files[0] == files[1]
