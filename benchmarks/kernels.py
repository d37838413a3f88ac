"""What the compiled kernels gain: one pass by NumPy's, one by the compiled ones, in turns, in one process.

    python benchmarks/kernels.py [--threads 2] [--rounds 7] [LeNet CIFAR MobileNet …]
    python benchmarks/kernels.py --layers 12 CIFAR      the layers that gain or lose most, least times

Needs pip install 'pycaffe-lite[fast]'. LeNet is a training iteration with its update, the others are forward and
backward.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from models import MODELS

from pycaffe_lite import TRAIN
from pycaffe_lite.kernels import choice
from pycaffe_lite.net import Net
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.solvers.registry import get_solver

SOLVER = Path(__file__).resolve().parent.parent / "configs/lenet/smoke_solver.prototxt"
KINDS = ("numpy", "numba")


def milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def make_net(name: str) -> Net:
    """The net with its images in memory, after a pass."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        path.write_text(MODELS[name]())
        net = Net(str(path), TRAIN)
    net.flatten()
    net.forward_loss()
    return net


def compare(name: str, run: Callable[[], object], rounds: int, times: int) -> None:
    """Prints the least time of each kind, and the median of the rounds' ratios."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            choice.use(kind)
            run()
            found[kind].append(statistics.median(milliseconds(run) for _ in range(times)))
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    least = [min(values) for values in found.values()]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    print(f"| {name} | {least[0]:.1f} | {least[1]:.1f} | {spread} |", flush=True)


def compare_layers(name: str, rounds: int, most: int) -> None:
    """Prints the steps of a net whose least times differ most."""
    net = make_net(name)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(rounds):
        for kind in KINDS:
            choice.use(kind)
            for way, steps in (("forward", net.steps[1:]), ("backward", net.steps[:0:-1])):
                for step in steps:
                    label = getattr(step, "nodes", (step,))[0].name
                    taken = milliseconds(step.forward if way == "forward" else step.backward)
                    times = found.setdefault((label, way), {})
                    times[kind] = min(times.get(kind, taken), taken)
    for (label, way), times in sorted(found.items(), key=lambda item: -abs(item[1]["numpy"] - item[1]["numba"]))[:most]:
        print(f"| {name}, {label} {way} | {times['numpy']:.2f} | {times['numba']:.2f} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--layers", type=int, default=0)
    options.add_argument("names", nargs="*", help="parts of the names of the nets to measure; default: all")
    args = options.parse_args()
    set_num_threads(args.threads)
    names = [n for n in ("LeNet", *MODELS) if not args.names or any(part.lower() in n.lower() for part in args.names)]
    if not args.layers:
        print(f"| {args.threads} threads | NumPy, least ms | compiled, least ms | ratio, median (least–most) |")
        print("| --- | --- | --- | --- |")
    for name in names:
        if name == "LeNet":
            solver = get_solver(str(SOLVER))
            compare(name, lambda s=solver: s.step(1), args.rounds, 10)
        elif args.layers:
            compare_layers(name, args.rounds, args.layers)
        else:
            net = make_net(name)

            def run(net: Net = net) -> None:
                net.clear_param_diffs()
                net.forward_from_to(1, len(net.layers) - 1)
                net.backward_from_to(len(net.layers) - 1, 1)

            compare(name, run, args.rounds, 1)


if __name__ == "__main__":
    main()
