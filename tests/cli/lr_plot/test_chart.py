"""Charts of characters: exact small pictures, axes, and what they refuse."""

from __future__ import annotations

import math

import click
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite_cli.lr_plot.chart import Curve, Style, draw, nice_step, x_axis, y_axis

STEP = Curve("a step", [(0, 0.02), (10, 0.02), (10, 0.01), (20, 0.01)], jumps=[10])
RISE = Curve("a rise", [(0, 0.0), (20, 0.02)])

ONE_IN_BRAILLE = """
    y
 0.02 ┤⠒⠒⠒⠒⠒⠒⠒⠒⠒⡆
0.015 ┤         ⡇
 0.01 ┤         ⠓⠒⠒⠒⠒⠒⠒⠒⠒⠒
0.005 ┤         ┊
    0 ┤         ┊
      └┬────────┬────────┬
       0       10       20
                x

  ⠒⠒ a step
"""

ONE_IN_ASCII = """
    y
 0.02 +**********
0.015 +         *
 0.01 +         **********
0.005 +         :
    0 +         :
      ++--------+--------+
       0       10       20
                x

  * a step
"""

TWO_IN_BRAILLE = """
    y
 0.02 ┤⠒⠒⠒A⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒A⡆             ⣀⠤⠒
      │                ⡇         ⣀⠤⠒⠉
0.015 ┤                ⡇     ⣀⠤⠒⠉
      │                ⡇ ⣀⠤⠒B
 0.01 ┤              ⣀⠤⠓⠛⠒⠒⠒⠒⠒⠒⠒⠒⠒A⠒⠒⠒⠒⠒
      │          ⣀⠤⠒⠉  ┊
0.005 ┤      ⣀⠤⠒B      ┊
      │  ⣀⠤⠒⠉          ┊
    0 ┤⠒⠉              ┊
      └┬───────┬───────┬───────┬───────┬
       0       5      10      15      20
                       x

  A a step
  B a rise
"""

TWO_IN_ASCII = """
    y
 0.02 +AAAAAAAAAA      BBB
0.015 +         A  BBBB
 0.01 +       BBBBBAAAAAAA
0.005 +   BBBB  :
    0 +BBB      :
      ++--------+--------+
       0       10       20
                x

  A a step
  B a rise
"""

LOGARITHMIC = """
   y
   1 +**                 *
     |  **
 0.1 +    ***
     |       **
0.01 +         **
     ++---------+--------+
      0        20       40
               x

  * a fall
"""

FALL = Curve("a fall", [(0, 1), (20, 0.01), (30, 0), (40, 1)])


@pytest.mark.parametrize(
    ("curves", "style", "expected"),
    [
        ([STEP], Style(26, 5), ONE_IN_BRAILLE),
        ([STEP], Style(26, 5, unicode=False), ONE_IN_ASCII),
        ([STEP, RISE], Style(40, 9), TWO_IN_BRAILLE),
        ([STEP, RISE], Style(26, 5, unicode=False), TWO_IN_ASCII),
        ([FALL], Style(26, 5, unicode=False, log=True), LOGARITHMIC),
    ],
)
def test_pictures(curves, style, expected):
    assert draw(curves, "x", "y", style) == expected.strip("\n")


def test_colors_are_the_only_difference():
    plain = draw([STEP, RISE], "x", "y", Style(40, 9))
    colored = draw([STEP, RISE], "x", "y", Style(40, 9, color=True))
    assert "\x1b[94m" in colored
    assert "\x1b[33m" in colored
    assert [line.rstrip() for line in click.unstyle(colored).splitlines()] == plain.splitlines()


@pytest.mark.parametrize("style", [Style(width=40), Style(width=80), Style(width=120), Style(width=80, unicode=False)])
@pytest.mark.parametrize("end", [1, 7, 20, 9999, 2**31 - 1])
def test_a_chart_keeps_to_its_width(style, end):
    label = "a label of many words that goes on and on, " * 4
    curves = [Curve(label, [(0, 1e-7), (end, 3e38)]), Curve(label, [(0, -3e38), (end, 0)])]
    assert max(map(len, draw(curves, "x", "y", style).splitlines())) <= style.width


def test_what_is_not_finite_is_left_out():
    curve = Curve("a gap", [(0, 1), (4, 1), (5, math.nan), (10, math.inf), (19, 1), (20, 1)])
    rows = draw([curve], "x", "y", Style(26, 5, unicode=False)).splitlines()
    assert rows[1] == "  1 +*****              **"
    assert "*" not in "".join(rows[2:-1])


def test_jumps_too_dense_to_be_told_apart_have_no_guides():
    few = Curve("", [(0, 1), (100, 1)], jumps=[50])
    many = Curve("", [(0, 1), (100, 1)], jumps=range(1, 100))
    assert ":" in draw([few], "x", "y", Style(unicode=False))
    assert ":" not in draw([many], "x", "y", Style(unicode=False))


def test_more_curves_than_letters():
    text = draw([Curve(f"curve {i}", [(0, i), (9, i)]) for i in range(30)], "x", "y", Style())
    assert "  Z curve 25" in text
    assert "  A curve 26" in text


@pytest.mark.parametrize(
    ("span", "intervals", "expected"),
    [(10, 5, 2), (10, 4, 5), (10, 10, 1), (0.05, 5, 0.01), (7, 5, 2), (101, 1, 200), (3e38, 5, 1e38)],
)
def test_nice_step(span, intervals, expected):
    assert nice_step(span, intervals) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([0.01], False, (0, 0.002, 0.004, 0.006, 0.008, 0.01)),
        ([0.05000000074505806], False, (0, 0.01, 0.02, 0.03, 0.04, 0.05)),
        ([-1, 1], False, (-1, -0.5, 0, 0.5, 1)),
        ([0], False, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ([math.nan], False, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ([0.01], True, (0.001, 0.01)),
        ([0.5, 0.002, 0, -1], True, (0.001, 0.01, 0.1, 1)),
        ([1, 1e-12], True, (1e-12, 1e-9, 1e-6, 1e-3, 1)),
    ],
)
def test_ticks_of_the_y_axis(values, log, ticks):
    assert y_axis(values, log).ticks == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("end", "intervals", "ticks"), [(10000, 5, [0, 2000, 4000, 6000, 8000, 10000]), (3, 9, [0, 1, 2, 3])]
)
def test_ticks_of_the_x_axis_are_whole(end, intervals, ticks):
    assert list(x_axis(end, intervals).ticks) == ticks


def test_a_logarithmic_axis_needs_a_value_above_zero():
    with pytest.raises(CaffeError, match="needs a value above 0"):
        draw([Curve("", [(0, 0.0), (1, -1.0)])], "x", "y", Style(log=True))
