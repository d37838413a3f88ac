"""Images that several threads decode: the same bits at any number of them, and the first error in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.data.batches import Feed
from pycaffe_lite.data.images import is_opencvs
from pycaffe_lite.data.records import ShuffledSource, Source
from pycaffe_lite.data.sources.image_list import ImageListSource, ShuffledList
from pycaffe_lite.data.sources.lmdb import LmdbSource
from pycaffe_lite.data.sources.windows import Cutter, WindowFeed, read_window_file
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.errors import FileError, ShapeError
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import Datum, TransformationParameter
from rigs.decoding_rig import feed

THREADS = [1, 2, 8]
RANDOM = {"crop_size": 17, "mirror": True, "mean_value": [104.5, 117, 123], "scale": 0.1}


def batches(source: Feed, count: int) -> list[np.ndarray]:
    made = [source.fill(None) for _ in range(count)]
    return [part for batch in made for part in (batch.data, batch.labels)]


@pytest.fixture
def photos(tmp_path: Path, generator: np.random.Generator) -> Path:
    """A folder of 20 JPEGs of several sizes, their list, and an LMDB of them."""
    cv2, lmdb = pytest.importorskip("cv2"), pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for i in range(20):
            pixels = generator.integers(0, 256, (*generator.integers(20, 40, 2), 3), np.uint8)
            data = cv2.imencode(".jpg", pixels)[1].tobytes()
            (tmp_path / f"{i}.jpg").write_bytes(data)
            transaction.put(b"%02d" % i, Datum(data=data, label=i, encoded=True).SerializeToString())
    (tmp_path / "list.txt").write_text("".join(f"{i}.jpg {i}\n" for i in range(20)))
    return tmp_path


def photo_list(folder: Path) -> ImageListSource:
    return ImageListSource(str(folder / "list.txt"), f"{folder}/")


SOURCES: dict[str, Callable[[Path], Source]] = {
    "list": photo_list,
    "shuffled list": lambda folder: ShuffledList(photo_list(folder), 5),
    "LMDB": lambda folder: LmdbSource(folder / "db"),
    "shuffled LMDB": lambda folder: ShuffledSource(LmdbSource(folder / "db"), 5),
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_number_of_threads_gives_the_same_bits(name: str, photos: Path) -> None:
    results = []
    for threads in THREADS:
        set_num_threads(threads)
        one = feed(SOURCES[name](photos), **RANDOM)
        results.append(batches(one, 7))
        one.close()
    for result in results[1:]:
        for got, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", SOURCES)
def test_images_left_undecoded_are_those_that_are_read(name: str, photos: Path) -> None:
    source = SOURCES[name](photos)
    whole, undecoded = source.read(0, 20), source.read_undecoded(0, 20)
    assert (len(undecoded.images), undecoded.next) == (20, whole.next)
    np.testing.assert_array_equal(undecoded.labels, whole.labels)
    for got, expected in zip(undecoded.images, whole.images, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("crop", [0, 7, 8, 16])
@pytest.mark.parametrize("mean", [{}, {"mean_value": [3.5]}, {"mean_value": [1, 2.5, 7]}, {"mean_file": True}])
def test_images_of_opencv_come_out_as_others_do(
    crop: int, mean: dict[str, Any], tmp_path: Path, generator: np.random.Generator
) -> None:
    pytest.importorskip("cv2")
    if mean.get("mean_file"):
        from pycaffe_lite.tools.means import mean_bytes

        (tmp_path / "mean").write_bytes(mean_bytes(generator.uniform(0, 255, (3, 16, 18)).astype(np.float32)))
        mean = {"mean_file": str(tmp_path / "mean")}
    interleaved = list(generator.integers(0, 256, (12, 16, 18, 3), np.uint8).transpose(0, 3, 1, 2))
    planar = [np.ascontiguousarray(image) for image in interleaved]
    assert is_opencvs(interleaved[0])
    assert not is_opencvs(planar[0])
    shape = (12, 3, crop or 16, crop or 18)
    results = []
    for images in (interleaved, planar, np.array(planar)):
        out = np.full(shape, np.nan, np.float32)
        param = TransformationParameter(crop_size=crop, mirror=True, scale=0.3, **mean)
        Transformer(param, TRAIN, seed=3).apply(images, out, str)
        results.append(out)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[1])


def test_windows_are_the_same_at_any_number_of_threads(photos: Path) -> None:
    lines = [f"# {i}\n{i}.jpg\n3\n20\n20\n2\n{i + 1} 0.9 1 2 15 17\n1 0.1 3 0 18 9\n" for i in range(20)]
    (photos / "windows.txt").write_text("".join(lines))
    windows = read_window_file(str(photos / "windows.txt"), 0.5, 0.5)
    results = []
    for threads in THREADS:
        set_num_threads(threads)
        one = WindowFeed(windows, f"{photos}/", Cutter(9, 2), 8, 0.5, True, None, 1, 7)
        results.append(batches(one, 4))
        one.close()
    for result in results[1:]:
        for got, expected in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


def test_batches_of_new_sizes_take_new_arrays(photos: Path, generator: np.random.Generator) -> None:
    cv2 = pytest.importorskip("cv2")
    for i in range(20):
        size = (8, 9, 3) if i < 8 else (5, 6, 3)
        cv2.imwrite(str(photos / f"{i}.jpg"), generator.integers(0, 256, size, np.uint8))
    one = feed(photo_list(photos), 4, mirror=True)
    other = feed(photo_list(photos), 4, mirror=True)
    batch = None
    for shape in [(8, 9)] * 2 + [(5, 6)] * 3 + [(8, 9)]:
        batch = one.fill(batch)
        assert batch.data.shape == (4, 3, *shape)
        np.testing.assert_array_equal(batch.data, other.fill(None).data)
    one.close(), other.close()


@pytest.mark.parametrize("label", [0, 1, 127, 128, 999, 2**14, 2**28 - 1, 2**28, 2**31 - 1, -1])
@pytest.mark.parametrize("more", [{}, {"channels": 3}, {"float_data": [1]}])
def test_encoded_datums_are_read_as_protobuf_reads_them(label: int, more: dict[str, Any], tmp_path: Path) -> None:
    cv2, lmdb = pytest.importorskip("cv2"), pytest.importorskip("lmdb")
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    with lmdb.open(str(tmp_path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        transaction.put(b"0", Datum(data=data, label=label, encoded=True, **more).SerializeToString())
    records = LmdbSource(tmp_path).read(0, 1)
    np.testing.assert_array_equal(records.images[0], pixels.transpose(2, 0, 1))
    assert records.labels.tolist() == [np.float32(label)]


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", THREADS)
def test_the_first_bad_file_is_reported_and_nothing_lost(threads: int, photos: Path) -> None:
    set_num_threads(threads)
    one, other = (feed(photo_list(photos), **RANDOM) for _ in range(2))
    one.fill(None), other.fill(None)
    good = {i: (photos / f"{i}.jpg").read_bytes() for i in (11, 13)}
    (photos / "11.jpg").write_bytes(b"no image")
    (photos / "13.jpg").unlink()
    before = one.state()
    for _ in range(3):
        with pytest.raises(FileError, match=r"list\.txt, record 11: .*11\.jpg: expected an encoded image, got 8 bytes"):
            one.fill(None)
        assert str(one.state()) == str(before)
    for i, data in good.items():
        (photos / f"{i}.jpg").write_bytes(data)
    np.testing.assert_array_equal(one.fill(None).data, other.fill(None).data)
    one.close(), other.close()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({3: Datum(data=b"no image", encoded=True), 5: b"garbage"}, "record 3 .*: expected an encoded image"),
        ({3: b"garbage", 5: Datum(data=b"no image", encoded=True)}, "record 3 .*: expected a Datum, got 7 bytes"),
        ({3: Datum(data=b"", encoded=True), 5: b"garbage"}, "record 3 .*: expected an encoded image"),
    ],
)
def test_the_first_bad_datum_is_reported(threads: int, bad: dict[int, Any], message: str, photos: Path) -> None:
    import lmdb

    with lmdb.open(str(photos / "db"), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for i, value in bad.items():
            transaction.put(b"%02d" % i, value if isinstance(value, bytes) else value.SerializeToString())
    set_num_threads(threads)
    one = feed(LmdbSource(photos / "db"), **RANDOM)
    with pytest.raises(FileError, match=message):
        one.fill(None)
    with pytest.raises(FileError, match=message):
        LmdbSource(photos / "db").read(0, 8)
    one.close()


def test_an_image_of_another_size_is_reported_in_its_turn(photos: Path) -> None:
    set_num_threads(4)
    sizes = [image.shape for image in photo_list(photos).read(0, 20).images]
    first = next(i for i, size in enumerate(sizes) if size != sizes[0])
    one = feed(photo_list(photos), 20)
    with pytest.raises(ShapeError, match=rf"record {first}: expected shape .* of several sizes need crop_size"):
        one.fill(None)
    one.close()
