"""Normal values by the ziggurat, exactly as Caffe's random library draws them, a block of words at a time.

Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables" (2000). The bell is covered by
layers of equal area, the widest first. One 32-bit word picks a layer and a place in it, and 97 words of 100
give a value at once. The others need more words, as many as it takes, so their order is everything: a block
is computed as if every word gave its value, and then only the exceptions are walked, in order.

All arithmetic is float32, rounded where Caffe rounds: a last bit can decide how many words a value takes, and
with that every value behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]

_UNIT_24 = np.float32(2.0**-24)
_UNIT_32 = np.float32(2.0**-32)
_ROUNDS_TO_ONE = 2**32 - 128  # from here on a word over 2**32 is 1.0 in float32, and is drawn again


def _edges(
    layers: int,
    start: float,
    area: float,
    height: Callable[[float], float],
    inverse: Callable[[float], float],
) -> NDArray[np.float64]:
    """The right edges of the layers, widest first, then 0; `start` is where the tail begins."""
    edges = [area / height(start), start]
    while len(edges) < layers:
        edges.append(inverse(height(edges[-1]) + area / edges[-1]))
    return np.array([*edges, 0.0])


class _Layers:
    """A ziggurat's tables.

    Layer i reaches from 0 to x[i]. Its wedge, `width` by `rise`, lies between x[i + 1] and x[i], above y[i].
    """

    def __init__(self, edges: NDArray[np.float64], height: Callable[[NDArray], NDArray]) -> None:
        heights = height(edges)
        heights[0] = 0.0
        self.edges = edges
        self.x: Floats = edges.astype(np.float32)
        self.y: Floats = heights.astype(np.float32)
        self.width: Floats = (edges[:-1] - edges[1:]).astype(np.float32)
        self.rise: Floats = (heights[1:] - heights[:-1]).astype(np.float32)


_NORMAL = _Layers(
    _edges(
        128,
        3.442619855899,
        9.91256303526217e-3,
        lambda x: math.exp(-x * x / 2),
        lambda y: math.sqrt(-2 * math.log(y)),
    ),
    lambda x: np.exp(-x * x / 2),
)
_EXPONENTIAL = _Layers(
    _edges(256, 7.69711747013104972, 3.9496598225815571993e-3, lambda x: math.exp(-x), lambda y: -math.log(y)),
    lambda x: np.exp(-x),
)


def _least_irregular() -> Words:
    """For each layer the least word, its lower 8 bits 0, whose value lies outside the next layer's edge."""
    x, inner = _NORMAL.x[:-1], _NORMAL.edges[1:]
    near = (inner / _NORMAL.edges[:-1] * 2**24).astype(np.int64)
    places = np.maximum(near + np.arange(-4, 5)[:, None], 0)
    outside = (places.astype(np.float32) * _UNIT_24 * x).astype(np.float64) >= inner
    least = places[outside.argmax(axis=0), np.arange(len(x))]
    return (least << 8).astype(np.uint32)


# By the lower 8 bits of a word: bit 0 is the sign (1: plus), the others the layer.
_BY_BYTE = np.arange(256)
_SCALE: Floats = _NORMAL.x[_BY_BYTE >> 1] * _UNIT_24 * np.where(_BY_BYTE & 1, 1, -1).astype(np.float32)
_LIMIT: Words = _least_irregular()[_BY_BYTE >> 1]
_CONVEX: NDArray[np.bool_] = _NORMAL.edges >= 1


class _Cursor:
    """Words one by one: the rest of a block, then what the generator gives next."""

    def __init__(self, words: Words, more: Callable[[], int]) -> None:
        self.words = words
        self.more = more
        self.position = 0

    def take(self) -> int:
        self.position += 1
        return int(self.words[self.position - 1]) if self.position <= len(self.words) else self.more()

    def take_fraction(self) -> int:
        """A word that is below 1 when divided by 2**32 in float32."""
        while (word := self.take()) >= _ROUNDS_TO_ONE:
            pass
        return word


def normals(words: Words, more: Callable[[], int]) -> Floats:
    """Values of mean 0 and deviation 1.

    Args:
        words: the next words of the generator; all are used.
        more: gives the word after them, and so on, should the last value need it.

    Returns:
        as many values as the words give, in order: never more than words, 4 % fewer in the mean.
    """
    byte = (words & np.uint32(255)).astype(np.intp)
    values: Floats = (words >> np.uint32(8)).view(np.int32).astype(np.float32)
    values *= _SCALE[byte]
    irregular = np.flatnonzero(words >= _LIMIT[byte])
    if not irregular.size:
        return values
    keep = np.ones(len(words), np.bool_)
    _resolve(words, more, irregular, values, keep)
    return values[keep]


def _resolve(
    words: Words,
    more: Callable[[], int],
    irregular: NDArray[np.intp],
    values: Floats,
    keep: NDArray[np.bool_],
) -> None:
    """Walks the words that give no value at once: mends `values`, strikes from `keep` what is no value."""
    layers = (words[irregular] & np.uint32(255)) >> np.uint32(1)
    following = np.append(words, np.uint32(2**32 - 1))[irregular + 1]
    cursor = _Cursor(words, more)
    wedges: list[int] = []
    fractions: list[int] = []
    for place, layer, fraction in zip(irregular.tolist(), layers.tolist(), following.tolist(), strict=True):
        if place < cursor.position:
            continue  # it served the value before it
        if layer and fraction < _ROUNDS_TO_ONE:
            cursor.position = place + 2
            wedges.append(place)
            fractions.append(fraction)
            continue
        # What is left is rare: the tail, a fraction that must be drawn again, or one beyond the block.
        cursor.position = place + 1
        if layer:
            wedges.append(place)
            fractions.append(cursor.take_fraction())
        else:
            values[place] = np.copysign(_tail(cursor), values[place])
        keep[place + 1 : cursor.position] = False
    _judge_wedges(words, np.array(wedges, np.intp), np.array(fractions, np.uint32), values, keep)


def _judge_wedges(
    words: Words, wedges: NDArray[np.intp], fractions: Words, values: Floats, keep: NDArray[np.bool_]
) -> None:
    """Keeps the values in the wedges that lie under the curve, and strikes the fractions' words."""
    layers = ((words[wedges] & np.uint32(255)) >> np.uint32(1)).astype(np.intp)
    keep[np.minimum(wedges + 1, len(words) - 1)] = False
    keep[wedges] = _under_curve(layers, np.abs(values[wedges]), fractions.astype(np.float32) * _UNIT_32)


def _under_curve(layer: NDArray[np.intp], x: Floats, fraction: Floats) -> NDArray[np.bool_]:
    """Whether the point at x, that fraction up the wedge, is under the bell.

    In a wedge the curve lies between its chord and its tangent; Caffe asks these first, and their roundings
    count.
    """
    table = _NORMAL
    height = table.y[layer] + fraction * table.rise[layer]
    left = table.x[layer] - x
    over_chord = table.width[layer] * fraction - left
    over_tangent = height - (table.y[layer] + left * table.y[layer] * table.x[layer])
    convex = _CONVEX[layer]
    over_upper = np.where(convex, over_chord, over_tangent)
    over_lower = np.where(convex, over_tangent, over_chord)
    curve = np.exp(-(x * x / np.float32(2)).astype(np.float64)).astype(np.float32)
    return (over_upper < 0) & ((over_lower < 0) | (height < curve))


def _tail(cursor: _Cursor) -> np.float32:
    """A value beyond the widest layer's edge, from pairs of exponential values."""
    start = _NORMAL.x[1]
    while True:
        x = _exponential(cursor) / start
        y = _exponential(cursor)
        if y + y > x * x:
            return np.float32(x + start)


def _exponential(cursor: _Cursor) -> np.float32:
    """An exponential value of mean 1, by a ziggurat of 256 layers; its tail is the whole one again, moved."""
    table = _EXPONENTIAL
    shift = np.float32(0)
    while True:
        word = cursor.take()
        layer = word & 255
        x = np.float32(word >> 8) * _UNIT_24 * table.x[layer]
        if x < table.x[layer + 1]:
            return np.float32(shift + x)
        if layer == 0:
            shift = np.float32(shift + table.x[1])
        elif _under_exponential(layer, x, np.float32(cursor.take_fraction()) * _UNIT_32):
            return np.float32(x + shift)


def _under_exponential(layer: int, x: np.float32, fraction: np.float32) -> bool:
    """Whether the point at x, that fraction up the wedge, is under exp(-x); tangent at the inner edge."""
    table = _EXPONENTIAL
    height = table.y[layer] + fraction * table.rise[layer]
    over_chord = table.width[layer] * fraction - (table.x[layer] - x)
    inner = table.y[layer + 1]
    over_tangent = height - (inner + (table.x[layer + 1] - x) * inner)
    curve = np.float32(math.exp(-float(x)))
    return bool(over_chord < 0 and (over_tangent < 0 or height < curve))
