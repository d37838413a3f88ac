"""HDF5Data: batches of rows from HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources.hdf5 import RowFeed, read_hdf5_list
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.paths import find_file


@register_layer("HDF5Data")
class HDF5Data(FeedLayer):
    """Reads rows, one after the other, from file to file and round again, ahead of time; each top is a dataset of its
    name.

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

    num_tops = (1, None)
    says_size = False

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.layer_param.hdf5_data_param.batch_size < 1:
            raise self.error("expected hdf5_data_param { batch_size: … } of 1 or more, got 0 or none.")
        if self.layer_param.HasField("transform_param"):
            raise self.error("expected no transform_param, got one; it does not transform data: do so in the files.")
        self._start(self._open_rows, top)

    def _open_rows(self) -> RowFeed:
        param = self.layer_param.hdf5_data_param
        log.info(f"Loading list of HDF5 filenames from: {param.source}", "hdf5_data_layer.cpp:81")
        paths = read_hdf5_list(find_file(param.source, self.folder, "list of HDF5 files"), self.folder)
        log.info(f"Number of HDF5 files: {len(paths)}", "hdf5_data_layer.cpp:95")
        seed = _seed() if param.shuffle else None
        return RowFeed(paths, self.layer_param.top, param.batch_size, seed, self.place.share_in(self.phase))


def _seed() -> int:
    """A word that follows from the run's seed, without taking it from the run's generator."""
    peek = rng.Generator(0)
    peek.set_state(*rng.get_state())
    return peek.word()
