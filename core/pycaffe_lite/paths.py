"""Finding the files that other files name, and reading those that should be text."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pycaffe_lite import log
from pycaffe_lite.errors import FileError
from pycaffe_lite.words import nearest, printable

LARGEST_TEXT = 16 * 2**20
_HEAD = 4096
_SHOWN = 160
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r")) + b"\x7f"


def find_file(name: str, beside: str = "", what: str = "file") -> str:
    """The path of a file or folder that a text names: from the working folder, else from beside that text.

    A name with folders in it, such as `examples/mnist/train_lmdb`, may be from Caffe's root, as Caffe's own texts
    have it: it is looked for in each folder above that text, too.

    Args:
        name: the path as it is written.
        beside: the file that names it, or that file's folder.
        what: what errors call it, for example `net`.

    Raises:
        FileError: it is in neither place; with the absolute paths tried and the working folder.
    """
    folder = beside if os.path.isdir(beside) else os.path.dirname(beside)
    tried = list(dict.fromkeys(os.path.abspath(path) for path in (name, os.path.join(folder, name))))
    for written in _spellings(name):
        for path in (written, os.path.join(folder, written)):
            if os.path.exists(path):
                return path
        root = root_of(written, folder) if beside else None
        if root:
            log.info(f'The {what} "{shown_path(written)}" is taken from {shown_path(root)}, a folder above its text.')
            return os.path.join(root, written)
    raise FileError(not_found(name, what, tried, folder))


def _spellings(name: str) -> list[str]:
    """A name as it is written, and one from Windows with slashes."""
    if not name:
        return []
    return [name, name.replace("\\", "/")] if "\\" in name and os.sep == "/" else [name]


def root_of(name: str, folder: str) -> str | None:
    """The nearest of the folders above `folder` in which a relative path of several parts exists, if one does."""
    parts = Path(name).parts
    if len(parts) < 2 or os.path.isabs(name) or parts[0] == "..":
        return None
    try:
        above = Path(os.path.abspath(folder)).parents
        return next((str(root) for root in above if os.path.exists(root / name)), None)
    except (OSError, ValueError):
        return None


def not_found(name: str, what: str, tried: list[str], folder: str = "") -> str:
    """The sentence for a file that is in none of the absolute paths `tried`.

    Args:
        name: the path as it is written.
        what: what it should have been.
        tried: where it was looked for.
        folder: of the text that names it.
    """
    if not name:
        return f"Expected the path of a {what}, got an empty one."
    places = " and ".join(map(shown_path, tried))
    close = _nearest(name, tried, folder)
    meant = f'; did you mean "{shown_path(close)}"?' if close else "."
    return f'There is no {what} "{shown_path(name)}": looked for {places} from {working_folder()}{meant}'


def shown_path(path: str) -> str:
    """A path for an error message: printable, and of a long one its end."""
    text = printable(path)
    return text if len(text) <= _SHOWN else "…" + text[-_SHOWN:]


def working_folder() -> str:
    """The folder that paths are looked for from, in words."""
    try:
        return f"the working folder {os.getcwd()}"
    except OSError:
        return "a working folder that is gone"


def _nearest(name: str, tried: list[str], folder: str) -> str | None:
    """The path that may have been meant: of that name in the text's own folder, or of a name like it where it was
    looked for."""
    base = re.split(r"[\\/]", name)[-1]
    path = os.path.join(folder, base)
    if base and len(base) < len(name) and os.path.exists(path):
        return path
    for path in tried:
        folder, base = os.path.split(path)
        try:
            by_stem = {os.path.splitext(name)[0]: name for name in sorted(os.listdir(folder))[:5000]}
        except (OSError, ValueError):
            continue
        close = nearest(os.path.splitext(base)[0], list(by_stem))
        if close:
            return os.path.join(folder, by_stem[close])
    return None


def read_text(path: str, what: str) -> str:
    """The text of a file; bytes that are not UTF-8 come through as `surrogateescape` leaves them.

    Args:
        path: the file.
        what: what it should be, for example `a net`.

    Raises:
        FileError: it is missing, no file, unreadable, empty, too large, or no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_HEAD)
            check_text(data, path, what)
            data += file.read(LARGEST_TEXT + 1 - len(data))
    except FileNotFoundError:
        raise FileError(not_found(path, "file", [os.path.abspath(path)])) from None
    except (OSError, ValueError) as problem:
        raise FileError(f"Cannot read {path}: {unreadable(problem)}.") from None
    if len(data) > LARGEST_TEXT:
        raise FileError(f"{path} is larger than {LARGEST_TEXT >> 20} MiB; expected the prototxt of {what}.")
    return data.decode("utf-8", "surrogateescape")


def unreadable(problem: OSError | ValueError) -> str:
    """Why a file cannot be read, in the words of the system."""
    if isinstance(problem, IsADirectoryError):
        return "it is a folder, not a file"
    text = getattr(problem, "strerror", None) or str(problem)
    return text[:1].lower() + text[1:]


def check_text(head: bytes, path: str, what: str) -> None:
    """Raises a FileError if a file that begins like this is no prototxt."""
    expected = f"expected the text (prototxt) of {what}"
    if not head.strip():
        raise FileError(f"{path} is {'empty' if not head else 'blank'}; {expected}.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileError(f"{path} is UTF-16 text; {expected} as UTF-8: save it so.")
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise FileError(f"{path} is a web page; {expected}: download the file itself.")
    if b"\0" in head or len(head.translate(None, _CONTROLS)) < len(head) - 1:
        raise FileError(f"{path} is a binary file; {expected}{_binary_hint(path)}.")


def _binary_hint(path: str) -> str:
    if ".caffemodel" in path:
        return ": a .caffemodel holds weights, which --weights takes"
    if ".solverstate" in path:
        return ": a .solverstate holds a snapshot, which --snapshot takes"
    return ""
