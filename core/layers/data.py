"""Data: batches of images and labels from a database, or from IDX, npz or csv files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.feed import Feed, State
from pycaffe_lite.data.prefetch import Prefetcher, depth_for
from pycaffe_lite.data.shuffle import ShuffledSource
from pycaffe_lite.data.source import Source, open_source
from pycaffe_lite.data.transformer import Transformer, draws_words
from pycaffe_lite.errors import CaffeError, MissingExtra
from pycaffe_lite.layers.base import Layer, register_layer


@register_layer("Data")
class DataLayer(Layer):
    """Reads batches of records, one after the other and round again, transformed ahead of time.

    Tops:
        data: batch_size x C x H x W, or x C x crop_size x crop_size; float32, of any range.
        label: batch_size, the records' labels, or batch_size x k for records with k labels each (optional).

    Parameters (data_param):
        source: path of the database's folder, of the images' IDX file, or of an npz or csv file.
        backend: LEVELDB (default) or LMDB; not in Caffe: IDX, NPZ or CSV, see `pycaffe_lite.data`.
        batch_size: records in a batch, 1 or more.
        prefetch: batches made ahead, default 4.
        shuffle: a new random order in each epoch, default false; not in Caffe.
        rand_skip: ignored, as in Caffe 1.0.
    transform_param: see `pycaffe_lite.data.transformer`.

    Raises:
        CaffeError: a source, mean or record that is missing, damaged, or does not fit.
        MissingExtra: LevelDBs and encoded images need a package each.

    Source: Caffe's Data layer, down to the words of the random generator that its set-up takes.
    """

    num_bottoms = (0, 0)
    num_tops = (1, 2)
    _source: Source | None = None
    _prefetcher: Prefetcher | None = None

    def open(self) -> None:
        """Opens the source; `setup` does if it has not been done."""
        with self._located():
            self._source = self._open_source()

    def _open_source(self) -> Source:
        param, transform = self.layer_param.data_param, self.layer_param.transform_param
        color = True if transform.force_color else False if transform.force_gray else None
        return open_source(param, self.folder, len(self.layer_param.top) > 1, color)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.data_param
        if param.batch_size < 1:
            raise self.error("expected data_param { batch_size: ... } of 1 or more, got 0 or none.")
        if param.rand_skip:
            log.warning(f'layer "{self.name}" (Data): rand_skip is ignored, as in Caffe 1.0.')
        self._start(self._open_feed, top)

    def _start(self, open_feed: Callable[[], Feed], top: Sequence[Blob]) -> None:
        """Opens a feed of batches, gives the first top its shape, and begins to read ahead."""
        with self._located(), contextlib.ExitStack() as unless_started:
            feed = open_feed()
            unless_started.callback(feed.close)
            self._shape, self._label_shape = feed.shapes()
            top[0].reshape(*self._shape)
            unless_started.pop_all()
        log.info("output data size: " + ",".join(map(str, self._shape)))
        ahead = depth_for(self.layer_param.data_param.prefetch, 4 * prod(self._shape))
        self._prefetcher = Prefetcher(feed, ahead)

    @contextlib.contextmanager
    def _located(self) -> Iterator[None]:
        """Puts the layer before the text of errors; missing packages are nobody's fault."""
        try:
            yield
        except MissingExtra:
            raise
        except CaffeError as problem:
            raise self.error(str(problem)) from None

    def _open_feed(self) -> Feed:
        """Takes the words that Caffe takes, in its order, and one more for `shuffle`."""
        param, transform = self.layer_param.data_param, self.layer_param.transform_param
        by_chance = draws_words(transform, self.phase)
        if by_chance:
            rng.word()
        source = self._open_source() if self._source is None else self._source
        self._source = None
        if param.shuffle:
            source = ShuffledSource(source, rng.word())
        try:
            transformer = Transformer(transform, self.phase, self.folder, rng.word() if by_chance else 0)
        except BaseException:
            source.close()
            raise
        rng.word()  # the prefetching thread's
        return Feed(source, transformer, param.batch_size)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*self._shape)
        if len(top) > 1:
            top[1].reshape(*self._label_shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Hands the next batch over as it is; it is written over once the one after it has been asked for."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        with self._located():
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

    def state(self) -> State:
        """Where the next forward reads, as integers and arrays of integers by name."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        return self._prefetcher.state()

    def restore(self, state: State) -> None:
        """Reads on where `state` was called, in this run or another."""
        if self._prefetcher is None:
            raise self.error("expected an open layer, got one that has been closed.")
        self._prefetcher.restore(state)

    def close(self) -> None:
        """Ends the reading thread and closes the source; the layer cannot go forward any more."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None
