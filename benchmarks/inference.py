"""How fast deploy nets run forward: plain, planned, and OpenCV's DNN module, on this machine, in one run.

    python benchmarks/inference.py [--threads 2] [--batch 1] [--rounds 5] [--repeat 10] [NAME …]

For each net: this project with each kind of kernels that is installed, plain and planned (`Net.plan`), and OpenCV where
its DNN module still reads Caffe's files (up to 4.14; pip install opencv-python-headless==4.14.0.94). Every measurement
has a process of its own; they take turns. The weights are random ones, in a file that all of them read; what they give
is compared. Nets of Caffe's forks are for one image; OpenCV runs those whose layers it has.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from models import caffenet, deploy, googlenet, mobilenet, resnet50, squeezenet
from one_shot_nets import mobilenet_ssd, ssd300
from pixel_nets import segnet

from pycaffe_lite.net import Net
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.phase import TEST
from pycaffe_lite.proto.printer import to_text
from pycaffe_lite.rng import set_random_seed

TRAINED: dict[str, Callable[[], str]] = {
    "CaffeNet": caffenet,
    "GoogLeNet": googlenet,
    "SqueezeNet 1.1": squeezenet,
    "ResNet-50": resnet50,
    "MobileNet": mobilenet,
}
DEPLOYED: dict[str, Callable[[], str]] = {
    "MobileNet-SSD 300": mobilenet_ssd,
    "SSD 300": ssd300,
    "SegNet 360x480": segnet,
}
NETS = TRAINED | DEPLOYED


def write_net(text: str, batch: int, folder: str) -> None:
    """The files net.prototxt and net.caffemodel, with statistics of batches that keep the values in bounds."""
    path = Path(folder) / "net.prototxt"
    path.write_text(to_text(deploy(text, batch)) if "DummyData" in text else text)
    set_random_seed(1)
    net = Net(str(path), TEST)
    rng = np.random.default_rng(0)
    for node in net.nodes:
        blobs = node.layer.blobs
        if node.layer.layer_param.type == "BatchNorm":
            blobs[0].data[...] = rng.normal(0, 0.1, blobs[0].shape)
            blobs[1].data[...] = rng.uniform(1, 3, blobs[1].shape)
            blobs[2].data[...] = 1
        elif node.layer.layer_param.type == "Scale":
            blobs[0].data[...] = rng.uniform(0.8, 1.2, blobs[0].shape)
            blobs[1].data[...] = rng.normal(0, 0.1, blobs[1].shape)
    net.save(str(Path(folder) / "net.caffemodel"))


def images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def median_ms(run: Callable[[], object], repeat: int) -> float:
    times = []
    for _ in range(repeat + 2):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[2:]) * 1e3


def beginning(out: np.ndarray) -> list[float]:
    """Some values to compare; of detections, which OpenCV does not order by class and fills up with zeros, the best."""
    if out.shape[-1] == 7:
        rows = out.reshape(-1, 7)
        rows = rows[rows[:, 2] > 0]
        out = rows[np.argsort(-rows[:, 2], kind="stable")]
    return out.ravel()[:50].tolist()


def run_ours(folder: str, threads: int, repeat: int, planned: bool) -> None:
    set_num_threads(threads)
    net = Net(f"{folder}/net.prototxt", TEST, weights=f"{folder}/net.caffemodel")
    if planned:
        net.plan()
    net.blobs["data"].data[...] = images(net.blobs["data"].shape)
    ms = median_ms(net.forward, repeat)
    print(json.dumps({"ms": ms, "out": beginning(net.blobs[net.outputs[0]].data)}))


def run_opencv(folder: str, threads: int, repeat: int) -> None:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromCaffe(f"{folder}/net.prototxt", f"{folder}/net.caffemodel")
    data = images(tuple(Net(f"{folder}/net.prototxt", TEST).blobs["data"].shape))

    def run() -> np.ndarray:
        net.setInput(data)
        return net.forward()

    ms = median_ms(run, repeat)
    print(json.dumps({"ms": ms, "out": beginning(run())}))


def child(mode: str, folder: str, threads: int, repeat: int) -> dict[str, list[float]] | None:
    """A measurement in a process of its own; None if what it needs is not there."""
    kernels = "numba" if mode.endswith("fast") else "numpy"
    env = {**os.environ, "PYCAFFE_LITE_KERNELS": kernels}
    command = [sys.executable, __file__, "--child", mode, folder, str(threads), str(repeat)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if run.returncode:
        print(f"{mode}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(run.stdout)


MODES: Mapping[str, Callable[[str, int, int], None]] = {
    "NumPy": partial(run_ours, planned=False),
    "NumPy, planned": partial(run_ours, planned=True),
    "fast": partial(run_ours, planned=False),
    "planned, fast": partial(run_ours, planned=True),
    "OpenCV": run_opencv,
}


def measure(name: str, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_net(NETS[name](), args.batch, folder)
        results: dict[str, list[dict[str, list[float]]]] = {}
        for _ in range(args.rounds):
            for mode in MODES:
                value = child(mode, folder, args.threads, args.repeat)
                if value is not None:
                    results.setdefault(mode, []).append(value)
    theirs = results.get("OpenCV", [])
    expected = np.array(results["NumPy"][0]["out"])
    for mode, values in results.items():
        times = [value["ms"] for value in values]
        ratio = f"{statistics.median(a / b['ms'] for a, b in zip(times, theirs, strict=True)):.2f}" if theirs else ""
        out = np.array(values[0]["out"])
        differs = np.abs(out - expected).max() / np.abs(expected).max() if out.shape == expected.shape else np.inf
        spread = f"{statistics.median(times):.1f} ({min(times):.1f}–{max(times):.1f})"
        print(f"| {name} | {mode} | {spread} | {ratio} | {differs:.0e} |", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        mode, folder, threads, repeat = sys.argv[2:]
        MODES[mode](folder, int(threads), int(repeat))
        return
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--repeat", type=int, default=10)
    options.add_argument("names", nargs="*", help="parts of the names of the nets to measure; default: all")
    args = options.parse_args()
    print(
        f"| net, batch {args.batch}, {args.threads} threads | | ms, median (least–most) | times OpenCV | differs by |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name in NETS:
        if not args.names or any(part.lower() in name.lower() for part in args.names):
            measure(name, args)


if __name__ == "__main__":
    main()
