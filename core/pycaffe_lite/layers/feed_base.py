"""What layers that read batches ahead of time have in common: Data, HDF5Data, ImageData and WindowData."""

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
    """Hands on batches that a feed makes ahead of time, an array for each top.

    A layer type opens its feed in `setup`, and gives it to `_start`.

    Attributes:
        says_size: whether the log has the first top's shape, as Caffe's layers of images do.
    """

    num_bottoms = (0, 0)
    says_size = True
    _prefetcher: Prefetcher | None = None
    size_said_at = ""
    """Where Caffe says the size of this type's data, for the log."""

    def _start(self, open_feed: Callable[[], Feed], top: Sequence[Blob]) -> None:
        """Opens a feed of batches, gives the tops their shapes, and begins to read ahead."""
        with told_by(self.error), contextlib.ExitStack() as unless_started:
            feed = open_feed()
            unless_started.callback(feed.close)
            self._shapes = feed.shapes()
            self.reshape([], top)
            unless_started.pop_all()
        if self.says_size:
            log.info("output data size: " + ",".join(map(str, self._shapes[0])), self.size_said_at)
        ahead = depth_for(self.layer_param.data_param.prefetch, 4 * sum(map(prod, self._shapes)))
        self._prefetcher = Prefetcher(feed, ahead)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob, shape in zip(top, self._shapes, strict=False):  # a top of labels may be missing
            blob.reshape(*shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Hands the next batch over as it is; it is written over once the one after it has been asked for."""
        prefetcher = self._opened()
        with told_by(self.error):
            batch = prefetcher.next()
        shapes = [array.shape for array in batch.tops]
        if shapes != self._shapes:
            self._shapes = shapes
            self.reshape(bottom, top)
        for blob, array in zip(top, batch.tops, strict=False):
            blob.data = array

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
        return self._opened().state()

    def restore(self, state: FeedState) -> None:
        """Reads on where `state` was called, in this run or another."""
        self._opened().restore(state)

    def common_state(self) -> FeedState:
        """The part of the state that is the same for all ranks that share the records."""
        own = self._opened().own_state
        return {name: value for name, value in self.state().items() if name not in own}

    def close(self) -> None:
        """Ends the reading thread and closes the source; the layer cannot go forward any more."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def _opened(self) -> Prefetcher:
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        return self._prefetcher
