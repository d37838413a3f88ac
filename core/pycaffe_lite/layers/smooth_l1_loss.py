"""SmoothL1Loss: the type that two forks have for two different losses."""

from __future__ import annotations

from pycaffe_lite.layers.contract import Layer, Place, register_layer
from pycaffe_lite.layers.smooth_l1_loss_rcnn import FasterRCNNSmoothL1Loss
from pycaffe_lite.layers.smooth_l1_loss_ssd import SSDSmoothL1Loss
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter


@register_layer("SmoothL1Loss")
class SmoothL1Loss(Layer):
    """With weights (bottoms 2 and 3) or a smooth_l1_loss_param Faster R-CNN's loss, else SSD's."""

    def __new__(cls, layer_param: LayerParameter, phase: int = TRAIN, place: Place = Place()) -> Layer:  # type: ignore[misc]  # noqa: B008
        weighted = len(layer_param.bottom) > 2 or layer_param.HasField("smooth_l1_loss_param")
        return (FasterRCNNSmoothL1Loss if weighted else SSDSmoothL1Loss)(layer_param, phase, place)
