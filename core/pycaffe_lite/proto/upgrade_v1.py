"""V1 layers, `layers { type: CONVOLUTION blobs_lr: 1 … }`, written from 2014 on."""

from __future__ import annotations

from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, V1LayerParameter

TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
    # Of Caffe's forks.
    "BN": "BN",
    "INTERP": "Interp",
    "L1_LOSS": "L1Loss",
    "NORMALIZE": "Normalize",
    "PERMUTE": "Permute",
    "RELU6": "ReLU6",
    "REVERSE": "Reverse",
    "ROI_POOLING": "ROIPooling",
    "SEG_ACCURACY": "SegAccuracy",
    "SMOOTH_L1_LOSS": "SmoothL1Loss",
    "TRANSPOSE": "Transpose",
    "TRIPLET_LOSS": "TripletLoss",
    "UPSAMPLE": "Upsample",
}
TRANSFORMS = ("scale", "mean_file", "crop_size", "mirror")
TRANSFORMED = {
    V1LayerParameter.DATA: "data_param",
    V1LayerParameter.IMAGE_DATA: "image_data_param",
    V1LayerParameter.WINDOW_DATA: "window_data_param",
}
_LISTS = ("bottom", "top", "loss_weight", "include", "exclude", "blobs")
# These become the layer's list of ParamSpec: field here, field there.
_SPECS = (
    ("param", "name"),
    ("blob_share_mode", "share_mode"),
    ("blobs_lr", "lr_mult"),
    ("weight_decay", "decay_mult"),
)


def type_name(number: int) -> str:
    """The present name of a V1 type."""
    return TYPES[V1LayerParameter.LayerType.Name(number)]


def move_transforms(net: NetParameter) -> bool:
    """Moves scale, mean_file, crop_size and mirror from data layers' own parameters to transform_param."""
    moved = False
    for layer in net.layers:
        name = TRANSFORMED.get(layer.type)
        if name is None or not layer.HasField(name):
            continue
        param = getattr(layer, name)
        for field in TRANSFORMS:
            if param.HasField(field):
                setattr(layer.transform_param, field, getattr(param, field))
                param.ClearField(field)
                moved = True
    return moved


def upgrade_v1(net: NetParameter) -> None:
    """Turns each of `net.layers` into one of `net.layer`, in order."""
    for old in net.layers:
        _upgrade_layer(old, net.layer.add())
    net.ClearField("layers")


def _upgrade_layer(old: V1LayerParameter, new: LayerParameter) -> None:
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        new.type = type_name(old.type)
    for name in _LISTS:
        getattr(new, name).extend(getattr(old, name))
    for name, spec_name in _SPECS:
        for i, value in enumerate(getattr(old, name)):
            setattr(new.param[i] if i < len(new.param) else new.param.add(), spec_name, value)
    for descriptor, value in old.ListFields():
        if descriptor.name.endswith("_param"):
            getattr(new, descriptor.name).CopyFrom(value)
