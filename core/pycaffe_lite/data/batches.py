"""From a source to batches: reading on, round the end, and transforming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.records import Records, ShuffledSource, Source, Undecoded, length_of
from pycaffe_lite.data.shares import SharedSource
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError, ShapeError, told_by
from pycaffe_lite.parallel import Pool
from pycaffe_lite.ranks import ALL, Share

# Integers and arrays of integers by name: what an exact resume needs.
FeedState = dict[str, Any]

_LARGEST_PIECE = 1 << 20  # bytes of images


@dataclass
class Batch:
    """What a forward pass takes, and where reading goes on after it.

    Attributes:
        tops: an array for each top that the layer may have, float32: of images and labels, or of rows.
        after: the feed's state once this batch has been delivered.
    """

    tops: list[NDArray[np.float32]]
    after: FeedState = field(default_factory=dict)

    @property
    def data(self) -> NDArray[np.float32]:
        """Images, batch x C x H x W."""
        return self.tops[0]

    @property
    def labels(self) -> NDArray[np.float32]:
        """Their labels: batch, or batch x k for records with k labels each."""
        return self.tops[1]


class Feed:
    """Makes batches, one after the other."""

    def __init__(self) -> None:
        # Not the threads the net computes with at the same time: a feed that took them would hold it up.
        self._pool = Pool("decode")

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the next batch's arrays."""
        raise NotImplementedError

    def state(self) -> FeedState:
        """Where the next batch begins."""
        raise NotImplementedError

    def restore(self, state: FeedState) -> None:
        """Goes on where `state` was called.

        Raises:
            CaffeError: the state is of another feed.
        """
        raise NotImplementedError

    own_state: tuple[str, ...] = ()
    """Of the names in the state, those whose values each rank has for itself; all others they have in common."""

    def records(self) -> int | None:
        """How many records there are; None if that is not known."""
        return None

    def labels(self) -> NDArray[np.float32] | None:
        """All labels, where they are at hand; else None."""
        return None

    def fill(self, batch: Batch | None) -> Batch:
        """The next batch.

        Args:
            batch: one whose arrays may be written over.

        Raises:
            CaffeError: a record is damaged or does not fit; the text names it. The state stays as it was.
        """
        before = self.state()
        try:
            batch = self._fill(batch)
        except BaseException:
            self.restore(before)
            raise
        batch.after = self.state()
        return batch

    def _fill(self, batch: Batch | None) -> Batch:
        raise NotImplementedError

    def close(self) -> None:
        """Ends its threads and closes its files."""
        self._pool.close()


class RecordFeed(Feed):
    """Batches of consecutive records; after the last record comes the first, within a batch too, as in Caffe.

    Args:
        source: where the records come from.
        transformer: what is done to them.
        batch_size: records in a batch, 1 or more.
        share: which of the records are read.
    """

    own_state = ("generator", "generator_position")

    def __init__(self, source: Source, transformer: Transformer, batch_size: int, share: Share = ALL) -> None:
        super().__init__()
        self._order = source
        self._shared = SharedSource(source, share) if share.size > 1 else None
        self._source = source = source if self._shared is None else self._shared
        self._transformer = transformer
        self._batch_size = batch_size
        self._position = 0
        self._pieces = Pieces(source, batch_size)

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the next batch's images and labels; as in Caffe, its first record decides."""
        first = self._source.read(self._position, 1)
        return [self._shape_of(first.images[0]), self._label_shape(first)]

    def state(self) -> FeedState:
        """Where the next batch begins: `position`, if there are such, `shuffle_seed` and `generator`."""
        position = self._position if self._shared is None else self._shared.place(self._position)
        state: FeedState = {"position": position}
        if isinstance(self._order, ShuffledSource):
            state["shuffle_seed"] = self._order.seed
        if (generator := self._transformer.state()) is not None:
            state["generator"], state["generator_position"] = generator
        return state

    def restore(self, state: FeedState) -> None:
        position = int(state.get("position", -1))
        if position < 0:
            raise CaffeError(f"A state of a data source has a position of 0 or more, got {sorted(state)}.")
        self._source.check(position)
        self._pieces.forget()
        self._position = position
        if self._shared is not None:
            self._shared.start, self._position = position, 0
        if isinstance(self._order, ShuffledSource) and "shuffle_seed" in state:
            self._order.seed = int(state["shuffle_seed"])
        if "generator" in state:
            self._transformer.restore((state["generator"], int(state.get("generator_position", -1))))

    def records(self) -> int | None:
        return length_of(self._source)

    def labels(self) -> NDArray[np.float32] | None:
        return self._source.labels()

    def close(self) -> None:
        super().close()
        self._source.close()

    def fill(self, batch: Batch | None) -> Batch:
        try:
            return super().fill(batch)
        except ShapeError:
            if batch is None:
                raise
        return super().fill(None)  # images need not have the size of those in the batch that is written over

    def _fill(self, batch: Batch | None) -> Batch:
        records = self._pieces.read(self._position, self._batch_size)
        batch = self._fitting(batch, records)
        done = 0
        while True:
            rows = slice(done, done + len(records.labels))
            where = self._where(self._position)
            self._transformer.apply(records.images, batch.data[rows], where, self._pool.run)
            self._check_labels(records, batch)
            batch.labels[rows] = records.labels
            self._go_to(records.next)
            done = rows.stop
            if done == self._batch_size:
                break
            records = self._pieces.read(self._position, self._batch_size - done)
        return batch

    def _go_to(self, position: int) -> None:
        if position == 0:
            log.info("Restarting data prefetching from start.", "data_layer.cpp:73")
        self._position = position

    def _where(self, start: int) -> Callable[[int], str]:
        return lambda i: self._source.where(start + i)

    def _shape_of(self, image: NDArray[Any]) -> tuple[int, ...]:
        with told_by(lambda text: ShapeError(f"{self._source.where(self._position)}: {text}")):
            return (self._batch_size, *self._transformer.output_shape(image.shape))

    def _label_shape(self, records: Records) -> tuple[int, ...]:
        return (self._batch_size, *records.labels.shape[1:])

    def _check_labels(self, records: Records, batch: Batch) -> None:
        if records.labels.shape[1:] != batch.labels.shape[1:]:
            wanted, got = (prod(labels.shape[1:]) for labels in (batch.labels, records.labels))
            where = self._source.where(self._position)
            raise ShapeError(f"{where}: expected {wanted} label(s), as the first record of its batch has, got {got}.")

    def _fitting(self, batch: Batch | None, records: Records) -> Batch:
        """The batch, or a new one if its shapes are others."""
        if batch is not None and len(batch.labels) > 1 and isinstance(records.images, Undecoded):
            return batch  # taken to fit, so that nobody waits for the first image to be decoded
        shape, label_shape = self._shape_of(records.images[0]), self._label_shape(records)
        if batch is not None and batch.data.shape == shape and batch.labels.shape == label_shape:
            return batch
        try:
            return Batch([np.empty(shape, np.float32), np.empty(label_shape, np.float32)])
        except MemoryError:
            raise CaffeError(f"not enough memory for batches of shape {list(shape)}.") from None


class Pieces:
    """Reads more records of a source than it is asked for, if they are small, and gives out parts of what it has.

    A source takes little longer for many small records than for few, and whoever trains meanwhile is disturbed
    less often. Errors come in their turn all the same.

    Args:
        source: where the records come from.
        batch_size: pieces are multiples of it.
    """

    def __init__(self, source: Source, batch_size: int) -> None:
        self._source = source
        self._batch_size = batch_size
        self.forget()

    def forget(self) -> None:
        """Gives up what it has."""
        self._start = 0
        self._piece: Records | None = None
        self._batches = 1  # in the next piece; more from one to the next, so that the first does not take long

    def read(self, start: int, count: int) -> Records:
        """See Source.read_undecoded."""
        if self._piece is None or not 0 <= start - self._start < len(self._piece.labels):
            records = self._read(start, count)
            if not isinstance(records.images, np.ndarray):
                self.forget()
                return records if len(records.labels) <= count else self._read(start, count)
            self._start, self._piece = start, records
            most = _LARGEST_PIECE // max(1, records.images[0].nbytes * self._batch_size)
            self._batches = max(1, min(2 * self._batches, most))
        images, labels, after = self._piece
        first = start - self._start
        last = min(first + count, len(labels))
        return Records(images[first:last], labels[first:last], after if last == len(labels) else start + last - first)

    def _read(self, start: int, count: int) -> Records:
        """A piece; only what is asked for if there is trouble in it."""
        if self._batches > 1:
            try:
                return self._source.read_undecoded(start, self._batches * self._batch_size)
            except CaffeError:
                self.forget()
        return self._source.read_undecoded(start, count)
