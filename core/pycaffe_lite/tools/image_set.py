"""A list of image files as records for a database, as Caffe's convert_imageset makes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.images import opencv, pixels, read_bytes
from pycaffe_lite.data.sources.image_list import ListedImage
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.parallel import parallel_for
from pycaffe_lite.tools.databases import LARGEST_IMAGE, datum_bytes, plain_datum

_AT_ONCE = 16  # images that are in memory and decoded by several threads


@dataclass(frozen=True)
class ImageSet:
    """How files become records.

    Attributes:
        folder: the root folder of the list's names; "" for the working folder.
        gray: one channel in place of blue, green and red.
        height, width: what images are resized to, if both are above 0.
        check_size: whether all images must come out in the same shape.
        encoded: whether records hold image files, of each file's own type, in place of pixels.
        encode_type: the type of these files, such as png; then `encoded` is taken as given.
    """

    folder: str = ""
    gray: bool = False
    height: int = 0
    width: int = 0
    check_size: bool = False
    encoded: bool = False
    encode_type: str = ""

    def records(self, images: Iterable[ListedImage]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in the list's order: `%08d_name`, counted from 0, and a Datum.

        An image that cannot be read is left out, with a line in the log, but keeps its number.

        Raises:
            CaffeError: not one image can be read, one cannot be encoded, or, with check_size, is of another
                shape than the first one.
            MissingExtra: OpenCV is not installed.
        """
        if self.height * self.width * 3 > LARGEST_IMAGE:
            raise CaffeError(f"Images of height {self.height} and width {self.width} are too large for records.")
        first: _Made | None = None
        numbered, count, left_out = enumerate(images), 0, 0
        while some := list(islice(numbered, _AT_ONCE)):
            for (number, image), made in zip(some, self._make([image for _, image in some]), strict=True):
                count += 1
                if made.datum is None:
                    left_out += 1
                    log.error(f"Could not open or find file {made.problem}", "io.cpp:80")
                    continue
                first = first or made
                self._check_size(made, first, image)
                yield f"{number:08d}_{image.name}".encode("utf-8", "surrogateescape"), made.datum
        if first is None:
            folder = os.path.abspath(self.folder or os.curdir)
            raise CaffeError(f"Expected images in the folder {folder}, not one of {count} can be read.")
        if left_out:
            log.warning(f"{left_out} of {count} images could not be read and were left out.")

    def _path(self, image: ListedImage) -> str:
        # Put together as texts, for lists of which every name begins with a slash.
        return self.folder + ("" if self.folder.endswith(("/", os.sep)) or not self.folder else "/") + image.name

    def _make(self, images: list[ListedImage]) -> list[_Made]:
        results: list[_Made] = [_Made()] * len(images)

        def make(i: int) -> None:
            results[i] = self._made(images[i])

        parallel_for(len(images), make)
        return results

    def _made(self, image: ListedImage) -> _Made:
        path = self._path(image)
        try:
            data = read_bytes(path)
            decoded = pixels(data, not self.gray, self.height, self.width)
        except MissingExtra:
            raise
        except CaffeError as problem:
            text = str(problem)
            return _Made(problem=text if text.startswith(path) else f"{path}: {text}")
        if self.encoded or self.encode_type:
            value = self._file(path, data, decoded)
            datum = datum_bytes(image.label, data=value, encoded=True)
        else:
            datum = plain_datum(decoded, image.label, encoded=False)
        return _Made(datum, decoded.shape)

    def _file(self, path: str, data: bytes, decoded: NDArray[np.uint8]) -> bytes:
        """The file that a record holds: the image's own if nothing is to be changed about it.

        As in Caffe, `gray` alone is no such change.
        """
        own = os.path.splitext(path)[1][1:].lower()
        kind = self.encode_type.lower().lstrip(".") or own
        resized = self.height > 0 and self.width > 0
        if not resized and (kind == own or (kind, own) == ("jpg", "jpeg")):
            return data
        return _encode(decoded, kind, path)

    def _check_size(self, made: _Made, first: _Made, image: ListedImage) -> None:
        if self.check_size and made.shape != first.shape:
            raise CaffeError(
                f"{self._path(image)}: expected shape {list(first.shape)}, as the first "
                f"image has, got {list(made.shape)}; --resize_height and --resize_width make them alike."
            )


@dataclass(frozen=True)
class _Made:
    """What has become of an image: its Datum and its shape, or what is wrong with it."""

    datum: bytes | None = None
    shape: tuple[int, ...] = ()
    problem: str = ""


def _encode(image: NDArray[np.uint8], kind: str, path: str) -> bytes:
    cv2 = opencv("Encoded images")
    shaped = image.transpose(1, 2, 0)
    try:
        done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(shaped))
    except cv2.error:
        done = False
    if not done:
        what = f'type "{kind}"' if kind else "a file without an extension"
        raise CaffeError(f"{path}: OpenCV cannot encode {what}; choose another with --encode_type, such as png.")
    return bytes(data.tobytes())
