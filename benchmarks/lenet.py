"""How fast LeNet trains: against its own matrix products, PyTorch, and Caffe, on this machine, in one run.

    python benchmarks/lenet.py [--threads 2] [--rounds 7] [--iterations 40] [--batches 64]
    python benchmarks/lenet.py --batches 1 16 64 256

Each round measures everything once, in turn, so that a machine that speeds up or slows down does so for all; the table
gives the median over the rounds and ratios taken round by round. One iteration is one training iteration of
configs/lenet/train_test.prototxt, with its batch of 64 of MNIST or another one: read, forward, backward, update. It is
measured with NumPy's kernels, and with the compiled ones of the extra `fast` if it is installed.

The floor is the sum of LeNet's own eleven matrix products, as NumPy hands them to BLAS: no im2col, no pooling, no
update. At T threads it is the faster of two ways to use them: BLAS's own threads over the whole batch, or T
Python threads with a part of the batch each.

PyTorch is measured if it is installed, its data already in memory; Caffe if a `caffe` binary is on the PATH (by
`caffe time`, without the update).
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
SOLVER = ROOT / "configs/lenet/smoke_solver.prototxt"

PRODUCTS = {
    # name: (rows for each image, other sides) of each product, forward, weight gradient, bottom gradient
    "conv1": (24 * 24, 25, 20, False),
    "conv2": (8 * 8, 500, 50, True),
    "fc1": (1, 800, 500, True),
    "fc2": (1, 500, 10, True),
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


def products(batch: int, parts: int) -> list[list[Callable[[], object]]]:
    """LeNet's matrix products as calls; for each, the parts that different threads may take."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    calls = []
    for rows_each, inputs, outputs, wants_bottom in PRODUCTS.values():
        rows = batch * rows_each
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


def floor(batch: int, threads: int, repeat: int) -> float:
    """The sum of the products, each at its fastest."""
    from pycaffe_lite.parallel import parallel_for

    whole, cut = products(batch, 1), products(batch, threads)
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


OURS = """
import statistics, sys, time
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.solvers.registry import get_solver
path, batch, threads, repeat = sys.argv[1], *map(int, sys.argv[2:])
set_num_threads(threads)
solver = get_solver(path)
solver.step(10)
times = []
for _ in range(repeat):
    begin = time.perf_counter()
    solver.step(1)
    times.append(time.perf_counter() - begin)
print(statistics.median(times) * 1e3)
"""


def write_solver(folder: Path, batch: int) -> str:
    """The solver with that batch, without tests, over MNIST as plain files; returns its path."""
    for packed in (ROOT / "data/mnist").glob("train-*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    net = (ROOT / "configs/lenet/train_test.prototxt").read_text()
    net = re.sub(r"[./]*data/mnist/(train-.*).gz", r"\1", net.replace("batch_size: 64", f"batch_size: {batch}"))
    (folder / "train_test.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(re.sub(r"(?m)^test_.*$", "", SOLVER.read_text()))
    return str(folder / "solver.prototxt")


def ours(kernels: str, batch: int, threads: int, repeat: int) -> float | None:
    """An iteration of this project's training loop, in a process of its own."""
    if kernels == "numba" and importlib.util.find_spec("numba") is None:
        return None
    environment = {**os.environ, "PYCAFFE_LITE_KERNELS": kernels}
    with tempfile.TemporaryDirectory() as folder:
        path = write_solver(Path(folder), batch)
        command = [sys.executable, "-c", OURS, path, str(batch), str(threads), str(repeat)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode:
        print(run.stderr, file=sys.stderr)
        return None
    return float(run.stdout)


TORCH = """
import statistics, sys, time, torch
from torch import nn
batch, threads, repeat = map(int, sys.argv[1:])
torch.set_num_threads(threads)
net = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                    nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
loss = nn.CrossEntropyLoss()
sgd = torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=.0005)
x, y = torch.rand(batch, 1, 28, 28), torch.randint(10, (batch,))
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


def pytorch(batch: int, threads: int, repeat: int) -> float | None:
    """An iteration of the same net in PyTorch, data already in memory, in a process of its own."""
    command = [sys.executable, "-c", TORCH, str(batch), str(threads), str(repeat)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(run.stdout) if run.returncode == 0 else None


def caffe(batch: int, threads: int, repeat: int) -> float | None:
    """Forward and backward of the same net by a `caffe` binary, on made-up data; the update is not in it."""
    if shutil.which("caffe") is None:
        return None
    text = (ROOT / "configs/lenet/train_test.prototxt").read_text()
    start, end = text.index("layer {"), text.index('layer {\n  name: "conv1"')
    source = (
        'layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param { '
        f"shape {{ dim: {batch} dim: 1 dim: 28 dim: 28 }} shape {{ dim: {batch} }} "
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
    """Start-up and memory of the command itself with NumPy alone, each the median of five."""
    os.environ["PYCAFFE_LITE_KERNELS"] = "numpy"
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
    options.add_argument("--batches", type=int, nargs="+", default=[64])
    args = options.parse_args()
    counts = sorted({1, args.threads})
    print("| batch | threads | | ms, median (least–most) | times the floor | times PyTorch |")
    print("| --- | --- | --- | --- | --- | --- |")
    found: dict[tuple[str, int, int], list[float]] = {}
    for batch in args.batches:
        for _ in range(args.rounds):
            for threads in counts:
                repeat = args.iterations if batch <= 64 else max(5, args.iterations // 4)
                row = {
                    "floor": floor(batch, threads, repeat // 2),
                    "NumPy alone": ours("numpy", batch, threads, repeat),
                    "fast": ours("numba", batch, threads, repeat),
                    "PyTorch": pytorch(batch, threads, repeat),
                    "Caffe (no update)": caffe(batch, threads, repeat),
                }
                for name, value in row.items():
                    if value is not None:
                        found.setdefault((name, batch, threads), []).append(value)
        print_rows(batch, counts, found)
    print_growth(args.batches, args.threads, found)
    for name, figure in process_figures(args.threads):
        print(f"{name}: {figure}")


def print_rows(batch: int, counts: list[int], found: dict[tuple[str, int, int], list[float]]) -> None:
    for threads in counts:
        floor_times, theirs = found["floor", batch, threads], found.get(("PyTorch", batch, threads), [])
        for name in ("floor", "NumPy alone", "fast", "PyTorch", "Caffe (no update)"):
            if times := found.get((name, batch, threads)):
                above = _spread([a / b for a, b in zip(times, floor_times, strict=True)])
                against = _spread([a / b for a, b in zip(times, theirs, strict=True)]) if theirs else ""
                print(f"| {batch} | {threads} | {name} | {_spread(times)} | {above} | {against} |", flush=True)


def print_growth(batches: list[int], threads: int, found: dict[tuple[str, int, int], list[float]]) -> None:
    """How much more the largest batch takes than 64, and one thread than all."""
    for name in ("NumPy alone", "fast", "PyTorch"):
        base = found.get((name, 64, threads))
        if base and threads > 1:
            one = [a / b for a, b in zip(found[name, 64, 1], base, strict=True)]
            print(f"{name}: 1 thread / {threads} threads {_spread(one)}")
        if base and max(batches) > 64:
            most = [a / b for a, b in zip(found[name, max(batches), threads], base, strict=True)]
            print(f"{name}: batch {max(batches)} / batch 64 {_spread(most)}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
