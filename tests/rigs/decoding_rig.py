"""What the tests of decoding share: images that take a while to decode, feeds, and a count of their threads."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.records import Records, Source, Undecoded
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import TransformationParameter


class Slow(Source):
    """Record i is an image of i's that takes a while to decode, with label i."""

    name = "slow"

    def __init__(self, length: int = 40, broken: tuple[int, ...] = ()) -> None:
        self.length, self.broken, self.closed = length, broken, False

    def __len__(self) -> int:
        return self.length

    def read_undecoded(self, start: int, count: int) -> Records:
        end = min(start + count, self.length)

        def decode(i: int) -> np.ndarray:
            # Of those that fail, the later ones do it sooner.
            time.sleep(0.0001 * (self.length - start - i))
            if start + i in self.broken:
                raise CaffeError(f"{self.where(start + i)}: broken.")
            return np.full((1, 4, 5), start + i, np.uint8)

        return Records(Undecoded(end - start, decode), np.arange(start, end, dtype=np.float32), end % self.length)

    def read(self, start: int, count: int) -> Records:
        return self.read_undecoded(start, count)

    def close(self) -> None:
        self.closed = True


def feed(source: Source, batch_size: int = 8, **fields: Any) -> RecordFeed:
    return RecordFeed(source, Transformer(TransformationParameter(**fields), TRAIN, seed=3), batch_size)


def decoding() -> int:
    """How many threads read or decode."""
    return sum(thread.name.startswith(("decode", "prefetch")) for thread in threading.enumerate())
