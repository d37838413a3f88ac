"""What `detect` does for SSD, Faster R-CNN and R-FCN nets: images in, boxes out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import click

from pycaffe_lite_cli.terminal import encodable

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
HEAD = ("image", "label", "name", "score", "xmin", "ymin", "xmax", "ymax")


def find_boxes_command(input_path: str, options: dict[str, Any]) -> None:
    """Prints the boxes of an image or of those in a folder, and draws them."""
    from pycaffe_lite.net.net import Net
    from pycaffe_lite.phase import TEST
    from pycaffe_lite.tools.detections import class_count, detection_kind, find_boxes, image_input
    from pycaffe_lite.tools.drawing import draw_boxes, png
    from pycaffe_lite.tools.label_map import read_label_map
    from pycaffe_lite.writing import write_output

    paths, many = image_paths(input_path), os.path.isdir(os.path.expanduser(input_path))
    xml_files = many and options["format"] == "xml"
    _check_target(options["draw"], many, xml_files)
    net = Net(options["model_def"], TEST, weights=options["pretrained_model"])
    detection_kind(net)
    classes = class_count(net)
    net.plan(keep=[name for name in ("rois", "cls_prob", "bbox_pred") if name in net.blobs])
    names = [f"class {i}" for i in range(classes)]
    if options["label_map"]:
        names = read_label_map(options["label_map"], classes)
    color, prepare = net.blobs[image_input(net)].shape[1] == 3, preparation(options)
    targets = [options["draw"]] * len(paths)
    if many and options["draw"]:
        targets = paths_in(options["draw"], paths, ".xml" if xml_files else ".png")
    found = []
    for path, target in zip(paths, targets, strict=True):
        image = read_image(path, color)
        boxes = find_boxes(net, image, prepare, options["threshold"], options["shortest"], options["longest"])
        if xml_files:
            write_output(target, _xml(path, image.shape, boxes, names).encode())
            continue
        found.append((path, image.shape, boxes))
        if target:
            write_output(target, png(draw_boxes(image, boxes, names)))
    if not xml_files:
        click.echo(encodable(_text(options["format"], found, names)))


def _check_target(target: str | None, many: bool, xml_files: bool) -> None:
    """Refuses what -o cannot be, before the work is done."""
    from pycaffe_lite.writing import check_output

    if xml_files and not target:
        raise click.UsageError("--format xml makes a file for each image of a folder: give -o, the folder for them.")
    if target and not many:
        check_png(target)
        check_output(target)


def check_png(path: str) -> None:
    """Refuses a picture's name that does not say what is in it."""
    if not path.lower().endswith(".png"):
        raise click.UsageError(f"Pictures are written as .png for an INPUT that is an image, got {path}.")


def image_paths(path: str) -> list[str]:
    """The image, or those of a folder in the order of their names."""
    from pycaffe_lite.errors import FileError
    from pycaffe_lite.paths import find_file

    path = find_file(os.path.expanduser(path), what="image or folder of images")
    if not os.path.isdir(path):
        return [path]
    names = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.lower().endswith(IMAGES)]
    if not names:
        raise FileError(f"{path}: expected images ({', '.join(IMAGES)}) in this folder, got none.")
    return names


def paths_in(folder: str, paths: Sequence[str], ending: str) -> list[str]:
    """For each image a file of its name in a folder, which is made; images that differ in their endings keep them."""
    from pycaffe_lite.errors import FileError

    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as problem:
        raise FileError(
            f"{folder}: expected a folder for what is made of the images, or that one can be made: {problem.strerror}."
        ) from None
    names = [os.path.basename(path) for path in paths]
    stems = [os.path.splitext(name)[0] for name in names]
    return [
        os.path.join(folder, (stem if stems.count(stem) == 1 else name) + ending)
        for name, stem in zip(names, stems, strict=True)
    ]


def read_image(path: str, color: bool) -> Any:
    """An image file's pixels, C x H x W, BGR; errors name the file."""
    from pycaffe_lite.data.images import decode, read_bytes
    from pycaffe_lite.errors import CaffeError, FileError, MissingExtra

    data = read_bytes(path)
    try:
        return decode(data, color)
    except MissingExtra:
        raise
    except CaffeError as problem:
        raise FileError(f"{path}: {problem}") from None


def preparation(options: dict[str, Any]) -> Any:
    """How images become inputs, as the options say."""
    from pycaffe_lite.pycaffe.preprocessing import channel_means
    from pycaffe_lite.tools.detections import Preparation

    mean = options["mean_value"] or ()
    if not mean and options["mean_file"]:
        mean = channel_means(options["mean_file"])
    scale = 1 if options["input_scale"] is None else options["input_scale"]
    return Preparation(mean, options["raw_scale"] / 255, scale, options["channel_swap"])


def _text(form: str, found: Sequence[Any], names: Sequence[str]) -> str:
    from pycaffe_lite_cli.table import to_csv, to_text

    if form == "xml":
        ((path, shape, boxes),) = found
        return _xml(path, shape, boxes, names)
    rows = [(path, box.label, names[box.label], *box[1:]) for path, _, boxes in found for box in boxes]
    if form == "json":
        return json.dumps([dict(zip(HEAD, row, strict=True)) for row in rows], indent=1)
    cells = [(row[0], str(row[1]), row[2], f"{row[3]:.4f}", *(f"{value:.1f}" for value in row[4:])) for row in rows]
    if form == "csv":
        return to_csv(HEAD, cells)
    return to_text(HEAD, cells, [False, True, False, *[True] * 5]) if cells else "No boxes found."


def _xml(path: str, shape: Sequence[int], boxes: Sequence[Any], names: Sequence[str]) -> str:
    """An annotation as PASCAL VOC has it, whose pixels count from 1."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = os.path.basename(path)
    size = ElementTree.SubElement(root, "size")
    for key, value in zip(("width", "height", "depth"), (shape[2], shape[1], shape[0]), strict=True):
        ElementTree.SubElement(size, key).text = str(value)
    for box in boxes:
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = names[box.label]
        ElementTree.SubElement(item, "score").text = f"{box.score:.4f}"
        corners = ElementTree.SubElement(item, "bndbox")
        for key, value in zip(HEAD[4:], box[2:], strict=True):
            side = shape[2] if key.startswith("x") else shape[1]
            ElementTree.SubElement(corners, key).text = str(min(round(value) + 1, side))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")
