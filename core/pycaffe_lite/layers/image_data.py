"""ImageData: batches of images from files that a list names."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.batches import RecordFeed
from pycaffe_lite.data.records import Source
from pycaffe_lite.data.sources.image_list import ImageListSource, ShuffledList
from pycaffe_lite.data.transformer import Transformer, draws_words
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.paths import find_file


@register_layer("ImageData")
class ImageData(FeedLayer):
    """Reads batches of image files, one after the other and round again, decoded and transformed ahead of time.

    Tops:
        data: batch_size x C x H x W, or x C x crop_size x crop_size; float32, of any range; colours in the order
            blue, green, red.
        label: batch_size, the images' labels; or batch_size x label_dim, if that is above 1; float32.

    Parameters (image_data_param):
        source: a text with a line for each image, the file's name, a space, its label, a whole number. The last
            space divides them, so a name may have spaces in it, and end in numbers. Without a label it is 0.
        label_dim: how many labels, real numbers, end each line; without it one whole number, as in Caffe. Not in
            Caffe, but in forks of it.
        root_folder: put before each name as it is.
        batch_size: images in a batch, default 1. Without crop_size all images of a batch must have one size.
        new_height, new_width: what images are resized to; both or none.
        is_color: three channels, or one; default true.
        shuffle: a new random order in each epoch, default false.
        rand_skip: leaves out up to that many images at first, fewer by chance; default 0.
    transform_param: see `pycaffe_lite.data.transformer`.

    Errors: a list or an image that is missing, damaged, or does not fit.

    Source: Caffe's ImageData layer, down to the words of the random generator that set-up and shuffling take.
    """

    num_tops = (2, 2)
    size_said_at = "image_data_layer.cpp:90"

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.layer_param.image_data_param
        if param.batch_size < 1:
            raise self.error("expected image_data_param { batch_size: … } of 1 or more, got 0.")
        if (param.new_height > 0) != (param.new_width > 0):
            raise self.error(
                f"expected new_height and new_width, or none of them, got {param.new_height} and {param.new_width}."
            )
        if param.label_dim < 1:
            raise self.error("expected image_data_param { label_dim: … } of 1 or more, got 0.")
        if 3 * param.new_height * param.new_width >= 2**31:
            raise self.error(
                f"expected images of at most {2**31 - 1} values, got new_height {param.new_height} and "
                f"new_width {param.new_width}."
            )
        self._start(self._open_images, top)

    def _open_images(self) -> RecordFeed:
        """Opens the list; takes the words that Caffe takes, in its order."""
        param, transform = self.layer_param.image_data_param, self.layer_param.transform_param
        by_chance = draws_words(transform, self.phase)
        if by_chance:
            rng.word()
        log.info(f"Opening file {param.source}", "image_data_layer.cpp:38")
        path = find_file(param.source, self.folder, "list of images")
        size = (param.new_height, param.new_width)
        label_dim = param.label_dim if param.HasField("label_dim") else None
        source: Source = ImageListSource(path, param.root_folder, self.folder, param.is_color, *size, label_dim)
        count = len(source)
        if param.shuffle:
            log.info("Shuffling data", "image_data_layer.cpp:53")
            source = ShuffledList(source, rng.word())
        log.info(f"A total of {count} images.", "image_data_layer.cpp:63")
        skip = self._skip(param.rand_skip, count)
        transformer = Transformer(transform, self.phase, self.folder, rng.word() if by_chance else 0)
        rng.word()  # the prefetching thread's
        feed = RecordFeed(source, transformer, param.batch_size, self.place.share_in(self.phase))
        if skip:
            feed.restore({**feed.state(), "position": skip})
        return feed

    def _skip(self, most: int, count: int) -> int:
        if not most:
            return 0
        skip = rng.word() % most
        log.info(f"Skipping first {skip} data points.", "image_data_layer.cpp:70")
        if skip >= count:
            raise CaffeError(f"expected more images than the {skip} to be skipped, got {count}; lower rand_skip.")
        return skip
