"""Upsample with a mask: values back to where a max pooling took them from."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import view_as
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.parallel import parallel_for

CHANNELS_LAST = (0, 2, 3, 1)


class SegNetUpsample(Layer):
    """Undoes a max pooling: each value goes to the place where its maximum was, all else is 0.

        y[n, c, mask[n, c, i]] = x[n, c, i]        dx[n, c, i] = dy[n, c, mask[n, c, i]]

    Bottoms: x, N x C x H x W; mask, of the same shape: whole numbers, counted along the rows of the top's plane, as
        the second top of a max Pooling has them. Nothing is propagated to the mask.
    Top: N x C x OH x OW, in memory as x; upsample_h x upsample_w if both are given, else H scale_h x W scale_w, less 1
        with pad_out.
    Parameters: upsample_param { scale: 2, scale_h, scale_w: scale, pad_out_h, pad_out_w: false (for a scale of 2
        alone), upsample_h, upsample_w }.

    Of values with one place the last stays, and yet each takes the diff of that place, as in the fork: where places
    come twice, this is not the derivative.

    Errors: a mask of another shape, or with a place beyond the plane; half of a size; a pad_out with another scale.

    Source: Badrinarayanan, Kendall and Cipolla, "SegNet", 2015, and their Caffe layer.
    """

    type = "Upsample"
    num_bottoms = (2, 2)
    may_propagate = (True, False)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.upsample_param
        given = [param.HasField(name) for name in ("upsample_h", "upsample_w")]
        if given[0] != given[1]:
            raise self.error("expected upsample_h and upsample_w in upsample_param, or neither, got one of them.")
        self.size = (param.upsample_h, param.upsample_w) if given[0] else None
        both = param.scale if param.HasField("scale") else 2
        self.scales = tuple(getattr(param, name) if param.HasField(name) else both for name in ("scale_h", "scale_w"))
        self.cut = (param.pad_out_h, param.pad_out_w)
        if self.size is not None:
            if min(self.size) < 1:
                raise self.error(f"expected upsample_h and upsample_w of 1 or more, got {list(self.size)}.")
            return
        if min(self.scales) < 1:
            raise self.error(f"expected a scale of 1 or more in upsample_param, got {list(self.scales)}.")
        for name, scale, cut in zip("hw", self.scales, self.cut, strict=True):
            if cut and scale != 2:
                raise self.error(f"expected pad_out_{name} with a scale of 2 alone, got a scale of {scale}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4 or bottom[1].shape != shape:
            raise self.error(
                f"expected two bottoms of one shape with 4 axes (N, C, H, W), values and their mask, got "
                f"{list(shape)} and {list(bottom[1].shape)}."
            )
        if any(top[0] is blob for blob in bottom):
            raise self.error("cannot work in place; give its top a name of its own.")
        size = self.size or tuple(
            max(0, length * scale - cut) for length, scale, cut in zip(shape[2:], self.scales, self.cut, strict=True)
        )
        self.plane = prod(size)
        self.channels_last = bottom[0].order == CHANNELS_LAST
        top[0].reshape(*shape[:2], *size, order=bottom[0].order if self.channels_last else None)
        self.places = np.zeros(self._in_memory(bottom[0].data).shape, np.intp)

    def _in_memory(self, array: Array) -> Array:
        return array.transpose(CHANNELS_LAST) if self.channels_last else array

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._read_mask(bottom[1].data)
        values, target = self._in_memory(bottom[0].data), self._in_memory(top[0].data)
        flat = view_as(target, (len(target), prod(target.shape[1:])))
        out = np.empty((len(target), prod(target.shape[1:])), target.dtype) if flat is None else flat

        def image(n: int) -> None:
            out[n] = 0
            out[n, self.places[n].reshape(-1)] = values[n].reshape(-1)

        parallel_for(len(out), image)
        if flat is None:
            np.copyto(target, out.reshape(target.shape))

    def _read_mask(self, mask: Array) -> None:
        """Sets the places, counted through an image as it lies in memory."""
        if mask.size and not (mask.min() > -1 and mask.max() < self.plane):
            wrong = mask[~((mask > -1) & (mask < self.plane))].flat[0]
            raise self.error(
                f"expected a mask of places from 0 to {self.plane - 1} in the plane of its top, got {wrong:g}; give it "
                "the size or scale that the pooling's bottom had."
            )
        np.copyto(self.places, self._in_memory(mask), casting="unsafe")
        channels = np.arange(mask.shape[1])
        if self.channels_last:
            self.places *= mask.shape[1]
            self.places += channels
        else:
            self.places += channels[:, None, None] * self.plane

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.cannot_propagate(propagate_down, 1, "its mask")
        if not propagate_down[0]:
            return
        diff, target = self._in_memory(top[0].diff), self._in_memory(bottom[0].diff)
        for n in range(len(diff)):
            target[n] = diff[n].reshape(-1)[self.places[n]]
