"""What layers that read batches ahead of time have in common: Data, ImageData and WindowData."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.batches import Feed, FeedState
from pycaffe_lite.data.prefetch import Prefetcher, depth_for
from pycaffe_lite.errors import told_by
from pycaffe_lite.layers.contract import Layer


class FeedLayer(Layer):
    """Hands on batches that a feed makes ahead of time, of images and perhaps of labels.

    A layer type opens its feed in `setup`, and gives it to `_start`.
    """

    num_bottoms = (0, 0)
    _prefetcher: Prefetcher | None = None
    size_said_at = ""
    """Where Caffe says the size of this type's data, for the log."""

    def _start(self, open_feed: Callable[[], Feed], top: Sequence[Blob]) -> None:
        """Opens a feed of batches, gives the first top its shape, and begins to read ahead."""
        with told_by(self.error), contextlib.ExitStack() as unless_started:
            feed = open_feed()
            unless_started.callback(feed.close)
            self._shape, self._label_shape = feed.shapes()
            top[0].reshape(*self._shape)
            unless_started.pop_all()
        log.info("output data size: " + ",".join(map(str, self._shape)), self.size_said_at)
        ahead = depth_for(self.layer_param.data_param.prefetch, 4 * prod(self._shape))
        self._prefetcher = Prefetcher(feed, ahead)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*self._shape)
        if len(top) > 1:
            top[1].reshape(*self._label_shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Hands the next batch over as it is; it is written over once the one after it has been asked for."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        with told_by(self.error):
            batch = self._prefetcher.next()
        if (batch.data.shape, batch.labels.shape) != (self._shape, self._label_shape):
            self._shape, self._label_shape = batch.data.shape, batch.labels.shape
            self.reshape(bottom, top)
        top[0].data = batch.data
        if len(top) > 1:
            top[1].data = batch.labels

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """There is nothing to propagate to."""

    def records(self) -> int | None:
        """How many records the source has; None if that is not known without reading all of it."""
        return None if self._prefetcher is None else self._prefetcher.records

    def all_labels(self) -> NDArray[np.float32] | None:
        """The labels of all records in order, where they are at hand; else None."""
        return None if self._prefetcher is None else self._prefetcher.labels

    def state(self) -> FeedState:
        """Where the next forward reads, as integers and arrays of integers by name."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        return self._prefetcher.state()

    def restore(self, state: FeedState) -> None:
        """Reads on where `state` was called, in this run or another."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        self._prefetcher.restore(state)

    def close(self) -> None:
        """Ends the reading thread and closes the source; the layer cannot go forward any more."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None
