"""The names of a detector's classes: SSD's label map, or a text file of one name a line."""

from __future__ import annotations

from pycaffe_lite.errors import FileError
from pycaffe_lite.paths import find_file, read_text
from pycaffe_lite.proto.caffe_pb2 import LabelMap
from pycaffe_lite.proto.text import parse


def read_label_map(path: str, classes: int) -> list[str]:
    """The name of each class, by its number.

    Args:
        path: a label map, .prototxt or .pbtxt; else a text with a name for each class, or for each but the background.
        classes: how many there are, the background among them.

    Raises:
        FileError: it is missing, is none, or has another number of names.
    """
    path = find_file(path, what="label map")
    text = read_text(path, "label map")
    if not path.lower().endswith((".prototxt", ".pbtxt")):
        names = [line.strip() for line in text.splitlines() if line.strip()]
        if len(names) == classes - 1:
            names = ["background", *names]
    else:
        items = {item.label: item.display_name or item.name for item in parse(text, LabelMap, path).item}
        names = [items[label] for label in sorted(items)]
        if sorted(items) != list(range(len(items))):
            raise FileError(f"{path}: expected labels 0, 1, 2 … without a gap, got {sorted(items)[:5]}.")
    if len(names) != classes:
        raise FileError(f"{path}: expected a name for each of the net's {classes} classes, got {len(names)}.")
    return names
