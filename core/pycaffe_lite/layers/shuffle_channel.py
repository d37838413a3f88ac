"""ShuffleChannel: channels of all groups by turns."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.copying import copy_all
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("ShuffleChannel")
class ShuffleChannel(Layer):
    """Takes a channel of each group by turns, so that the next grouped convolution sees all groups.

        top channel j * group + i = bottom channel i * (C / group) + j

    Bottom: x, N x C, N x C x H or N x C x H x W.
    Top: the same values, always with four axes: lengths that the bottom does not have are 1.
    Parameters: shuffle_channel_param { group: 1 }, which divides C.

    Errors: a group that does not divide the channels; one axis alone, or more than four.

    Source: Zhang, Zhou, Lin and Sun, "ShuffleNet", 2017, after farmingyard's port to Caffe.
    """

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, self.group = bottom[0].shape, self.layer_param.shuffle_channel_param.group
        if not 2 <= len(shape) <= 4:
            raise self.error(f"expected a bottom of 2 to 4 axes (N, C, H, W), got shape {list(shape)}.")
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        if self.group < 1 or shape[1] % self.group:
            raise self.error(f"expected a group that divides its {shape[1]} channels, got {self.group}.")
        order = bottom[0].order if len(shape) == 4 else None
        top[0].reshape(*shape, *[1] * (4 - len(shape)), order=order)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        copy_all([(self._groups(top[0].data, True), self._groups(bottom[0].data, False).swapaxes(1, 2))])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            copy_all([(self._groups(bottom[0].diff, False), self._groups(top[0].diff, True).swapaxes(1, 2))])

    def _groups(self, array: Array, shuffled: bool) -> Array:
        """The channels as group x C / group, or the other way round; a view, since only one axis is cut."""
        each = array.shape[1] // self.group
        cut = (each, self.group) if shuffled else (self.group, each)
        lengths = [*array.shape[2:], *[1] * (4 - array.ndim)]
        return array.reshape(array.shape[0], *cut, *lengths)
