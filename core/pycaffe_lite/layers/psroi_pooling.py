"""PSROIPooling: the mean of each part of a box, each part from a channel of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.regions import Indices, bin_edges, round_half_away
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.roi_pooling import check_boxes, read_images

LEAST = 0.1


@register_layer("PSROIPooling")
class PSROIPooling(Layer):
    """Cuts boxes out of a map, and takes the mean of each of group_size x group_size parts.

        y[r, d, i, j] = mean of channel (d group_size + i) group_size + j over part i, j of box r; 0 if it is empty

    A box reaches from round(x1) to round(x2) + 1, halves away from 0, times spatial_scale; its sides are 0.1 at least.
    Part i of a side begins at floor(start + i length / group_size), ends at ceil(start + (i + 1) length / group_size),
    and ends with the map.

    Bottoms: the map, N x output_dim group_size² x H x W; boxes, R x 5: the image's number, x1, y1, x2, y2 in pixels of
        the image. Nothing is propagated to the boxes.
    Top: R x output_dim x group_size x group_size.
    Parameters: psroi_pooling_param { spatial_scale, output_dim, group_size }, all needed.

    The sums are differences of sums from the map's corner, in double precision.

    Errors: channels that do not fit; boxes of another width; an image that the map does not have.

    Source: Dai, Li, He and Sun, "R-FCN", 2016.
    """

    num_bottoms = (2, 2)
    may_propagate = (True, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.psroi_pooling_param
        missing = [name for name in ("spatial_scale", "output_dim", "group_size") if not param.HasField(name)]
        if missing or param.output_dim < 1 or param.group_size < 1:
            name = missing[0] if missing else "output_dim and group_size of 1 or more"
            raise self.error(f"expected {name} in psroi_pooling_param, got {'none' if missing else 'less'}.")
        self.outputs, self.group = param.output_dim, param.group_size

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, boxes = bottom[0].shape, bottom[1].shape
        channels = self.outputs * self.group**2
        if len(shape) != 4 or shape[1] != channels:
            raise self.error(
                f"expected a map with 4 axes and {channels} channels, output_dim times group_size squared, got shape "
                f"{list(shape)}."
            )
        check_boxes(self, boxes)
        top[0].reshape(boxes[0], self.outputs, self.group, self.group)

    def _place(self, boxes: Array, shape: tuple[int, ...]) -> None:
        """Sets, for each box, its image, the edges of its parts along both axes, and their areas."""
        self.images = read_images(self, boxes, shape[0])
        corners, scale = round_half_away(boxes[:, 1:]), np.float32(self.param.spatial_scale)
        starts = corners[:, 1::-1].astype(np.float32) * scale
        ends = (corners[:, :1:-1].astype(np.float32) + np.float32(1)) * scale
        lengths = np.maximum(ends - starts, np.float32(LEAST))
        edges = [bin_edges(starts[:, axis], lengths[:, axis], self.group, shape[2 + axis]) for axis in range(2)]
        (top, bottom), (left, right) = edges
        self.edges = [(top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)]
        heights, widths = np.maximum(bottom - top, 0), np.maximum(right - left, 0)
        self.areas = heights[:, :, None] * widths[:, None, :]

    def _at(self, rows: Indices, columns: Indices) -> tuple[Indices, ...]:
        """The index of one corner of each part in N x (H + 1) x (W + 1) x i x j x d."""
        i, j = np.arange(self.group)[:, None], np.arange(self.group)
        return self.images[:, None, None], rows[:, :, None], columns[:, None, :], i, j

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._place(bottom[1].data.reshape(-1, 5), bottom[0].shape)
        sums = self._corner_sums(bottom[0].shape)
        x = self._parts_last(bottom[0].data)
        np.cumsum(x, axis=1, dtype=np.float64, out=sums[:, 1:, 1:])
        np.cumsum(sums[:, 1:, 1:], axis=2, out=sums[:, 1:, 1:])
        total = np.zeros((*self.areas.shape, self.outputs))
        for rows, columns, sign in self.edges:
            total += sign * sums[self._at(rows, columns)]
        filled = self.areas[..., None] > 0
        means = np.where(filled, total / np.maximum(self.areas, 1)[..., None], 0)
        top[0].data[...] = means.transpose(0, 3, 1, 2)

    def _corner_sums(self, shape: tuple[int, ...]) -> np.ndarray:
        """Zeros for N x (H + 1) x (W + 1) x i x j x d."""
        n, _, height, width = shape
        return np.zeros((n, height + 1, width + 1, self.group, self.group, self.outputs))

    def _parts_last(self, array: Array) -> Array:
        """N x C x H x W as N x H x W x i x j x d."""
        n, _, height, width = array.shape
        return array.reshape(n, self.outputs, self.group, self.group, height, width).transpose(0, 4, 5, 2, 3, 1)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its boxes")
        if not propagate_down[0]:
            return
        share = top[0].diff.transpose(0, 2, 3, 1) / np.maximum(self.areas, 1)[..., None]
        share = np.where(self.areas[..., None] > 0, share, 0).astype(np.float64)
        sums = self._corner_sums(bottom[0].shape)
        for rows, columns, sign in self.edges:
            np.add.at(sums, self._at(rows, columns), sign * share)
        np.cumsum(sums, axis=1, out=sums)
        np.cumsum(sums, axis=2, out=sums)
        n, channels, height, width = bottom[0].shape
        spread = sums[:, :-1, :-1].transpose(0, 5, 3, 4, 1, 2)
        bottom[0].diff[...] = spread.reshape(n, channels, height, width)
