"""Boxes drawn on an image, with what they hold."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.data.images import opencv
from pycaffe_lite.tools.detections import Found


def draw_boxes(image: Array, boxes: Sequence[Found], names: Sequence[str]) -> Array:
    """An image of C x H x W, BGR, as H x W x 3 with boxes, names and scores on it, the best on top."""
    cv2 = opencv("Drawing boxes")
    picture = np.array(np.broadcast_to(np.moveaxis(image, 0, 2), (*image.shape[1:], 3)), order="C")
    thick = max(1, round(min(image.shape[1:]) / 250))
    for box in reversed(boxes):
        color = _color(box.label)
        left, top, right, bottom = (
            min(round(v), end - 1) for v, end in zip(box[2:], picture.shape[1::-1] * 2, strict=True)
        )
        cv2.rectangle(picture, (left, top), (right, bottom), color, thick)
        text, font, size = f"{names[box.label]} {box.score:.2f}", cv2.FONT_HERSHEY_SIMPLEX, 0.4 * max(1, thick / 1.5)
        (wide, high), below = cv2.getTextSize(text, font, size, 1)
        base = top if top > high + below else top + high + below
        cv2.rectangle(picture, (left, base - high - below), (left + wide, base), color, -1)
        cv2.putText(picture, text, (left, base - below // 2), font, size, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def png(picture: Any) -> bytes:
    """The bytes of a PNG of H x W x 3, BGR."""
    return bytes(opencv("Writing images").imencode(".png", picture)[1])


def _color(label: int) -> tuple[int, int, int]:
    """A light colour for each class, neighbours far apart."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618 % 1, 0.6, 1)
    return round(255 * blue), round(255 * green), round(255 * red)
