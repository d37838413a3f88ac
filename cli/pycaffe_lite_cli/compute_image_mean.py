"""`pycaffe-lite compute-image-mean`: the mean image of a database."""

from __future__ import annotations

import contextlib

import click

from pycaffe_lite import log
from pycaffe_lite_cli.options import SOURCES, quiet_option, start
from pycaffe_lite_cli.terminal import progress


@click.command()
@click.argument("source", metavar="INPUT_DB", type=click.Path())
@click.argument("output", metavar="[OUTPUT_FILE]", required=False, type=click.Path())
@click.option("--backend", type=click.Choice(SOURCES), help="The kind of database.  [default: seen from its files]")
@quiet_option
def compute_image_mean(source: str, output: str | None, backend: str | None, quiet: bool) -> None:
    """Compute the mean of a database's images and write it as a .binaryproto, as Caffe's compute_image_mean.

    It goes into a net as transform_param { mean_file: … }; the lines about channels tell what mean_value takes
    in its place. IDX, npz and csv files have means, too.

    \b
    Example:
      pycaffe-lite compute-image-mean cifar10_train_lmdb mean.binaryproto
    """
    from pycaffe_lite.data.open import kind_of, open_kind
    from pycaffe_lite.data.records import length_of
    from pycaffe_lite.tools.means import compute_mean, log_channel_means, mean_bytes
    from pycaffe_lite.writing import check_output, write_output

    start(None, None, quiet)
    if output is not None:
        check_output(output)
    opened = open_kind(source, backend or kind_of(source), with_labels=False)
    with contextlib.closing(opened), progress("image", length_of(opened), quiet) as track:
        mean = compute_mean(opened, track)
    if output is not None:
        log.info(f"Write to {output}", "compute_image_mean.cpp:108")
        write_output(output, mean_bytes(mean))
    log_channel_means(mean)
