"""What Bias and Scale have in common: a vector that covers some axes of the first bottom."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.proto import caffe_pb2


class Broadcast(Layer):
    """A layer whose operand, its second bottom or else its first parameter, is repeated over the first bottom.

    The operand's axes are the bottom's from `axis` on. A learned one takes `num_axes` of them, -1 for all the
    rest; 0 makes it a scalar (shape ()).

    Attributes:
        param: its BiasParameter or ScaleParameter, with `axis` and `num_axes`.
        channels: how the operand meets the bottom.
    """

    num_bottoms = (1, 2)
    param: caffe_pb2.BiasParameter | caffe_pb2.ScaleParameter

    def operand_shape(self, bottom: Blob) -> tuple[int, ...]:
        """The shape of a learned operand.

        Raises:
            CaffeError: for axes that the bottom does not have.
        """
        axis = self.canonical_axis(self.param.axis, bottom)
        num_axes = self.param.num_axes
        if num_axes == -1:
            return bottom.shape[axis:]
        if num_axes < -1 or axis + num_axes > bottom.num_axes:
            raise self.error(
                f"expected num_axes from 0 to {bottom.num_axes - axis}, or -1 for all axes from axis {axis} on, "
                f"with a bottom of shape {list(bottom.shape)}, got {num_axes}."
            )
        return bottom.shape[axis : axis + num_axes]

    def operand(self, bottom: Sequence[Blob]) -> Blob:
        """What is repeated."""
        return bottom[1] if len(bottom) > 1 else self.blobs[0]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        covered, operand = bottom[0], self.operand(bottom)
        axis = self.canonical_axis(self.param.axis, covered) if operand.num_axes else 0
        end = axis + operand.num_axes
        if covered.shape[axis:end] != operand.shape:
            source = "its second bottom" if len(bottom) > 1 else "its parameter"
            raise self.error(
                f"expected {source}, of shape {list(operand.shape)}, to be as long as the first bottom from axis "
                f"{axis} on, got a first bottom of shape {list(covered.shape)}."
            )
        top[0].reshape_like(covered)
        self.channels = Channels(covered, axis, end)
