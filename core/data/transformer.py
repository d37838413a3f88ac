"""From a record's pixels to what the net sees: crop, mirror, subtract the mean, scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite.data.mean import read_mean
from pycaffe_lite.data.source import Images
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.rng import Generator

Shape = tuple[int, int, int]

_CACHED = 1 << 16  # elements


def draws_words(param: Any, phase: int) -> bool:
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

    def __init__(self, param: Any, phase: int, folder: str = "", seed: int = 0) -> None:
        if param.force_color and param.force_gray:
            raise CaffeError("expected force_color or force_gray, got both.")
        if param.HasField("mean_file") and len(param.mean_value):
            raise CaffeError("expected mean_file or mean_value, got both.")
        self._crop = int(param.crop_size)
        self._mirror = bool(param.mirror)
        self._random_crop = bool(self._crop and phase == TRAIN)
        self._scale = np.float32(param.scale)
        self._mean_file = str(param.mean_file)
        self._mean = _read_means(param, folder)
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

    def output_shape(self, shape: tuple[int, ...]) -> Shape:
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

    def _check_mean(self, shape: Shape) -> None:
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

    def apply(self, images: Images, out: NDArray[np.float32], where: Callable[[int], str]) -> None:
        """Transforms images.

        Args:
            images: n x C x H x W, or n images C x H x W, of several sizes where they are cropped.
            out: n x C x H x W of the output shape, float32.
            where: what an error calls the i-th image.

        Raises:
            ShapeError: an image does not fit.
        """
        self._check(images, out.shape[1:], where)
        if self._generator is None and isinstance(images, np.ndarray):
            # So many at a time that they stay in the cache from one pass to the next.
            many = max(1, _CACHED // out[0].size)
            for i in range(0, len(out), many):
                self._write(images[i : i + many], out[i : i + many], *self._centre(*images.shape[2:]))
            return
        words = self._draw(len(out))
        for i, image in enumerate(images):
            self._apply_one(image, out[i], words[i])

    def _check(self, images: Images, expected: tuple[int, ...], where: Callable[[int], str]) -> None:
        """Raises a ShapeError unless all images come out in the expected shape."""
        good = None
        for i, image in enumerate(images[:1] if isinstance(images, np.ndarray) else images):
            if image.shape == good:
                continue
            try:
                got = self.output_shape(image.shape)
            except ShapeError as problem:
                raise ShapeError(f"{where(i)}: {problem}") from None
            if got != expected:
                raise ShapeError(
                    f"{where(i)}: expected shape {list(expected)}, as the first image of its batch has, "
                    f"got {list(got)}; images of several sizes need crop_size, or batch_size 1."
                )
            good = image.shape

    def _draw(self, n: int) -> list[list[int]]:
        """The words for n images, one row each."""
        each = int(self._mirror) + 2 * int(self._random_crop)
        if self._generator is None:
            return [[]] * n
        return self._generator.words(n * each).reshape(n, each).tolist()

    def _apply_one(self, image: NDArray[Any], out: NDArray[np.float32], words: list[int]) -> None:
        height, width = image.shape[1:]
        row, column = self._centre(height, width)
        if self._random_crop:
            row = words[-2] % (height - self._crop + 1)
            column = words[-1] % (width - self._crop + 1)
        mirrored = self._mirror and words[0] % 2
        self._write(image, out[..., ::-1] if mirrored else out, row, column)

    def _centre(self, height: int, width: int) -> tuple[int, int]:
        return ((height - self._crop) // 2, (width - self._crop) // 2) if self._crop else (0, 0)

    def _write(self, pixels: NDArray[Any], out: NDArray[np.float32], row: int, column: int) -> None:
        # An assignment casts faster than arithmetic with mixed types does.
        window = (..., slice(row, row + out.shape[-2]), slice(column, column + out.shape[-1]))
        out[...] = pixels[window]
        if self._mean is not None:
            out -= self._mean[window] if self._mean_file else self._mean
        if self._scale != 1:
            out *= self._scale


def _read_means(param: Any, folder: str) -> NDArray[np.float32] | None:
    """The mean image, C x H x W, or mean values, C x 1 x 1."""
    from pycaffe_lite.proto.files import find_file

    if param.HasField("mean_file"):
        return read_mean(Path(find_file(param.mean_file, folder, "mean file")))
    if len(param.mean_value):
        return np.array(param.mean_value, np.float32).reshape(-1, 1, 1)
    return None
