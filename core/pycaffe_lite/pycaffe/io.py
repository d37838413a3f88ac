"""caffe.io: images into what a net's input takes and back, and arrays into Caffe's messages and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pycaffe_lite.data.images import opencv, read_bytes
from pycaffe_lite.errors import CaffeError, FileError, MissingExtra, file_errors
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.pycaffe.faults import BadValue, UnreadableImage
from pycaffe_lite.pycaffe.resizing import Lengths, resize, zoom
from pycaffe_lite.words import did_you_mean

__all__ = [
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize",
    "resize_image",
    "zoom",
]

Array = NDArray[Any]

_LUMA = np.array([0.2125, 0.7154, 0.0721])  # of red, green and blue, as scikit-image weighs them


# -- messages ------------------------------------------------------------------------------------------------


def blobproto_to_array(blob: caffe_pb2.BlobProto, return_diff: bool = False) -> Array:
    """The values of a BlobProto, or its derivatives, in its shape, the older four numbers going before the newer form.

    Raises:
        BadValue: there are not as many values as the shape says.
    """
    values = np.array((blob.diff or blob.double_diff) if return_diff else (blob.data or blob.double_data))
    old = any(blob.HasField(name) for name in ("num", "channels", "height", "width"))
    shape = (blob.num, blob.channels, blob.height, blob.width) if old else tuple(blob.shape.dim)
    return _shaped(values, shape, "BlobProto")


def array_to_blobproto(arr: Array, diff: Array | None = None) -> caffe_pb2.BlobProto:
    """A BlobProto with an array of any shape as its values, and perhaps another of that shape as its derivatives."""
    arr = np.asarray(arr)
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).ravel())
    if diff is not None:
        blob.diff.extend(np.asarray(diff, float).ravel())
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[Array]) -> bytes:
    """Arrays as a BlobProtoVector in binary form."""
    return caffe_pb2.BlobProtoVector(blobs=[array_to_blobproto(arr) for arr in arraylist]).SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[Array]:
    """The arrays of a BlobProtoVector in binary form.

    Raises:
        BadValue: it is none, or a blob has not as many values as its shape says.
    """
    try:
        vector = caffe_pb2.BlobProtoVector.FromString(str)
    except Exception:
        # protobuf's own error class differs from one of its implementations to the other.
        raise BadValue("Expected a BlobProtoVector in binary form, got bytes that are none.") from None
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: Array, label: int | None = None) -> caffe_pb2.Datum:
    """A Datum of an image, C x H x W: of uint8 as bytes, of any other type as floats.

    Raises:
        BadValue: the array has not three axes.
    """
    arr = np.asarray(arr)
    if arr.ndim != 3:
        raise BadValue(f"Expected an array of three axes, C x H x W, got one of shape {list(arr.shape)}.")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel())
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: caffe_pb2.Datum) -> Array:
    """The values of a Datum that is not encoded, C x H x W: uint8, or float64 if it has floats.

    Raises:
        BadValue: it is encoded, or has not as many values as its shape says.
    """
    if datum.encoded:
        raise BadValue("Expected a Datum with its pixels, got an encoded image; OpenCV's imdecode reads its data.")
    values = np.frombuffer(datum.data, np.uint8).copy() if datum.data else np.array(datum.float_data, float)
    return _shaped(values, (datum.channels, datum.height, datum.width), "Datum")


def _shaped(values: Array, shape: tuple[int, ...], what: str) -> Array:
    if min(shape, default=0) < 0 or np.prod(shape, dtype=object) != values.size:
        raise BadValue(f"A {what} of shape {list(shape)} has {values.size} values.")
    return values.reshape(shape)


# -- into a net's input --------------------------------------------------------------------------------------


class Transformer:
    """Images as people have them, H x W x K in RGB from 0 to 1, into what a net's input takes, and back.

    Args:
        inputs: for each input blob, its shape: N x C x H x W.

    Attributes:
        inputs: as given.
        transpose, channel_swap, raw_scale, mean, input_scale: for each input, what was set.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, Array] = {}
        self.input_scale: dict[str, float] = {}

    def __check_input(self, in_: str) -> tuple[int, ...]:
        """The shape of an input."""
        if in_ not in self.inputs:
            meant = did_you_mean(str(in_), self.inputs)
            raise CaffeError(f'"{in_}" is not one of the inputs {", ".join(self.inputs)}{meant}')
        return tuple(int(length) for length in self.inputs[in_])

    def preprocess(self, in_: str, data: ArrayLike) -> NDArray[np.float32]:
        """An image as the input takes it.

        In this order, each if it is set: resized to the input's height and width, transposed, channels swapped,
        times raw_scale, minus the mean, times input_scale. The image itself stays as it is.

        Args:
            in_: the input.
            data: H x W x K.

        Returns:
            what the settings make of it: K x H x W with set_transpose(in_, (2, 0, 1)).

        Raises:
            CaffeError: there is no such input.
            BadValue: the image or what was set does not fit it.
        """
        in_dims = self.__check_input(in_)[2:]
        image = np.array(data, np.float32)
        if image.shape[:2] != in_dims:
            image = resize_image(image, in_dims)
        if (order := self.transpose.get(in_)) is not None:
            image = image.transpose(_fitting(order, image.ndim, "axes"))
        if (order := self.channel_swap.get(in_)) is not None:
            image = image[_fitting(order, len(image), "channels")]
        if (scale := self.raw_scale.get(in_)) is not None:
            image *= scale
        if self.mean.get(in_) is not None:
            image -= self._mean_for(in_, image)
        if (scale := self.input_scale.get(in_)) is not None:
            image *= scale
        return image

    def deprocess(self, in_: str, data: ArrayLike) -> Array:
        """What `preprocess` has made back into an image, H x W x K; the size stays.

        Args:
            in_: the input.
            data: K x H x W, or 1 x K x H x W, such as the input's data; axes of length 1 go, if no transpose is set.

        Raises: as preprocess.
        """
        self.__check_input(in_)
        order = self.transpose.get(in_)
        image = _one_image(np.array(data), None if order is None else len(order))
        if (scale := self.input_scale.get(in_)) is not None:
            image /= scale
        if self.mean.get(in_) is not None:
            image += self._mean_for(in_, image)
        if (scale := self.raw_scale.get(in_)) is not None:
            image /= scale
        if (swap := self.channel_swap.get(in_)) is not None:
            image = image[np.argsort(_fitting(swap, len(image), "channels"))]
        if order is not None:
            image = image.transpose(np.argsort(_fitting(order, image.ndim, "axes")))
        return image

    def _mean_for(self, in_: str, image: Array) -> Array:
        mean = self.mean[in_]
        try:
            fits = np.broadcast_shapes(mean.shape, image.shape) == image.shape
        except ValueError:
            fits = False
        if not fits:
            raise BadValue(
                f'The mean of input "{in_}" has shape {list(mean.shape)}, which does not fit an image of shape '
                f"{list(image.shape)}; is set_transpose missing?"
            )
        return mean

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Sets how the image's axes become the input's: (2, 0, 1) brings H x W x K to K x H x W.

        Raises:
            CaffeError: there is no such input.
            BadValue: not an order of as many axes as the input has behind the first.
        """
        axes = len(self.__check_input(in_)) - 1
        if sorted(order) != list(range(axes)):
            raise BadValue(f'Expected an order of the {axes} axes of input "{in_}", got {list(order)}.')
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Sets the order in which the input takes the channels: (2, 1, 0) brings RGB to BGR.

        Channels are the first axis, after `set_transpose`.

        Raises:
            CaffeError: there is no such input.
            BadValue: not as many numbers as the input has channels, or the number of no channel.
        """
        channels = self.__check_input(in_)[1]
        if len(order) != channels or not all(-channels <= channel < channels for channel in order):
            raise BadValue(f'Expected an order of the {channels} channels of input "{in_}", got {list(order)}.')
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Sets what the values are multiplied by before the mean: 255 for models that were trained on 0 to 255.

        Raises:
            CaffeError: there is no such input.
        """
        self.__check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: Array) -> None:
        """Sets the mean that is subtracted.

        Args:
            in_: the input.
            mean: a value for each channel; or an image, H x W or C x H x W, in the input's order of channels, which
                is resized to the input's size if it has another.

        Raises:
            CaffeError: there is no such input.
            BadValue: the mean has another number of channels, or is neither.
        """
        shape = self.__check_input(in_)[1:]
        channels, size = shape[0], shape[1:]
        if mean.ndim == 1 and len(mean) == channels:
            self.mean[in_] = mean[:, np.newaxis, np.newaxis]
        elif mean.ndim in (2, 3) and mean.size and mean.shape[:-2] in ((), (1,), (channels,)):
            self.mean[in_] = mean if mean.shape[-2:] == size else _resized_mean(mean, size)
        else:
            raise BadValue(
                f'Expected a mean for input "{in_}" of shape {list(shape)}: {channels} values, or an image of '
                f"H x W or {channels} x H x W; got shape {list(mean.shape)}."
            )

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Sets what the values are multiplied by at the end, after the mean.

        Raises:
            CaffeError: there is no such input.
        """
        self.__check_input(in_)
        self.input_scale[in_] = scale


def _one_image(data: Array, axes: int | None) -> Array:
    """An array of floats without leading axes of length 1: of so many axes, or None for as few as there can be."""
    image = data if data.dtype.kind == "f" else data.astype(np.float32)
    if axes is not None and image.shape[:-axes] == (1,) * (image.ndim - axes):
        return image.reshape(image.shape[-axes:])
    return image.squeeze()


def _fitting(order: Sequence[int], length: int, what: str) -> list[int]:
    if len(order) != length:
        raise BadValue(f"The order {list(order)} does not fit an image with {length} {what}.")
    return list(order)


def _resized_mean(mean: Array, size: tuple[int, ...]) -> Array:
    image = mean if mean.ndim == 3 else mean[np.newaxis]
    return resize_image(image.transpose(1, 2, 0), size).transpose(2, 0, 1)


# -- images --------------------------------------------------------------------------------------------------


def load_image(filename: str | os.PathLike[str] | IO[bytes], color: bool = True) -> NDArray[np.float32]:
    """An image file, or an open one, from 0 to 1: H x W x 3 in RGB; or H x W x 1 if color is False.

    Transparency is left away. scikit-image reads it where it is installed, else OpenCV.

    Raises:
        UnreadableImage: missing, or not an image; an OSError, too.
        MissingExtra: neither of the two is installed.
    """
    source: Any = filename
    opened = hasattr(source, "read")
    path = "the open file" if opened else os.path.expanduser(os.fspath(source))
    try:
        data = source.read() if opened else read_bytes(path)
        with file_errors(path, "pixels", lambda problem: "expected an image, got a file that is none"):
            return _floats(_decoded(data), color, path)
    except MissingExtra:
        raise
    except FileError as problem:
        raise UnreadableImage(str(problem)) from None
    except CaffeError as problem:
        raise UnreadableImage(f"{path}: {problem}") from None


def _decoded(data: bytes) -> Array:
    """The pixels of an encoded image: H x W, or H x W x 2, 3 or 4 with the transparency last; or several of them."""
    try:
        from skimage import io
    except ImportError:
        return _decoded_by_opencv(data)
    return io.imread(BytesIO(data))


def _decoded_by_opencv(data: bytes) -> Array:
    cv2 = opencv("Image files")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise CaffeError(f"expected an encoded image, got {len(data)} bytes that are none.")
    return pixels if pixels.ndim == 2 else pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]


def _floats(pixels: Array, color: bool, path: str) -> NDArray[np.float32]:
    """Pixels as `load_image` gives them."""
    image = pixels[0] if pixels.ndim == 4 else pixels  # the first of a moving image
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or not 1 <= channels <= 4:
        raise FileError(f"{path}: expected an image of 1 to 4 channels, got shape {list(pixels.shape)}.")
    if np.issubdtype(image.dtype, np.integer):
        image = image / np.iinfo(image.dtype).max
    image = image.reshape(*image.shape[:2], channels)
    if channels <= 2:
        return np.tile(image[:, :, :1], (1, 1, 3 if color else 1)).astype(np.float32)
    if color:
        return image[:, :, :3].astype(np.float32)
    if channels == 4:  # on white, as scikit-image makes it gray
        opacity = image[:, :, 3:]
        image = image[:, :, :3] * opacity + 1 - opacity
    return (image @ _LUMA)[:, :, np.newaxis].astype(np.float32)


def resize_image(im: Array, new_dims: Lengths, interp_order: int = 1) -> NDArray[np.float32]:
    """An image in another size, values in any range.

    As in Caffe, images of 1 or 3 channels go through `resize` and any others through `zoom`.

    Args:
        im: H x W x K.
        new_dims: height and width.
        interp_order: of the interpolation: 0 nearest, 1 linear; 2 to 5 need scikit-image.

    Raises:
        BadValue: not such an image, or a size below 1.
    """
    if im.ndim != 3 or not im.size:
        raise BadValue(f"Expected an image, H x W x K, got an array of shape {list(im.shape)}.")
    if len(new_dims) != 2 or min(new_dims) < 1:
        raise BadValue(f"Expected a height and a width of 1 or more, got {[int(length) for length in new_dims]}.")
    height, width = (int(length) for length in new_dims)
    if im.shape[-1] not in (1, 3):
        return zoom(im, (height / im.shape[0], width / im.shape[1], 1), order=interp_order).astype(np.float32)
    image = im if im.dtype.kind == "f" else im.astype(float)
    lowest, highest = image.min(), image.max()
    if not highest > lowest:
        return np.full((height, width, im.shape[-1]), lowest, np.float32)
    # Between 0 and 1: what lies beyond the edge counts as 0, which then is the lowest value.
    spread = highest - lowest
    between = resize((image - lowest) / spread, (height, width), order=interp_order)
    return (between * spread + lowest).astype(np.float32)


def oversample(images: Sequence[Array] | Array, crop_dims: Lengths) -> NDArray[np.float32]:
    """Ten crops of each image: the four corners from the upper left on, row by row, the centre, and these mirrored.

    Args:
        images: N images of one size, each H x W x K.
        crop_dims: height and width of the crops.

    Returns:
        10 * N x height x width x K.

    Raises:
        BadValue: no image, images of different shapes, or crops larger than they are.
    """
    shapes = {np.shape(image) for image in images}
    height, width = (int(length) for length in crop_dims)
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3:
        raise BadValue(f"Expected one or more images of one shape, H x W x K, got {len(images)} of others.")
    down, right = shape[0] - height, shape[1] - width
    if min(height, width) < 1 or min(down, right) < 0:
        raise BadValue(f"There is no crop of {height} x {width} in an image of {shape[0]} x {shape[1]}.")
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = np.empty((len(images), 10, height, width, shape[2]), np.float32)
    for of_image, image in zip(crops, images, strict=True):
        for crop, (top, left) in zip(of_image, corners, strict=False):
            crop[...] = image[top : top + height, left : left + width]
    crops[:, 5:] = crops[:, :5, :, ::-1]
    return crops.reshape(-1, height, width, shape[2])
