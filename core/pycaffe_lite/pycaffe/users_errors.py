"""What a user's code raises in a Python layer comes out of pycaffe as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pycaffe_lite.layers.python import UsersError

T = TypeVar("T")


def as_raised(action: Callable[[], T]) -> T:
    """Calls a function; what a user's Python layer raises in it is raised as it is, with a note that names the layer.

    Python 3.10 has no notes; there the layer's name is missing.
    """
    try:
        return action()
    except UsersError as problem:
        own = problem.own
        if hasattr(own, "add_note"):
            own.add_note(problem.note)
    raise own  # here, and not above, so that its own context stays what it is
