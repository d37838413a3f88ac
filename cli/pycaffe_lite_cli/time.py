"""`pycaffe-lite time`: measure how long each layer takes."""

from __future__ import annotations

import contextlib
import time as clock
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import computing_options, net_state_options, start

if TYPE_CHECKING:
    from pycaffe_lite.net import Net


@click.command()
@click.option("--model", metavar="FILE", help="The net, a prototxt.")
@click.option("--weights", metavar="FILE[,FILE…]", help="Its weights, .caffemodel files; else those of its fillers.")
@click.option("--iterations", type=click.IntRange(1), default=50, show_default=True, help="Passes to measure.")
@click.option("--phase", type=click.Choice(["TRAIN", "TEST"]), default="TRAIN", show_default=True, help="Which net.")
@net_state_options("the net")
@computing_options
def time(
    model: str | None,
    weights: str | None,
    iterations: int,
    phase: str,
    level: int,
    stage: str,
    gpu: str | None,
    threads: int | None,
) -> None:
    """Measure forward and backward of each layer, in milliseconds.

    Layers that training runs as one, as BatchNorm, Scale and ReLU in place, are measured as one, in a line that has
    their names with a + between.

    \b
    Example:
      pycaffe-lite time --model configs/lenet/train_test.prototxt --iterations 100
    """
    if not model:
        raise click.UsageError("Give the net to measure: --model net.prototxt.")
    from pycaffe_lite import phase as phases
    from pycaffe_lite.net import Net

    start(gpu, threads)
    log.info("Use CPU.", "caffe.cpp:343")
    net = Net(model, phase=getattr(phases, phase), level=level, stages=stage.split(","))
    net.flatten()
    with contextlib.closing(net):
        for path in weights.split(",") if weights else ():
            net.copy_from(path)
        log.info("Performing Forward", "caffe.cpp:351")
        log.info(f"Initial loss: {log.number(net.forward_loss())}", "caffe.cpp:356")
        log.info("Performing Backward", "caffe.cpp:357")
        net.backward_from_to(len(net.layers) - 1, 0)
        _measure(net, iterations)


def _measure(net: Net, iterations: int) -> None:
    log.info("*** Benchmark begins ***", "caffe.cpp:365")
    log.info(f"Testing for {iterations} iterations.", "caffe.cpp:366")
    groups = _groups(net)
    forward, backward = [0.0] * len(groups), [0.0] * len(groups)
    begin = clock.perf_counter()
    for iteration in range(1, iterations + 1):
        start_iteration = clock.perf_counter()
        for i, (first, last) in enumerate(groups):
            forward[i] += _timed(net.forward_from_to, first, last)
        for i, (first, last) in reversed(list(enumerate(groups))):
            backward[i] += _timed(net.backward_from_to, last, first)
        milliseconds = (clock.perf_counter() - start_iteration) * 1e3
        log.info(f"Iteration: {iteration} forward-backward time: {milliseconds:.4g} ms.", "caffe.cpp:394")
    total = (clock.perf_counter() - begin) * 1e3
    names = ["+".join(net.layer_names[first : last + 1]) for first, last in groups]
    _print_table(names, forward, backward, iterations, total)


def _groups(net: Net) -> list[tuple[int, int]]:
    """The first and the last of the layers that training runs as one, by number; most are one layer alone."""
    from pycaffe_lite.net.passes import Chain

    lengths = [len(step.nodes) if isinstance(step, Chain) else 1 for step in net.steps]
    ends = list(accumulate(lengths))
    return [(end - length, end - 1) for end, length in zip(ends, lengths, strict=True)]


def _timed(function: Callable[..., object], *args: int) -> float:
    """How long a call takes, in milliseconds."""
    begin = clock.perf_counter()
    function(*args)
    return (clock.perf_counter() - begin) * 1e3


def _print_table(names: list[str], forward: list[float], backward: list[float], iterations: int, total: float) -> None:
    log.info("Average time per layer: ", "caffe.cpp:397")
    for name, ahead, back in zip(names, forward, backward, strict=True):
        log.info(f"{name:>10}\tforward: {log.number(ahead / iterations)} ms.", "caffe.cpp:400")
        log.info(f"{name:>10}\tbackward: {log.number(back / iterations)} ms.", "caffe.cpp:403")
    log.info(f"Average Forward pass: {log.number(sum(forward) / iterations)} ms.", "caffe.cpp:408")
    log.info(f"Average Backward pass: {log.number(sum(backward) / iterations)} ms.", "caffe.cpp:410")
    log.info(f"Average Forward-Backward: {log.number(total / iterations)} ms.", "caffe.cpp:412")
    log.info(f"Total Time: {log.number(total)} ms.", "caffe.cpp:414")
    log.info("*** Benchmark ends ***", "caffe.cpp:415")
