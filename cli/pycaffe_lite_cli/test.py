"""`pycaffe-lite test`: score a model."""

from __future__ import annotations

import click

from pycaffe_lite_cli.common import computing_options, quiet_option, start


@click.command(short_help="Score a model: the outputs of its TEST net, averaged.")
@click.option("--model", metavar="FILE", help="The net, a prototxt.")
@click.option("--weights", metavar="FILE[,FILE…]", help="Its weights, .caffemodel files.")
@click.option("--iterations", type=click.IntRange(1), default=50, show_default=True, help="Batches to run.")
@click.option("--level", type=int, default=0, show_default=True, help="The level of the net's state.")
@click.option("--stage", default="", metavar="A,B", help="The stages of the net's state.")
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
    from pycaffe_lite import log
    from pycaffe_lite.net import Net
    from pycaffe_lite.phase import TEST

    start(gpu, threads, quiet)
    log.info("Use CPU.")
    net = Net(model, phase=TEST, level=level, stages=stage.split(","))
    for path in weights.split(","):
        net.copy_from(path)
    log.info(f"Running for {iterations} iterations.")
    try:
        _score(net, iterations)
    finally:
        net.close()


def _score(net, iterations: int) -> None:  # type: ignore[no-untyped-def]
    from pycaffe_lite import log
    from pycaffe_lite.solvers.loop import net_outputs, output_text

    loss, sums = 0.0, [0.0] * 0
    for batch in range(iterations):
        loss += net.forward_loss()
        outputs = net_outputs(net)
        sums = [total + output.value for total, output in zip(sums or [0.0] * len(outputs), outputs, strict=True)]
        for output in outputs:
            log.info(f"Batch {batch}, {output.name} = {log.number(output.value)}")
    log.info(f"Loss: {log.number(loss / iterations)}")
    for output, total in zip(outputs, sums, strict=True):
        log.info(output_text(output._replace(value=total / iterations)))
