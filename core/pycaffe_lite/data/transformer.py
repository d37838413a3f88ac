"""From a record's pixels to what the net sees: crop, mirror, subtract the mean, scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.images import is_opencvs, write_opencvs
from pycaffe_lite.data.records import Images
from pycaffe_lite.errors import CaffeError, FileError, ShapeError
from pycaffe_lite.formats.blobproto import read_blob
from pycaffe_lite.parallel import parallel_for
from pycaffe_lite.paths import find_file
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import TransformationParameter
from pycaffe_lite.rng import Generator, Words

ImageShape = tuple[int, int, int]

_CACHED = 1 << 16  # elements


VARIATIONS = ("resize_param", "noise_param", "distort_param", "expand_param", "emit_constraint")
"""What SSD adds to transform_param."""


def _refuse_variations(param: TransformationParameter) -> None:
    """Raises a CaffeError for variations of images that are read but not carried out."""
    for name in VARIATIONS:
        if param.HasField(name):
            raise CaffeError(f"{name}, an addition of SSD to transform_param, is not carried out here; leave it out.")


def draws_words(param: TransformationParameter, phase: int) -> bool:
    """Whether images are transformed by chance: mirrored, or cropped for training."""
    return bool(param.mirror or (param.crop_size and phase == TRAIN))


class Transformer:
    """out = (crop of the image, perhaps mirrored - mean) * scale, in float32.

    The crop is `crop_size` square, anywhere in training, else at (size - crop_size) // 2. The mean is an
    image (`mean_file`), of which the pixel at the same place is taken, or one value, or one for each channel
    (`mean_value`). For each image the transformer's own generator gives up to three words, as in Caffe: the
    mirror's (odd: mirrored), the row's and the column's (modulo size - crop_size + 1).

    Args:
        param: a TransformationParameter.
        phase: TRAIN or TEST.
        folder: where `mean_file` is looked for besides the working folder.
        seed: of the generator.

    Raises:
        CaffeError: parameters that exclude one another, or a mean file that cannot be read.
    """

    def __init__(self, param: TransformationParameter, phase: int, folder: str = "", seed: int = 0) -> None:
        if param.force_color and param.force_gray:
            raise CaffeError("expected force_color or force_gray, got both.")
        if param.HasField("mean_file") and len(param.mean_value):
            raise CaffeError("expected mean_file or mean_value, got both.")
        _refuse_variations(param)
        self._crop = int(param.crop_size)
        self._mirror = bool(param.mirror)
        self._random_crop = bool(self._crop and phase == TRAIN)
        self._scale = np.float32(param.scale)
        self._mean_file = str(param.mean_file)
        self._mean = _read_means(param, folder)
        # It is added in place of a difference, to the same bits.
        self._minus_mean = None if self._mean is None else -self._mean
        self._mean_images = None if self._minus_mean is None or not self._mean_file else _mean_images(self._minus_mean)
        self._generator = Generator(seed) if draws_words(param, phase) else None

    # -- the generator -------------------------------------------------------------------------------------

    def state(self) -> tuple[NDArray[np.uint32], int] | None:
        """The generator's state; None if nothing is left to chance."""
        return self._generator.get_state() if self._generator else None

    def restore(self, state: tuple[NDArray[Any], int] | None) -> None:
        """Goes on where `state` was called."""
        if self._generator and state is not None:
            self._generator.set_state(*state)

    # -- shapes --------------------------------------------------------------------------------------------

    def output_shape(self, shape: tuple[int, ...]) -> ImageShape:
        """What becomes of an image of a shape, C x H x W.

        Raises:
            ShapeError: the image is smaller than the crop, or does not fit the mean.
        """
        channels, height, width = shape
        if min(height, width) < self._crop:
            raise ShapeError(
                f"expected images of at least crop_size {self._crop}, got height {height} and width {width}."
            )
        self._check_mean((channels, height, width))
        return (channels, self._crop, self._crop) if self._crop else (channels, height, width)

    def _check_mean(self, shape: ImageShape) -> None:
        if self._mean is None:
            return
        if self._mean_file and self._mean.shape != shape:
            raise ShapeError(
                f"expected a mean image of the images' shape {list(shape)}, "
                f"got {self._mean_file} of shape {list(self._mean.shape)}."
            )
        if len(self._mean) not in (1, shape[0]):
            raise ShapeError(
                f"expected 1 mean_value or one for each of the {shape[0]} channels, got {len(self._mean)}."
            )

    # -- values --------------------------------------------------------------------------------------------

    def apply(
        self,
        images: Images,
        out: NDArray[np.float32],
        where: Callable[[int], str],
        for_each: Callable[[int, Callable[[int], object]], None] = parallel_for,
    ) -> None:
        """Transforms images.

        Args:
            images: n x C x H x W, or n images C x H x W, of several sizes where they are cropped.
            out: n x C x H x W of the output shape, float32.
            where: what an error calls the i-th image.
            for_each: does the parts, see `Pool.run`; no result depends on its threads.

        Raises:
            ShapeError: an image does not fit.
        """
        words = self._draw(len(out))
        # So many at a time that they stay in the cache from one pass to the next.
        many = max(1, _CACHED // out[0].size)
        if not isinstance(images, np.ndarray) or many == 1:
            for_each(len(out), lambda i: self._apply_one(images[i], out[i], words[i], lambda: where(i)))
            return
        self._check(images.shape[1:], out.shape[1:], lambda: where(0))
        pieces = [slice(first, first + many) for first in range(0, len(out), many)]
        for_each(len(pieces), lambda i: self._apply_many(images[pieces[i]], out[pieces[i]], words[pieces[i]]))

    def _check(self, shape: tuple[int, ...], expected: tuple[int, ...], where: Callable[[], str]) -> None:
        """Raises a ShapeError unless an image of a shape comes out in the expected one."""
        try:
            got = self.output_shape(shape)
        except ShapeError as problem:
            raise ShapeError(f"{where()}: {problem}") from None
        if got != expected:
            raise ShapeError(
                f"{where()}: expected shape {list(expected)}, as the first image of its batch has, "
                f"got {list(got)}; images of several sizes need crop_size, or batch_size 1."
            )

    def _draw(self, n: int) -> Words:
        """The words for n images, one row each."""
        each = int(self._mirror) + 2 * int(self._random_crop)
        if self._generator is None:
            return np.zeros((n, 0), np.uint32)
        return self._generator.words(n * each).reshape(n, each)

    def _place(self, words: Any, height: int, width: int) -> tuple[Any, Any, Any]:
        """Row and column of the crop, and whether it is mirrored: of one image, or arrays for many."""
        row, column = height - self._crop, width - self._crop
        if self._random_crop:
            row, column = words[-2] % (row + 1), words[-1] % (column + 1)
        elif self._crop:
            row, column = row // 2, column // 2
        else:
            row = column = 0
        return row, column, words[0] % 2 == 1 if self._mirror else False

    def _apply_one(self, image: NDArray[Any], out: NDArray[np.float32], words: Words, where: Callable[[], str]) -> None:
        self._check(image.shape, out.shape, where)
        height, width = out.shape[1:]
        row, column, mirrored = self._place(words.tolist(), *image.shape[1:])
        pixels = image[:, row : row + height, column : column + width]
        mean, of_opencv = self._minus_mean, is_opencvs(image)
        if self._mean_images:
            column = image.shape[2] - width - column if mirrored else column
            mean = self._mean_images[of_opencv, mirrored][:, row : row + height, column : column + width]
        if of_opencv:
            write_opencvs(pixels, mirrored, mean if self._mean_images else None, out)
        else:
            # An assignment casts faster than arithmetic with mixed types does.
            out[...] = pixels[..., ::-1] if mirrored else pixels
        if mean is not None and not (of_opencv and self._mean_images):
            out += mean
        if self._scale != 1:
            out *= self._scale

    def _apply_many(self, images: NDArray[Any], out: NDArray[np.float32], words: Words) -> None:
        """Transforms images of one shape with few calls of NumPy, for small ones."""
        row, column, mirrored = self._place(words.T, *images.shape[2:])
        out[...] = _windows(images, row, column, out.shape)
        mean = self._minus_mean
        if mean is not None:
            out += _windows(np.broadcast_to(mean, images.shape), row, column, out.shape) if self._mean_file else mean
        if self._scale != 1:
            out *= self._scale
        if self._mirror:
            out[mirrored] = out[mirrored][..., ::-1]


def _mean_images(mean: NDArray[np.float32]) -> dict[tuple[bool, bool], NDArray[np.float32]]:
    """The same mean image in another order in memory for OpenCV's images (first key), and mirrored (second key)."""
    images = {}
    for mirrored in (False, True):
        image = mean[..., ::-1] if mirrored else mean
        images[False, mirrored] = np.ascontiguousarray(image)
        images[True, mirrored] = np.ascontiguousarray(image.transpose(1, 2, 0)).transpose(2, 0, 1)
    return images


def _windows(images: NDArray[Any], row: Any, column: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """The window of each image that begins at its row and column, or at the same ones in all."""
    height, width = shape[2:]
    if isinstance(row, int):
        return images[..., row : row + height, column : column + width]
    places = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(2, 3))
    return places[np.arange(len(images)), :, row, column]


def _read_means(param: TransformationParameter, folder: str) -> NDArray[np.float32] | None:
    """The mean image, C x H x W, or mean values, C x 1 x 1."""
    if param.HasField("mean_file"):
        return read_mean(Path(find_file(param.mean_file, folder, "mean file")))
    if len(param.mean_value):
        return np.array(param.mean_value, np.float32).reshape(-1, 1, 1)
    return None


def read_mean(path: Path) -> NDArray[np.float32]:
    """The mean image of a .binaryproto file, C x H x W.

    Raises:
        FileError: missing, not a BlobProto, or not one image.
    """
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: expected a mean image (a BlobProto), got no plain file.")
    blob = read_blob(str(path), "a mean image")
    # Files of compute_image_mean have the old four numbers in place of a shape.
    image = blob.shape[1:] if blob.ndim == 4 and blob.shape[0] == 1 else blob.shape
    if len(image) != 3:
        raise FileError(f"{path}: expected one mean image, got shape {list(blob.shape)}.")
    with np.errstate(over="ignore"):  # as a cast in C: infinite
        return np.array(blob, np.float32).reshape(image)
