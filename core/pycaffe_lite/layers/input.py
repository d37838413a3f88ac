"""Input: blobs that the caller fills."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("Input")
class Input(Layer):
    """Blobs of given shapes that the caller fills before each forward, and may reshape.

    Bottoms: none.
    Tops: one or more; zeros at first.
    Parameters: input_param { shape { dim: … } }: none, one for all tops, or one for each. Without a shape the
        tops are scalars until the caller reshapes them.

    Errors: another number of shapes; a shape that no blob can have.
    """

    num_bottoms = (0, 0)
    num_tops = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [tuple(shape.dim) for shape in self.layer_param.input_param.shape]
        if len(shapes) not in (0, 1, len(top)):
            raise self.error(f"expected no shape, one, or one for each of its {len(top)} top(s), got {len(shapes)}.")
        if len(shapes) == 1:
            shapes *= len(top)
        for blob, shape in zip(top, shapes, strict=False):
            try:
                blob.reshape(*shape)
            except ShapeError as problem:
                raise self.error(str(problem)) from None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Keeps the shapes: they are the caller's."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Keeps the values: they are the caller's."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing lies below."""
