"""Nets and solvers from short texts, for tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.text import parse
from pycaffe_lite.solvers.registry import get_solver
from pycaffe_lite.solvers.sgd import SGDSolver
from rigs.idx_files import write_idx


def net_param(text: str) -> NetParameter:
    return parse(text, NetParameter)


def make_net(text: str, phase: int = TRAIN, **options: Any) -> Net:
    """The net of a text, in a phase."""
    return Net(net_param(text), phase, **options)


def layer(name: str, kind: str, bottom: Sequence[str] = (), top: Sequence[str] = (), more: str = "") -> str:
    """The text of a layer; `more` is what else stands in it."""
    blobs = " ".join([f'bottom: "{blob}"' for blob in bottom] + [f'top: "{blob}"' for blob in top])
    return f'layer {{ name: "{name}" type: "{kind}" {blobs} {more} }}\n'


def inputs(**shapes: Sequence[int]) -> str:
    """An Input layer with these tops."""
    texts = [f"shape {{ {' '.join(f'dim: {length}' for length in shape)} }}" for shape in shapes.values()]
    return layer("in", "Input", top=list(shapes), more=f"input_param {{ {' '.join(texts)} }}")


def inner_product(name: str, bottom: str, outputs: int, more: str = "", param: str = "", top: str = "") -> str:
    """An InnerProduct layer with random weights; its top has its name unless given."""
    filler = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'
    text = f"inner_product_param {{ num_output: {outputs} {filler} {param} }} {more}"
    return layer(name, "InnerProduct", [bottom], [top or name], text)


def softmax_loss(bottom: str, label: str = "label", more: str = "") -> str:
    return layer("loss", "SoftmaxWithLoss", [bottom, label], ["loss"], more)


def fill(net: Net, generator: np.random.Generator, **integers: int) -> None:
    """Random values for the inputs: normal ones, or for those named, whole numbers below the one given."""
    for name in net.inputs:
        data = net.blobs[name].data
        if name in integers:
            data[...] = generator.integers(0, integers[name], data.shape)
        else:
            data[...] = generator.normal(size=data.shape)


def write_solver(folder: Path, net: str, solver: str) -> Path:
    """Writes net.prototxt and solver.prototxt, which names it; returns the path of the solver."""
    (folder / "net.prototxt").write_text(net)
    path = folder / "solver.prototxt"
    path.write_text(f'net: "net.prototxt"\n{solver}\n')
    return path


def make_solver(folder: Path, net: str, solver: str) -> SGDSolver:
    """The solver of a net's text and of what its own text says besides `net:`."""
    made = get_solver(str(write_solver(folder, net, solver)))
    assert isinstance(made, SGDSolver)
    return made


def iter_size_weights(folder: Path, generator: np.random.Generator, text: str) -> list[np.ndarray]:
    """The weights after four iterations of four passes through 2 records, and of one through 8, of the same source."""
    write_idx(folder / "images", generator.integers(0, 256, (24, 4, 4)))
    write_idx(folder / "labels", np.arange(24) % 3)
    weights = []
    for batch, iter_size in ((2, 4), (8, 1)):
        param = f'data_param {{ source: "images" backend: IDX batch_size: {batch} }} transform_param {{ scale: 0.01 }}'
        net = layer("data", "Data", top=["x", "label"], more=param) + inner_product("fc", "x", 3) + softmax_loss("fc")
        solver = make_solver(folder, net, f"{text} iter_size: {iter_size} random_seed: 1")
        solver.step(4)
        solver.close()
        weights.append(solver.net.params["fc"][0].data.copy())
    return weights


def data_threads() -> int:
    """How many threads read data."""
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def messages(lines: Sequence[str]) -> list[str]:
    """Log lines without their heads."""
    return [line.split("] ", 1)[1] for line in lines]


def logged() -> list[str]:
    """A list that receives all log lines from now on, to the end of the test."""
    lines: list[str] = []
    log.set_level("I")
    log.set_sink(lines.append)
    return lines
