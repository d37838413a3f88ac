"""The shapes that data layers give to their tops, from the data where they are, else from the text alone."""

from __future__ import annotations

from pathlib import Path

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Place
from pycaffe_lite.layers.registry import create
from pycaffe_lite.paths import find_file
from pycaffe_lite.proto.caffe_pb2 import LayerParameter

Shape = tuple[int, ...]

PARAMS = {
    "Data": "data_param",
    "HDF5Data": "hdf5_data_param",
    "ImageData": "image_data_param",
    "MemoryData": "memory_data_param",
    "WindowData": "window_data_param",
}
"""The layer types that read data, each with the field that holds its batch_size."""


def top_shapes(layer: LayerParameter, phase: int, place: Place) -> list[Shape]:
    """The shape of each top of a data layer.

    Args:
        layer: a layer of one of the types of PARAMS.
        phase: TRAIN or TEST.
        place: where it stands.

    Returns:
        what the layer itself gives, once its source is open; where there is no such source, what follows from the
        crop or the mean image, with the channels of the mean, else 3.

    Raises:
        CaffeError: of the layer itself, if its text does not say enough.
    """
    try:
        return _of_data(layer, phase, place)
    except CaffeError:
        shapes = shapes_of_text(layer, place)
        if shapes is None:
            raise
        log.warning(
            f'{place.location}layer "{layer.name}" ({layer.type}): its source cannot be read; the shape '
            f"{' x '.join(map(str, shapes[0]))} follows from its text."
        )
        return shapes


def _of_data(layer: LayerParameter, phase: int, place: Place) -> list[Shape]:
    tops = [Blob() for _ in layer.top]
    made = create(layer, phase, place)
    try:
        made.open()
        made.build([], tops)
    finally:
        made.close()
    return [blob.shape for blob in tops]


def shapes_of_text(layer: LayerParameter, place: Place) -> list[Shape] | None:
    """Batch, channels, height and width, and a label for each image; None if the text does not say."""
    batch = getattr(layer, PARAMS[layer.type]).batch_size
    image = _image(layer, place) if layer.type in ("Data", "ImageData", "WindowData") else None
    if image is None or batch < 1:
        return None
    return [(batch, *image), (batch,)][: len(layer.top)]


def _image(layer: LayerParameter, place: Place) -> Shape | None:
    transform, images = layer.transform_param, layer.image_data_param
    mean = _mean_shape(transform.mean_file, place) if transform.mean_file else None
    crop = transform.crop_size or layer.window_data_param.crop_size
    if crop:
        height, width = crop, crop
    elif images.new_height and images.new_width:
        height, width = images.new_height, images.new_width
    elif mean:
        height, width = mean[1:]
    else:
        return None
    gray = transform.force_gray or (layer.type == "ImageData" and not images.is_color)
    # One mean_value may stand for all channels.
    channels = 1 if gray else mean[0] if mean else max(3, len(transform.mean_value))
    return channels, height, width


def _mean_shape(name: str, place: Place) -> Shape | None:
    try:
        return read_mean(Path(find_file(name, place.folder, "mean file"))).shape
    except CaffeError:
        return None
