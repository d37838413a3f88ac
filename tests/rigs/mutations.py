"""Changes to prototxts that keep to their grammar: lines taken out, doubled or moved, fields and values exchanged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from pycaffe_lite.proto.caffe_pb2 import LayerParameter, SolverParameter

_FIELD = re.compile(r"\b([a-z_0-9]+)(?=\s*[:{])")
_VALUE = re.compile(r"(?<=: )\S+|(?<=:)[^\s:{}]+")
_NAMES = sorted(
    {field.name for field in SolverParameter.DESCRIPTOR.fields}
    | {
        field.name
        for param in LayerParameter.DESCRIPTOR.fields
        for field in (param, *(param.message_type.fields if param.message_type else ()))
    }
)
_VALUES = (
    *("0", "-1", "1", "2", "3", "5", "7", "300", "65536", "2147483647", "2147483648", "4294967295", "1e10"),
    *("0.5", "-0.5", "1e-30", "1e38", "1e400", "nan", "inf", "-inf", "true", "false", "0x10", "010", "1.5f"),
    *('""', '"data"', '"a" "b"', "'\\377'", "MAX", "TRAIN", "TEST", "AVE", "xavier", "{ }", "[1, 2]", "-", ";"),
)


def mutated_text(text: str, chance: random.Random) -> str:
    """The text after one to three changes, each of another line."""
    lines = [line for line in text.splitlines() if line.strip()]
    for _ in range(chance.choice((1, 1, 2, 3))):
        if lines:
            chance.choice(_CHANGES)(lines, chance.randrange(len(lines)), chance)
    return "\n".join(lines) + "\n"


def _drop(lines: list[str], at: int, chance: random.Random) -> None:
    del lines[at]


def _double(lines: list[str], at: int, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines) + 1), lines[at])


def _swap(lines: list[str], at: int, chance: random.Random) -> None:
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _other_field(lines: list[str], at: int, chance: random.Random) -> None:
    lines[at] = _one_of(_FIELD, lines[at], chance, lambda: chance.choice(_NAMES))


def _other_value(lines: list[str], at: int, chance: random.Random) -> None:
    lines[at] = _one_of(_VALUE, lines[at], chance, lambda: chance.choice(_VALUES))


def _value_of_another_line(lines: list[str], at: int, chance: random.Random) -> None:
    values = [value for line in lines for value in _VALUE.findall(line)] or ["1"]
    lines[at] = _one_of(_VALUE, lines[at], chance, lambda: chance.choice(values))


_CHANGES = (_drop, _double, _swap, _other_field, _other_value, _other_value, _other_value, _value_of_another_line)


def _one_of(pattern: re.Pattern[str], line: str, chance: random.Random, new: Callable[[], str]) -> str:
    """The line with one of the places that the pattern finds replaced."""
    found = list(pattern.finditer(line))
    if not found:
        return line
    place = chance.choice(found)
    return line[: place.start()] + new() + line[place.end() :]
