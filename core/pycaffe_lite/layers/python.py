"""Python: a layer that the user has written, as for pycaffe."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.python_modules import MissingModule, find_class
from pycaffe_lite.layers.python_stand_ins import missing_part, stand_in

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@register_layer("Python")
class PythonLayer(Layer):
    """Hands its work to a class that derives from `caffe.Layer`, with the methods of pycaffe's Python layers.

        setup(bottom, top), reshape(bottom, top), forward(bottom, top), backward(top, propagate_down, bottom)

    In these the class finds self.param_str, self.phase, and self.blobs with add_blob. reshape runs before every
    forward. setup and, where nothing is propagated back, backward may be missing.

    Bottoms and tops: as many as the class takes. They are pinned: the class gets them in C order, so that reshape(-1)
        of a blob's data or diff is a view, and may hold their arrays.
    Parameters: python_param { module, layer, param_str: ""  share_in_parallel: false }. The module is looked for
        in the working folder, in PYTHONPATH and beside the prototxt; for its `import caffe` see
        `python_modules`. share_in_parallel makes no difference. Some modules that are missing have a stand-in, see
        `python_stand_ins`.

    Errors: no such module or class, a class that is no layer; what the user's code raises, with the lines of the
        user's code it came through.

    Attributes:
        user: the user's object; what the layer itself does not have is looked for in it.
    """

    num_bottoms = (0, None)
    num_tops = (0, None)
    always_reshape = True
    user: Layer
    _stood_in_for = False  # whether the class is ours, as the user's module is missing

    def __getattr__(self, name: str) -> Any:
        if "user" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.user, name)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.python_param
        for blob in (*bottom, *top):
            blob.pin()
        try:
            cls = find_class(param.module, param.layer, self.folder)
        except MissingModule as problem:
            ours = stand_in(param.module, param.layer)
            if ours is None:
                raise self.error(f"{problem}{missing_part(param.module)}") from None
            cls, self._stood_in_for = ours, True
        except CaffeError as problem:
            raise self.error(str(problem)) from None
        except Exception as problem:
            raise self._failed(f"importing module {param.module}", problem) from problem
        self.user = self._try(f"{cls.__name__}()", cls, self.layer_param)
        self.blobs.dtype = self.dtype
        for name in ("type", "phase", "blobs", "place", "dtype", "folder", "location", "param_propagate_down"):
            setattr(self.user, name, getattr(self, name))
        self.user.param_str_ = self.param_str  # type: ignore[attr-defined]  # its name in older Caffes
        self._run("setup", bottom, top)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._run("reshape", bottom, top)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._run("forward", bottom, top)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if type(self.user).backward is Layer.backward:
            raise self.error(
                f"its class {type(self.user).__name__} has no backward; write one, or put propagate_down: false on "
                "the layer's bottoms."
            )
        self.user.param_propagate_down = self.param_propagate_down
        self._run("backward", top, list(propagate_down), bottom)

    # -- the user's code -----------------------------------------------------------------------------------

    def _run(self, method: str, *args: Any) -> None:
        self._try(f"{type(self.user).__name__}.{method}", getattr(self.user, method), *args)

    def _try(self, what: str, action: Callable[..., Any], *args: Any) -> Any:
        try:
            return action(*args)
        except Exception as problem:
            if self._stood_in_for and isinstance(problem, CaffeError):
                raise
            raise self._failed(what, problem) from problem

    def _failed(self, what: str, problem: Exception) -> UsersError:
        """One sentence with what the user's code has raised, and the lines it came through."""
        *lines, last = traceback.format_exception_only(type(problem), problem)
        frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if _is_users(frame.filename)]
        shown = "".join(traceback.StackSummary.from_list(frames).format() + lines)
        sentence = str(self.error(f"{what} failed with {last.strip()}\n{shown}".rstrip()))
        return UsersError(sentence, problem, f"raised by {what} of {str(self.error('')).rstrip(': ')}")


class UsersError(CaffeError):
    """The user's code of a Python layer has failed.

    Attributes:
        own: what it raised.
        note: the method and the layer, for a reader of `own`.
    """

    def __init__(self, sentence: str, own: Exception, note: str) -> None:
        super().__init__(sentence)
        self.own, self.note = own, note


def _is_users(path: str) -> bool:
    return not path.startswith((_PACKAGE + os.sep, "<frozen importlib"))
