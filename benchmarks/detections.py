"""How long DetectionOutput takes for the priors of MobileNet-SSD and SSD 300, with each kind of kernels, in turns.

    python benchmarks/detections.py [--rounds 5] [--repeat 5]

The scores are made up, for 21 classes: `some` are those of a picture with eight objects, where nearly every prior is
background and some hundreds of scores are above the threshold of 0.01; `all` are even ones without a threshold, so that
every box of every class is a candidate. nms_threshold is 0.45 and keep_top_k 200, as published nets have them, or -1.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from pycaffe_lite.kernels import choice
from pycaffe_lite.kernels.boxes import overlaps
from pycaffe_lite.net import Net
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.phase import TEST

CLASSES = 21
MAPS = {
    1917: ((19, 3), (10, 6), (5, 6), (3, 6), (2, 6), (1, 6)),
    8732: ((38, 4), (19, 6), (10, 6), (5, 6), (3, 4), (1, 4)),
}
"""For each number of priors: the maps' sides and how many priors each place has."""

TEXT = """
layer {{ name: "loc" type: "Input" top: "loc" input_param {{ shape {{ dim: 1 dim: {priors4} }} }} }}
layer {{ name: "conf" type: "Input" top: "conf" input_param {{ shape {{ dim: 1 dim: {scores} }} }} }}
layer {{ name: "prior" type: "Input" top: "prior" input_param {{ shape {{ dim: 1 dim: 2 dim: {priors4} }} }} }}
layer {{ name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "found"
  detection_output_param {{ num_classes: {classes} code_type: CENTER_SIZE nms_param {{ nms_threshold: 0.45 {top_k} }}
    {fields} }} }}
"""


def make_priors(count: int) -> np.ndarray:
    """Priors of several sizes and ratios at each place of each map, priors x 4."""
    parts = []
    for level, (side, each) in enumerate(MAPS[count]):
        centres = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1) + 0.5) / side
        for i in range(each):
            ratio = (1, 1, 2, 0.5, 3, 1 / 3)[i]
            size = (0.1 + 0.16 * level + 0.08 * (i == 1)) / 2 * np.array([ratio**0.5, ratio**-0.5])
            parts.append(np.concatenate([centres - size, centres + size], axis=-1).reshape(-1, 4))
    return np.concatenate(parts)


def some_scores(priors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities, priors x classes, for eight objects: the more a prior overlaps one, the surer."""
    logits = rng.normal(0, 1, (len(priors), CLASSES))
    logits[:, 0] += 9
    begin = rng.uniform(0, 0.6, (8, 2))
    objects = np.concatenate([begin, begin + rng.uniform(0.1, 0.4, (8, 2))], axis=1)
    for i, overlap in enumerate(overlaps(objects, priors)):
        logits[:, 1 + 2 * i] += 14 * overlap
    return probabilities(logits)


def probabilities(logits: np.ndarray) -> np.ndarray:
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True)


def make_net(count: int, scores: str, top_k: int, keep: int) -> Net:
    rng = np.random.default_rng(0)
    fields = f"keep_top_k: {keep} " + ("confidence_threshold: 0.01" if scores == "some" else "")
    text = TEXT.format(
        priors4=4 * count, scores=CLASSES * count, classes=CLASSES, fields=fields,
        top_k=f"top_k: {top_k}" if top_k else "",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.prototxt"
        path.write_text(text)
        net = Net(str(path), TEST)
    priors = make_priors(count)
    values = some_scores(priors, rng) if scores == "some" else probabilities(rng.normal(0, 1, (count, CLASSES)))
    net.blobs["loc"].data[...] = rng.normal(0, 0.5, (1, 4 * count))
    net.blobs["conf"].data[...] = values.reshape(1, -1)
    net.blobs["prior"].data[...] = [priors.reshape(-1), np.tile([0.1, 0.1, 0.2, 0.2], count)]
    return net


def median_ms(net: Net, repeat: int) -> float:
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        net.forward()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--repeat", type=int, default=5)
    args = options.parse_args()
    set_num_threads(1)
    kinds = ("numpy", "numba") if importlib.util.find_spec("numba") else ("numpy",)
    print("| priors | scores | candidates | top_k | keep_top_k | found | NumPy, ms, median (least–most) | compiled |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in MAPS:
        for scores in ("some", "all"):
            for top_k, keep in ((400, 200), (0, 200), (0, -1)):
                net = make_net(count, scores, top_k, keep)
                times: dict[str, list[float]] = {kind: [] for kind in kinds}
                rows: list[np.ndarray] = []
                for _ in range(args.rounds):
                    for kind in kinds:
                        choice.use(kind)
                        rows.append(net.forward()["found"].copy())
                        times[kind].append(median_ms(net, args.repeat))
                assert all(np.array_equal(rows[0], other) for other in rows)
                values = net.blobs["conf"].data.reshape(-1, CLASSES)[:, 1:]
                candidates = int((values > (0.01 if scores == "some" else 0)).sum())
                cells = [f"{statistics.median(t):.1f} ({min(t):.1f}–{max(t):.1f})" for t in times.values()]
                keys = [count, scores, f"{candidates:,}", top_k or "unset", keep, rows[0].shape[2], *cells]
                print("| " + " | ".join(map(str, keys)) + " |", flush=True)


if __name__ == "__main__":
    main()
