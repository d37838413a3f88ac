"""`pycaffe-lite deploy`: the net to run, from the net to train."""

from __future__ import annotations

import click

from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@click.argument("train_val", metavar="TRAIN_VAL", type=click.Path())
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Where to.  [default: printed]")
@click.option(
    "--batch", type=click.IntRange(1, 2**31 - 1), metavar="N", help="The batch size.  [default: that of the TEST net]"
)
@click.option("--level", type=int, default=0, show_default=True, help="The level of the net's state.")
@click.option("--stage", default="", metavar="A,B", help="The stages of the net's state.")
@quiet_option
def deploy(train_val: str, output: str | None, batch: int | None, level: int, stage: str, quiet: bool) -> None:
    """Make of TRAIN_VAL, a net to train and test, the net to run.

    Data layers become Input layers of the shapes they have, losses the predictions they compute (Softmax, Sigmoid, or
    none), Accuracy goes, with all that only it and the losses need. The rest stays as it is written, with its comments.

    \b
    Examples:
      pycaffe-lite deploy configs/lenet/train_test.prototxt -o deploy.prototxt
      pycaffe-lite deploy configs/lenet/train_test.prototxt --batch 1
    """
    from pycaffe_lite.tools.deploy import deploy as make
    from pycaffe_lite.writing import check_output, write_output

    start(None, None, quiet=True)
    if output is not None:
        check_output(output)
    text = make(train_val, batch=batch, level=level, stages=[name for name in stage.split(",") if name])
    if output is None:
        click.echo(text, nl=False)
    else:
        start(None, None, quiet)
        write_output(output, text.encode("utf-8", "surrogateescape"))
        from pycaffe_lite import log

        log.info(f"Wrote {output}")
