"""caffe.Classifier: a net that says of images what they show."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pycaffe_lite.phase import TEST
from pycaffe_lite.pycaffe import io
from pycaffe_lite.pycaffe.faults import BadValue
from pycaffe_lite.pycaffe.net import Net
from pycaffe_lite.pycaffe.preprocessing import input_transformer, preprocessed
from pycaffe_lite.pycaffe.resizing import Lengths


class Classifier(Net):
    """A net for TEST whose first input takes images and whose first output has a value for each class.

    Args:
        model_file: its text.
        pretrained_file: its weights.
        image_dims: height and width that images are resized to before they are cropped to the input's size; default:
            the input's size.
        mean, input_scale, raw_scale, channel_swap: settings of a Transformer.

    Attributes:
        transformer: the Transformer of the input.
        image_dims: height and width before cropping.
        crop_dims: height and width of the input.

    Raises:
        CaffeError: the net has no input for images, or a setting does not fit it.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str],
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims: Lengths = self.crop_dims if image_dims is None or not len(image_dims) else image_dims
        if len(self.image_dims) != 2 or min(np.subtract(self.image_dims, self.crop_dims)) < 0:
            raise BadValue(
                f"Expected a height and a width of at least those of the input, {list(map(int, self.crop_dims))}, "
                f"to resize images to; got {list(map(int, self.image_dims))}."
            )

    def predict(self, inputs: Iterable[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The classes' values for images.

        Args:
            inputs: N images, each H x W x K, of any sizes.
            oversample: whether values are averaged over ten crops, see `io.oversample`; else of the centre alone.

        Returns:
            N x classes.

        Raises:
            BadValue: no images, or arrays that are none.
            CaffeError: images whose channels do not fit the net.
        """
        images = [io.resize_image(image, self.image_dims) for image in inputs]
        if not images:
            raise BadValue("Expected one or more images to classify, got none.")
        name = self.inputs[0]
        crops = io.oversample(images, self.crop_dims) if oversample else np.array([self._centre(i) for i in images])
        data: dict[str, Any] = {name: preprocessed(self.transformer, name, crops)}
        predictions = self.forward_all(**data)[self.outputs[0]]
        return predictions.reshape(len(images), 10, -1).mean(1) if oversample else predictions

    def _centre(self, image: np.ndarray) -> np.ndarray:
        height, width = self.crop_dims
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        return image[top : top + height, left : left + width]
