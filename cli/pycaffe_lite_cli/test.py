"""`pycaffe-lite test`: score a model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import computing_options, net_state_options, quiet_option, start

if TYPE_CHECKING:
    from pycaffe_lite.solvers.report import Output


@click.command()
@click.option("--model", metavar="FILE", help="The net, a prototxt.")
@click.option("--weights", metavar="FILE[,FILE…]", help="Its weights, .caffemodel files.")
@click.option("--iterations", type=click.IntRange(1), default=50, show_default=True, help="Batches to run.")
@net_state_options("the net")
@computing_options
@quiet_option
def test(
    model: str | None,
    weights: str | None,
    iterations: int,
    level: int,
    stage: str,
    gpu: str | None,
    threads: int | None,
    quiet: bool,
) -> None:
    """Run a net's TEST phase and print the mean of each output.

    \b
    Example:
      pycaffe-lite test --model configs/lenet/train_test.prototxt --weights lenet_iter_10000.caffemodel --iterations 100
    """
    if not model:
        raise click.UsageError("Give the net to score: --model net.prototxt.")
    if not weights:
        raise click.UsageError("Give its weights: --weights net.caffemodel.")
    from pycaffe_lite.net import Net
    from pycaffe_lite.phase import TEST
    from pycaffe_lite.solvers.outputs import mean_outputs, output_text

    start(gpu, threads, quiet)
    log.info("Use CPU.", "caffe.cpp:275")
    net = Net(model, phase=TEST, level=level, stages=stage.split(","))
    with contextlib.closing(net):
        for path in weights.split(","):
            net.copy_from(path)
        net.plan()
        log.info(f"Running for {iterations} iterations.", "caffe.cpp:281")
        means = mean_outputs(net, range(iterations), _log_batch)
    log.info(f"Loss: {log.number(means.loss)}", "caffe.cpp:309")
    for output in means.outputs:
        log.info(output_text(output), "caffe.cpp:321")


def _log_batch(batch: int, outputs: list[Output]) -> None:
    for output in outputs:
        log.info(f"Batch {batch}, {output.name} = {log.number(output.value)}", "caffe.cpp:304")
