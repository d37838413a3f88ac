"""caffe.Detector: a net that classifies windows of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TEST
from pycaffe_lite.pycaffe import io
from pycaffe_lite.pycaffe.faults import BadValue
from pycaffe_lite.pycaffe.net import Net
from pycaffe_lite.pycaffe.preprocessing import input_transformer, preprocessed

Window = Sequence[int] | np.ndarray
Box = tuple[int, int, int, int]

_CROPS_AT_ONCE = 256


class Detector(Net):
    """A net for TEST whose first input takes windows of images and whose first output has a value for each class.

    Windows are (ymin, xmin, ymax, xmax), in pixels, from 0 and without the last row and column.

    Args:
        model_file: its text.
        pretrained_file: its weights.
        mean, input_scale, raw_scale, channel_swap: settings of a Transformer.
        context_pad: how many pixels at each edge of the input show what lies around the window, as in R-CNN; beyond
            the image's edge it is the mean. None or 0 for the window alone.

    Attributes:
        transformer: the Transformer of the input.

    Raises:
        CaffeError: the net has no input for images, or a setting does not fit it.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str],
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str, Iterable[Window]]]) -> list[dict[str, Any]]:
        """The classes' values for windows of image files.

        Args:
            images_windows: image files, each with its windows.

        Returns:
            for each window a dict: `filename`, `window` as given, and `prediction`, the values of the classes.

        Raises:
            CaffeError: an image that cannot be read, a window without pixels, or images that do not fit the net.
        """
        listed = [(filename, list(windows)) for filename, windows in images_windows]
        crops, predictions = self._crops(listed), []
        batch = self.blobs[self.inputs[0]].num
        at_once = batch * max(1, _CROPS_AT_ONCE // batch)  # the crops of thousands of windows would fill the memory
        while chunk := list(islice(crops, at_once)):
            data: dict[str, Any] = {self.inputs[0]: preprocessed(self.transformer, self.inputs[0], chunk)}
            predictions += list(self.forward_all(**data)[self.outputs[0]])
        places = [(filename, window) for filename, windows in listed for window in windows]
        return [
            {"window": window, "prediction": prediction, "filename": filename}
            for (filename, window), prediction in zip(places, predictions, strict=True)
        ]

    def _crops(self, images_windows: list[tuple[str, list[Window]]]) -> Iterator[np.ndarray]:
        channels = self.crop_dims[2]
        for filename, windows in images_windows:
            image = io.load_image(filename, color=channels != 1) if windows else np.empty(0)
            for window in windows:
                try:
                    yield self.crop(image, window)
                except BadValue as problem:
                    raise BadValue(f"{filename}: {problem}") from None

    def detect_selective_search(self, image_fnames: Iterable[str]) -> list[dict[str, Any]]:
        """`detect_windows` for the windows that Selective Search proposes.

        Raises:
            CaffeError: the package selective_search_ijcv_with_python, which needs MATLAB, is not there; or as
                detect_windows.
        """
        try:
            import selective_search_ijcv_with_python as selective_search
        except ImportError:
            raise CaffeError(
                "Selective Search needs the package selective_search_ijcv_with_python; give a list of windows without."
            ) from None
        paths = [os.path.abspath(filename) for filename in image_fnames]  # MATLAB has a working folder of its own
        windows = selective_search.get_windows(paths, cmd="selective_search_rcnn")
        return self.detect_windows(zip(paths, windows, strict=True))

    def crop(self, im: np.ndarray, window: Window) -> np.ndarray:
        """A window of an image, with what lies around it as `configure_crop` has it.

        Args:
            im: H x W x K.
            window: ymin, xmin, ymax, xmax; what lies beyond the image's edge is left away.

        Returns:
            the window as it is; or with context the input's height x width x K.

        Raises:
            BadValue: the window has no pixels.
        """
        box = [int(place) for place in window]
        if len(box) != 4:
            raise BadValue(f"Expected a window of ymin, xmin, ymax and xmax, got {list(window)}.")
        top, left, bottom, right = box
        height, width = im.shape[:2]
        if max(top, 0) >= min(bottom, height) or max(left, 0) >= min(right, width):
            raise BadValue(f"The window {box} has no pixels in an image of {height} x {width}.")
        return (
            self._with_context(im, np.array(box))
            if self.context_pad
            else im[max(top, 0) : bottom, max(left, 0) : right]
        )

    def _with_context(self, im: np.ndarray, window: np.ndarray) -> np.ndarray:
        """A window and what lies around it, resized to the input's size; the mean where there is no image.

        The window's last row and column count as in it here, as in R-CNN.
        """
        size = self.crop_dims[:2]
        half = (window[2:] - window[:2] + 1) / 2
        reach = half * (size / (size - 2 * self.context_pad))
        centre = window[:2] + half
        start, stop = np.round(centre - reach), np.round(centre + reach)
        scale = size / (stop - start + 1)
        pad = np.round(np.maximum(0, -start) * scale).astype(int)
        start, stop = np.clip(start, 0, im.shape[:2]).astype(int), np.clip(stop, 0, im.shape[:2]).astype(int)
        length = np.minimum(np.round((stop - start + 1) * scale).astype(int), size - pad)
        crop = np.array(np.broadcast_to(self.crop_mean, self.crop_dims), np.float32)
        shown = im[start[0] : stop[0], start[1] : stop[1]]
        if min(length) > 0:
            crop[pad[0] : pad[0] + length[0], pad[1] : pad[1] + length[1]] = io.resize_image(shown, length)
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Sets how much is shown around windows, and the mean where there is nothing to show.

        Args:
            context_pad: pixels at each edge of the input; None or 0 for none.

        Raises:
            BadValue: the input would be nothing but edges.
        """
        name = self.inputs[0]
        order = self.transformer.transpose[name]
        back = np.argsort(order)
        shape = np.array(self.blobs[name].data.shape[1:])
        self.crop_dims = shape[back]
        self.context_pad = context_pad or 0
        if not 0 <= 2 * self.context_pad < min(self.crop_dims[:2]):
            raise BadValue(
                f"Expected a context_pad below half of the input's {self.crop_dims[0]} x {self.crop_dims[1]}, "
                f"got {context_pad}."
            )
        self.crop_mean = self._mean_before(name, tuple(shape), back)

    def _mean_before(self, name: str, shape: tuple[int, ...], back: np.ndarray) -> np.ndarray:
        """The mean as images have it before `preprocess`, H x W x K."""
        mean = self.transformer.mean.get(name)
        if mean is None:
            return np.zeros(self.crop_dims, np.float32)
        result = np.broadcast_to(mean, shape).transpose(back)
        swap, raw_scale = self.transformer.channel_swap.get(name), self.transformer.raw_scale.get(name)
        if swap is not None:
            result = result[:, :, np.argsort(swap)]
        return result if raw_scale is None else result / raw_scale
