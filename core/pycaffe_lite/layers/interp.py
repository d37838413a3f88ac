"""Interp: bilinear resizing, corners onto corners."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Array, Blob
from pycaffe_lite.kernels.resizing import Resizing
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Interp")
class Interp(Layer):
    """Resizes an image, after cutting off some of its edges.

        y[n, c, h, w] = x at row h (H - 1) / (OH - 1), column w (W - 1) / (OW - 1), bilinearly

    Bottom: x, N x C x H x W, or three axes, which are read as N x C x H x 1.
    Top: N x C x OH x OW, in memory as the bottom. The size is the first of these that fits, H being what is left of the
        height after the cut: H shrunk, (H - 1) / shrink_factor + 1, if only that factor is given; H zoomed,
        H + (H - 1) (zoom_factor - 1), if only that; height x width, if both are given; shrunk, then zoomed.
    Parameters: interp_param { height, width, zoom_factor, shrink_factor, pad_beg: 0, pad_end: 0 }; a pad is 0 or less
        and cuts off that many rows and columns.

    The derivative is the transpose; what was cut off gets 0.

    Errors: no size, or half of one; a pad above 0; nothing left.

    Source: DeepLab's and PSPNet's Interp.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.param = param = self.layer_param.interp_param
        if param.pad_beg > 0 or param.pad_end > 0:
            raise self.error(
                f"expected pad_beg and pad_end of 0 or less, which cut, got {param.pad_beg} and {param.pad_end}."
            )
        for name in ("zoom_factor", "shrink_factor"):
            if getattr(param, name) < 1:
                raise self.error(f"expected a {name} of 1 or more, got {getattr(param, name)}.")

    def _size(self, height: int, width: int) -> tuple[int, int]:
        param = self.param
        shrinks, zooms = param.HasField("shrink_factor"), param.HasField("zoom_factor")
        sized = [param.HasField(name) for name in ("height", "width")]
        if all(sized) and shrinks == zooms:
            return param.height, param.width
        if not shrinks and not zooms:
            got = "only one of height and width" if any(sized) else "none of them"
            raise self.error(
                f"expected interp_param {{ height: … width: … }}, a zoom_factor or a shrink_factor, got {got}."
            )
        return self._scaled(height), self._scaled(width)

    def _scaled(self, length: int) -> int:
        """A length shrunk, then zoomed, by factors that are 1 where they are not given."""
        length = (length - 1) // self.param.shrink_factor + 1
        return length + (length - 1) * (self.param.zoom_factor - 1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) not in (3, 4):
            raise self.error(f"expected a bottom of 4 axes (N, C, H, W), got shape {list(shape)}.")
        if top[0] is bottom[0]:
            raise self.error("cannot work in place; give its top another name than its bottom's.")
        full = (shape[2], shape[3] if len(shape) == 4 else 1)
        begin, end = -self.param.pad_beg, self.param.pad_end
        sizes = [length - begin + end for length in full]
        if min(sizes) < 1:
            raise self.error(f"expected an image larger than what pad_beg and pad_end cut, got {full[0]} x {full[1]}.")
        result = self._size(*sizes)
        if min(result) < 1:
            raise self.error(f"expected a height and width of 1 or more for its top, got {list(result)}.")
        top[0].reshape(*shape[:2], *result, order=bottom[0].order if len(shape) == 4 else None)
        place = slice(begin, begin + sizes[0]), slice(begin, begin + sizes[1])
        self.resizing = Resizing(place, result, self.dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.resizing.forward(_with_columns(bottom[0].data), top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self.resizing.backward(top[0].diff, _with_columns(bottom[0].diff))


def _with_columns(array: Array) -> Array:
    """N x C x H as a view N x C x H x 1."""
    return array if array.ndim == 4 else array[..., None]
