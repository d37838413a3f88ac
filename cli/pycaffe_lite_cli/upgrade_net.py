"""`pycaffe-lite upgrade-net`: older nets in the present form."""

from __future__ import annotations

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("target", metavar="OUT", type=click.Path())
@click.option(
    "--binary/--text", default=None, help="IN is a .caffemodel, or a prototxt.  [default: seen from its contents]"
)
@quiet_option
def upgrade_net(source: str, target: str, binary: bool | None, quiet: bool) -> None:
    """Write a net of an older form, V0 or V1 layers and the like, in the present form.

    A text becomes a text, a .caffemodel a .caffemodel, as by Caffe's upgrade_net_proto_text and
    upgrade_net_proto_binary. (The other commands read older nets as they are.) Exit status 1, after the file
    has been written: something in it has no place in the present form and was left out.

    \b
    Examples:
      pycaffe-lite upgrade-net old.prototxt new.prototxt
      pycaffe-lite upgrade-net old.caffemodel new.caffemodel
    """
    from pycaffe_lite.tools.upgrades import upgrade_net_file

    start(None, None, quiet)
    if not upgrade_net_file(source, target, binary):
        log.error("Some fields had no place in the present form and were left out; see above.")
        raise click.exceptions.Exit(1)
