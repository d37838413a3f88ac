"""HDF5Data: batches of rows from HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources.hdf5 import RowFeed, read_hdf5_list
from pycaffe_lite.errors import told_by
from pycaffe_lite.layers.contract import Layer, register_layer
from pycaffe_lite.paths import find_file


@register_layer("HDF5Data")
class HDF5Data(Layer):
    """Reads rows, one after the other, from file to file and round again; each top is a dataset of its name.

    Tops: one or more, batch_size x the shape of a row; float32, of any range. The datasets hold numbers of any
        type, with as many rows each, and in all files rows of the same shapes.

    Parameters (hdf5_data_param):
        source: a text file with the path of one HDF5 file or more.
        batch_size: rows in a batch, 1 or more.
        shuffle: in each pass the files in a new random order, and the rows of each file; default false. Caffe
            shuffles with the C library's generator, so its order is another one; no word of the run's own
            generator is taken, as in Caffe.

    Files of up to 1 GiB of float32 are read at once, larger ones batch by batch.

    Errors: a list, file or dataset that is missing, damaged, or does not fit; transform_param, as in Caffe.
    """

    num_bottoms = (0, 0)
    num_tops = (1, None)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._feed: RowFeed | None = None
        param = self.layer_param.hdf5_data_param
        self._batch_size = int(param.batch_size)
        if self._batch_size < 1:
            raise self.error("expected hdf5_data_param { batch_size: … } of 1 or more, got 0 or none.")
        if self.layer_param.HasField("transform_param"):
            raise self.error("expected no transform_param, got one; it does not transform data: do so in the files.")
        with told_by(self.error):
            self._feed = self._open(param)
            self._shape(self._feed, top)

    def _open(self, param: Any) -> RowFeed:
        log.info(f"Loading list of HDF5 filenames from: {param.source}", "hdf5_data_layer.cpp:81")
        paths = read_hdf5_list(find_file(param.source, self.folder, "list of HDF5 files"), self.folder)
        log.info(f"Number of HDF5 files: {len(paths)}", "hdf5_data_layer.cpp:95")
        return RowFeed(paths, list(self.layer_param.top), _seed() if param.shuffle else None)

    def _shape(self, feed: RowFeed, top: Sequence[Blob]) -> None:
        for blob, shape in zip(top, feed.shapes, strict=True):
            blob.reshape(self._batch_size, *shape)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._shape(self._opened(), top)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        feed = self._opened()
        with told_by(self.error):
            feed.fill([blob.data for blob in top])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """There is nothing to propagate to."""

    def state(self) -> dict[str, int]:
        """Where the next forward reads, as integers by name."""
        return self._opened().state()

    def restore(self, state: dict[str, Any]) -> None:
        """Reads on where `state` was called, in this run or another."""
        self._opened().restore(state)

    def close(self) -> None:
        """Closes the files; the layer cannot go forward any more."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _opened(self) -> RowFeed:
        if self._feed is None:
            raise self.error("expected an open layer, got one that has been closed.")
        return self._feed


def _seed() -> int:
    """A word that follows from the run's seed, without taking it from the run's generator."""
    peek = rng.Generator(0)
    peek.set_state(*rng.get_state())
    return peek.word()
