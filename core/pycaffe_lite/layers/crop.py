"""Crop: a part of one blob, as large as another."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import copy_all
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Crop")
class Crop(Layer):
    """Cuts its first bottom down to the second one's lengths, from `axis` on.

        y = x[…, offset : offset + length, …]        dx = dy there, 0 around it

    Bottoms: x, any shape with at least one axis; a reference, of which only the lengths from `axis` on count.
        Nothing is propagated into the reference.
    Top: as x before `axis`, as the reference from there on; in memory as x.
    Parameters: crop_param { axis: 2, negative from the end; offset: none (0), one for all cut axes, or one for each }.

    Errors: an axis that x does not have, a reference with fewer axes, a number of offsets that does not fit, a part
        that reaches beyond x.

    Source: Caffe's CropLayer; Long, Shelhamer and Darrell, Fully Convolutional Networks (2015).
    """

    num_bottoms = (2, 2)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, reference = bottom[0].shape, bottom[1].shape
        axis = self.canonical_axis(self.layer_param.crop_param.axis, bottom[0])
        if len(reference) < len(shape):
            raise self.error(
                f"expected a reference with {len(shape)} axes, as its first bottom has, got shape {list(reference)}."
            )
        self.part = (slice(None),) * axis
        for at, offset in enumerate(self._offsets(len(shape) - axis), start=axis):
            if offset + reference[at] > shape[at]:
                raise self.error(
                    f"expected a part within its first bottom, got, along axis {at}, offset {offset} and length "
                    f"{reference[at]} out of {shape[at]}."
                )
            self.part = (*self.part, slice(offset, offset + reference[at]))
        top[0].reshape(*shape[:axis], *reference[axis : len(shape)], order=bottom[0].order)

    def _offsets(self, axes: int) -> list[int]:
        """One offset for each of the cut axes."""
        given = list(self.layer_param.crop_param.offset)
        if len(given) not in (0, 1, axes):
            raise self.error(f"expected no offset, one, or one for each of the {axes} cut axes, got {len(given)}.")
        return given if len(given) == axes else (given or [0]) * axes

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        copy_all([(top[0].data, self._part(bottom[0].data))])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            copy_all([(self._part(bottom[0].diff), top[0].diff)])
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _part(self, array: Array) -> Array:
        return array[self.part]
