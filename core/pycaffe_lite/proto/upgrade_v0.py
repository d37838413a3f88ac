"""V0 layers, `layers { layer { type: "conv" kernelsize: 5 } }`, of 2013: one message has all fields."""

from __future__ import annotations

from typing import Any

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.proto.caffe_pb2 import NetParameter, V0LayerParameter, V1LayerParameter
from pycaffe_lite.proto.schema import fields_of
from pycaffe_lite.proto.text import at
from pycaffe_lite.words import did_you_mean

V0_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}
_PARAMS = {
    "concat": "concat_param",
    "conv": "convolution_param",
    "data": "data_param",
    "dropout": "dropout_param",
    "hdf5_data": "hdf5_data_param",
    "hdf5_output": "hdf5_output_param",
    "images": "image_data_param",
    "infogain_loss": "infogain_loss_param",
    "innerproduct": "inner_product_param",
    "lrn": "lrn_param",
    "pool": "pooling_param",
    "window_data": "window_data_param",
}
# For each field, its present name and the types that have it; None: all, in transform_param.
_LEARNED, _WINDOWED = ("conv", "innerproduct"), ("conv", "pool")
_FIELDS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "num_output": ("num_output", _LEARNED),
    "biasterm": ("bias_term", _LEARNED),
    "weight_filler": ("weight_filler", _LEARNED),
    "bias_filler": ("bias_filler", _LEARNED),
    "pad": ("pad", _WINDOWED),
    "kernelsize": ("kernel_size", _WINDOWED),
    "group": ("group", ("conv",)),
    "stride": ("stride", _WINDOWED),
    "pool": ("pool", ("pool",)),
    "dropout_ratio": ("dropout_ratio", ("dropout",)),
    "local_size": ("local_size", ("lrn",)),
    "alpha": ("alpha", ("lrn",)),
    "beta": ("beta", ("lrn",)),
    "k": ("k", ("lrn",)),
    "source": ("source", ("data", "hdf5_data", "images", "window_data", "infogain_loss")),
    "batchsize": ("batch_size", ("data", "hdf5_data", "images", "window_data")),
    "rand_skip": ("rand_skip", ("data", "images")),
    "shuffle_images": ("shuffle", ("images",)),
    "new_height": ("new_height", ("images",)),
    "new_width": ("new_width", ("images",)),
    "concat_dim": ("concat_dim", ("concat",)),
    "det_fg_threshold": ("fg_threshold", ("window_data",)),
    "det_bg_threshold": ("bg_threshold", ("window_data",)),
    "det_fg_fraction": ("fg_fraction", ("window_data",)),
    "det_context_pad": ("context_pad", ("window_data",)),
    "det_crop_mode": ("crop_mode", ("window_data",)),
    "scale": ("scale", None),
    "meanfile": ("mean_file", None),
    "cropsize": ("crop_size", None),
    "mirror": ("mirror", None),
}
# These every type has, in V1 layers too.
_COMMON = ("name", "type", "blobs", "blobs_lr", "weight_decay")
# What the message around a V0 layer may say that Caffe's own upgrade loses.
_KEPT = ("include", "exclude", "loss_weight", "param", "blob_share_mode")


def is_v0(net: NetParameter) -> bool:
    return any(layer.HasField("layer") for layer in net.layers)


def loses_fields(net: NetParameter) -> bool:
    """Whether V0 layers have fields that their types do not, which the upgrade leaves out with a warning."""
    layers = [layer.layer for layer in net.layers if layer.layer.type != "padding"]
    return not all(_has_place(old.type, field.name) for old in layers for field, _ in old.ListFields())


def _has_place(old_type: str, name: str) -> bool:
    if name in _COMMON or (name == "hdf5_output_param" and old_type == "hdf5_output"):
        return True
    types = _FIELDS.get(name, ("", ()))[1]
    return types is None or old_type in types


def upgrade_v0(net: NetParameter, path: str, lines: list[int]) -> list[int]:
    """Turns V0 layers into V1 layers, in place, and padding layers into the `pad` of their readers.

    Returns:
        The lines of the layers that are left.

    Raises:
        CaffeError: an unknown type or blob, or padding before a layer that takes none.
    """
    places = [at(path, [line]) for line in lines]
    _absorb_padding(net, places)
    kept = [i for i, layer in enumerate(net.layers) if layer.layer.type != "padding"]
    layers = [_upgraded(net.layers[i], places[i]) for i in kept]
    net.ClearField("layers")
    net.layers.extend(layers)
    return [lines[i] for i in kept]


def _absorb_padding(net: NetParameter, places: list[str]) -> None:
    """Lets the readers of padding layers read what those read, with the padding as their own."""
    writers: dict[str, V1LayerParameter | None] = dict.fromkeys(net.input)
    for layer, place in zip(net.layers, places, strict=True):
        for i, bottom in enumerate(layer.bottom):
            if bottom not in writers:
                raise CaffeError(f'{place}layer "{_name(layer)}": no layer before it makes "{bottom}".')
            padding = writers[bottom]
            if padding is not None and padding.layer.type == "padding":
                _check_padding(layer, padding, place)
                layer.layer.pad = padding.layer.pad
                layer.bottom[i] = padding.bottom[0]
        writers.update(dict.fromkeys(layer.top, layer))


def _check_padding(layer: V1LayerParameter, padding: V1LayerParameter, place: str) -> None:
    if layer.layer.type not in _WINDOWED or len(layer.bottom) != 1:
        raise CaffeError(
            f'{place}layer "{_name(layer)}": expected a conv or pool layer with one bottom behind the '
            f'padding layer "{_name(padding)}", got type "{layer.layer.type}" with {len(layer.bottom)}.'
        )
    if len(padding.bottom) != 1 or len(padding.top) != 1:
        raise CaffeError(
            f'{place}expected one bottom and one top in the padding layer "{_name(padding)}", '
            f"got {len(padding.bottom)} and {len(padding.top)}."
        )


def _name(layer: V1LayerParameter) -> str:
    return str(layer.layer.name or layer.name)


def _upgraded(layer: V1LayerParameter, place: str) -> V1LayerParameter:
    new = V1LayerParameter()
    new.CopyFrom(layer)
    if not layer.HasField("layer"):
        return new
    new.ClearField("layer")
    place = f'{place}layer "{_name(layer)}": '
    kept = [name for name in _KEPT if len(getattr(layer, name))]
    if kept:
        log.info(f"{place}{', '.join(kept)} beside a V0 layer counts; Caffe's own upgrade would drop it.")
    _fill(new, layer.layer, place)
    return new


def _fill(new: V1LayerParameter, old: V0LayerParameter, place: str) -> None:
    """Distributes a V0 layer's fields over a V1 layer."""
    if old.HasField("name"):
        new.name = old.name
    for name in ("blobs", "blobs_lr", "weight_decay"):
        getattr(new, name).extend(getattr(old, name))
    if old.HasField("type"):
        if old.type not in V0_TYPES:
            raise CaffeError(f'{place}unknown V0 type "{old.type}"{did_you_mean(old.type, V0_TYPES)}')
        new.type = V1LayerParameter.LayerType.Value(V0_TYPES[old.type])
    for descriptor, value in old.ListFields():
        if descriptor.name not in _COMMON:
            _fill_field(new, old.type, descriptor.name, value, place)


def _fill_field(new: V1LayerParameter, old_type: str, name: str, value: Any, place: str) -> None:
    if name == "hdf5_output_param" and old_type == "hdf5_output":
        new.hdf5_output_param.CopyFrom(value)
        return
    target, types = _FIELDS.get(name, ("", ()))
    if types is None:
        setattr(new.transform_param, target, value)
    elif old_type not in types:
        log.warning(f'{place}type "{old_type}" has no {name}; ignored, as in Caffe.')
    else:
        param = getattr(new, _PARAMS[old_type])
        field = fields_of(param.DESCRIPTOR)[target]
        if field.kind == "message":
            getattr(param, target).CopyFrom(value)
        elif field.repeated:
            getattr(param, target).append(value)
        else:
            setattr(param, target, value)
