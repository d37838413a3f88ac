"""Nets and solvers by the thousand whose texts have been changed: each runs, or is refused in one sentence."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.proto.read import read_net, read_solver
from rigs import ROOT
from rigs.cli_rig import SOLVER, Command, write_run
from rigs.golden_forks import FOLDER as FORKS
from rigs.golden_layers import FOLDER as LAYERS
from rigs.golden_layers import manifest
from rigs.golden_solvers import FOLDER as SOLVERS
from rigs.mutations import mutated_text

TIMES, FORK_TIMES = 2500, 1000
MOST_SECONDS = 5
FIELDS = [
    *(f'type: "{name}"' for name in ("Adam", "AdaGrad", "Nesterov", "RMSProp", "AdaDelta")),
    *("momentum2: 0.9", "rms_decay: 0.9", "delta: 1e-4", "weight_decay: 0.1", "clip_gradients: 1", "iter_size: 2"),
    *('regularization_type: "L1"', "average_loss: 3", "stepvalue: 1 stepvalue: 3", "gamma: 0.5", "power: 0.5"),
    *("snapshot: 2", "snapshot_format: HDF5", "test_compute_loss: true", "debug_info: true", "stepsize: 2"),
    *("max_lr: 1", "min_lr: 0.01", "warmup_iter: 2", "period: 2", 'test_state { stage: "a" }', "p_mult: 1"),
]
POLICIES = ["fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "cosine", "plateau", "triangular", "sgdr"]


def refused(problem: CaffeError) -> str:
    """What became of a text that was refused; below the sentence may stand the line, with a mark under it."""
    sentence, *mark = str(problem).split("\n")
    assert 20 < len(sentence) < 1200, sentence
    assert sentence.endswith((".", "?", ")")), sentence
    assert len(mark) in (0, 2), problem
    return "refused"


def run(path: Path, entry: dict[str, Any]) -> str:
    """Builds a net, and runs it both ways if the one that it was made of could."""
    rng.set_random_seed(1)
    try:
        net = Net(str(path), TRAIN if entry["phase"] == "TRAIN" else TEST)
        for name in net.inputs:
            net.blobs[name].data[...] = 1
        net.forward()
        if entry["backward"]:
            net.backward()
    except CaffeError as problem:
        return refused(problem)
    return "runs"


def test_nets_of_every_layer(tmp_path: Path) -> None:
    chance, path, cases = random.Random(11), tmp_path / "net.prototxt", manifest()
    counts: Counter[str] = Counter()
    for _ in range(TIMES):
        entry = chance.choice(cases)
        text = (LAYERS / entry["type"] / entry["variant"] / "net.prototxt").read_text()
        path.write_text(mutated_text(text, chance))
        begin = time.monotonic()
        counts[run(path, entry)] += 1
        assert time.monotonic() - begin < MOST_SECONDS, path.read_text()
    assert min(counts.values()) > TIMES // 10
    assert len(counts) == 2


def test_nets_of_forks(tmp_path: Path) -> None:
    chance, path = random.Random(12), tmp_path / "net.prototxt"
    texts = [(folder / "net.prototxt").read_text() for folder in FORKS.glob("*/*")]
    counts: Counter[str] = Counter()
    for _ in range(FORK_TIMES):
        text = chance.choice(texts)
        path.write_text(mutated_text(text, chance))
        begin = time.monotonic()
        phase = "TRAIN" if "phase: TRAIN" in text else "TEST"
        counts[run(path, {"phase": phase, "backward": True})] += 1
        assert time.monotonic() - begin < MOST_SECONDS, path.read_text()
    assert min(counts.values()) > FORK_TIMES // 10
    assert len(counts) == 2


@pytest.mark.parametrize(
    ("read", "paths"),
    [
        (read_solver, [*SOLVERS.rglob("*solver*.prototxt"), *(ROOT / "configs").rglob("*solver.prototxt")]),
        (read_net, [*(ROOT / "configs").rglob("*train_test.prototxt"), *SOLVERS.rglob("*net*.prototxt")]),
    ],
)
def test_solvers_and_nets_as_they_are_read(read: Any, paths: list[Path], tmp_path: Path) -> None:
    chance, path = random.Random(12), tmp_path / "x.prototxt"
    counts: Counter[str] = Counter()
    for _ in range(TIMES // 2):
        path.write_text(mutated_text(chance.choice(sorted(paths)).read_text(), chance))
        try:
            read(str(path))
            counts["read"] += 1
        except CaffeError as problem:
            counts[refused(problem)] += 1
    assert len(counts) == 2


def test_solvers_that_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of all kinds together, changed: four iterations, or one sentence; 4 is the status of divergence."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(13)
    counts: Counter[int] = Counter()
    for _ in range(300):
        base = SOLVER.replace('"fixed"', f'"{chance.choice(POLICIES)}"')
        write_run(tmp_path, solver=mutated_text("\n".join([base, *chance.sample(FIELDS, 5)]), chance))
        command = Command("train", "--solver=solver.prototxt", "--iterations=4", "--set=test_iter=1")
        counts[command.status] += 1
        if command.status:
            assert command.sentence().endswith((".", "?"))
    assert set(counts) <= {0, 1, 4}
    assert min(counts[0], counts[1]) > 10
