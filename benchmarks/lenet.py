"""How fast LeNet trains: against its own matrix products, PyTorch, and Caffe, on this machine, in one run.

    python benchmarks/lenet.py [--threads 2] [--rounds 7] [--iterations 40]

Each round measures everything once, in turn, so that a machine that speeds up or slows down does so for all; the table
gives the median over the rounds and the ratio to the floor, taken round by round. One iteration is one training
iteration of configs/lenet/train_test.prototxt: batch 64 of MNIST, read, forward, backward, update.

The floor is the sum of LeNet's own eleven matrix products, as NumPy hands them to BLAS: no im2col, no pooling, no
update. At T threads it is the faster of two ways to use them: BLAS's own threads over the whole batch, or T
Python threads with a part of the batch each.

PyTorch is measured if `import torch` works, Caffe if a `caffe` binary is on the PATH (by `caffe time`).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
SOLVER = ROOT / "configs/lenet/smoke_solver.prototxt"
BATCH = 64

PRODUCTS = {
    # name: (rows of the batch, other sides) of each product, forward, weight gradient, bottom gradient
    "conv1": (BATCH * 24 * 24, 25, 20, False),
    "conv2": (BATCH * 8 * 8, 500, 50, True),
    "fc1": (BATCH, 800, 500, True),
    "fc2": (BATCH, 500, 10, True),
}


def milliseconds(call: Callable[[], object], repeat: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


# -- the floor -------------------------------------------------------------------------------------------------


def products(parts: int) -> list[list[Callable[[], object]]]:
    """LeNet's matrix products as calls; for each, the parts that different threads may take."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    calls = []
    for rows, inputs, outputs, wants_bottom in PRODUCTS.values():
        x, w, y, dw, dx = (
            array(rows, inputs),
            array(inputs, outputs),
            array(rows, outputs),
            [array(inputs, outputs) for _ in range(parts)],
            array(rows, inputs),
        )
        cuts = [slice(rows * p // parts, rows * (p + 1) // parts) for p in range(parts)]
        calls.append([lambda x=x, w=w, y=y, c=c: np.matmul(x[c], w, out=y[c]) for c in cuts])
        calls.append([lambda x=x, y=y, o=o, c=c: np.matmul(x[c].T, y[c], out=o) for c, o in zip(cuts, dw, strict=True)])
        if wants_bottom:
            calls.append([lambda y=y, w=w, dx=dx, c=c: np.matmul(y[c], w.T, out=dx[c]) for c in cuts])
    return calls


def floor(threads: int, repeat: int) -> float:
    """The sum of the products, each at its fastest."""
    from pycaffe_lite.parallel import parallel_for

    whole, cut = products(1), products(threads)
    total = 0.0
    for (one,), parts in zip(whole, cut, strict=True):
        with threadpool_limits(threads, user_api="blas"):
            best = milliseconds(one, repeat)
        if threads > 1:
            with threadpool_limits(1, user_api="blas"):
                best = min(best, milliseconds(lambda p=parts: parallel_for(len(p), lambda i: p[i]()), repeat))
        total += best
    return total


# -- the iterations --------------------------------------------------------------------------------------------


class Ours:
    """This project's training loop."""

    def __init__(self) -> None:
        from pycaffe_lite.solvers.registry import get_solver

        self.solver = get_solver(str(SOLVER))
        self.solver.step(10)

    def iteration(self, threads: int, repeat: int) -> float:
        from pycaffe_lite.parallel import set_num_threads

        set_num_threads(threads)
        return milliseconds(lambda: self.solver.step(1), repeat)


TORCH = """
import statistics, sys, time, torch
from torch import nn
threads, repeat = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
net = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                    nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
loss = nn.CrossEntropyLoss()
sgd = torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=.0005)
x, y = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
def iteration():
    sgd.zero_grad()
    loss(net(x), y).backward()
    sgd.step()
for _ in range(10):
    iteration()
times = []
for _ in range(repeat):
    begin = time.perf_counter()
    iteration()
    times.append(time.perf_counter() - begin)
print(statistics.median(times) * 1e3)
"""


def pytorch(threads: int, repeat: int) -> float | None:
    """An iteration of the same net in PyTorch, data already in memory, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", TORCH, str(threads), str(repeat)], capture_output=True, text=True, check=False
    )
    return float(run.stdout) if run.returncode == 0 else None


def caffe(threads: int, repeat: int) -> float | None:
    """Forward and backward of the same net by a `caffe` binary, on made-up data; the update is not in it."""
    if shutil.which("caffe") is None:
        return None
    text = (ROOT / "configs/lenet/train_test.prototxt").read_text()
    start, end = text.index("layer {"), text.index('layer {\n  name: "conv1"')
    source = (
        'layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param { '
        "shape { dim: 64 dim: 1 dim: 28 dim: 28 } shape { dim: 64 } "
        'data_filler { type: "uniform" } data_filler { type: "constant" } } }\n'
    )
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"lenet_dummy_{os.getpid()}.prototxt"
    path.write_text(text[:start] + source + text[end:])
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = ["caffe", "time", f"--model={path}", f"--iterations={repeat}"]
    log = subprocess.run(command, capture_output=True, text=True, env=env, check=False).stderr
    path.unlink()
    found = re.search(r"Average Forward-Backward: ([\d.]+) ms", log)
    return float(found[1]) if found else None


# -- the whole process -----------------------------------------------------------------------------------------


def process_figures(threads: int) -> list[tuple[str, str]]:
    """Start-up and memory of the command itself, each the median of five."""
    command = [sys.executable, "-m", "pycaffe_lite_cli"]
    train = [*command, "train", "--solver", str(SOLVER), "--threads", str(threads), "--quiet"]
    help_time = milliseconds(lambda: subprocess.run([*command, "--help"], capture_output=True, check=True), 5)
    nothing = milliseconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True), 5)
    first = milliseconds(
        lambda: subprocess.run([*train, "--iterations", "1", "--set", "test_interval=0", "--set", "test_iter=[]"],
                               capture_output=True, check=True), 5
    )  # fmt: skip
    subprocess.run(train, capture_output=True, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return [
        ("--help", f"{help_time:.0f} ms (an empty Python: {nothing:.0f} ms)"),
        ("start to the end of the first iteration", f"{first:.0f} ms"),
        (
            "peak memory of 300 iterations and a test",
            f"{peak / (1 << 20 if sys.platform == 'darwin' else 1024):.0f} MiB",
        ),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--iterations", type=int, default=40)
    args = options.parse_args()
    counts = sorted({1, args.threads})
    figures = process_figures(args.threads)
    ours = Ours()
    rounds: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.rounds):
        for threads in counts:
            row = {
                "floor": floor(threads, args.iterations // 2),
                "pycaffe-lite": ours.iteration(threads, args.iterations),
                "PyTorch": pytorch(threads, args.iterations),
                "Caffe (no update)": caffe(threads, args.iterations),
            }
            for name, value in row.items():
                if value is not None:
                    rounds.setdefault((name, threads), []).append(value)
    print_table(rounds, figures)


def print_table(rounds: dict[tuple[str, int], list[float]], figures: list[tuple[str, str]]) -> None:
    print(f"| {'':18} | threads | ms, median (least–most) | times the floor, median (least–most) |")
    print("| --- | --- | --- | --- |")
    for (name, threads), times in sorted(rounds.items(), key=lambda item: (item[0][1], item[0][0] != "floor")):
        ratios = [value / base for value, base in zip(times, rounds["floor", threads], strict=True)]
        print(f"| {name:18} | {threads} | {_spread(times)} | {_spread(ratios)} |")
    print()
    for name, value in figures:
        print(f"{name}: {value}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
