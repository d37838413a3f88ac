"""SSD's list of the names and sizes of a set of images."""

from __future__ import annotations

from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.paths import read_text


def read_name_sizes(layer: Layer, path: str) -> list[tuple[str, int, int]]:
    """For each image its name, height and width, in pixels.

    Args:
        layer: whose error tells of a line that is none.
        path: a text with these three on each line.
    """
    sizes = []
    for number, line in enumerate(read_text(path, "names and sizes").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not words[1].isdecimal() or not words[2].isdecimal():
            raise layer.error(f'{path}:{number}: expected a name, a height and a width, got "{line[:80]}".')
        sizes.append((words[0], int(words[1]), int(words[2])))
    return sizes
