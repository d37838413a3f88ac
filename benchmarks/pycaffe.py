"""What Caffe's Python API costs over the engine, and what blobs in C order would, on this machine, in one run.

    python benchmarks/pycaffe.py [--threads 1] [--rounds 10] [passes] [orders] [import]

passes   forward(data=x) of caffe.Net beside the engine's forward_from_to, after a look at all shapes as notebooks
         take it
orders   forward, and forward and backward, with nobody holding arrays, with all parameters pinned to C order, with
         all blobs, and with both
import   `import caffe`, and the engine behind it, in a Python of its own

Times are those of the processor, which a busy machine disturbs less; the cases take turns. The medians of the ratios
within a round count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from models import Writer, caffenet, googlenet

from pycaffe_lite import TEST, Net, door
from pycaffe_lite.net import Net as EngineNet
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.text import parse


def lenet(batch: int) -> str:
    net = Writer("LeNet", batch, 28, 10, channels=1)
    x = net.pool("pool1", net.conv("conv1", "data", 20, 5), "MAX", 2, 2)
    x = net.pool("pool2", net.conv("conv2", x, 50, 5), "MAX", 2, 2)
    net.loss(net.scores("ip2", net.relu(net.fc("ip1", x, 500))))
    return net.text()


def deployed(text: str) -> NetParameter:
    """The net with an Input layer in place of its data, and without its losses."""
    param = parse(text, NetParameter)
    shape = param.layer[0].dummy_data_param.shape[0]
    kept = [layer for layer in param.layer if layer.type not in ("DummyData", "SoftmaxWithLoss")]
    del param.layer[:]
    param.layer.add(name="data", type="Input", top=["data"]).input_param.shape.add().CopyFrom(shape)
    param.layer.extend(kept)
    return param


def compare(title: str, rounds: int, cases: dict[str, Callable[[], object]]) -> None:
    """Prints the median milliseconds of each case, and of its ratios to the first one."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    for i in range(rounds):
        for name in [*cases][:: 1 if i % 2 else -1]:
            begin = time.process_time()
            cases[name]()
            times[name].append(time.process_time() - begin)
    first = times[next(iter(cases))]
    for name, taken in times.items():
        more = statistics.median(mine / base for mine, base in zip(taken, first, strict=True)) - 1
        print(f"| {title} | {name} | {statistics.median(taken) * 1e3:.2f} | {more * 100:+.1f} % |", flush=True)


def passes(rounds: int) -> None:
    nets = {
        "LeNet, batch 64": (lenet(64), 10),
        "CaffeNet, batch 1": (caffenet(1), 2),
        "CaffeNet, batch 10": (caffenet(10), 1),
        "CaffeNet, batch 64": (caffenet(64), 1),
    }
    for title, (text, repeat) in nets.items():
        param = deployed(text)
        engine, net = EngineNet(param, TEST), Net(param, TEST)
        x = np.random.default_rng(1).normal(size=net.blobs["data"].shape).astype(np.float32)
        print(f"# {sum(blob.data.size for blob in net.blobs.values()):,} values in {len(net.blobs)} blobs")
        last = len(engine.nodes) - 1

        def bare(engine: EngineNet = engine, x: np.ndarray = x, last: int = last, repeat: int = repeat) -> None:
            for _ in range(repeat):
                engine.blobs["data"].data[...] = x
                engine.forward_from_to(0, last)

        def ours(net: Net = net, x: np.ndarray = x, repeat: int = repeat) -> None:
            for _ in range(repeat):
                net.forward(data=x)

        compare(
            title,
            rounds if "64" not in title or "LeNet" in title else max(3, rounds // 3),
            {"engine": bare, "caffe.Net": ours},
        )


def orders(rounds: int) -> None:
    for title, text in (
        ("LeNet, batch 64", lenet(64)),
        ("GoogLeNet, batch 1", googlenet(1)),
        ("GoogLeNet, batch 4", googlenet(4)),
    ):
        nets = {}
        for name in ("nothing pinned", "parameters", "blobs", "both"):
            net = nets[name] = EngineNet(parse(text, NetParameter), TRAIN)
            net.forward_backward()
            if name in ("parameters", "both"):
                for blob in net.parameters.blobs:
                    blob.pin()
            if name in ("blobs", "both"):
                for blob in net.blobs.values():
                    blob.pin()
        compare(f"{title}, forward", rounds, {name: net.forward_loss for name, net in nets.items()})
        compare(f"{title}, both ways", rounds, {name: net.forward_backward for name, net in nets.items()})


def imports(rounds: int) -> None:
    def run(code: str) -> float:
        clock = "time.process_time()"
        script = (
            f"import sys, time; sys.path.insert(0, {door.FOLDER!r}); begin = {clock}; {code}; print({clock} - begin)"
        )
        return float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)

    for code in ("import caffe", "import caffe; caffe.Net"):
        print(f"| {code} | {statistics.median(run(code) for _ in range(rounds)) * 1e3:.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["passes", "orders", "import", []])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    set_num_threads(options.threads)
    parts = {"passes": passes, "orders": orders, "import": imports}
    for what in options.what or parts:
        parts[what](options.rounds)


if __name__ == "__main__":
    main()
