"""How training gets faster with ranks, on this machine, over a network, and as a model says for many machines.

    python benchmarks/mpi.py speed [--rounds 3]      # 1 rank, 2 ranks, 1 rank with 2 threads, in turns
    python benchmarks/mpi.py buckets                 # layer_wise_reduce with buckets of several sizes
    python benchmarks/mpi.py network [--rate 1gbit]  # as root: two network namespaces with a link of that rate between
    python benchmarks/mpi.py model [--plot FILE]     # from what `speed` and `network` have measured: 2 to 1024 ranks

`speed` and `network` put what they measure into mpi.json in the working folder; `model` reads it. LeNet reads MNIST,
CaffeNet has constant images. Iterations are whole ones, with the update.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models import caffenet

HERE = Path(__file__).resolve().parent
RESULTS = Path("mpi.json")
NETS = {"LeNet": (64, 40), "CaffeNet": (16, 4)}
"""For each net the images of a batch, and the iterations that are measured at a time."""

SIZES = [1 << power for power in (10, 14, 17, 20, 22, 24)]
"""Bytes of the sums over the ranks that are timed by themselves."""

LEAD = 2
"""Iterations before those that are measured."""


# -- what the ranks do -------------------------------------------------------------------------------------


def solver_file(folder: Path, name: str, layer_wise: bool = True) -> str:
    """Writes a solver for a net of NETS; returns its path."""
    if name == "LeNet":
        net = (HERE.parent / "configs/lenet/train_test.prototxt").read_text()
        net = net.replace("../../data", str(HERE.parent / "data"))
    else:
        text = caffenet(NETS[name][0])
        net = text.replace('data_filler { type: "gaussian" }', 'data_filler { type: "constant" value: 0.5 }', 1)
    (folder / f"{name}.prototxt").write_text(net)
    path = folder / f"{name}_{layer_wise}_solver.prototxt"
    path.write_text(
        f'train_net: "{name}.prototxt" base_lr: 1e-5 momentum: 0.9 weight_decay: 0.0005 lr_policy: "fixed" '
        f"random_seed: 1 max_iter: 1000 snapshot_after_train: false layer_wise_reduce: {str(layer_wise).lower()}\n"
    )
    return str(path)


def run_worker(path: str, threads: int, iterations: int, together: bool, bucket: int) -> None:
    """Trains; rank 0 prints the milliseconds of each iteration, and of each what it has waited for the other ranks."""
    from pycaffe_lite import parallel
    from pycaffe_lite.ranks import join
    from pycaffe_lite.solvers import reduction
    from pycaffe_lite.solvers.registry import get_solver

    if bucket:
        reduction.BUCKET = bucket
    parallel.set_num_threads(threads)
    ranks = join(None if together else False)
    solver = get_solver(path, ranks)
    solver.check_finite = False
    waited = [0.0]
    wait = ranks.wait

    def timed_wait() -> None:
        begin = time.perf_counter()
        wait()
        waited[0] += time.perf_counter() - begin

    if together and ranks.size > 1:
        ranks.wait = timed_wait  # type: ignore[method-assign]
    times, waits = [], []
    for i in range(iterations + LEAD):
        waited[0], begin = 0.0, time.perf_counter()
        solver.step(1)
        if i >= LEAD:
            times.append((time.perf_counter() - begin) * 1e3)
            waits.append(waited[0] * 1e3)
    solver.close()
    if ranks.is_root:
        print(json.dumps({"ms": times, "wait": waits}), flush=True)


def stamp(stamps: dict[int, float], number: int) -> None:
    stamps[number] = time.perf_counter()


def run_profile(path: str, threads: int, iterations: int) -> None:
    """Prints the milliseconds of forward, update, and backward when each bucket is ready, with the buckets' bytes."""
    from pycaffe_lite import parallel
    from pycaffe_lite.solvers.reduction import BUCKET, LARGEST, _begins
    from pycaffe_lite.solvers.registry import get_solver

    parallel.set_num_threads(threads)
    solver = get_solver(path)
    solver.check_finite = False
    net, rows = solver.net, []
    begins = _begins(net.nodes, net.parameters)
    for _ in range(iterations + LEAD):
        net.clear_param_diffs()
        stamps: dict[int, float] = {}
        begin = time.perf_counter()
        net.forward_loss()
        middle = time.perf_counter()
        net.backward_from_to(len(net.nodes) - 1, 0, partial(stamp, stamps))
        end = time.perf_counter()
        solver.apply_update()
        last = time.perf_counter()
        rows.append([middle - begin, end - middle, last - end, *(stamps[i] - middle for i in range(len(net.nodes)))])
    solver.close()
    medians = [statistics.median(column) * 1e3 for column in zip(*rows[LEAD:], strict=True)]
    forward, backward, update, *ready = medians
    buckets, stop = [], len(net.parameters.diff)
    for number in range(len(net.nodes) - 1, -1, -1):
        if (stop - begins[number]) * 4 >= BUCKET or (number == 0 and stop):
            while stop > begins[number]:
                first = max(begins[number], stop - LARGEST // 4)
                buckets.append((ready[number], (stop - first) * 4))
                stop = first
    print(json.dumps({"forward": forward, "backward": backward, "update": update, "buckets": buckets}), flush=True)


def run_sums(repeat: int) -> None:
    """Rank 0 prints the milliseconds of sums over the ranks, for each of SIZES."""
    import numpy as np

    from pycaffe_lite.ranks import join

    ranks, results = join(), {}
    for size in SIZES:
        array, times = np.ones(size // 4, np.float32), []
        for _ in range(max(3, min(repeat, (1 << 26) // size))):
            ranks.largest(0)
            begin = time.perf_counter()
            ranks.start_sum(array)
            ranks.wait()
            times.append(time.perf_counter() - begin)
            array.fill(1)
        results[size] = statistics.median(times) * 1e3
    if ranks.is_root:
        print(json.dumps(results), flush=True)


# -- starting them -----------------------------------------------------------------------------------------


def launched(
    ranks: int,
    arguments: list[object],
    options: Sequence[str] = (),
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
) -> list[dict]:
    """Runs this file under mpiexec; what its ranks have printed.

    Args:
        options: of mpiexec.
        env: what is added to the environment.
        before: what the command begins with.
    """
    launcher = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or "mpiexec"
    command = [*before, launcher, *options, "-n", str(ranks), sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not found:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return found


def worker(folder: Path, name: str, ranks: int, threads: int, together: bool = True, layer_wise: bool = True,
           bucket: int = 0, iterations: int = 0, **how: object) -> dict[str, float]:  # fmt: skip
    """The median iteration and wait of a run, ms; of ranks that do not train together, the slowest's."""
    path = solver_file(folder, name, layer_wise)
    arguments = ["worker", path, threads, iterations or NETS[name][1], int(together), bucket]
    found = launched(ranks, arguments, **how)  # type: ignore[arg-type]
    ms = max(statistics.median(one["ms"]) for one in found)
    return {"ms": ms, "wait": statistics.median(found[0]["wait"])}


def remember(key: str, value: object) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[key] = value
    RESULTS.write_text(json.dumps(known, indent=1))


def spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def speed(folder: Path, rounds: int, names: list[str]) -> None:
    """1 rank × 1 thread, 2 ranks × 1 thread, as many by themselves, and 1 rank × 2 threads, in turns."""
    kinds = {
        "1 rank × 1 thread": {"ranks": 1, "threads": 1},
        "2 ranks × 1 thread": {"ranks": 2, "threads": 1},
        "2 by themselves × 1 thread": {"ranks": 2, "threads": 1, "together": False},
        "1 rank × 2 threads": {"ranks": 1, "threads": 2},
    }
    print("| net | | ms an iteration | images/s | times 1 rank × 1 thread | waits for the sum |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        batch, rows = NETS[name][0], {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, how in kinds.items():
                rows[kind].append(worker(folder, name, **how))
        for kind, how in kinds.items():
            times = [row["ms"] for row in rows[kind]]
            rates = [batch * how["ranks"] / ms * 1e3 for ms in times]
            base = [batch / row["ms"] * 1e3 for row in rows["1 rank × 1 thread"]]
            gain = [rate / one for rate, one in zip(rates, base, strict=True)]
            wait = statistics.median(row["wait"] / row["ms"] for row in rows[kind])
            print(f"| {name}, batch {batch} | {kind} | {spread(times, 1)} | {statistics.median(rates):.0f} "
                  f"| {spread(gain)} | {100 * wait:.0f} % |", flush=True)  # fmt: skip
            remember(f"{name}, {kind}", statistics.median(times))
        remember(f"{name}, profile", launched(1, ["profile", solver_file(folder, name), 1, NETS[name][1]])[0])
    remember("sums, one machine", launched(2, ["sums", 100])[0])


def buckets(folder: Path, rounds: int, names: list[str]) -> None:
    """2 ranks × 1 thread, with sums that begin at so many bytes, and with one sum at the end."""
    sizes = {f"{size >> 10} KiB": size for size in (1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)}
    print("| net | " + " | ".join([*sizes, "one sum at the end"]) + " |")
    print("| --- |" + " --- |" * (len(sizes) + 1))
    for name in names:
        rows = {size: [] for size in [*sizes, "end"]}
        for _ in range(rounds):
            for size, bucket in sizes.items():
                rows[size].append(worker(folder, name, 2, 1, bucket=bucket)["ms"])
            rows["end"].append(worker(folder, name, 2, 1, layer_wise=False)["ms"])
        print(f"| {name} | " + " | ".join(spread(row, 1) for row in rows.values()) + " |", flush=True)


# -- over a network ----------------------------------------------------------------------------------------

SPACES = {"10.77.0.1": "mpi-a", "10.77.0.2": "mpi-b"}
TCP = {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "mpi0"}


def network(folder: Path, rounds: int, rate: str, delay: str, names: list[str]) -> None:
    """2 ranks in two network namespaces, with and without overlap, over a link of that rate and delay."""
    launcher = folder / "launch"
    cases = "".join(f"{address}) space={space};; " for address, space in SPACES.items())
    script = f'while [ "${{1#-}}" != "$1" ]; do shift; done\ncase "$1" in {cases} esac\nshift\n'
    launcher.write_text(f'#!/bin/sh\n{script}exec ip netns exec $space sh -c "$*"\n')
    launcher.chmod(0o755)
    options = ["-iface", "mpi0", "-launcher", "ssh", "-launcher-exec", str(launcher), "-ppn", "1"]
    options += ["-hosts", ",".join(SPACES)]
    how = {"options": options, "env": TCP, "before": ["ip", "netns", "exec", next(iter(SPACES.values()))]}
    key = open_link(rate, delay)
    try:
        print(f"A link of {key}.\n")
        print("| net | reduction | ms an iteration | waits for the sum |")
        print("| --- | --- | --- | --- |")
        for name in names:
            rows: dict[bool, list[dict[str, float]]] = {True: [], False: []}
            for _ in range(rounds):
                for layer_wise, row in rows.items():
                    row.append(worker(folder, name, 2, 1, layer_wise=layer_wise, **how))
            for layer_wise, values in rows.items():
                what = "with overlap" if layer_wise else "one sum at the end"
                wait = [100 * row["wait"] / row["ms"] for row in values]
                ms = [row["ms"] for row in values]
                print(f"| {name} | {what} | {spread(ms, 1)} | {spread(wait, 0)} % |", flush=True)
                remember(f"{name}, {key}, {what}", statistics.median(ms))
        remember(f"sums, {key}", launched(2, ["sums", 30], **how)[0])
    finally:
        close_link()


def open_link(rate: str, delay: str) -> str:
    """Two namespaces with a pair of devices of the name mpi0, as slow as is asked for in both directions; returns what
    the link is like: not every kernel can delay packets."""
    close_link()
    first, second = SPACES.values()
    for space in (first, second):
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")
    ip("-n", first, "link", "add", "mpi0", "type", "veth", "peer", "name", "mpi0", "netns", second)
    for address, space in SPACES.items():
        ip("-n", space, "addr", "add", f"{address}/24", "dev", "mpi0")
        ip("-n", space, "link", "set", "mpi0", "up")
        tc = ["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", "mpi0", "root"]
        slow = [*tc, "netem", "delay", delay, "rate", rate, "limit", "10000"]
        if subprocess.run(slow, capture_output=True, check=False).returncode:
            ip(*tc[1:], "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")
            delay = ""
    time.sleep(2)  # until both ends know of each other
    return f"{rate}, {delay or 'no delay (this kernel has no netem)'}"


def close_link() -> None:
    for space in SPACES.values():
        subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


# -- the model ---------------------------------------------------------------------------------------------


def fit(sums: dict[str, float]) -> tuple[float, float]:
    """Latency α in ms and time per byte in ms of the ring's steps, from the sums of two ranks: 2 α + bytes / rate.

    The relative errors are least: small sums tell of α, large ones of the rate.
    """
    import numpy as np

    sizes, times = (np.array([float(x) for x in part]) for part in (sums.keys(), sums.values()))
    matrix = np.stack([2 / times, sizes / times], 1)
    alpha, per_byte = np.linalg.lstsq(matrix, np.ones(len(times)), rcond=None)[0]
    return max(float(alpha), 0.0), float(per_byte)


def predict(
    profile: dict, ranks: int, alpha: float, per_byte: float, slowdown: float = 1, overlap: bool = True
) -> float:
    """Milliseconds of an iteration: sums go over the network one after the other, each once its bucket is ready.

    A ring takes 2 (N − 1) steps, each with a latency and an N-th of the bytes.

    Args:
        slowdown: what computing takes longer by because another rank has the machine's memory, too.
    """
    forward, backward = profile["forward"] * slowdown, profile["backward"] * slowdown
    free = 0.0
    for ready, size in profile["buckets"]:
        begin = max(free, ready * slowdown if overlap else backward)
        free = begin + 2 * (ranks - 1) * (alpha + size / ranks * per_byte)
    return forward + max(backward, free) + profile["update"] * slowdown


def model(plot: str) -> None:
    known = json.loads(RESULTS.read_text())
    print("| net, measured with 2 ranks | ms | the model's | difference |")
    print("| --- | --- | --- | --- |")
    for key, sums in ((key, value) for key, value in known.items() if key.startswith("sums, ")):
        where = key.removeprefix("sums, ")
        alpha, per_byte = fit(sums)
        print(f"| {where}: α = {1e3 * alpha:.0f} µs, {8e-6 / per_byte:.2f} Gbit/s | | | |")
        for name in NETS:
            slowdown = known[f"{name}, 2 by themselves × 1 thread"] / known[f"{name}, 1 rank × 1 thread"]
            names = {f"{name}, 2 ranks × 1 thread": True} if where == "one machine" else {
                f"{name}, {where}, with overlap": True, f"{name}, {where}, one sum at the end": False}  # fmt: skip
            for case, overlap in names.items():
                if case in known:
                    ms = predict(known[f"{name}, profile"], 2, alpha, per_byte, slowdown, overlap)
                    print(f"| {case} | {known[case]:.1f} | {ms:.1f} | {100 * (ms / known[case] - 1):+.0f} % |")
    counts, rates = [2**power for power in range(1, 11)], (1, 10, 100)
    alpha = 0.03  # ms, of a switched network and its software; that of the link above is the 0.2 ms it was given
    print(f"\n| net, 1 thread a rank, α = {1e3 * alpha:.0f} µs | " + " | ".join(map(str, counts)) + " |")
    print("| --- |" + " --- |" * len(counts))
    curves = {}
    for name in NETS:
        profile = known[f"{name}, profile"]
        one = profile["forward"] + profile["backward"] + profile["update"]
        for rate in rates:
            times = [predict(profile, count, alpha, 8e-6 / rate) for count in counts]
            curves[f"{name}, {rate} Gbit/s"] = gains = [
                count * one / ms for count, ms in zip(counts, times, strict=True)
            ]
            print(f"| {name}, {rate} Gbit/s | " + " | ".join(f"{gain:.3g}" for gain in gains) + " |")
    if plot:
        draw(counts, curves, plot)


def draw(counts: list[int], curves: dict[str, list[float]], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    axes.plot(counts, counts, color="0.7", linewidth=1, label="as many times as ranks")
    for label, gains in curves.items():
        axes.plot(
            counts, gains, marker="o", markersize=3, linestyle="-" if label.startswith("Caffe") else "--", label=label
        )
    axes.set(xscale="log", yscale="log", xlabel="ranks of one thread", ylabel="times the images/s of one rank")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    children = {
        "worker": lambda path, *numbers: run_worker(path, *map(int, numbers)),
        "profile": lambda path, threads, iterations: run_profile(path, int(threads), int(iterations)),
        "sums": lambda repeat: run_sums(int(repeat)),
    }
    if sys.argv[1:2] and sys.argv[1] in children:
        children[sys.argv[1]](*sys.argv[2:])
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["speed", "buckets", "network", "model"])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rate", default="1gbit", help="of the link between the namespaces, as tc has it")
    options.add_argument("--delay", default="200us", help="of that link, one way")
    options.add_argument("--plot", default="", help="the file of the model's plot")
    options.add_argument("names", nargs="*", help="the nets; default: both")
    args = options.parse_intermixed_args()
    names = args.names or list(NETS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.what == "speed":
            speed(folder, args.rounds, names)
        elif args.what == "buckets":
            buckets(folder, args.rounds, names)
        elif args.what == "network":
            network(folder, args.rounds, args.rate, args.delay, names)
        else:
            model(args.plot)


if __name__ == "__main__":
    main()
