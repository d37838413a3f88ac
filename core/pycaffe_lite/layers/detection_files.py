"""The files of results that a DetectionOutput writes, for the tools that evaluate PASCAL VOC, COCO and ILSVRC."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.blob import Array
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.name_sizes import read_name_sizes
from pycaffe_lite.paths import find_file, read_text
from pycaffe_lite.proto.caffe_pb2 import LabelMap, ResizeParameter
from pycaffe_lite.proto.text import parse
from pycaffe_lite.writing import FileSet

FORMATS = ("VOC", "COCO", "ILSVRC")


class Found(NamedTuple):
    """One box that was found.

    Attributes:
        image: the image's name.
        label: the class.
        score: its score.
        box: xmin, ymin, width, height, in pixels of the image before it was resized, with two decimals.
    """

    image: str
    label: int
    score: float
    box: list[float]


class DetectionFiles:
    """Collects what is found in `num_test_image` images, then writes it, and begins anew.

    VOC:     for each class but the background PREFIXname.txt, lines `image score xmin ymin xmax ymax`
    ILSVRC:  PREFIX.txt, lines `image class score xmin ymin xmax ymax`
    COCO:    PREFIX.json, a list of image_id, category_id (the class's name), bbox and score

    Nothing is written without output_directory, label_map_file and name_size_file; nor, with a warning, where one of
    the two files is missing: nets are published with the paths of those who trained them.

    Args:
        layer: whose boxes they are; its folder is where the files are looked for.
        param: a SaveOutputParameter.

    Raises:
        CaffeError: another format; a file that is damaged or lacks a class; fewer names than num_test_image.
    """

    def __init__(self, layer: Layer, param: Any) -> None:
        self.layer, self.param = layer, param
        self.background = layer.layer_param.detection_output_param.background_label_id
        self.found: list[Found] = []
        self.images = 0
        self.names: dict[int, str] = {}
        self.sizes: list[tuple[str, int, int]] = []
        self.writes = bool(param.output_directory and param.label_map_file and param.name_size_file)
        if self.writes:
            self._read_files()

    def _read_files(self) -> None:
        paths = []
        for name, what in ((self.param.label_map_file, "label map"), (self.param.name_size_file, "list of sizes")):
            try:
                paths.append(find_file(name, self.layer.folder, what))
            except FileError as problem:
                log.warning(f'layer "{self.layer.name}" (DetectionOutput): no results are written. {problem}')
                self.writes = False
                return
        if self.param.output_format not in FORMATS:
            raise self.layer.error(
                f'expected output_format "VOC", "COCO" or "ILSVRC", got "{self.param.output_format}".'
            )
        try:
            items = parse(read_text(paths[0], "a label map"), LabelMap, paths[0]).item
        except CaffeError as problem:
            raise self.layer.error(str(problem)) from None
        self.names = {item.label: item.name for item in items}
        self._check_names(paths[0])
        self.sizes = read_name_sizes(self.layer, paths[1])
        self.count = self.param.num_test_image if self.param.HasField("num_test_image") else len(self.sizes)
        if not 1 <= self.count <= len(self.sizes):
            raise self.layer.error(
                f"expected a name for each of num_test_image {self.count} images in {paths[1]}, got {len(self.sizes)}."
            )

    def _check_names(self, path: str) -> None:
        classes = self.layer.layer_param.detection_output_param.num_classes
        for label in range(classes):
            if label != self.background and label not in self.names:
                raise self.layer.error(
                    f"expected a name for each of {classes} classes in {path}, got none for {label}."
                )

    def add(self, images: Sequence[Array]) -> None:
        """Takes the rows of a batch, for each image those of DetectionOutput's top.

        Raises:
            FileError: the files could not be written.
        """
        if not self.writes:
            return
        for rows in images:
            name, height, width = self.sizes[self.images]
            corners = original_boxes(rows[:, 3:].astype(np.float64), height, width, self._resize())
            boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
            boxes = np.floor(np.nan_to_num(boxes) * 100 + 0.5) / 100
            self.found += [
                Found(name, int(row[1]), float(row[2]), box) for row, box in zip(rows, boxes.tolist(), strict=True)
            ]
            self.images += 1
            if self.images == self.count:
                self._write()
                self.found, self.images = [], 0

    def _resize(self) -> Any:
        return self.param.resize_param if self.param.HasField("resize_param") else None

    def _write(self) -> None:
        try:
            os.makedirs(self.param.output_directory, exist_ok=True)
        except OSError as problem:
            raise FileError(f"Cannot write {self.param.output_directory}: {problem.strerror or problem}.") from None
        with FileSet() as files:
            for name, text in self._texts().items():
                path = os.path.join(self.param.output_directory, f"{self.param.output_name_prefix}{name}")
                files.add(path, [text.encode("utf-8", "surrogateescape")])

    def _texts(self) -> dict[str, str]:
        """What is in each file, by the end of its name."""
        if self.param.output_format == "COCO":
            entries = [
                {
                    "image_id": _number_or_text(found.image),
                    "category_id": _number_or_text(self.names[found.label]),
                    "bbox": found.box,
                    "score": found.score,
                }
                for found in self.found
            ]
            return {".json": json.dumps(entries, indent=1) + "\n"}
        if self.param.output_format == "ILSVRC":
            return {".txt": "".join(_line(found, f"{found.image} {found.label}") for found in self.found)}
        texts = {f"{name}.txt": "" for label, name in self.names.items() if label != self.background}
        for found in self.found:
            texts[f"{self.names[found.label]}.txt"] += _line(found, found.image)
        return texts


def _line(found: Found, begin: str) -> str:
    xmin, ymin, width, height = (int(value) for value in found.box)
    return f"{begin} {found.score:g} {xmin} {ymin} {xmin + width} {ymin + height}\n"


def _number_or_text(name: str) -> int | str:
    """COCO counts images and classes; a name that is a number as JSON has it becomes one."""
    return int(name) if name.isdecimal() and str(int(name)) == name else name


def original_boxes(boxes: Array, height: int, width: int, resize: Any) -> Array:
    """Boxes in pixels of the image before it was resized, inside of it.

    Args:
        boxes: n x 4, as shares of the net's image.
        height, width: of the image.
        resize: the ResizeParameter by which the net's image was made; None: it was warped.
    """
    scale = np.array([width, height] * 2, np.float64)
    mode = resize.resize_mode if resize is not None else ResizeParameter.WARP
    if mode == ResizeParameter.FIT_SMALL_SIZE and resize.height_scale and resize.width_scale:
        pixels = boxes * np.array([resize.width_scale, resize.height_scale] * 2)
        return np.clip(pixels, 0, scale)
    if mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD and resize.height and resize.width:
        boxes = _without_border(boxes, width / height, resize.width / resize.height)
    return np.clip(boxes, 0, 1) * scale


def _without_border(boxes: Array, aspect: float, whole: float) -> Array:
    """Boxes as shares of the part that an image of an aspect takes in a canvas of another; those outside stay."""
    padding = max(0.0, (1 - whole / aspect) / 2) if aspect > whole else max(0.0, (1 - aspect / whole) / 2)
    begin = np.array([0, padding] if aspect > whole else [padding, 0])
    size = 1 - 2 * begin
    moved = (boxes - np.tile(begin, 2)) / np.tile(size, 2)
    outside = ((boxes[:, :2] >= begin + size) | (boxes[:, 2:] <= begin)).any(axis=1)
    return np.where(outside[:, None], boxes, moved)
