"""Data: batches of images and labels from a database, or from IDX, npz or csv files."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.open import open_source
from pycaffe_lite.data.records import ShuffledSource, Source
from pycaffe_lite.data.transformer import Transformer, draws_words
from pycaffe_lite.errors import told_by
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.feed_base import FeedLayer


@register_layer("Data")
class DataLayer(FeedLayer):
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

    num_tops = (1, 2)
    size_said_at = "data_layer.cpp:45"
    _source: Source | None = None

    def open(self) -> None:
        """Opens the source; `setup` does if it has not been done."""
        with told_by(self.error):
            self._source = self._open_source()

    def _open_source(self) -> Source:
        param, transform = self.layer_param.data_param, self.layer_param.transform_param
        color = True if transform.force_color else False if transform.force_gray else None
        return open_source(
            param, self.folder, len(self.layer_param.top) > 1, color, self.place.share_in(self.phase).size > 1
        )

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.data_param
        if param.batch_size < 1:
            raise self.error("expected data_param { batch_size: ... } of 1 or more, got 0 or none.")
        if param.rand_skip:
            log.warning(f'layer "{self.name}" (Data): rand_skip is ignored, as in Caffe 1.0.')
        self._start(self._open_feed, top)

    def _open_feed(self) -> RecordFeed:
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
        return RecordFeed(source, transformer, param.batch_size, self.place.share_in(self.phase))
