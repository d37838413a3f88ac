"""PriorBox: the boxes that SSD's predictions start from."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer

SAME = 1e-6


@register_layer("PriorBox")
class PriorBox(Layer):
    """Lays boxes of several sizes and shapes around each place of a map.

    Around each place, row by row, and for each min_size: a square of it; if there are max sizes, a square of
    sqrt(min_size max_size); a box of min_size sqrt(r) x min_size / sqrt(r) for each ratio r other than 1. Sizes are cut
    to whole numbers. The centre is (column + offset) step_w, (row + offset) step_h in pixels, and all is divided by the
    image's width and height. The ratios are 1 and those given, and with flip 1/r after each r; none comes twice.

    Bottoms: the map, whose H and W are the places; the image, whose H and W are the pixels (not needed with img_size,
        or img_h and img_w). Their values do not count.
    Top: 1 x 2 x (H W boxes 4): the boxes xmin, ymin, xmax, ymax, and their variances. Nothing is propagated back.
    Parameters: prior_box_param { min_size, max_size, aspect_ratio, flip: true, clip: false, variance: 0.1 (one, or one
        for each coordinate), img_size or img_h and img_w, step or step_h and step_w: image / map, offset: 0.5 }. One
        min_size and one max_size are how the first SSD wrote it; there clip was true where the text did not say.

    Errors: no min_size; sizes of 0 or less; a max_size that is not greater than its min_size, or without one; half of a
        size or step, or a length given twice.

    Source: Liu et al., "SSD: Single Shot MultiBox Detector", 2016.
    """

    num_bottoms = (1, 2)
    may_propagate = (False, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.prior_box_param
        self._check_sizes()
        self.ratios = self._read_ratios()
        self.variances = [float(value) for value in param.variance] or [0.1]
        if len(self.variances) not in (1, 4) or not all(value > 0 for value in self.variances):
            raise self.error(f"expected one variance or four, above 0, got {self.variances}.")
        self.image = self._sides("img_size", "img_h", "img_w")
        self.step = self._sides("step", "step_h", "step_w")
        if self.image is None and len(bottom) < 2:
            raise self.error("expected the image as bottom 1, or img_size, or img_h and img_w, got none of them.")

    def _check_sizes(self) -> None:
        least, most = list(self.param.min_size), list(self.param.max_size)
        if not least or not all(0 < size < inf for size in least):
            raise self.error(f"expected prior_box_param {{ min_size: … }} above 0, got {least or 'none'}.")
        if most and len(most) != len(least):
            raise self.error(f"expected as many max_size as min_size, or none, got {len(most)} and {len(least)}.")
        for low, high in zip(least, most, strict=False):
            if not low < high < inf:
                raise self.error(f"expected a max_size greater than its min_size {low:g}, got {high:g}.")

    def _read_ratios(self) -> list[float]:
        ratios = [1.0]
        for ratio in self.param.aspect_ratio:
            if not 0 < ratio < inf:
                raise self.error(f"expected an aspect_ratio above 0, got {ratio:g}.")
            if all(abs(ratio - other) >= SAME for other in ratios):
                ratios += [ratio, 1 / ratio] if self.param.flip else [ratio]
        return ratios

    def _sides(self, both: str, height: str, width: str) -> tuple[float, float] | None:
        """A length for both axes, given once or twice; None if it is not given."""
        param = self.param
        once, twice = param.HasField(both), [param.HasField(name) for name in (height, width)]
        if once and any(twice):
            raise self.error(f"expected {both} or {height} and {width}, got both.")
        if twice[0] != twice[1]:
            raise self.error(f"expected {both}, or {height} and {width}, got one of the two.")
        if not once and not any(twice):
            return None
        sides = [float(getattr(param, name)) for name in ((both, both) if once else (height, width))]
        if not all(0 < side < inf for side in sides):
            raise self.error(f"expected {both} above 0, got {sides}.")
        return sides[0], sides[1]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        used = bottom[:1] if self.image else bottom[:2]
        if any(blob.num_axes != 4 or min(blob.shape[2:]) < 1 for blob in used):
            shapes = " and ".join(str(list(blob.shape)) for blob in used)
            raise self.error(f"expected a map and an image with 4 axes (N, C, H, W) and pixels, got {shapes}.")
        places = bottom[0].shape[2], bottom[0].shape[3]
        image = self.image or (bottom[1].shape[2], bottom[1].shape[3])
        self.boxes = self._boxes(places, image)
        top[0].reshape(1, 2, self.boxes.shape[1])

    def _boxes(self, places: tuple[int, int], image: tuple[float, float]) -> np.ndarray:
        """The top's values, 2 x (boxes 4)."""
        steps = self.step or tuple(size / count for size, count in zip(image, places, strict=True))
        y, x = ((np.arange(count) + self.param.offset) * step for count, step in zip(places, steps, strict=True))
        width, height = np.array(self._shapes()).T
        centre = np.stack(np.broadcast_arrays(x[None, :, None], y[:, None, None]), axis=-1)
        half = np.stack([width, height], axis=-1) / 2
        boxes = np.concatenate([centre - half, centre + half], axis=-1) / np.array(image[::-1] * 2)
        if self.param.clip:
            boxes = np.clip(boxes, 0, 1)
        variances = np.broadcast_to(self.variances, boxes.shape)
        return np.stack([boxes.reshape(-1), variances.reshape(-1)])

    def _shapes(self) -> list[tuple[float, float]]:
        """Width and height of the boxes around a place."""
        shapes: list[tuple[float, float]] = []
        least, most = ([int(size) for size in sizes] for sizes in (self.param.min_size, self.param.max_size))
        for i, size in enumerate(least):
            shapes.append((size, size))
            if most:
                shapes.append((sqrt(size * most[i]),) * 2)
            shapes += [(size * sqrt(ratio), size / sqrt(ratio)) for ratio in self.ratios[1:]]
        return shapes

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[0] = self.boxes

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """The boxes depend on no value."""
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
