"""What can go wrong, as a tree.

    CaffeError            anything a user can cause; its text is one complete sentence
    ├── ParseError        a text file is not what the schema allows (file:line:column)
    ├── FileError         a file is missing, unreadable, truncated or of another kind
    ├── ShapeError        shapes that do not fit together
    ├── MissingExtra      an optional dependency is not installed
    └── Diverged          training has come to a number that is not finite

Each text says, in this order: where (file:line:column, or `layer "conv1" (Convolution)`), what was expected, what
was found, and what to do next where that is known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class CaffeError(RuntimeError):
    """A failure the user can cause and mend; the message is written for that user."""


class ParseError(CaffeError):
    """A prototxt that the schema does not allow; begins with file:line:column."""


class FileError(CaffeError):
    """A file that is missing, unreadable, truncated, or not of the kind it should be."""


class ShapeError(CaffeError):
    """Blobs whose shapes do not fit together."""


class MissingExtra(CaffeError):
    """A package that only some users need, and that is not installed.

    Args:
        what: what needs it, for example `LMDB sources`.
        extra: the extra of this project that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} need an extra package: pip install 'pycaffe-lite[{extra}]'.")


class Diverged(CaffeError):
    """Training has come to a loss, gradient or parameter that is infinite or not a number."""


@contextlib.contextmanager
def told_by(tell: Callable[[str], CaffeError]) -> Iterator[None]:
    """Lets `tell` say of a CaffeError where it has happened; a package that is missing, is missing everywhere.

    Args:
        tell: makes an error of the text of one, as `error` of a layer does.
    """
    try:
        yield
    except MissingExtra:
        raise
    except CaffeError as problem:
        raise tell(str(problem)) from None


@contextlib.contextmanager
def file_errors(path: object, content: str, sentence: Callable[[Exception], str]) -> Iterator[None]:
    """Makes a FileError of what a package raises for a damaged file, which is errors of many classes.

    Args:
        path: the file.
        content: what memory may not suffice for.
        sentence: what to say of any other error after the path, without the full stop.
    """
    try:
        yield
    except CaffeError:
        raise
    except MemoryError:
        raise FileError(f"{path}: not enough memory for its {content}.") from None
    except Exception as problem:
        raise FileError(f"{path}: {sentence(problem)}.") from None
