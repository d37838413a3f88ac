"""The curves of lr-plot as a picture, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pycaffe_lite.errors import MissingExtra
from pycaffe_lite_cli.lr_plot.chart import Curve, y_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
# Okabe and Ito's colours, told apart by colour-blind readers as well; the dashes help in print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
MOST_GUIDES = 50
AXES = ("iteration", "learning rate")


def save(
    curves: Sequence[Curve],
    path: str,
    file_format: str,
    log: bool,
    names: tuple[str, str] = AXES,
) -> None:
    """Draws the curves into a file.

    Args:
        curves: at least one.
        path: the file to write.
        file_format: one of FORMATS.
        log: whether the y axis is logarithmic.
        names: what the axes show, x and y.

    Raises:
        MissingExtra: without matplotlib.
        CaffeError: if the y axis is logarithmic and nothing is above 0.
        OSError: if the file cannot be written.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingExtra("Charts in PNG, SVG and PDF files", "plot") from None
    y_axis([value for curve in curves for _, value in curve.points], log)  # refuses what has no place on it
    # A fixed salt and no date: the same curves give the same file.
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "lr-plot", "font.size": 10}):
        _figure(curves, log, names).savefig(path, format=file_format, metadata=dates.get(file_format))


def _figure(curves: Sequence[Curve], log: bool, names: tuple[str, str] = AXES) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4 + 0.25 * len(curves)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for index, curve in enumerate(curves):
        _draw_curve(axes, curve, index, len(curves))
    _dress(axes, max(curve.points[-1][0] for curve in curves), log, names)
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def _draw_curve(axes: Axes, curve: Curve, index: int, curves: int) -> None:
    xs, ys = zip(*curve.points, strict=True)
    color, dashes = COLORS[index % len(COLORS)], DASHES[index % len(DASHES)]
    # The first are the widest, so that they show where later ones cover them.
    width = 1.7 + 2 * (curves - 1 - index) / max(curves, 4)
    axes.plot(xs, ys, dashes, color=color, linewidth=width, label=_plain(curve.label))
    if len(curve.jumps) > MOST_GUIDES:
        return
    for jump in curve.jumps:
        axes.axvline(jump, color=color, linewidth=1, linestyle=":", zorder=1)


def _plain(label: str) -> str:
    """A label as it is, where matplotlib would read mathematics or hide it."""
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label


def _dress(axes: Axes, end: float, log: bool, names: tuple[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(_plain(names[0]))
    axes.set_ylabel(_plain(names[1]))
    axes.set_xlim(0, end)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    if end >= 1:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter("{x:.0f}")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
