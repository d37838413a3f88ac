"""What data-info says of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.tools.summaries import Summary, label_text
from pycaffe_lite_cli.terminal import can_show

KINDS = {
    "lmdb": "LMDB",
    "leveldb": "LevelDB",
    "idx": "IDX file",
    "npz": "npz file",
    "csv": "csv file",
    "hdf5": "HDF5 file",
    "hdf5 list": "list of HDF5 files",
    "image list": "list of images",
    "window file": "window file",
    "mean": "mean image",
}
MOST_ROWS, FEW_ROWS = 30, 10  # with more than the one only the other many are shown
BAR = 40


def report_lines(source: str, summary: Summary, records: int) -> Iterator[str]:
    """The text line by line: counts, forms and labels of a source, and its first `records`."""
    yield f"{source}: {KINDS[summary.kind]}, {summary.records} records"
    yield f"{summary.title}:"
    yield from _counts(summary.forms.most_common(), summary.records)
    yield from summary.notes
    yield from _labels(summary.labels)
    if summary.examples[:records]:
        yield "First records:"
    for example in summary.examples[:records]:
        yield f"  {example.key}{_label(example.labels)}  {example.form}{_values(example.image)}"


def _labels(labels: list[Counter[float]]) -> Iterator[str]:
    """One label a record with how often it occurs; of several, a line for each of them."""
    if len(labels) == 1:
        yield f"Labels: {_range(labels[0])}"
        yield from _counts(_rows(labels[0]), sum(labels[0].values()))
    elif labels:
        yield f"Labels: {len(labels)} for each record"
        for i, counts in enumerate(labels[:MOST_ROWS]):
            mean = sum(label * count for label, count in counts.items()) / sum(counts.values())
            yield f"  label {i}: {_range(counts)}, mean {mean:g}"
        if len(labels) > MOST_ROWS:
            yield f"  and {len(labels) - MOST_ROWS} more"


def _rows(labels: Counter[float]) -> list[tuple[str, int]]:
    """Labels and how many have them; of many classes the most frequent first, of many fractions so many intervals."""
    values = np.array(list(labels), np.float64)
    if len(labels) > FEW_ROWS and np.isfinite(values).all() and (values % 1).any():
        counts, edges = np.histogram(values, FEW_ROWS, weights=list(labels.values()))
        texts = [label_text([edge]) for edge in edges]
        pairs = zip(texts, texts[1:], counts.astype(int).tolist(), strict=False)
        return [(f"{low} to {high}", count) for low, high, count in pairs]
    few = len(labels) <= MOST_ROWS
    return [(label_text([label]), count) for label, count in (sorted(labels.items()) if few else labels.most_common())]


def _range(counts: Counter[float]) -> str:
    return f"{len(counts)} different, {label_text([min(counts)])} to {label_text([max(counts)])}"


def _label(labels: Sequence[float] | None) -> str:
    if labels is None:
        return ""
    more = " ..." if len(labels) > FEW_ROWS else ""
    return f"  label{'s' * (len(labels) > 1)} {label_text(labels[:FEW_ROWS])}{more}"


def _values(image: NDArray[Any] | None) -> str:
    if image is None or not image.size:
        return ""
    with np.errstate(all="ignore"):
        return f", values {image.min():g} to {image.max():g}, mean {image.mean():g}"


def _counts(counts: Sequence[tuple[Any, int]], records: int) -> Iterator[str]:
    """A row for each of some things and how many of them there are, with a bar."""
    shown = counts if len(counts) <= MOST_ROWS else counts[:FEW_ROWS]
    names, numbers = (max(len(str(pair[i])) for pair in shown) for i in (0, 1))
    most = max(1, *(count for _, count in shown))
    dot = "█" if can_show("█") else "#"
    for name, count in shown:
        bar = dot * max(min(1, count), round(BAR * count / most))
        yield f"  {name!s:>{names}}  {count:>{numbers}}  {100 * count / max(1, records):5.1f} %  {bar}"
    if rest := counts[len(shown) :]:
        dots = "…" if can_show("…") else "..."
        yield f"  {dots} and {len(rest)} more, of {rest[-1][1]} to {rest[0][1]} records each"
