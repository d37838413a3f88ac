"""DummyData: blobs that a filler fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import told_by
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.layers.filler import fill
from pycaffe_lite.proto import caffe_pb2

LEGACY_AXES = ("num", "channels", "height", "width")

Value = TypeVar("Value")


@register_layer("DummyData")
class DummyData(Layer):
    """Made-up data: constants, filled once, or random values, drawn anew in each forward.

    Bottoms: none.
    Tops: one or more.
    Parameters: dummy_data_param { shape { dim: … }  data_filler { … } }: one shape for all tops or one for
        each, or the older num, channels, height and width in the same way; no filler (zeros), one for all
        tops, or one for each.

    Errors: other numbers of shapes or fillers; both forms of shape; what a filler refuses.
    """

    num_bottoms = (0, 0)
    num_tops = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.dummy_data_param
        fillers = list(param.data_filler) or [caffe_pb2.FillerParameter(type="constant")]
        self.fillers = self._one_for_each("data_filler", fillers, len(top))
        for blob, shape in zip(top, self._shapes(param, len(top)), strict=True):
            with told_by(self.error):
                blob.reshape(*shape)
        self._fill(top, constant=True)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Keeps the shapes of the text."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._fill(top, constant=False)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing lies below."""

    def _fill(self, top: Sequence[Blob], constant: bool) -> None:
        """Fills the tops whose filler is constant, or the others; in order, for the generator's sake."""
        for blob, filler in zip(top, self.fillers, strict=True):
            if (filler.type == "constant") == constant:
                with told_by(self.error):
                    fill(blob, filler)

    def _shapes(self, param: caffe_pb2.DummyDataParameter, tops: int) -> list[tuple[int, ...]]:
        """The shape of each top."""
        legacy = [axis for axis in LEGACY_AXES if len(getattr(param, axis))]
        if not legacy:
            return self._one_for_each("shape", [tuple(shape.dim) for shape in param.shape], tops)
        if len(param.shape):
            raise self.error(f"expected either shape or {legacy[0]}, got both.")
        return list(
            zip(
                *(self._one_for_each(axis, list(getattr(param, axis)), tops) for axis in LEGACY_AXES),
                strict=True,
            )
        )

    def _one_for_each(self, what: str, values: list[Value], tops: int) -> list[Value]:
        if len(values) not in (1, tops):
            raise self.error(f"expected one {what}, or one for each of its {tops} top(s), got {len(values)}.")
        return values * tops if len(values) == 1 else values
