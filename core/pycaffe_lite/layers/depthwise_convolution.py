"""DepthwiseConvolution: a convolution of each channel by itself, under the name that a port of MobileNet gave it."""

from __future__ import annotations

from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.convolution import Convolution


@register_layer("DepthwiseConvolution")
class DepthwiseConvolution(Convolution):
    """A Convolution, whose text names as many groups as channels.

    On a CPU the fork computes just what a Convolution does, with any group; so does this.

    Source: yonghenglh6's DepthwiseConvolution.
    """
