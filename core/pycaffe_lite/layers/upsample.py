"""Upsample: the type that two forks have for two different layers."""

from __future__ import annotations

from pycaffe_lite.layers.contract import Layer, Place, register_layer
from pycaffe_lite.layers.upsample_nearest import NearestUpsample
from pycaffe_lite.layers.upsample_segnet import SegNetUpsample
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter


@register_layer("Upsample")
class Upsample(Layer):
    """With a second bottom, the mask, SegNet's layer; else the one that repeats pixels."""

    def __new__(cls, layer_param: LayerParameter, phase: int = TRAIN, place: Place = Place()) -> Layer:  # type: ignore[misc]  # noqa: B008
        kind = SegNetUpsample if len(layer_param.bottom) > 1 else NearestUpsample
        return kind(layer_param, phase, place)
