"""Makes the pictures that configs/ssd_shapes and configs/seg_shapes learn from: coloured shapes on noise.

    python configs/ssd_shapes/make_shapes.py data/shapes

Each picture is 96 x 96 pixels, with one to four circles, squares and triangles that do not overlap. The folder gets

    train.h5, test.h5    data   N x 3 x 96 x 96, 0 to 255, colours BGR
                         label  N x 4 x 8, a row for each shape: item, class, instance, xmin, ymin, xmax, ymax,
                                difficult; corners as shares of the picture's sides; rows without a shape are -1
                         mask   N x 1 x 96 x 96, the class of each pixel; 0 is the background
    train.txt, test.txt  the list of each that HDF5Data wants
    pictures/            held-out pictures as PNG, four times as large; boxes.json has their shapes

`item` is the picture's place in its batch, by which MultiBoxLoss and DetectionEvaluate know which picture a shape is
in. It is right for batches of --batch pictures that are read in order: HDF5Data may not shuffle, and its batch_size
must be --batch. The same arguments give the same pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import h5py
import numpy as np

SIDE = 96
MOST = 4
NAMES = ("background", "circle", "square", "triangle")
CORNERS = {2: 4, 3: 3}
"""How many corners a class has; those that are not here are round."""


class Picture(NamedTuple):
    """A picture, 3 x SIDE x SIDE, the classes of its pixels, SIDE x SIDE, and its boxes: class, corners in pixels."""

    data: np.ndarray
    mask: np.ndarray
    boxes: list[tuple[int, int, int, int, int]]


def background(generator: np.random.Generator) -> np.ndarray:
    """Coarse patches of colour, blurred into each other, with noise on each pixel."""
    coarse = generator.uniform(30, 225, 3) + generator.uniform(-40, 40, (4, 4, 3))
    smooth = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return smooth + generator.normal(0, 18, smooth.shape)


def shape_pixels(generator: np.random.Generator, label: int) -> np.ndarray:
    """The pixels of a shape of random place, size and turn, SIDE x SIDE."""
    radius = generator.uniform(8, 24)
    x0, y0 = generator.uniform(radius, SIDE - radius, 2)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    if label not in CORNERS:
        return (x - x0) ** 2 + (y - y0) ** 2 <= radius**2
    corners = CORNERS[label]
    normals = generator.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
    # Inside is what lies on this side of each edge, whose distance from the centre follows from the corners' one.
    reach = radius * np.cos(np.pi / corners)
    return np.all([(x - x0) * np.cos(a) + (y - y0) * np.sin(a) <= reach for a in normals], axis=0)


def make_picture(generator: np.random.Generator) -> Picture:
    """A picture with up to MOST shapes, whose boxes do not meet."""
    data, mask = background(generator), np.zeros((SIDE, SIDE), np.uint8)
    boxes: list[tuple[int, int, int, int, int]] = []
    taken = np.zeros((SIDE, SIDE), bool)
    wanted = generator.integers(1, MOST + 1)
    for _ in range(5 * wanted):  # tries; there may be no room left
        if len(boxes) == wanted:
            break
        label = int(generator.integers(1, len(NAMES)))
        pixels = shape_pixels(generator, label)
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        ymin, ymax, xmin, xmax = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        if taken[ymin:ymax, xmin:xmax].any():
            continue
        taken[ymin:ymax, xmin:xmax] = True
        around = data[pixels].mean(axis=0)
        color = (around + generator.uniform(70, 185, 3)) % 255  # at least 70 away in each channel, going round
        data[pixels] = color + generator.normal(0, 10, (np.count_nonzero(pixels), 3))
        mask[pixels] = label
        boxes.append((label, int(xmin), int(ymin), int(xmax), int(ymax)))
    return Picture(data.clip(0, 255).astype(np.uint8).transpose(2, 0, 1), mask, boxes)


def label_rows(picture: Picture, item: int) -> np.ndarray:
    """MOST rows of 8 columns, as MultiBoxLoss reads them."""
    rows = np.full((MOST, 8), -1, np.float32)
    for i, (label, *corners) in enumerate(picture.boxes):
        rows[i] = [item, label, i, *(value / SIDE for value in corners), 0]
    return rows


def write_rows(folder: Path, name: str, pictures: list[Picture], batch: int) -> None:
    """NAME.h5, and NAME.txt that lists it."""
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["data"] = np.stack([picture.data for picture in pictures])
        file["label"] = np.stack([label_rows(picture, i % batch) for i, picture in enumerate(pictures)])
        file["mask"] = np.stack([picture.mask[None] for picture in pictures])
    (folder / f"{name}.txt").write_text(f"{name}.h5\n", encoding="utf-8")


def write_pictures(folder: Path, pictures: list[Picture]) -> None:
    """PNG files, four times as large, and boxes.json."""
    folder.mkdir(exist_ok=True)
    shapes = {}
    for i, picture in enumerate(pictures):
        large = picture.data.transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1)
        cv2.imwrite(str(folder / f"{i:02d}.png"), large)
        shapes[f"{i:02d}.png"] = [
            {"name": NAMES[label], "box": [4 * value for value in corners]} for label, *corners in picture.boxes
        ]
    (folder / "boxes.json").write_text(json.dumps(shapes, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes pictures of coloured shapes, with boxes and masks.")
    parser.add_argument("folder", type=Path, help="where to; it is made")
    parser.add_argument("--train", type=int, default=2048, help="pictures to train on (default: 2048)")
    parser.add_argument("--test", type=int, default=512, help="pictures held out (default: 512)")
    parser.add_argument("--batch", type=int, default=16, help="the nets' batch_size (default: 16)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    options = parser.parse_args()
    if options.batch < 1 or any(count < 1 or count % options.batch for count in (options.train, options.test)):
        parser.error("--train and --test must be multiples of --batch")
    if options.seed < 0:
        parser.error("--seed must be 0 or more")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        parser.error(f"{options.folder}: expected a folder, or that one can be made: {problem.strerror}")
    for i, (name, count) in enumerate((("train", options.train), ("test", options.test))):
        generator = np.random.default_rng([options.seed, i])
        pictures = [make_picture(generator) for _ in range(count)]
        write_rows(options.folder, name, pictures, options.batch)
    write_pictures(options.folder / "pictures", pictures[:12])
    print(f"{options.train} pictures to train on and {options.test} held-out ones are in {options.folder}.")


if __name__ == "__main__":
    main()
