"""From a source to batches: reading on, round the end, and transforming."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log
from pycaffe_lite.data.shuffle import ShuffledSource
from pycaffe_lite.data.source import Source
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError, ShapeError

# Integers and arrays of integers by name: what an exact resume needs.
State = dict[str, Any]


@dataclass
class Batch:
    """What a forward pass takes, and where reading goes on after it.

    Attributes:
        data: batch x C x H x W, float32.
        labels: batch, float32.
        after: the feed's state once this batch has been delivered.
    """

    data: NDArray[np.float32]
    labels: NDArray[np.float32]
    after: State = field(default_factory=dict)


class Feed:
    """Batches of consecutive records; after the last record comes the first, within a batch too, as in Caffe.

    Args:
        source: where the records come from.
        transformer: what is done to them.
        batch_size: records in a batch, 1 or more.
    """

    def __init__(self, source: Source, transformer: Transformer, batch_size: int) -> None:
        self._source = source
        self._transformer = transformer
        self._batch_size = batch_size
        self._position = 0

    def shape(self) -> tuple[int, ...]:
        """The shape of the next batch; as in Caffe, its first image decides."""
        return self._shape_of(self._source.read(self._position, 1).images[0])

    def state(self) -> State:
        """Where the next batch begins: `position`, if there are such, `shuffle_seed` and `generator`."""
        state: State = {"position": self._position}
        if isinstance(self._source, ShuffledSource):
            state["shuffle_seed"] = self._source.seed
        if (generator := self._transformer.state()) is not None:
            state["generator"], state["generator_position"] = generator
        return state

    def restore(self, state: State) -> None:
        """Goes on where `state` was called.

        Raises:
            CaffeError: the state is none of these, or the source has fewer records now.
        """
        position = int(state.get("position", -1))
        if position < 0:
            raise CaffeError(f"A state of a data source has a position of 0 or more, got {sorted(state)}.")
        self._source.check(position)
        self._position = position
        if isinstance(self._source, ShuffledSource) and "shuffle_seed" in state:
            self._source.seed = int(state["shuffle_seed"])
        if "generator" in state:
            self._transformer.restore((state["generator"], int(state.get("generator_position", -1))))

    def fill(self, batch: Batch | None) -> Batch:
        """The next batch.

        Args:
            batch: one whose arrays may be written over.

        Raises:
            CaffeError: a record is damaged or does not fit; the text names it. The state stays as it was.
        """
        before = self.state()
        try:
            return self._fill(batch)
        except BaseException:
            self.restore(before)
            raise

    def records(self) -> int | None:
        """How many records there are; None if that is not known."""
        try:
            return len(self._source)
        except CaffeError:
            return None

    def labels(self) -> NDArray[np.float32] | None:
        """All labels, where they are at hand; else None."""
        return self._source.labels()

    def close(self) -> None:
        self._source.close()

    def _fill(self, batch: Batch | None) -> Batch:
        records = self._source.read(self._position, self._batch_size)
        batch = self._fitting(batch, records.images[0])
        done = 0
        while True:
            rows = slice(done, done + len(records.labels))
            self._transformer.apply(records.images, batch.data[rows], self._where(self._position))
            batch.labels[rows] = records.labels
            self._go_to(records.next)
            done = rows.stop
            if done == self._batch_size:
                break
            records = self._source.read(self._position, self._batch_size - done)
        batch.after = self.state()
        return batch

    def _go_to(self, position: int) -> None:
        if position == 0:
            log.info("Restarting data prefetching from start.")
        self._position = position

    def _where(self, start: int) -> Any:
        return lambda i: self._source.where(start + i)

    def _shape_of(self, image: NDArray[Any]) -> tuple[int, ...]:
        try:
            return (self._batch_size, *self._transformer.output_shape(image.shape))
        except ShapeError as problem:
            raise ShapeError(f"{self._source.where(self._position)}: {problem}") from None

    def _fitting(self, batch: Batch | None, image: NDArray[Any]) -> Batch:
        """The batch, or a new one if its shape is another."""
        shape = self._shape_of(image)
        if batch is not None and batch.data.shape == shape:
            return batch
        try:
            return Batch(np.empty(shape, np.float32), np.empty(shape[0], np.float32))
        except MemoryError:
            raise CaffeError(f"not enough memory for batches of shape {list(shape)}.") from None
