"""How fast well-known nets run forward and backward, and in how much memory, on this machine, in one run.

    python benchmarks/nets.py [--threads 2] [--rounds 5] [--repeat 5] [NAME …]

For each net of models.py: this project with NumPy's kernels, and with the compiled ones of the extra `fast` if it is
installed; the floor (the net's own matrix products: forward, weight gradient, bottom gradient, as NumPy hands them to
BLAS, each by the faster of BLAS's threads and ours); PyTorch, if it is installed, with images as they are and channels
last; and `caffe time` if a `caffe` binary is on the PATH. Every measurement has a process of its own; they take turns.
Ratios are taken round by round, those to PyTorch to the faster of its two.

Memory is the peak of the process that trains, beside the size of all blobs and parameters with their diffs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models import MODELS

HERE = Path(__file__).resolve().parent


def run_ours(path: str, threads: int, repeat: int) -> None:
    """Prints the median pass, the peak memory, and what blobs and parameters take."""
    from pycaffe_lite.net import Net
    from pycaffe_lite.parallel import set_num_threads
    from pycaffe_lite.phase import TRAIN

    set_num_threads(threads)
    net = Net(path, TRAIN)
    net.flatten()
    net.forward_loss()  # fills the images, which then stay: what is measured begins behind the data layer
    last = len(net.layers) - 1
    times = []
    for i in range(repeat + 2):
        begin = time.perf_counter()
        net.clear_param_diffs()
        net.forward_from_to(1, last)
        net.backward_from_to(last, 1)
        if i > 1:
            times.append(time.perf_counter() - begin)
    blobs = {id(blob): blob for node in net.nodes for blob in node.tops}
    size = sum(blob.count * 4 * (1 + blob.has_diff) for blob in blobs.values())
    size += sum(2 * 4 * blob.count for blob in net.parameters.blobs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"ms": statistics.median(times) * 1e3, "peak": peak, "blobs": size}))


def run_floor(path: str, threads: int, repeat: int) -> None:
    """Prints the sum of the net's products, each at its fastest."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from pycaffe_lite.net import Net
    from pycaffe_lite.parallel import parallel_for, set_num_threads, slices
    from pycaffe_lite.phase import TRAIN

    set_num_threads(threads)
    shapes = product_shapes(Net(path, TRAIN))
    total = 0.0
    for (m, k, n), count in shapes.items():
        a, b, out = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32)
        cuts = slices(m, threads) if m >= n else slices(n, threads)

        def cut(i: int, a=a, b=b, out=out, cuts=cuts, by_rows=m >= n) -> None:
            if by_rows:
                np.matmul(a[cuts[i]], b, out=out[cuts[i]])
            else:
                np.matmul(a, b[:, cuts[i]], out=out[:, cuts[i]])

        best = []
        for _ in range(repeat):
            with threadpool_limits(threads, user_api="blas"):
                begin = time.perf_counter()
                np.matmul(a, b, out=out)
                whole = time.perf_counter() - begin
            with threadpool_limits(1, user_api="blas"):
                begin = time.perf_counter()
                parallel_for(len(cuts), cut)
                best.append(min(whole, time.perf_counter() - begin))
        total += statistics.median(best) * count
    print(json.dumps({"ms": total * 1e3}))


def product_shapes(net) -> dict[tuple[int, int, int], int]:  # type: ignore[no-untyped-def]
    """The products of convolutions and fully connected layers, (rows, inner, columns) -> how often."""
    found: dict[tuple[int, int, int], int] = {}

    def add(shape: tuple[int, int, int], times: int) -> None:
        found[shape] = found.get(shape, 0) + times

    for node in net.nodes:
        layer, top = node.layer, node.tops
        kind = layer.layer_param.type
        if kind == "Convolution":
            group = layer.layer_param.convolution_param.group
            weight = layer.blobs[0]
            if group == weight.shape[0]:
                continue  # depthwise: no products
            m, n, k = (
                top[0].count // top[0].shape[1],
                weight.shape[0] // group,
                weight.count // weight.shape[0],
            )
        elif kind == "InnerProduct":
            group, (n, k) = 1, layer.blobs[0].shape
            m = top[0].count // n
        else:
            continue
        add((m, k, n), group)
        add((k, m, n), group)
        if node.propagate_down[0]:
            add((m, n, k), group)
    return found


MODES = ["floor", "NumPy alone", "fast", "PyTorch", "PyTorch, channels last", "Caffe"]


def child(mode: str, path: str, threads: int, repeat: int) -> dict[str, float] | None:
    """A measurement in a process of its own; None if what it needs is not there."""
    environment = {**os.environ, "PYCAFFE_LITE_KERNELS": "numba" if mode == "fast" else "numpy"}
    if mode.startswith("PyTorch"):
        layout = "channels_last" if mode.endswith("last") else "contiguous_format"
        command = [sys.executable, str(HERE / "torch_net.py"), path, str(threads), str(repeat), layout]
    elif mode == "Caffe":
        return caffe(path, threads, repeat)
    else:
        what = "floor" if mode == "floor" else "ours"
        command = [sys.executable, __file__, "--child", what, path, str(threads), str(repeat)]
    needed = {"fast": "numba", "PyTorch": "torch"}.get(mode.split(",", maxsplit=1)[0], "numpy")
    if importlib.util.find_spec(needed) is None:
        return None
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode:
        print(run.stderr, file=sys.stderr)
        return None
    value = json.loads(run.stdout)
    return value if isinstance(value, dict) else {"ms": value}


def caffe(path: str, threads: int, repeat: int) -> dict[str, float] | None:
    if shutil.which("caffe") is None:
        return None
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = ["caffe", "time", f"--model={path}", f"--iterations={repeat}"]
    log = subprocess.run(command, capture_output=True, text=True, env=env, check=False).stderr
    found = re.search(r"Average Forward-Backward: ([\d.]+) ms", log)
    return {"ms": float(found[1])} if found else None


def measure(name: str, threads: int, rounds: int, repeat: int, folder: str) -> None:
    path = str(Path(folder) / "net.prototxt")
    Path(path).write_text(MODELS[name]())
    results: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for mode in MODES:
            value = child(mode, path, threads, repeat)
            if value is not None:
                results.setdefault(mode, []).append(value)
    times = {mode: [value["ms"] for value in values] for mode, values in results.items()}
    theirs = [min(both) for both in zip(*(times[mode] for mode in times if "PyTorch" in mode), strict=True)]
    for mode, values in times.items():
        memory = ""
        if "peak" in results[mode][0]:
            peak, size = results[mode][0]["peak"] / 2**20, results[mode][0]["blobs"] / 2**20
            memory = f"{peak:.0f} MiB; blobs and parameters {size:.0f} MiB"
        against = spread([a / b for a, b in zip(values, theirs, strict=True)], 2) if theirs else ""
        above = spread([a / b for a, b in zip(values, times["floor"], strict=True)], 2)
        print(f"| {name} | {mode} | {spread(values, 0)} | {above} | {against} | {memory} |", flush=True)


def spread(values: list[float], digits: int) -> str:
    """The median, the least and the most."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        mode, path, threads, repeat = sys.argv[2:]
        {"floor": run_floor, "ours": run_ours}[mode](path, int(threads), int(repeat))
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("names", nargs="*", help="parts of the names of the nets to measure; default: all")
    args = options.parse_args()
    print(
        f"| net, {args.threads} threads | | ms, median (least–most) | times the floor | times PyTorch | peak memory |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            if not args.names or any(part.lower() in name.lower() for part in args.names):
                measure(name, args.threads, args.rounds, args.repeat, folder)


if __name__ == "__main__":
    main()
