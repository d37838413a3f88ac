"""BN: the type that two forks have for two different layers."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.bn_pspnet import PSPNetBN
from pycaffe_lite.layers.bn_segnet import SegNetBN
from pycaffe_lite.layers.contract import Layer, Place, register_layer
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter

LayerClass = type[Layer]
SEGNET, PSPNET = (
    ("scale_filler", "shift_filler", "bn_mode"),
    ("slope_filler", "bias_filler", "momentum", "eps", "frozen"),
)


@register_layer("BN")
class BN(Layer):
    """SegNet's layer or PSPNet's, by the fields of bn_param that are given.

    Without any of them the number of parameters decides: more than two, in `param` or in a file of weights, are
    PSPNet's.

    Errors: fields of both.
    """

    def __new__(cls, layer_param: LayerParameter, phase: int = TRAIN, place: Place = Place()) -> Layer:  # type: ignore[misc]  # noqa: B008
        param = layer_param.bn_param
        segnet, pspnet = ([name for name in names if param.HasField(name)] for names in (SEGNET, PSPNET))
        if segnet and pspnet:
            raise Layer(layer_param, phase, place).error(
                f"expected the fields of one fork in bn_param, got {segnet[0]} of SegNet's BN and {pspnet[0]} of "
                "PSPNet's."
            )
        if pspnet or max(len(layer_param.param), len(layer_param.blobs)) > 2:
            return PSPNetBN(layer_param, phase, place)
        return (SegNetBN if segnet else UnnamedBN)(layer_param, phase, place)


class UnnamedBN(Layer):
    """A BN whose text does not say which fork's it is: SegNet's, unless a file of weights has four parameters for it.

    Attributes:
        meaning: the layer that it is.
    """

    type = "BN"
    num_tops = (1, 3)
    meaning: Layer

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.around = (bottom, top)
        self._become(SegNetBN)

    def _become(self, kind: LayerClass) -> None:
        self.meaning = kind(self.layer_param, self.phase, self.place)
        self.meaning.check_counts(len(self.around[0]), len(self.around[1]))
        self.meaning.setup(*self.around)
        self.blobs[:] = self.meaning.blobs

    def fit_stored(self, count: int) -> None:
        if count > 2 and not isinstance(self.meaning, PSPNetBN):
            if self.shares or any(blob.moved for blob in self.blobs):
                raise self.error(
                    f"expected 2 parameters in the file of weights, SegNet's, got {count}, which are PSPNet's; name "
                    "one of its fields in bn_param before it is trained."
                )
            self._become(PSPNetBN)
            self.meaning.reshape(*self.around)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.meaning.reshape(bottom, top)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.meaning.forward(bottom, top)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.meaning.param_propagate_down = self.param_propagate_down
        self.meaning.backward(top, propagate_down, bottom)
