"""`pycaffe-lite data-info`: what is in a database or an IDX file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from pycaffe_lite.cli.common import start
from pycaffe_lite.cli.terminal import can_show, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pycaffe_lite.data.summary import Summary

KINDS = {"lmdb": "LMDB", "leveldb": "LevelDB", "idx": "IDX file"}
MOST_ROWS, FEW_ROWS = 30, 10  # with more than the one only the other many are shown
BAR = 40


@click.command(short_help="Show what is in a database or an IDX file.")
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
def data_info(source: str, records: int, output: str | None, images: int, rgb: bool) -> None:
    """Show what an LMDB, a LevelDB or an IDX file holds: records, shapes, labels, and the first records.

    \b
    Examples:
      pycaffe-lite data-info mnist_train_lmdb
      pycaffe-lite data-info train-images-idx3-ubyte.gz -o digits.png
    """
    if output and not output.lower().endswith(".png"):
        raise click.UsageError(f"-o needs a file name that ends in .png; got {output}.")
    from pycaffe_lite.cli.progress import progress
    from pycaffe_lite.data.summary import summarize
    from pycaffe_lite.files import check_output, write_output

    start(None, None, quiet=True)
    if output is not None:
        check_output(output)
    with progress("record", None) as track:
        summary = summarize(source, max(records, images if output else 0), track)
    click.echo(printable("\n".join(_lines(source, summary, records))))
    if output:
        from pycaffe_lite.data.contact_sheet import contact_sheet, png_bytes

        write_output(output, png_bytes(contact_sheet(summary.examples[:images], rgb)))


def _lines(source: str, summary: Summary, records: int) -> Iterator[str]:
    yield f"{source}: {KINDS[summary.kind]}, {summary.records} records"
    yield "Shapes:"
    yield from _counts(summary.forms.most_common(), summary.records)
    if summary.labels:
        yield f"Labels: {len(summary.labels)} different, {min(summary.labels)} to {max(summary.labels)}"
        few = len(summary.labels) <= MOST_ROWS
        yield from _counts(sorted(summary.labels.items()) if few else summary.labels.most_common(), summary.records)
    if summary.examples[:records]:
        yield "First records:"
    for example in summary.examples[:records]:
        label = "" if example.label is None else f"  label {example.label}"
        yield f"  {example.key}{label}  {example.form}{_values(example.image)}"


def _values(image: NDArray[Any] | None) -> str:
    return "" if image is None else f", values {image.min():g} to {image.max():g}, mean {image.mean():g}"


def _counts(counts: list[tuple[Any, int]], records: int) -> Iterator[str]:
    """A row for each of some things and how many of them there are, with a bar."""
    shown = counts if len(counts) <= MOST_ROWS else counts[:FEW_ROWS]
    names, numbers = (max(len(str(pair[i])) for pair in shown) for i in (0, 1))
    most = max(count for _, count in shown)
    dot = "█" if can_show("█") else "#"
    for name, count in shown:
        bar = dot * max(1, round(BAR * count / most))
        yield f"  {name!s:>{names}}  {count:>{numbers}}  {100 * count / records:5.1f} %  {bar}"
    if rest := counts[len(shown) :]:
        dots = "…" if can_show("…") else "..."
        yield f"  {dots} and {len(rest)} more, of {rest[-1][1]} to {rest[0][1]} records each"
