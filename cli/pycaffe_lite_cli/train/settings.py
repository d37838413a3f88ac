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
    from pycaffe_lite.proto.upgrade import upgrade_solver
    from pycaffe_lite.snapshots.names import complete_prefix

    text = read_solver(path)
    cleared: set[str] = set()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--set: expected KEY=VALUE, like base_lr=0.001, got {setting!r}.")
        key = key.strip()
        _apply(text.param, key, value.strip(), cleared)
        # Errors about it must not point to the file's line, and the older solver_type replaces a type.
        text.lines.pop(key, None)
        if key == "solver_type":
            text.param.ClearField("type")
    upgrade_solver(text.param, path, text.lines)
    complete_prefix(text.param, path)
    return text


def _apply(param: SolverParameter, key: str, value: str, cleared: set[str]) -> None:
    from pycaffe_lite.proto.text import parse

    field = param.DESCRIPTOR.fields_by_name.get(key)
    if field is not None and field.type == field.TYPE_STRING and value[:1] not in ("'", '"', "["):
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    given = parse(f"{key}: {value}" if not value.startswith("{") else f"{key} {value}", type(param), "--set")
    if key not in cleared:
        param.ClearField(key)
        cleared.add(key)
    param.MergeFrom(given)
