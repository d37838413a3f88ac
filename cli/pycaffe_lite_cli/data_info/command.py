"""`pycaffe-lite data-info`: what is in a source of data."""

from __future__ import annotations

import click

from pycaffe_lite_cli.options import start
from pycaffe_lite_cli.terminal import encodable, progress


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "-n",
    "--records",
    type=click.IntRange(0, 10000),
    default=5,
    show_default=True,
    metavar="N",
    help="First records to list.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), metavar="PNG", help="Write a contact sheet of the first images."
)
@click.option(
    "--images",
    type=click.IntRange(1, 2500),
    default=100,
    show_default=True,
    metavar="N",
    help="With -o: how many images.",
)
@click.option(
    "--rgb", is_flag=True, help="With -o: channels are red, green, blue, as in CIFAR; else the reverse, as in Caffe."
)
@click.option(
    "--label-dim",
    type=click.IntRange(1, 10000),
    metavar="K",
    help="For a list of images: real numbers that end each line, its labels; without it one whole number, or none.",
)
@click.option("--root-folder", default="", metavar="TEXT", help="Put before names in lists, as root_folder is in nets.")
def data_info(
    source: str, records: int, output: str | None, images: int, rgb: bool, label_dim: int | None, root_folder: str
) -> None:
    """Show what a source holds: how many records, their shapes, labels, and the first records.

    SOURCE is an LMDB, a LevelDB, an IDX, npz, csv or HDF5 file, a list of HDF5 files or of images, a window file,
    or a mean image.

    \b
    Examples:
      pycaffe-lite data-info mnist_train_lmdb
      pycaffe-lite data-info train-images-idx3-ubyte.gz -o digits.png
      pycaffe-lite data-info train.txt --label-dim 3 --root-folder images/
    """
    if output and not output.lower().endswith(".png"):
        raise click.UsageError(f"-o needs a file name that ends in .png; got {output}.")
    from pycaffe_lite.tools.summaries import summarize
    from pycaffe_lite.writing import check_output, write_output
    from pycaffe_lite_cli.data_info.report import report_lines

    start(None, None, quiet=True)
    if output is not None:
        check_output(output)
    with progress("record", None) as track:
        summary = summarize(source, max(records, images if output else 0), track, label_dim, root_folder)
    click.echo(encodable("\n".join(report_lines(source, summary, records))))
    if output:
        from pycaffe_lite.tools.contact_sheet import contact_sheet, png_bytes

        write_output(output, png_bytes(contact_sheet(summary.examples[:images], rgb)))
