"""`pycaffe-lite warm-up`: the kernels compiled before they are needed."""

from __future__ import annotations

import click

from pycaffe_lite_cli.options import quiet_option, start


@click.command()
@quiet_option
def warm_up(quiet: bool) -> None:
    """Compile the kernels of pycaffe-lite[fast], so that no training has to wait for it; for images and CI.

    \b
    Example:
      pycaffe-lite warm-up
    """
    import numpy as np

    from pycaffe_lite.kernels import choice

    start(None, None, quiet)
    if choice.kernels() != "numba":
        raise click.ClickException(
            f"There is nothing to compile: {choice.reason()}, so NumPy does the work of the kernels."
        )
    for dtype in (np.float32, np.float64):
        if choice.compiled(np.dtype(dtype)) is None:
            raise click.ClickException("The kernels could not be compiled; the warning above says why.")
    click.echo(f"The kernels are compiled; they are kept in {choice.cache_folder()}")
