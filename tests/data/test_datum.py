"""Labels of Datums: Caffe's whole number, and the floats of its forks, one or several."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.records import ShuffledSource
from pycaffe_lite.data.sources.datum import float_labels_bytes, labels_of
from pycaffe_lite.data.sources.lmdb import LmdbSource
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import Datum, TransformationParameter
from rigs.data_tools import write_lmdb


def datum(tail: bytes = b"", **fields: Any) -> bytes:
    values = {"channels": 1, "height": 1, "width": 2, "data": b"ab", **fields}
    return bytes(Datum(**values).SerializeToString()) + tail


def unpacked(*labels: float) -> bytes:
    return b"".join(b"\x2d" + struct.pack("<f", label) for label in labels)


def packed(*labels: float) -> bytes:
    return b"\x2a" + bytes([4 * len(labels)]) + struct.pack(f"<{len(labels)}f", *labels)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", (0,)),
        (b"\x28\x07", (7,)),
        (b"\x28\x07\x28\x03", (3,)),
        (unpacked(0.5), (0.5,)),
        (unpacked(0.5, -2, 1), (0.5, -2, 1)),
        (packed(0.5, -2, 1), (0.5, -2, 1)),
        (packed(1, 0) + unpacked(0.25), (1, 0, 0.25)),
        (packed(), (0,)),
        (unpacked(0.5) + b"\x28\x07", (7,)),
        (b"\x52\x02xy" + unpacked(4, 5) + b"\x58\x01", (4, 5)),
        (b"\x53\x58\x01\x54", (0,)),
    ],
)
def test_labels_of_a_datum(tail: bytes, expected: tuple[float, ...]) -> None:
    parsed = Datum.FromString(datum(tail))
    assert labels_of(parsed) == expected
    assert (parsed.data, parsed.width) == (b"ab", 2)


@pytest.mark.parametrize("tail", [b"\x29" + bytes(8), b"\x2a\x03abc"])
def test_labels_of_another_type_are_refused(tail: bytes, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", [datum(), datum(tail)])
    with pytest.raises(CaffeError, match=r"record 1 \(key '0001'\): expected labels that are a whole number .* floats"):
        LmdbSource(tmp_path / "db").read(1, 1)


def test_what_is_written_is_read() -> None:
    assert labels_of(Datum.FromString(datum(float_labels_bytes((1.5, -0.25))))) == (1.5, -0.25)
    assert float_labels_bytes((1.5, -0.25)) == unpacked(1.5, -0.25)


def test_a_source_gives_rows_of_labels(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", [datum(unpacked(i, 0.5)) for i in range(5)])
    source = LmdbSource(tmp_path / "db")
    np.testing.assert_array_equal(source.read(1, 3).labels, [[1, 0.5], [2, 0.5], [3, 0.5]])
    np.testing.assert_array_equal(source.take(np.array([4, 0])).labels, [[4, 0.5], [0, 0.5]])


def test_one_float_is_one_label(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", [datum(unpacked(0.5)), datum(packed(1.5)), datum(label=3), datum()])
    records = LmdbSource(tmp_path / "db").read(0, 4)
    assert records.labels.dtype == np.float32
    np.testing.assert_array_equal(records.labels, [0.5, 1.5, 3, 0])


def feed_of(folder: Path, values: list[bytes], batch_size: int, shuffle: bool = False) -> RecordFeed:
    write_lmdb(folder, values)
    source = LmdbSource(folder)
    return RecordFeed(
        ShuffledSource(source, 1) if shuffle else source,
        Transformer(TransformationParameter(), TRAIN),
        batch_size,
    )


def test_batches_of_several_labels(tmp_path: Path) -> None:
    feed = feed_of(tmp_path / "db", [datum(unpacked(i, -i)) for i in range(3)], 4)
    assert feed.shapes() == [(4, 1, 1, 2), (4, 2)]
    batch = feed.fill(None)
    np.testing.assert_array_equal(batch.labels, [[0, 0], [1, -1], [2, -2], [0, 0]])
    again = feed.fill(batch)
    assert again is batch
    np.testing.assert_array_equal(again.labels[:, 0], [1, 2, 0, 1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_records_with_other_numbers_of_labels_are_named(tmp_path: Path, shuffle: bool) -> None:
    values = [datum(unpacked(*range(2 + (i == 2)))) for i in range(4)]
    feed = feed_of(tmp_path / "db", values, 4, shuffle)
    with pytest.raises(ShapeError, match=r"db, record \d \(key '000\d'\): expected [23] label\(s\), .* got [23]"):
        feed.fill(None)


def test_labels_may_become_more_from_batch_to_batch_only(tmp_path: Path) -> None:
    feed = feed_of(tmp_path / "db", [datum(unpacked(*range(1 + i // 2))) for i in range(4)], 2)
    assert [feed.fill(None).labels.shape for _ in range(3)] == [(2,), (2, 2), (2,)]
    feed = feed_of(tmp_path / "three", [datum(unpacked(1)), datum(unpacked(1)), datum(unpacked(1, 2))], 2)
    first = feed.fill(None)
    with pytest.raises(ShapeError, match=r"record 0 \(key '0000'\): expected 2 label\(s\), as the first record of its"):
        feed.fill(first)
