"""ROIPooling: the largest value of each part of a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.regions import bin_edges, images_of, round_half_away
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.parallel import parallel_for, slices


@register_layer("ROIPooling")
class ROIPooling(Layer):
    """Cuts boxes out of a map, and takes the maximum of each of pooled_h x pooled_w parts.

    A box's corners times spatial_scale are rounded, halves away from 0; both ends belong to it, and it is one place
    wide at least. Part i of a side of length L reaches from floor(i L / parts) to ceil((i + 1) L / parts), so that
    parts may overlap, and ends with the map. An empty part gives 0.

    Bottoms: the map, N x C x H x W; boxes, R x 5: the image's number, x1, y1, x2, y2 in pixels of the image.
    Top: R x C x pooled_h x pooled_w.
    Parameters: roi_pooling_param { pooled_h, pooled_w, spatial_scale: 1 }.

    Of equal values the first in row order gets the diff. Boxes whose ends lie before their beginnings get none, as in
    the fork: there this is not the derivative. Nothing is propagated to the boxes.

    Errors: no pooled_h or pooled_w; boxes of another width; an image that the map does not have.

    Source: Girshick, "Fast R-CNN", 2015.
    """

    num_bottoms = (2, 2)
    may_propagate = (True, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.roi_pooling_param
        self.size = param.pooled_h, param.pooled_w
        if min(self.size) < 1:
            raise self.error(
                f"expected roi_pooling_param {{ pooled_h: … pooled_w: … }} of 1 or more, got {param.pooled_h} and "
                f"{param.pooled_w}."
            )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, boxes = bottom[0].shape, bottom[1].shape
        if len(shape) != 4:
            raise self.error(f"expected a map of 4 axes (N, C, H, W), got shape {list(shape)}.")
        check_boxes(self, boxes)
        top[0].reshape(boxes[0], shape[1], *self.size, order=(0, 2, 3, 1))

    def _place(self, boxes: Array, shape: tuple[int, ...]) -> None:
        """Sets, for each box, its image and the beginning and end of its parts along both axes."""
        self.images = read_images(self, boxes, shape[0])
        corners = round_half_away(boxes[:, 1:] * boxes.dtype.type(self.param.spatial_scale))
        self.starts, self.ends = corners[:, 1::-1], corners[:, :1:-1]
        lengths = np.maximum(self.ends - self.starts + 1, 1)
        self.parts = [
            bin_edges(self.starts[:, axis], lengths[:, axis], count, shape[2 + axis])
            for axis, count in enumerate(self.size)
        ]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = np.ascontiguousarray(bottom[0].data.transpose(0, 2, 3, 1))
        self._place(bottom[1].data.reshape(-1, 5), bottom[0].shape)
        out = top[0].data.transpose(0, 2, 3, 1)
        pieces = slices(len(out), len(out) // 8)

        def piece(p: int) -> None:
            for i in range(pieces[p].start, pieces[p].stop):
                self._pool(i, x[self.images[i]], out[i])

        parallel_for(len(pieces), piece)

    def _pool(self, i: int, x: Array, out: Array) -> None:
        """The maxima of one box: those over rows first, then along the columns."""
        (tops, bottoms), (lefts, rights) = ((edges[0][i].tolist(), edges[1][i].tolist()) for edges in self.parts)
        left, right = min(lefts), max(rights)
        for row, (above, below) in enumerate(zip(tops, bottoms, strict=True)):
            if below <= above or right <= left:
                out[row] = 0
                continue
            highest = np.maximum.reduce(x[above:below, left:right], axis=0)
            for column, (begin, end) in enumerate(zip(lefts, rights, strict=True)):
                if end <= begin:
                    out[row, column] = 0
                else:
                    np.maximum.reduce(highest[begin - left : end - left], axis=0, out=out[row, column])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its boxes")
        if not propagate_down[0]:
            return
        x, dy = (array.transpose(0, 2, 3, 1) for array in (bottom[0].data, top[0].diff))
        dx = np.zeros(x.shape, x.dtype)
        for i, image in enumerate(self.images):
            if not (self.starts[i] > self.ends[i]).any():
                self._give_back(i, x[image], dy[i], dx[image])
        bottom[0].diff[...] = dx.transpose(0, 3, 1, 2)

    def _give_back(self, i: int, x: Array, dy: Array, dx: Array) -> None:
        """Adds the diff of each part of one box to the first of its maxima, if that lies inside of the box."""
        (tops, bottoms), (lefts, rights) = ((edges[0][i], edges[1][i]) for edges in self.parts)
        channels = np.arange(x.shape[-1])
        last_row, last_column = self.ends[i]
        for row, (above, below) in enumerate(zip(tops, bottoms, strict=True)):
            for column, (begin, end) in enumerate(zip(lefts, rights, strict=True)):
                if below <= above or end <= begin:
                    continue
                part = x[above:below, begin:end]
                best = part.reshape(part.shape[0] * part.shape[1], len(channels)).argmax(axis=0)
                rows, columns = above + best // (end - begin), begin + best % (end - begin)
                inside = (rows <= last_row) & (columns <= last_column)
                dx[rows[inside], columns[inside], channels[inside]] += dy[row, column][inside]


def check_boxes(layer: Layer, shape: tuple[int, ...]) -> None:
    """Raises a CaffeError unless a blob of this shape holds boxes of five numbers."""
    if len(shape) < 2 or shape[1] != 5 or any(length != 1 for length in shape[2:]):
        raise layer.error(f"expected boxes R x 5 (image, x1, y1, x2, y2) as bottom 1, got shape {list(shape)}.")


def read_images(layer: Layer, boxes: Array, images: int) -> np.ndarray:
    """The number of each box's image; a CaffeError for one that is not there."""
    numbers = images_of(boxes)
    if numbers is None or (numbers.size and not (numbers.min() >= 0 and numbers.max() < images)):
        wrong = boxes[:, 0][~((boxes[:, 0] > -1) & (boxes[:, 0] < images))][0]
        raise layer.error(f"expected boxes of images from 0 to {images - 1}, which bottom 0 has, got image {wrong:g}.")
    return numbers
