"""How fast batches come from each kind of source, against plain reading, OpenCV and the appetite of two nets.

    python benchmarks/data.py [--threads 2] [--rounds 5]

Batches come as a Data layer gets them: read, decoded, transformed, made ahead on the layer's own thread, by someone
who asks for the next one at once. The files are made in a temporary folder and read over and over, so they lie in
the system's cache. Beside each source stands a plain loop over the same data, on one thread:

    in memory   the images of an IDX file, copied batch by batch
    lmdb, plyvel, h5py   the packages' own loops over the values, which are not looked at
    cv2         OpenCV decoding the same images, or reading the same files, on all threads, and nothing else

An appetite is the images a second that a net takes while it learns from data in memory. Last comes what prefetching
costs: LeNet learning from an LMDB, against LeNet learning from arrays in memory. Each round measures everything once,
in turn; the tables give the median over the rounds, and ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from models import caffenet
from nets import child

from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.open import open_source
from pycaffe_lite.data.prefetch import Prefetcher
from pycaffe_lite.data.records import ShuffledSource, Source
from pycaffe_lite.data.sources.hdf5 import RowFeed
from pycaffe_lite.data.sources.idx import read_idx
from pycaffe_lite.data.sources.image_list import ImageListSource
from pycaffe_lite.data.transformer import Transformer
from pycaffe_lite.parallel import set_num_threads
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import DataParameter, TransformationParameter
from pycaffe_lite.solvers.registry import get_solver

ROOT = Path(__file__).resolve().parent.parent
MNIST = ROOT / "data/mnist/train-images-idx3-ubyte.gz"
EXTRAS = {"lmdb": "lmdb", "plyvel": "leveldb", "h5py": "hdf5", "cv2": "images"}
BATCH = 64
PREFETCH = 4
PHOTOS = 256
ROWS = 20_000  # of the HDF5 file
SECONDS = 0.4  # of a measurement

Loop = Callable[[], int]
"""Reads some records once; returns how many."""


class Row(NamedTuple):
    """A line of the table: our loop, and what stands beside it."""

    name: str
    ours: Loop
    beside: str
    plain: Loop
    large: bool  # CaffeNet's food, not LeNet's


def rate(loop: Loop, seconds: float = SECONDS) -> float:
    """Records a second."""
    loop()
    done, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < seconds:
        done += loop()
    return done / took


# -- files -----------------------------------------------------------------------------------------------------


def photo(seed: int) -> np.ndarray:
    """A made-up image, 256 x 256 x 3, of which all sizes of detail are as strong as in a photograph."""
    import cv2

    generator = np.random.default_rng(seed)
    image = np.full((256, 256, 3), 128, np.float32)
    for size in (2, 4, 8, 16, 32, 64, 128, 256):
        detail = generator.standard_normal((size, size, 3), np.float32)
        image += cv2.resize(detail, (256, 256), interpolation=cv2.INTER_CUBIC) * (80 / size**0.5)
    return np.clip(image, 0, 255).astype(np.uint8)


def write_mnist(folder: Path, has: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """MNIST as databases and an HDF5 file; returns its images and labels."""
    from pycaffe_lite.tools.databases import plain_datum, write_database

    images, labels = read_idx(MNIST), read_idx(MNIST.with_name("train-labels-idx1-ubyte.gz"))
    pairs = [(b"%08d" % i, plain_datum(images[i][np.newaxis], int(labels[i]))) for i in range(len(images))]
    for backend in {"lmdb", "leveldb"} & {EXTRAS[package] for package in has}:
        write_database(str(folder / f"mnist_{backend}"), backend, pairs)
    if "h5py" in has:
        import h5py

        with h5py.File(folder / "mnist.h5", "w") as file:
            file["data"] = images[:ROWS, np.newaxis].astype(np.float32)
            file["label"] = labels[:ROWS].astype(np.float32)
    return images[:, np.newaxis], labels


def write_photos(folder: Path, has: set[str]) -> list[bytes]:
    """Photographs as files, a list of them, databases and a mean image; returns them as JPEG."""
    import cv2

    from pycaffe_lite.tools.databases import datum_bytes, plain_datum, write_database
    from pycaffe_lite.tools.means import mean_bytes

    photos = [photo(i) for i in range(PHOTOS)]
    encoded = [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for one in photos]
    for i, data in enumerate(encoded):
        (folder / f"{i}.jpg").write_bytes(data)
    (folder / "list.txt").write_text("".join(f"{i}.jpg {i}\n" for i in range(PHOTOS)))
    mean = np.mean([one.transpose(2, 0, 1) for one in photos], axis=0, dtype=np.float32)
    (folder / "mean.binaryproto").write_bytes(mean_bytes(mean))
    if "lmdb" in has:
        values = {
            "jpeg": [datum_bytes(i, data=data, encoded=True) for i, data in enumerate(encoded)],
            "raw": [plain_datum(one.transpose(2, 0, 1), i) for i, one in enumerate(photos)],
        }
        for name, some in values.items():
            write_database(str(folder / name), "lmdb", [(b"%08d" % i, value) for i, value in enumerate(some)])
    return encoded


# -- loops -----------------------------------------------------------------------------------------------------


def opened(path: Path, backend: str) -> Source:
    source = open_source(DataParameter(source=str(path), backend=DataParameter.DB.Value(backend)))
    if backend == "IDX":
        source.read(len(source) - 1, 1)  # all of it decompressed, which the first epoch would do as it goes
    return source


def prefetched(source: Source, **transform: Any) -> Loop:
    """Our own loop over a source, as a Data layer has it."""
    transformer = Transformer(TransformationParameter(**transform), TRAIN, seed=1)
    prefetcher = Prefetcher(RecordFeed(source, transformer, BATCH), PREFETCH)

    def loop() -> int:
        # More than lies there ready, so that no time goes by unmeasured.
        return sum(len(prefetcher.next().labels) for _ in range(4 * PREFETCH))

    return loop


def hdf5_rows(folder: Path) -> Loop:
    feed = RowFeed([str(folder / "mnist.h5")], ["data", "label"], BATCH)
    batch = feed.fill(None)

    def loop() -> int:
        for _ in range(100):
            feed.fill(batch)
        return 100 * BATCH

    return loop


def copied(images: np.ndarray) -> int:
    for i in range(0, len(images), BATCH):
        images[i : i + BATCH].copy()
    return len(images)


def lmdb_values(path: Path) -> int:
    import lmdb

    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
        return sum(1 for _ in transaction.cursor().iternext(keys=False))


def leveldb_values(database: Any) -> int:
    with database.iterator(include_key=False) as values:
        return sum(1 for _ in values)


def hdf5_slices(path: Path) -> int:
    import h5py

    with h5py.File(path) as file:
        for i in range(0, ROWS, BATCH):
            file["data"][i : i + BATCH], file["label"][i : i + BATCH]
    return ROWS


def on_threads(threads: int, work: Callable[[int], object], count: int) -> int:
    """Does work(0) … work(count - 1), each thread its share."""
    with ThreadPoolExecutor(threads) as pool:
        shares = [pool.submit(lambda t=t: [work(i) for i in range(t, count, threads)]) for t in range(threads)]
        for share in shares:
            share.result()
    return count


def mnist_rows(folder: Path, images: np.ndarray, has: set[str]) -> Iterator[Row]:
    scale = {"scale": 1 / 256}
    copy = partial(copied, images)
    yield Row("IDX", prefetched(opened(MNIST, "IDX"), **scale), "in memory", copy, False)
    yield Row("IDX, shuffled", prefetched(ShuffledSource(opened(MNIST, "IDX"), 1), **scale), "in memory", copy, False)
    random = {**scale, "crop_size": 24, "mirror": True}
    yield Row("IDX, crop 24, mirror", prefetched(opened(MNIST, "IDX"), **random), "in memory", copy, False)
    if "lmdb" in has:
        path = folder / "mnist_lmdb"
        plain = partial(lmdb_values, path)
        yield Row("LMDB", prefetched(opened(path, "LMDB"), **scale), "lmdb", plain, False)
        shuffled = ShuffledSource(opened(path, "LMDB"), 1)
        yield Row("LMDB, shuffled", prefetched(shuffled, **scale), "lmdb", plain, False)
    if "plyvel" in has:
        import plyvel

        # A LevelDB can be opened once at a time, so the plain loop has a copy of its own.
        shutil.copytree(folder / "mnist_leveldb", folder / "copy")
        plain = partial(leveldb_values, plyvel.DB(str(folder / "copy")))
        ours = prefetched(opened(folder / "mnist_leveldb", "LEVELDB"), **scale)
        yield Row("LevelDB", ours, "plyvel", plain, False)
    if "h5py" in has:
        yield Row("HDF5", hdf5_rows(folder), "h5py", partial(hdf5_slices, folder / "mnist.h5"), False)


def photo_rows(folder: Path, encoded: list[bytes], has: set[str], threads: int) -> Iterator[Row]:
    import cv2

    def decode(i: int) -> None:
        cv2.imdecode(np.frombuffer(encoded[i], np.uint8), cv2.IMREAD_UNCHANGED)

    transform = {"crop_size": 227, "mirror": True, "mean_file": str(folder / "mean.binaryproto")}
    if "lmdb" in has:
        raw, jpeg = (prefetched(opened(folder / name, "LMDB"), **transform) for name in ("raw", "jpeg"))
        yield Row("photos, LMDB of pixels", raw, "lmdb", partial(lmdb_values, folder / "raw"), True)
        yield Row("photos, LMDB of JPEG", jpeg, "cv2", partial(on_threads, threads, decode, PHOTOS), True)
    images = ImageListSource(str(folder / "list.txt"), f"{folder}/")
    files = [str(folder / f"{i}.jpg") for i in range(PHOTOS)]
    plain = partial(on_threads, threads, lambda i: cv2.imread(files[i], cv2.IMREAD_COLOR), PHOTOS)
    yield Row("photos, list of JPEG", prefetched(images, **transform), "cv2", plain, True)


# -- nets ------------------------------------------------------------------------------------------------------


class LeNet:
    """LeNet's training, from an LMDB or from arrays in memory."""

    def __init__(self, folder: Path, images: np.ndarray, labels: np.ndarray, source: Path | None = None) -> None:
        text = (ROOT / "configs/lenet/train_test.prototxt").read_text()
        if source:
            kind, param = "Data", f'data_param {{ source: "{source}" backend: LMDB batch_size: {BATCH} }}'
        else:
            shape = f"batch_size: {BATCH} channels: 1 height: 28 width: 28"
            kind, param = "MemoryData", f"memory_data_param {{ {shape} }}"
        layer = f'layer {{ name: "mnist" type: "{kind}" top: "data" top: "label" {param} '
        layer += "transform_param { scale: 0.00390625 } }\n" if source else "}\n"
        (folder / f"{kind}.prototxt").write_text(layer + text[text.index('layer {\n  name: "conv1"') :])
        solver = folder / f"{kind}_solver.prototxt"
        solver.write_text(f'net: "{kind}.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 random_seed: 1')
        self.solver = get_solver(str(solver))
        if not source:
            count = len(images) // BATCH * BATCH
            data = images[:count] * np.float32(1 / 256)
            self.solver.net.layers[0].set_input_arrays(data, labels[:count].astype(np.float32))

    def rate(self, iterations: int) -> float:
        """Images a second; the batches that lay there ready do not count."""
        self.solver.step(2 * PREFETCH)
        begin = time.perf_counter()
        self.solver.step(iterations)
        return iterations * BATCH / (time.perf_counter() - begin)


def caffenets_rate(folder: Path, threads: int) -> float:
    """Images a second that CaffeNet goes forward and backward with."""
    path = folder / "caffenet.prototxt"
    path.write_text(caffenet(16))
    measured = child("pycaffe-lite", str(path), threads, 4)
    assert measured is not None
    return 16e3 / measured["ms"]


# -- the run ---------------------------------------------------------------------------------------------------


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--iterations", type=int, default=30, help="of LeNet, in each of 8 turns of a round")
    args = options.parse_args()
    has = {package for package in EXTRAS if importlib.util.find_spec(package)}
    if missing := [extra for package, extra in EXTRAS.items() if package not in has]:
        print(f"What needs these is left out: pip install 'pycaffe-lite[{','.join(missing)}]'\n")
    set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        run(Path(name), has, args)


def run(folder: Path, has: set[str], args: argparse.Namespace) -> None:
    images, labels = write_mnist(folder, has)
    rows = list(mnist_rows(folder, images, has))
    if "cv2" in has:
        rows += photo_rows(folder, write_photos(folder, has), has, args.threads)
    nets = [LeNet(folder, images, labels)]
    if "lmdb" in has:
        nets.append(LeNet(folder, images, labels, folder / "mnist_lmdb"))
    appetite = [caffenets_rate(folder, args.threads) for _ in range(2)]
    measured: dict[Row, list[tuple[float, float]]] = {row: [] for row in rows}
    lenet: list[list[float]] = []
    for _ in range(args.rounds):
        for row in rows:
            measured[row].append((rate(row.ours), rate(row.plain)))
        turns = [[net.rate(args.iterations) for net in nets] for _ in range(8)]
        lenet.append([statistics.median(rates) for rates in zip(*turns, strict=True)])
    print_table(measured, statistics.median(rates[0] for rates in lenet), statistics.median(appetite))
    if len(nets) > 1:
        cost = [100 * (memory / prefetched - 1) for memory, prefetched in lenet]
        print(f"LeNet's training with prefetching from LMDB takes {spread(cost, '+.1f')} % longer than from memory.")


def print_table(measured: dict[Row, list[tuple[float, float]]], lenet: float, caffenet: float) -> None:
    print("| source | records/s, median (least–most) | beside | its records/s | times its time | times the appetite |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row, rates in measured.items():
        ours, plain = zip(*rates, strict=True)
        eaten = statistics.median(ours) / (caffenet if row.large else lenet)
        times = spread([theirs / own for own, theirs in rates], ".2f")
        print(f"| {row.name} | {spread(ours, ',.0f')} | {row.beside} | {statistics.median(plain):,.0f} | {times} "
              f"| {eaten:,.0f} ({'CaffeNet' if row.large else 'LeNet'}) |")  # fmt: skip
    print(f"\nAppetite: LeNet {lenet:,.0f} images/s, CaffeNet {caffenet:,.1f} images/s.")


def spread(values: Any, form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


if __name__ == "__main__":
    main()
