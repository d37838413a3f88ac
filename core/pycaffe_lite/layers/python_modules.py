"""Finding the class of a Python layer, in a module that was written for pycaffe.

Such a module says `import caffe` and derives its layers from `caffe.Layer`. While it is loaded, `caffe` is ours, see
`door`, whether there is another caffe or not. Afterwards another one is back; where there is none, `caffe` stays ours,
so that an import within a method finds it too. A folder called caffe without an `__init__.py`, such as a checkout in
the working folder, is no other caffe.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

from pycaffe_lite import door
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.words import did_you_mean


class MissingModule(CaffeError):
    """There is no such module."""


def find_class(module: str, name: str, folder: str) -> type[Layer]:
    """The class of a Python layer.

    Args:
        module, name: what python_param gives.
        folder: where the module is looked for after the working folder and PYTHONPATH.

    Raises:
        MissingModule: there is no such module.
        CaffeError: there is no such class in it, or it is no layer.
        Exception: whatever the module's own code raises.
    """
    if not module or not name or module.startswith((".", "/")):
        raise CaffeError(
            "expected python_param { module: … layer: … } with the names of a module, as an import has it, and of a "
            f'class in it, got module "{module}" and layer "{name}".'
        )
    try:
        loaded = _load(module, folder)
    except ModuleNotFoundError as problem:
        if problem.name != module and not module.startswith(f"{problem.name}."):
            raise
        raise MissingModule(_no_module(module, str(problem.name), folder)) from None
    return _class_of(loaded, name)


def _no_module(module: str, missing: str, folder: str) -> str:
    """The sentence for a module that is not there.

    Args:
        module: its whole name, such as `rpn.proposal_layer`.
        missing: the first part of it that is not there, such as `rpn`.
        folder: the prototxt's.
    """
    listed = ", ".join(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    file = f"{module.replace('.', '/')}.py"
    parent = sys.modules.get(missing.rpartition(".")[0])
    inside = ", ".join(getattr(parent, "__path__", [])) or getattr(parent, "__file__", None)
    hint = f"put the folder that has {file.partition('/')[0]} into PYTHONPATH"
    if parent and inside:
        hint = f"{parent.__name__} was found as {inside}, without it"
    if module.endswith(".py"):
        hint = "write the module's name without .py"
    return (
        f'expected python_param {{ module: "{module}" }} to be a Python module, found no {file} in the working folder '
        f"{_working_folder()}, in PYTHONPATH ({listed or 'which is not set'}), or beside the prototxt in "
        f"{os.path.abspath(folder or os.curdir)}; {hint}."
    )


def _class_of(module: ModuleType, name: str) -> type[Layer]:
    found = getattr(module, name, None)
    file = getattr(module, "__file__", None)
    where = f"module {module.__name__}" + (f" ({file})" if file else "")
    layers = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Layer)]
    if found is None:
        raise CaffeError(f'expected a class "{name}" in {where}, got none{did_you_mean(name, layers)}')
    if not (inspect.isclass(found) and issubclass(found, Layer)):
        raise CaffeError(
            f'expected "{name}" in {where} to be a class derived from caffe.Layer as this program defines it, '
            f"got {found!r}."
        )
    for method in ("reshape", "forward"):
        if getattr(found, method) is getattr(Layer, method):
            raise CaffeError(f'expected class "{name}" in {where} to have a method {method}, got none.')
    return found


def _load(module: str, folder: str) -> ModuleType:
    importlib.invalidate_caches()
    with door.installed(), _looking_in(_working_folder(), os.path.abspath(folder or os.curdir)):
        return importlib.import_module(module)


def _working_folder() -> str:
    with suppress(OSError):
        return os.getcwd()
    return os.curdir


@contextmanager
def _looking_in(first: str, last: str) -> Iterator[None]:
    """Looks for modules in one folder before and in one after all others.

    Afterwards both are last, for imports within methods: in front they could shadow modules of others.
    """
    sys.path.insert(0, first)
    sys.path.append(last)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(first)
        sys.path.extend(place for place in dict.fromkeys((first, last)) if place not in sys.path)
