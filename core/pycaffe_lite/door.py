"""The door by which `import caffe` comes in: a package of that name in a folder of its own, python/, as in Caffe.

    PYTHONPATH       with that folder in it, `import caffe` finds the package as it finds any other
    install          puts the package where `import caffe` looks first, in this process

Only the name is there: the package's modules are those of this one. Nobody finds it who has not asked for it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "caffe"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python")
"""The folder that PYTHONPATH needs."""


def is_ours(module: ModuleType | None) -> bool:
    """Whether a module called caffe is the one in FOLDER."""
    file = getattr(module, "__file__", None) or ""
    return os.path.realpath(file) == os.path.realpath(os.path.join(FOLDER, NAME, "__init__.py"))


def install() -> ModuleType:
    """Makes `import caffe`, and imports of what is in it, find ours in this process; returns the module."""
    known = sys.modules.get(NAME)
    if known is not None and is_ours(known):
        return known
    for name in loaded():
        del sys.modules[name]
    if _Reloads not in sys.meta_path:
        sys.meta_path.insert(0, _Reloads)
    spec = _spec()
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _spec() -> ModuleSpec | None:
    path = os.path.join(FOLDER, NAME, "__init__.py")
    return importlib.util.spec_from_file_location(NAME, path, submodule_search_locations=[os.path.dirname(path)])


class _Reloads:
    """Where `importlib.reload` finds ours again, which notebooks call: FOLDER is not in the path."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return _spec() if name == NAME and is_ours(target) else None


def loaded() -> dict[str, ModuleType]:
    """What is imported under the name: caffe, and what is in it."""
    return {name: module for name, module in sys.modules.items() if name == NAME or name.startswith(f"{NAME}.")}


@contextmanager
def installed() -> Iterator[None]:
    """Inside, `import caffe` finds ours, and afterwards what it found before; ours still if there is no other one."""
    before = loaded()
    if is_ours(before.get(NAME)):
        yield
        return
    another = bool(before) or _another_can_be_found()
    install()
    try:
        yield
    finally:
        if another:
            for name in loaded():
                del sys.modules[name]
            sys.modules.update(before)


def _another_can_be_found() -> bool:
    """Whether there is another package of that name; a folder without an `__init__.py` is none."""
    with suppress(ValueError):
        spec = importlib.util.find_spec(NAME)
        return spec is not None and spec.origin is not None and os.path.dirname(FOLDER) not in spec.origin
    return False
