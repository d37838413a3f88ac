"""What Convolution, Deconvolution and Im2col share: the window that a ConvolutionParameter describes."""

from __future__ import annotations

from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.layers.contract import Layer


class WindowLayer(Layer):
    """A layer with a convolution_param."""

    def read_window(self, axes: int) -> Window:
        """kernel_size, stride (1), pad (0), dilation (1): each given once, or once an axis, or as _h and _w.

        Args:
            axes: how many spatial axes the bottom has.
        """
        return Window(
            kernel=self._lengths("kernel_size", "kernel", axes, None),
            stride=self._lengths("stride", "stride", axes, 1),
            pad=self._lengths("pad", "pad", axes, 0),
            dilation=self._lengths("dilation", "dilation", axes, 1),
        )

    def _lengths(self, field: str, prefix: str, axes: int, default: int | None) -> tuple[int, ...]:
        param = self.layer_param.convolution_param
        listed = list(getattr(param, field))
        sides = [f"{prefix}_h", f"{prefix}_w"]
        if field != "dilation" and any(param.HasField(side) for side in sides):
            if listed:
                raise self.error(f"expected {field} or {sides[0]} and {sides[1]}, got both.")
            if axes != 2:
                raise self.error(f"{sides[0]} and {sides[1]} need 2 spatial axes, its bottom has {axes}; use {field}.")
            listed = [getattr(param, side) for side in sides]
        if not listed and default is not None:
            listed = [default]
        if len(listed) not in (1, axes) and axes:
            raise self.error(
                f"expected {field} once, or once for each of its {axes} spatial axes, got {len(listed)} values."
            )
        lengths = tuple(listed * axes if len(listed) == 1 else listed)[:axes]
        if field != "pad" and any(length < 1 for length in lengths):
            raise self.error(f"expected {field} of 1 or more, got {list(lengths)}.")
        return lengths
