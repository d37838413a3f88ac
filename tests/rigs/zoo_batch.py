"""One small batch of data for any of the nets of model_zoo, which can be learnt by heart."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.net import Net

CLASSES = 4
"""How many classes the batches have, each as often as the others: a net that does not look at its input, and learns
biases alone, stays above ln 4 = 1.386."""


def fill(net: Net) -> None:
    """One batch for any of the nets: noisy images of four kinds, or a text of four letters in turn."""
    generator = np.random.default_rng(11)
    data = {name: net.blobs[name].data for name in net.inputs}
    for name, values in data.items():
        every = 2 if name.endswith("_p") else 1  # a partner may be of another class
        if name.startswith("label"):
            values[...] = _labels(values.shape, every)
        elif name.startswith("data"):
            label = data.get(name.replace("data", "label"), values[:, 0, 0, 0])
            images = _images(values.shape, _labels(label.shape, every), generator)
            values[...] = _as_pixels(net.name, images)
    if "target" in data:
        _fill_text(data, generator)


def _labels(shape: tuple[int, ...], every: int = 1) -> np.ndarray:
    """Classes in turn, each `every` times; of the pixels of an image, a quarter of it each."""
    if len(shape) == 4:
        return np.kron(np.arange(CLASSES).reshape(1, 1, 2, 2), np.ones((1, 1, shape[2] // 2, shape[3] // 2), int))
    return np.arange(shape[0]) // every % CLASSES


def _images(shape: tuple[int, ...], classes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A pattern for each class, or where pixels have classes, a colour; and noise."""
    noise = generator.normal(size=shape) / 2
    patterns = np.random.default_rng(12)
    if classes.ndim == 4:
        return noise + patterns.normal(size=(CLASSES, shape[1]))[classes[:, 0]].transpose(0, 3, 1, 2)
    return noise + patterns.normal(size=(CLASSES, *shape[1:]))[classes]


def _as_pixels(net: str, images: np.ndarray) -> np.ndarray:
    """In the range that the net's initial weights are made for."""
    if net.startswith("MNIST"):
        return images > 1  # ink, on one pixel in six
    return images * 50 if net.startswith("CIFAR") else images


def _fill_text(data: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """The letters 0 1 2 3 in turn, beginning anew now and then; the next one is to be guessed."""
    steps, streams = data["input"].shape
    text = np.arange(steps + 1)[:, None] + np.arange(streams)
    data["input"][...], data["target"][...] = text[:-1] % CLASSES, text[1:] % CLASSES
    data["target"][-1, 0] = -1  # the sentence is over
    data["cont"][...] = generator.random((steps, streams)) > 0.1
    data["cont"][0] = 0
