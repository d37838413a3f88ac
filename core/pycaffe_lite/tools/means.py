"""The mean image of a source, as Caffe's compute_image_mean computes and writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources.datum import DatumSource
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.formats.blobproto import blob_pieces

_AT_ONCE = 64
_LOGGED = 10000

Image = NDArray[Any]


class MeanImage:
    """The mean of images that come one after the other: float32 sums in their order, divided at the end.

    Attributes:
        count: the images so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: NDArray[np.float32] | None = None

    def add(self, image: Image) -> None:
        """Adds an image, C x H x W.

        Raises:
            ShapeError: it is of another shape than the first one.
        """
        if self._sum is None:
            self._sum = np.zeros(image.shape, np.float32)
        if image.shape != self._sum.shape:
            raise ShapeError(
                f"expected shape {list(self._sum.shape)}, as the first image has, got {list(image.shape)}; "
                "the mean is of images of one size."
            )
        self._sum += image
        self.count += 1

    def result(self) -> NDArray[np.float32]:
        """The mean image; there must have been one or more."""
        assert self._sum is not None
        return self._sum / np.float32(self.count)


def compute_mean(source: Source, track: Callable[[Iterable[Image]], Iterable[Image]] = iter) -> NDArray[np.float32]:
    """The mean image of all records, C x H x W.

    Args:
        source: where the records come from.
        track: is given the images and gives them back; for a bar of progress.

    Raises:
        ShapeError: the images are not all of one shape; the text names the first that differs.
        CaffeError: a record is damaged.
    """
    mean = MeanImage()
    source.read(0, 1)  # a damaged one is named before anything else looks at it
    if is_encoded(source):
        log.info("Decoding Datum", "compute_image_mean.cpp:57")
    log.info("Starting iteration", "compute_image_mean.cpp:70")
    for image in track(_images(source)):
        try:
            mean.add(image)
        except ShapeError as problem:
            raise ShapeError(f"{source.where(mean.count)}: {problem}") from None
        if mean.count % _LOGGED == 0:
            log.info(f"Processed {mean.count} files.", "compute_image_mean.cpp:95")
    if mean.count % _LOGGED:
        log.info(f"Processed {mean.count} files.", "compute_image_mean.cpp:101")
    return mean.result()


def _images(source: Source) -> Iterator[Image]:
    position = 0
    while True:
        records = source.read(position, _AT_ONCE)
        yield from records.images
        position = records.next
        if position == 0:
            return


def is_encoded(source: Source) -> bool:
    """Whether the first record of a source holds an image file."""
    if not isinstance(source, DatumSource):
        return False
    return source.datum(source.values(0, 1)[0][0], 0)[0].encoded


def mean_bytes(mean: NDArray[np.float32]) -> bytes:
    """A mean image as the contents of a .binaryproto, with the four old numbers in place of a shape."""
    return b"".join(blob_pieces(mean, four_axes=True))


def channel_means(mean: NDArray[np.float32]) -> list[float]:
    """The mean of each channel, summed as Caffe does it."""
    planes = mean.reshape(len(mean), -1)
    # accumulate adds from left to right, where a sum would add in pairs.
    return [float(np.add.accumulate(plane)[-1] / np.float32(len(plane))) for plane in planes]


def log_channel_means(mean: NDArray[np.float32]) -> None:
    """Logs what stands in a text as `mean_value`."""
    log.info(f"Number of channels: {len(mean)}", "compute_image_mean.cpp:114")
    for channel, value in enumerate(channel_means(mean)):
        log.info(f"mean_value channel [{channel}]: {log.number(value)}", "compute_image_mean.cpp:119")
