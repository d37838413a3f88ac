"""ConvolutionDepthwise: a convolution of each channel by itself, whatever num_output and group say."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.convolution import Convolution


@register_layer("ConvolutionDepthwise")
class ConvolutionDepthwise(Convolution):
    """A Convolution with as many outputs and groups as the bottom has channels; its num_output and group are ignored.

    Bottom: N x C x H x W.
    Top: N x C x OH x OW, as Convolution.
    Blobs: weight, C x 1 x KH x KW; bias, C.
    Parameters: those of Convolution. Where stride or pad is missing it is 1 or 0; the fork itself ends there.

    Errors: as Convolution; a bottom of other than four axes.

    Source: farmingyard's ConvolutionDepthwise.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 4 or not bottom[0].shape[1]:
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(bottom[0].shape)}.")
        param = self.layer_param.convolution_param
        param.num_output = param.group = bottom[0].shape[1]
        param.ClearField("axis")
        super().setup(bottom, top)
