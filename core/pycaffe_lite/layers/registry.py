"""The layer types: the table of contents.

A net needs few of them, so each module is imported when the first layer of its type is made. A new type takes
one module with one class under `@register_layer("Name")`, and one line here. Types of a user's own need no
line: the decorator alone makes them known.
"""

from __future__ import annotations

import importlib

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer, Place, registered
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import LayerParameter
from pycaffe_lite.proto.forks import addition, fork_of_type
from pycaffe_lite.words import did_you_mean

MODULES = {
    "AbsVal": "absval",
    "Accuracy": "accuracy",
    "AnnotatedData": "annotated_data",
    "ArgMax": "argmax",
    "Axpy": "axpy",
    "BN": "bn",
    "BNLL": "bnll",
    "BatchNorm": "batch_norm",
    "BatchReindex": "batch_reindex",
    "Bias": "bias",
    "CenterLoss": "center_loss",
    "Clip": "clip",
    "Concat": "concat",
    "ContrastiveLoss": "contrastive_loss",
    "Convolution": "convolution",
    "ConvolutionDepthwise": "convolution_depthwise",
    "Crop": "crop",
    "Data": "data",
    "Deconvolution": "deconvolution",
    "DepthwiseConvolution": "depthwise_convolution",
    "DetectionEvaluate": "detection_evaluate",
    "DetectionOutput": "detection_output",
    "Dropout": "dropout",
    "DummyData": "dummy_data",
    "ELU": "elu",
    "Eltwise": "eltwise",
    "Embed": "embed",
    "EuclideanLoss": "euclidean_loss",
    "Exp": "exp",
    "Filter": "filter",
    "Flatten": "flatten",
    "HDF5Data": "hdf5_data",
    "HDF5Output": "hdf5_output",
    "HingeLoss": "hinge_loss",
    "Im2col": "im2col",
    "ImageData": "image_data",
    "InfogainLoss": "infogain_loss",
    "InnerProduct": "inner_product",
    "Input": "input",
    "Interp": "interp",
    "L1Loss": "l1_loss",
    "LRN": "lrn",
    "LSTM": "lstm",
    "LSTMUnit": "lstm_unit",
    "Log": "log",
    "MVN": "mvn",
    "MemoryData": "memory_data",
    "MultiBoxLoss": "multibox_loss",
    "MultinomialLogisticLoss": "multinomial_logistic_loss",
    "Normalize": "normalize",
    "PReLU": "prelu",
    "PSROIPooling": "psroi_pooling",
    "Parameter": "parameter",
    "Permute": "permute",
    "Pooling": "pooling",
    "Power": "power",
    "PriorBox": "prior_box",
    "Proposal": "proposal",
    "Python": "python",
    "RNN": "rnn",
    "ROIPooling": "roi_pooling",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "Reduction": "reduction",
    "Reorg": "reorg",
    "Reshape": "reshape",
    "Reverse": "reverse",
    "SPP": "spp",
    "Scale": "scale",
    "SegAccuracy": "seg_accuracy",
    "ShuffleChannel": "shuffle_channel",
    "Sigmoid": "sigmoid",
    "SigmoidCrossEntropyLoss": "sigmoid_cross_entropy_loss",
    "Silence": "silence",
    "Slice": "slice",
    "SmoothL1Loss": "smooth_l1_loss",
    "Softmax": "softmax",
    "SoftmaxWithLoss": "softmax_loss",
    "Split": "split",
    "Swish": "swish",
    "TanH": "tanh",
    "Threshold": "threshold",
    "Tile": "tile",
    "Transpose": "transpose",
    "TripletLoss": "triplet_loss",
    "Upsample": "upsample",
    "WindowData": "window_data",
}
"""Which module of this package holds a type."""


def layer_type_list() -> list[str]:
    """The names of all known layer types, our own and the user's, in alphabetical order."""
    return sorted({*MODULES, *registered()})


def layer_class(name: str, location: str = "") -> type[Layer]:
    """The class that `type: "name"` stands for.

    Args:
        name: the type, as the text spells it.
        location: `file:line: ` of the layer, for the error's beginning.

    Raises:
        CaffeError: for an unknown type; names the fork that has it, or the nearest known one.
    """
    if name not in registered():
        if name not in MODULES:
            raise CaffeError(f'{location}unknown layer type "{name}"{_hint(name)}')
        importlib.import_module(f"pycaffe_lite.layers.{MODULES[name]}")
    return registered()[name]


def create(layer_param: LayerParameter, phase: int = TRAIN, place: Place = Place()) -> Layer:  # noqa: B008
    """Makes the layer that a LayerParameter describes; `build` then gives it its bottoms and tops.

    Raises:
        CaffeError: for an unknown type; names the fork that has it, or the nearest known one.
    """
    where = f'{place.location}layer "{layer_param.name}": '
    return layer_class(layer_param.type, where)(layer_param, phase, place)


def _hint(name: str) -> str:
    """The rest of the sentence: the fork that has the type, the nearest known type, or what one can do without."""
    fork = fork_of_type(name)
    if fork:
        return addition(fork, name)
    if not name:
        return '; give the layer one, such as type: "ReLU".'
    own = "; it is no type of Caffe's nor of a fork that is known: a Python layer can compute it."
    return did_you_mean(name, layer_type_list(), own)
