"""Curves drawn with characters: Braille dots where the terminal can show them, else letters."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import click

from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.terminal import can_show, wants_color

Point = tuple[float, float]

COLORS = ("bright_blue", "yellow", "green", "bright_magenta", "cyan", "bright_red")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOBODY = -1
SLACK = 1e-6  # a float32 a little off its decimal text counts as that


@dataclass(frozen=True)
class Curve:
    """One curve: y over x.

    Attributes:
        label: what it is, for the legend.
        points: in the order of x; the curve is interrupted where y is not finite.
        jumps: the x of its jumps, which get a guide down to the axis.
    """

    label: str
    points: Sequence[Point]
    jumps: Sequence[float] = ()


@dataclass(frozen=True)
class Style:
    """How a chart is drawn.

    Attributes:
        width: columns of the whole chart.
        height: about how many rows the curves get.
        unicode: Braille dots and ruled lines; else ASCII.
        color: ANSI colours.
        log: a logarithmic y axis, on which only values above 0 have a place.
    """

    width: int = 80
    height: int = 16
    unicode: bool = True
    color: bool = False
    log: bool = False


# -- axes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """Maps values to 0 … 1; its ticks run from one end to the other, or end before it.

    On a logarithmic axis `low` and `high` are powers of ten.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float | None:
        """Where a value lies between the two ends, or None if it has no place."""
        if not math.isfinite(value) or (self.log and value <= 0):
            return None
        return ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)


def stdout_style(log: bool) -> Style:
    """A chart that fits the terminal; 80 columns where there is none."""
    columns, rows = shutil.get_terminal_size((80, 24))
    width, height = min(max(columns, 40), 120), min(max(rows - 8, 10), 24)
    return Style(width, height, can_show("⣿┊┤"), wants_color(), log)


def nice_step(span: float, intervals: int) -> float:
    """The least of 1, 2, 5, 10, 20, … times a power of ten that cuts `span` into at most `intervals`."""
    rough = span / intervals
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= rough * (1 - SLACK))


def x_axis(end: float, intervals: int) -> Axis:
    """From 0 to exactly `end`; the ticks are whole numbers unless it is below 1."""
    step = nice_step(end, intervals)
    if end >= 1:
        step = max(1, round(step))
    ticks = (float(f"{step * i:.12g}") for i in range(int(end / step + SLACK) + 1))
    return Axis(0, end, tuple(ticks))


def y_axis(values: Sequence[float], log: bool) -> Axis:
    """An axis with room for all values that have a place on it.

    Raises:
        CaffeError: if it is logarithmic and no value is above 0.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not log:
        return _linear_axis(min([0.0, *finite]), max([0.0, *finite]))
    positive = [value for value in finite if value > 0]
    if not positive:
        raise CaffeError("A logarithmic axis needs a value above 0, and there is none; leave out --log.")
    return _log_axis(math.log10(min(positive)), math.log10(max(positive)))


def _linear_axis(low: float, high: float) -> Axis:
    high = high if high > low else 1.0
    step = nice_step(high - low, 5)
    first, last = math.floor(low / step + SLACK), math.ceil(high / step - SLACK)
    ticks = tuple(float(f"{step * i:.12g}") for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def _log_axis(low: float, high: float) -> Axis:
    top = math.ceil(high - SLACK)
    bottom = min(math.floor(low + SLACK), top - 1)
    stride = math.ceil((top - bottom) / 5)
    bottom -= (bottom - top) % stride
    return Axis(bottom, top, tuple(float(f"1e{i}") for i in range(bottom, top + 1, stride)), log=True)


# -- the grid of characters ---------------------------------------------------------------------------------


class Canvas:
    """Rows of characters, each of which a curve may fill dot by dot (Braille: two by four) or as a whole."""

    # Braille's bits, by column and by row from the top.
    BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

    def __init__(self, columns: int, rows: int, unicode: bool) -> None:
        self.columns, self.rows, self.unicode = columns, rows, unicode
        self.dots = (2, 4) if unicode else (1, 1)
        self.masks = [[0] * columns for _ in range(rows)]
        self.owners = [[NOBODY] * columns for _ in range(rows)]
        self.text = [[" "] * columns for _ in range(rows)]
        self.paths: dict[tuple[int, int], int] = {}

    def position(self, x: float, y: float) -> tuple[int, int]:
        """The dot, counted from the top left, of a place 0 … 1 along each axis.

        Both ends of the y axis lie within their rows, at the height of the ticks' labels.
        """
        across, down = self.dots
        from_bottom = math.floor(down * (self.rows - 1) * y + down / 2 + 1000 * SLACK)
        return round((across * self.columns - 1) * x), down * self.rows - 1 - from_bottom

    def line(self, start: tuple[int, int], end: tuple[int, int], owner: int) -> None:
        """A straight line of dots."""
        (x0, y0), (x1, y1) = start, end
        length = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(length + 1):
            self._dot(x0 + round((x1 - x0) * i / length), y0 + round((y1 - y0) * i / length), owner)

    def _dot(self, x: int, y: int, owner: int) -> None:
        across, down = self.dots
        column, row = x // across, y // down
        self.masks[row][column] |= self.BITS[x % across][y % down]
        self.owners[row][column] = owner
        self.paths[owner, column] = row

    def paint(self, letters: Sequence[str]) -> None:
        """Turns dots into characters; in ASCII each curve has its letter."""
        for masks, owners, text in zip(self.masks, self.owners, self.text, strict=True):
            for column, mask in enumerate(masks):
                if mask:
                    text[column] = chr(0x2800 + mask) if self.unicode else letters[owners[column]]

    def put(self, row: int, column: int, character: str, owner: int) -> None:
        self.text[row][column], self.owners[row][column] = character, owner

    def row_of(self, column: int, owner: int) -> int | None:
        """A row in which a curve passes through a column, whoever else does."""
        return self.paths.get((owner, column))


def _strokes(curve: Curve, x: Axis, y: Axis, canvas: Canvas) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The straight lines of a curve, as dots; a lone point is a line to itself."""
    before = None
    for at, value in curve.points:
        x_place, y_place = x.place(at), y.place(value)
        dot = None if x_place is None or y_place is None else canvas.position(x_place, y_place)
        if dot is not None and dot != before:
            yield before or dot, dot
        before = dot


def _draw_guides(curve: Curve, owner: int, x: Axis, canvas: Canvas) -> None:
    """Dotted lines from the jumps down to the axis, unless they would stand too close to be told apart."""
    if len(curve.jumps) > canvas.columns:
        return
    places = (x.place(jump) for jump in curve.jumps)
    columns = {canvas.position(place, 0)[0] // canvas.dots[0] for place in places if place is not None}
    if len(columns) > canvas.columns // 4:
        return
    for column in columns:
        for row in reversed(range(canvas.rows)):
            if canvas.masks[row][column]:
                break
            canvas.put(row, column, "┊" if canvas.unicode else ":", owner)


def _draw_letters(curves: int, letters: Sequence[str], canvas: Canvas) -> None:
    """Puts each curve's letter on it now and then, where no other curve has its own."""
    distance = max(12, 3 * curves)
    for owner in range(curves):
        for column in range((2 * owner + 1) * distance // (2 * curves), canvas.columns, distance):
            row = canvas.row_of(column, owner)
            if row is not None:
                canvas.put(row, column, letters[owner], owner)


# -- the whole chart ----------------------------------------------------------------------------------------


def draw(curves: Sequence[Curve], x_name: str, y_name: str, style: Style) -> str:
    """The chart as text, with axes and a legend, without a newline at its end.

    Args:
        curves: at least one, each of at least one point; the x axis runs from 0 to the last x of all.
        x_name, y_name: what the axes show.
        style: the chart's size and means.

    Raises:
        CaffeError: if the y axis is logarithmic and nothing is above 0.
    """
    end = max(curve.points[-1][0] for curve in curves)
    y = y_axis([value for curve in curves for _, value in curve.points], style.log)
    labels = [f"{tick:g}" for tick in y.ticks]
    margin = max(map(len, labels))
    x = x_axis(end, max(1, (style.width - margin - 2) // (len(str(int(end))) + 6)))
    intervals = max(1, len(labels) - 1)
    rows_apart = max(1, round((style.height - 1) / intervals))
    canvas = Canvas(max(10, style.width - margin - 2), rows_apart * intervals + 1, style.unicode)
    letters = ["*"] if len(curves) == 1 else [LETTERS[i % len(LETTERS)] for i in range(len(curves))]
    _draw_curves(curves, letters, x, y, canvas)
    lines = [y_name.rjust(margin), *_rows(canvas, labels, margin, rows_apart, style)]
    lines += _x_axis_rows(x, x_name, canvas, margin)
    return "\n".join([*lines, "", *_legend(curves, letters, style)])


def _draw_curves(curves: Sequence[Curve], letters: Sequence[str], x: Axis, y: Axis, canvas: Canvas) -> None:
    for owner, curve in enumerate(curves):
        for start, end in _strokes(curve, x, y, canvas):
            canvas.line(start, end, owner)
    canvas.paint(letters)
    for owner, curve in enumerate(curves):
        _draw_guides(curve, owner, x, canvas)
    if canvas.unicode and len(curves) > 1:
        _draw_letters(len(curves), letters, canvas)


def _rows(canvas: Canvas, labels: Sequence[str], margin: int, rows_apart: int, style: Style) -> Iterator[str]:
    """The rows of the canvas from the top, each with its piece of the y axis."""
    tick, rule = "┤│" if canvas.unicode else "+|"
    for row in range(canvas.rows):
        above, rest = divmod(canvas.rows - 1 - row, rows_apart)
        head = f"{'' if rest else labels[above]:>{margin}} {rule if rest else tick}"
        yield head + _colored(canvas.text[row], canvas.owners[row], style).rstrip()


def _colored(text: Sequence[str], owners: Sequence[int], style: Style) -> str:
    if not style.color:
        return "".join(text)
    pieces = []
    for owner, group in groupby(zip(text, owners, strict=True), key=lambda pair: pair[1]):
        piece = "".join(character for character, _ in group)
        pieces.append(piece if owner == NOBODY else _in_color(piece, owner))
    return "".join(pieces)


def _in_color(text: str, owner: int) -> str:
    return click.style(text, fg=COLORS[owner % len(COLORS)])


def _x_axis_rows(x: Axis, name: str, canvas: Canvas, margin: int) -> list[str]:
    """The rule with its ticks, their labels, and the name of the axis below."""
    corner, rule, tick = "└─┬" if canvas.unicode else "+-+"
    line, labels = [rule] * canvas.columns, ""
    for value in x.ticks:
        column = canvas.position(x.place(value) or 0, 0)[0] // canvas.dots[0]
        line[column] = tick
        text = f"{value:.12g}"
        start = min(margin + 2 + column - len(text) // 2, margin + 2 + canvas.columns - len(text))
        labels = labels.ljust(start) + text
    axis = f"{' ' * margin} {corner}{''.join(line)}"
    return [axis, labels, name.center(2 * margin + 4 + canvas.columns).rstrip()]


def _legend(curves: Sequence[Curve], letters: Sequence[str], style: Style) -> Iterator[str]:
    for owner, (curve, letter) in enumerate(zip(curves, letters, strict=True)):
        mark = "⠒⠒" if style.unicode and len(curves) == 1 else letter
        mark = _in_color(mark, owner) if style.color else mark
        first, *more = textwrap.wrap(curve.label, max(20, style.width - 6)) or [""]
        yield f"  {mark} {first}"
        yield from (f"      {line}" for line in more)
