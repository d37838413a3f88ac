"""`pycaffe-lite upgrade-solver`: older solvers in the present form."""

from __future__ import annotations

import click

from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("target", metavar="OUT", type=click.Path())
@quiet_option
def upgrade_solver(source: str, target: str, quiet: bool) -> None:
    """Write a solver of an older form, with solver_type, in the present one, as Caffe's upgrade_solver_proto_text.

    \b
    Example:
      pycaffe-lite upgrade-solver old_solver.prototxt solver.prototxt
    """
    from pycaffe_lite.tools.upgrades import upgrade_solver_file

    start(None, None, quiet)
    upgrade_solver_file(source, target)
