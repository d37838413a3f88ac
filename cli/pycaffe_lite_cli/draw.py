"""`pycaffe-lite draw`: a net as a picture."""

from __future__ import annotations

import os

import click

from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@click.argument("model", metavar="NET", type=click.Path())
@click.argument("picture", metavar="[PICTURE]", required=False, type=click.Path(dir_okay=False))
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE",
    help="Where to, as PICTURE: .svg, .png, .pdf, what else Graphviz draws, or .dot for its text.  [default: the text, "
    "printed]",
)  # fmt: skip
@click.option(
    "--rankdir", type=click.Choice(["LR", "RL", "TB", "BT"]), default="LR", show_default=True,
    help="Which way the data flow: left to right, top to bottom, …",
)  # fmt: skip
@click.option(
    "--phase", type=click.Choice(["TRAIN", "TEST", "ALL"]), default="ALL", show_default=True,
    help="The layers of that phase alone.",
)  # fmt: skip
@click.option("--compact", is_flag=True, help="Layers alone, those in place with the one before: for large nets.")
@click.option("--display-lrm", is_flag=True, help="Show the factors of the learning rate.")
@quiet_option
def draw(
    model: str,
    picture: str | None,
    output: str | None,
    rankdir: str,
    phase: str,
    compact: bool,
    display_lrm: bool,
    quiet: bool,
) -> None:
    """Draw NET as Caffe's draw_net does: layers in the colours of their kinds, with kernel, stride and pad; blobs.

    Pictures need Graphviz; its text, a .dot file, needs nothing. With --compact --rankdir TB a page of A3 holds
    GoogLeNet.

    \b
    Examples:
      pycaffe-lite draw configs/lenet/train_test.prototxt -o lenet.dot --phase TRAIN
      pycaffe-lite draw configs/lenet/deploy.prototxt --rankdir TB
    """
    from pycaffe_lite import log
    from pycaffe_lite import phase as phases
    from pycaffe_lite.proto.read import read_net
    from pycaffe_lite.pycaffe.draw import TEXTS, compact_graph, draw_net
    from pycaffe_lite.writing import check_output, write_output

    if compact and display_lrm:
        raise click.UsageError("--compact has no room for --display-lrm; give one of them.")
    if picture is not None and output is not None:
        raise click.UsageError(f"expected one file to write, got PICTURE {picture} and --output {output}.")
    start(None, None, quiet)
    path = output if output is not None else picture
    kind = "dot"
    if path is not None:
        check_output(path)
        kind = os.path.splitext(path)[1][1:].lower()
        if not kind:
            raise click.UsageError(f"{path}: expected a name that ends in .svg, .png, .pdf, .dot or the like.")
    wanted = None if phase == "ALL" else getattr(phases, phase)
    net = read_net(model).param
    if compact:
        graph = compact_graph(net, rankdir, wanted)
        drawn = graph.to_string().encode() if kind in TEXTS else graph.create(format=kind)
    else:
        drawn = draw_net(net, rankdir, kind, wanted, display_lrm)
    if path is None:
        click.echo(drawn.decode(), nl=False)
    else:
        write_output(path, drawn)
        log.info(f"Wrote {path}")
