"""What a net for segmentation says of each pixel, as classes and as a colour map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.blob import Array
from pycaffe_lite.data.images import opencv
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net.net import Net
from pycaffe_lite.tools.detections import Preparation, image_input

Classes = NDArray[np.uint8]

CITYSCAPES = (
    "804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 "
    "005064 0000e6 770b20"
)
"""The colours of Cityscapes' 19 classes by their numbers in training, as RGB."""


def palette(name: str) -> Classes:
    """256 colours, RGB: `voc`, by PASCAL VOC's rule, or `cityscapes`, black from the 20th on."""
    colors = np.zeros((256, 3), np.uint8)
    if name == "cityscapes":
        for i, color in enumerate(CITYSCAPES.split()):
            colors[i] = list(bytes.fromhex(color))
        return colors
    # Every third bit of a class's number goes to one colour, the lowest of them to the colour's highest bit.
    numbers = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            if 3 * bit + channel < 8:
                colors[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colors


def score_output(net: Net) -> str:
    """The name of the output with a score for each class and pixel, or with each pixel's class.

    Raises:
        CaffeError: there is not exactly one.
    """
    inputs = net.blobs[image_input(net)]
    maps = [n for n in net.outputs if len(net.blobs[n].shape) == 4 and min(net.blobs[n].shape[2:]) > 1]
    if len(maps) != 1 or not 2 <= net.blobs[maps[0]].shape[1] <= 256:
        shapes = ", ".join(f"{name} {list(net.blobs[name].shape)}" for name in net.outputs)
        raise CaffeError(
            f'Net "{net.name}": expected one output of N x 2 to 256 classes x H x W for its input of '
            f"{list(inputs.shape)}, got {shapes or 'none'}."
        )
    return maps[0]


def segment(net: Net, image: Array, prepare: Preparation) -> Classes:
    """The class with the highest score of each pixel of an image, H x W; the lower one of equals.

    Args:
        image: C x H x W, uint8, colours BGR. It is resized to the net's input, and the classes back, to the nearest.
    """
    name, output = image_input(net), score_output(net)
    shape = net.blobs[name].shape
    if shape[0] != 1:
        net.blobs[name].reshape(1, *shape[1:])
        net.reshape()
    values: dict[str, Any] = {name: prepare(image, *shape[2:])[None]}
    scores = net.forward(**values)[output][0]
    classes = scores.argmax(axis=0).astype(np.uint8)
    cv2 = opencv("Resizing images")
    return np.asarray(cv2.resize(classes, image.shape[:0:-1], interpolation=cv2.INTER_NEAREST))


def colored(classes: Classes, colors: Classes, image: Array, share: float = 1) -> Classes:
    """Classes as H x W x 3, BGR, over the image: `share` of the colours, the rest of the image."""
    picture = colors[classes][:, :, ::-1]
    return np.rint(share * picture + (1 - share) * np.moveaxis(image, 0, 2)).astype(np.uint8)
