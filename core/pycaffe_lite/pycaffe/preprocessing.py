"""What Classifier and Detector share: how images come into a net's first input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pycaffe_lite.data.transformer import read_mean
from pycaffe_lite.errors import CaffeError, FileError
from pycaffe_lite.paths import find_file
from pycaffe_lite.pycaffe.image_inputs import read_array
from pycaffe_lite.pycaffe.io import Transformer


def input_transformer(
    net: Any,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> Transformer:
    """The Transformer of a net's first input, which brings H x W x K to K x H x W, with these settings.

    Raises:
        CaffeError: the net has no input of four axes, or a setting does not fit it.
    """
    if not net.inputs:
        raise CaffeError("Expected a net with an Input layer to put images into, as deploy nets have; this has none.")
    name = net.inputs[0]
    shape = tuple(net.blobs[name].data.shape)
    if len(shape) != 4:
        raise CaffeError(f'Expected an input for images, N x C x H x W; "{name}" has shape {list(shape)}.')
    transformer = Transformer({name: shape})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer


def preprocessed(transformer: Transformer, name: str, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Images, each H x W x K, as one array for an input: N x K x H x W.

    Raises:
        CaffeError: an image has another number of channels than the input, or does not fit the settings.
    """
    shape = transformer.inputs[name]
    result = np.empty((len(images), *shape[1:]), np.float32)
    for row, image in zip(result, images, strict=True):
        if np.ndim(image) != 3 or np.shape(image)[2] != shape[1]:
            raise CaffeError(
                f'Expected images of H x W x {shape[1]} for input "{name}", got shape {list(np.shape(image))}.'
            )
        row[...] = transformer.preprocess(name, image)
    return result


def set_up(net: Any, channel_swap: Sequence[int] | None, batch: int | None) -> int:
    """Gives a Classifier or Detector an order of channels and a batch size as their commands take them.

    Args:
        net: the net.
        channel_swap: the order; None: RGB to BGR if the input has three channels; empty: as they are.
        batch: images in a pass; None: as the net has it.

    Returns:
        images in a pass.

    Raises:
        CaffeError: the order does not fit the net, or it cannot take such a batch.
    """
    name = net.inputs[0]
    shape = net.transformer.inputs[name]
    swap = ((2, 1, 0) if shape[1] == 3 else ()) if channel_swap is None else channel_swap
    if len(swap):
        net.transformer.set_channel_swap(name, swap)
    if batch is not None:
        net.blobs[name].reshape(batch, *shape[1:])
        net.reshape()
    return batch or shape[0]


def channel_means(path: str) -> np.ndarray:
    """The mean of each channel of a mean image.

    Args:
        path: an .npy file with C x H x W, or C values; else what compute_image_mean writes.

    Raises:
        FileError: the file is missing, damaged, or not a mean.
    """
    path = find_file(path, what="mean file")
    mean = read_array(path) if path.lower().endswith(".npy") else read_mean(Path(path))
    if mean.ndim not in (1, 3) or mean.dtype.kind not in "fiu" or not mean.size:
        raise FileError(f"{path}: expected a mean of C x H x W, got shape {list(mean.shape)} of {mean.dtype}.")
    return mean.astype(np.float64).reshape(len(mean), -1).mean(1)
