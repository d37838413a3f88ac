"""What SSD, Faster R-CNN and R-FCN nets find in an image: boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.data.images import opencv
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.kernels.boxes import CENTER_SIZE, best_first, decode, suppress
from pycaffe_lite.net.net import Net

SHORTEST, LONGEST = 600, 1000
"""To which sides Faster R-CNN's test configuration scales an image."""

OVERLAP = 0.3
"""Faster R-CNN: of two boxes of a class that overlap more than this, the one of the lower score goes."""

REGIONS = ("rois", "cls_prob", "bbox_pred")


class Found(NamedTuple):
    """A box: class, score, and corners in pixels of the image."""

    label: int
    score: float
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class Preparation(NamedTuple):
    """How an image becomes an input: (pixel raw_scale - mean) input_scale.

    Attributes:
        mean: none, or a value for each channel, in the order of the input's channels.
        raw_scale: applied to pixels of 0 to 255.
        input_scale: applied after the mean.
        swap: the order of the input's channels from RGB; None: as they are in the net's usual order, BGR.
    """

    mean: Sequence[float] = ()
    raw_scale: float = 1
    input_scale: float = 1
    swap: Sequence[int] | None = None

    def __call__(self, image: Array, height: int, width: int) -> Array:
        """An image of C x H x W, colours BGR, as C x height x width of float32."""
        values = np.moveaxis(image, 0, 2).astype(np.float32)
        values = opencv("Resizing images").resize(values, (width, height)).reshape(height, width, -1)
        channels = values.shape[2]
        if self.swap:
            if sorted(self.swap) != list(range(channels)):
                raise CaffeError(f"channel_swap: expected an order of {channels} channels, got {list(self.swap)}.")
            values = values[:, :, ::-1][:, :, list(self.swap)]
        if len(self.mean) not in (0, 1, channels):
            raise CaffeError(f"Expected a mean of 1 or {channels} values, as the input has, got {len(self.mean)}.")
        values = values * np.float32(self.raw_scale)
        if len(self.mean):
            values = values - np.asarray(self.mean, np.float32)
        return np.moveaxis(values * np.float32(self.input_scale), 2, 0)


def detection_kind(net: Net) -> str:
    """ "ssd" for a net with DetectionOutput at its end, "regions" for Faster R-CNN and R-FCN.

    Raises:
        CaffeError: it is neither.
    """
    kind = _kind(net)
    if kind is None:
        raise CaffeError(
            f'Net "{net.name}": expected one that finds boxes, with a DetectionOutput at its end, or with an input '
            f"im_info and blobs {', '.join(REGIONS)}; its outputs are {', '.join(net.outputs) or 'none'}."
        )
    return kind


def finds_boxes(net: Net) -> bool:
    """Whether the net is one of a `detection_kind`."""
    return _kind(net) is not None


def _kind(net: Net) -> str | None:
    last = [node for node in net.nodes if node.layer.layer_param.type == "DetectionOutput"]
    if last and last[-1].top_names[0] in net.outputs:
        return "ssd"
    return "regions" if "im_info" in net.inputs and all(name in net.blobs for name in REGIONS) else None


def image_input(net: Net) -> str:
    """The name of the input that takes images, N x C x H x W.

    Raises:
        CaffeError: there is none.
    """
    for name in net.inputs:
        if len(net.blobs[name].shape) == 4 and net.blobs[name].shape[1] in (1, 3):
            return name
    raise CaffeError(f'Net "{net.name}": expected an Input layer for images, N x 1 or 3 x H x W, got none.')


def class_count(net: Net) -> int:
    """How many classes the net knows, the background among them."""
    if detection_kind(net) == "ssd":
        layers = [node.layer.layer_param for node in net.nodes if node.layer.layer_param.type == "DetectionOutput"]
        return int(layers[-1].detection_output_param.num_classes)
    return int(net.blobs["cls_prob"].shape[1])


def find_boxes(
    net: Net,
    image: Array,
    prepare: Preparation,
    threshold: float,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
) -> list[Found]:
    """The boxes that a net finds, by falling score; those with a corner that is no number are left out.

    The image goes through the net by itself, whatever batch the net's text has.

    Args:
        net: of either kind, see `detection_kind`.
        image: C x H x W, uint8, colours BGR.
        threshold: boxes of a lower score are left out.
        shortest, longest: to which sides an image is scaled for Faster R-CNN, in pixels; the second is never exceeded.
    """
    find = _ssd if detection_kind(net) == "ssd" else _regions
    with np.errstate(over="ignore", invalid="ignore"):  # weights of any kind
        found = find(net, image, prepare, threshold, (shortest, longest))
    return sorted((each for each in found if np.isfinite(each).all()), key=lambda each: -each.score)


def _ssd(net: Net, image: Array, prepare: Preparation, threshold: float, sides: tuple[int, int]) -> list[Found]:
    name, (height, width) = image_input(net), image.shape[1:]
    shape = net.blobs[name].shape
    if shape[0] != 1:
        net.blobs[name].reshape(1, *shape[1:])
        net.reshape()
    output = [node.top_names[0] for node in net.nodes if node.layer.layer_param.type == "DetectionOutput"][-1]
    values: dict[str, Any] = {name: prepare(image, *shape[2:])[None]}
    rows = net.forward(**values)[output].reshape(-1, 7)
    corners = np.clip(rows[:, 3:], 0, 1) * [width, height, width, height]
    kept = (rows[:, 1] >= 0) & (rows[:, 2] >= threshold)
    return [
        Found(int(row[1]), float(row[2]), *map(float, box)) for row, box in zip(rows[kept], corners[kept], strict=True)
    ]


def _regions(net: Net, image: Array, prepare: Preparation, threshold: float, sides: tuple[int, int]) -> list[Found]:
    name, (height, width) = image_input(net), image.shape[1:]
    scale = min(sides[0] / min(height, width), sides[1] / max(height, width))
    high, wide = max(round(height * scale), 1), max(round(width * scale), 1)
    net.blobs[name].reshape(1, image.shape[0], high, wide)
    if net.blobs["im_info"].count != 3:
        shape = list(net.blobs["im_info"].shape)
        raise CaffeError(f'Net "{net.name}": expected an im_info of height, width and scale, 1 x 3, got shape {shape}.')
    net.reshape()
    info = np.array([high, wide, scale], np.float32).reshape(net.blobs["im_info"].shape)
    given: dict[str, Any] = {name: prepare(image, high, wide)[None], "im_info": info}
    rois, scores, shifts = _region_rows(net, net.forward(REGIONS, **given))
    rois = rois / np.float32(scale)
    # A box in pixels ends one before where its width does; the predicted ends are taken as they come.
    boxes = decode(shifts, (rois + np.array([0, 0, 1, 1], rois.dtype))[:, None], None, CENTER_SIZE)
    boxes = np.clip(boxes, 0, np.array([width - 1, height - 1] * 2, boxes.dtype))
    found = []
    for label in range(1, scores.shape[1]):
        # R-FCN's shifts are the background's, and those of all other classes.
        own = boxes[:, label if boxes.shape[1] == scores.shape[1] else -1]
        candidates = np.flatnonzero(scores[:, label] >= threshold)
        order = candidates[best_first(scores[candidates, label])]
        for i in order[suppress(own[order], OVERLAP, ends=1)]:
            found.append(Found(label, float(scores[i, label]), *map(float, own[i])))
    return found


def _region_rows(net: Net, values: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Boxes R x 4, scores R x classes, and shifts R x classes x 4, or R x 2 x 4, of what a net has made of REGIONS."""
    rois, scores, shifts = (values[name] for name in REGIONS)
    count, classes = rois.size // 5, net.blobs["cls_prob"].shape[1]
    if rois.size == 5 * count and scores.size == classes * count and shifts.size in (4 * classes * count, 8 * count):
        each = 2 if shifts.size == 8 * count else classes
        return rois.reshape(count, 5)[:, 1:], scores.reshape(count, classes), shifts.reshape(count, each, 4)
    shapes = ", ".join(f"{name} {list(values[name].shape)}" for name in REGIONS)
    raise CaffeError(
        f'Net "{net.name}": expected rois R x 5, cls_prob R x classes, and bbox_pred R x 4 for each class or R x 8 for '
        f"all, got {shapes}."
    )
