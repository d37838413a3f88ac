"""`--set KEY=VALUE`: fields of the solver from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pycaffe_lite.proto.caffe_pb2 import SolverParameter
    from pycaffe_lite.proto.read import SolverText


def read_settings(path: str, settings: Sequence[str]) -> SolverText:
    """Reads a solver and puts the settings in its place of what it says; of a repeated field all given ones count."""
    from pycaffe_lite.proto.read import read_solver
    from pycaffe_lite.snapshots.names import complete_prefix

    text = read_solver(path)
    cleared: set[str] = set()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--set: expected KEY=VALUE, like base_lr=0.001, got {setting!r}.")
        for name in _apply(text.param, key.strip(), value.strip(), cleared):
            text.lines.pop(name, None)  # errors about it must not point to the file's line
    complete_prefix(text.param, path)
    return text


def _apply(param: SolverParameter, key: str, value: str, cleared: set[str]) -> list[str]:
    """Puts one setting in, in the present form; returns the names of the fields that have other values now."""
    from pycaffe_lite.proto.text import parse
    from pycaffe_lite.proto.upgrade import upgrade_solver

    field = param.DESCRIPTOR.fields_by_name.get(key)
    if field is not None and field.type == field.TYPE_STRING and value[:1] not in ("'", '"', "["):
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    given = parse(f"{key}: {value}" if not value.startswith("{") else f"{key} {value}", type(param), "--set")
    upgrade_solver(given, "--set")
    names = [field.name for field, _ in given.ListFields()] or [key]
    for name in names:
        if name not in cleared:
            param.ClearField(name)
            cleared.add(name)
    param.MergeFrom(given)
    return names
