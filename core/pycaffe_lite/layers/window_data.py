"""WindowData: batches of windows cut out of images, for detection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pycaffe_lite import log, rng
from pycaffe_lite.blob import Blob
from pycaffe_lite.data.sources.image_list import find_root
from pycaffe_lite.data.sources.windows import Cutter, WindowFeed, read_window_file
from pycaffe_lite.data.transformer import draws_words, read_mean
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import register_layer
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.paths import find_file
from pycaffe_lite.proto.caffe_pb2 import TransformationParameter


@register_layer("WindowData")
class WindowData(FeedLayer):
    """Reads batches of windows that are chosen by chance out of a window file and cut out of their images.

    A batch is background first, then batch_size * fg_fraction windows of objects. Each window, with its context, is
    resized to crop_size x crop_size; what lies outside the image is 0.

        data = (pixels of the window, perhaps mirrored - mean) * scale

    Tops:
        data: batch_size x 3 x crop_size x crop_size; float32, of any range; colours blue, green, red.
        label: batch_size, the windows' labels, 0 for background.

    Parameters (window_data_param):
        source: a window file, see `pycaffe_lite.data.sources.windows.read_window_file`.
        root_folder: put before each image's name as it is.
        batch_size: windows in a batch, 1 or more.
        fg_threshold, bg_threshold: the overlap from which a window is an object's, and below which it is background;
            default 0.5 both.
        fg_fraction: the share of objects in a batch, default 0.25.
        context_pad: pixels of context around the window within the crop, default 0; less than half the crop.
        crop_mode: "warp" (default) resizes the window as it is, "square" makes it square first.
        cache_images: of no effect.
        scale: default 1.
    transform_param: crop_size, 1 or more; mirror; mean_file or mean_value. Its scale does nothing, as in Caffe.

    Errors: a file or an image that is missing, damaged, or does not fit; a window outside its image.

    Source: Girshick et al., "Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation", 2014;
        Caffe's WindowData layer, which takes as many words of the random generator.
    """

    num_tops = (2, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._check_parameters()
        self._start(self._open_windows, top)

    def _check_parameters(self) -> None:
        param, crop = self.layer_param.window_data_param, self.layer_param.transform_param.crop_size
        if param.batch_size < 1 or crop < 1:
            raise self.error(
                "expected window_data_param { batch_size: … } and transform_param { crop_size: … } of 1 or more each, "
                f"got {param.batch_size} and {crop}."
            )
        if param.crop_mode not in ("warp", "square"):
            raise self.error(f'expected a crop_mode of "warp" or "square", got "{param.crop_mode}".')
        if 2 * param.context_pad >= crop:
            raise self.error(f"expected context_pad below half of crop_size {crop}, got {param.context_pad}.")
        if not 0 <= param.fg_fraction <= 1:
            raise self.error(f"expected fg_fraction from 0 to 1, got {param.fg_fraction:g}.")
        given = self.layer_param.transform_param.scale
        if given not in (1, param.scale):
            log.warning(
                f'{self.location}layer "{self.name}" (WindowData): transform_param {{ scale: {given:g} }} does nothing '
                "here, as in Caffe; write window_data_param { scale: … } to scale the windows."
            )

    def _open_windows(self) -> WindowFeed:
        """Reads the window file; takes the words that Caffe takes, in its order."""
        param, transform = self.layer_param.window_data_param, self.layer_param.transform_param
        by_chance = draws_words(transform, self.phase)
        if by_chance:
            rng.word()
        seed = rng.word()
        path = find_file(param.source, self.folder, "window file")
        windows = read_window_file(path, param.fg_threshold, param.bg_threshold)
        log.info(f"Number of images: {len(windows.images)}")
        if by_chance:
            rng.word()
        rng.word()  # the prefetching thread's
        return WindowFeed(
            windows,
            find_root(param.root_folder, windows.images[0], self.folder),
            Cutter(transform.crop_size, param.context_pad, param.crop_mode == "square"),
            param.batch_size,
            param.fg_fraction,
            transform.mirror,
            self._read_mean(transform),
            param.scale,
            seed,
            self.place.share_in(self.phase),
        )

    def _read_mean(self, transform: TransformationParameter) -> NDArray[np.float32] | None:
        """The centre of the mean image, or the mean values, C x 1 x 1."""
        crop = transform.crop_size
        if transform.mean_file and transform.mean_value:
            raise CaffeError("expected mean_file or mean_value, got both.")
        if transform.mean_file:
            mean = read_mean(Path(find_file(transform.mean_file, self.folder, "mean file")))
            off = (mean.shape[2] - crop) // 2
            centre = mean[:, off : off + crop, off : off + crop] if off >= 0 else mean[:, :0]
            if centre.shape != (3, crop, crop):
                raise CaffeError(f"expected a mean image of 3 x {crop} x {crop} or more, got {list(mean.shape)}.")
            return centre
        if len(transform.mean_value) not in (0, 1, 3):
            raise CaffeError(f"expected 1 mean_value or one for each of 3 channels, got {len(transform.mean_value)}.")
        values = np.array(transform.mean_value, np.float32).reshape(-1, 1, 1)
        return np.broadcast_to(values, (3, 1, 1)) if len(values) else None
