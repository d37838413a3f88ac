"""AnnotatedData: where SSD's training nets read images with their boxes."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("AnnotatedData")
class AnnotatedData(Layer):
    """Gives a net its shapes, so that it can be built and summed up; annotated records themselves are not read.

    Tops: data, batch_size x 3 x height x width of the resize_param, or crop_size square, with one channel for
        force_gray; label, 1 x 1 x 1 x 8, which grows with the objects of a batch.
    Parameters: data_param { source, batch_size, backend }, transform_param and annotated_data_param, as SSD's.

    Errors: no batch_size or size; and each forward, which would have to read.

    Source: SSD's AnnotatedData.
    """

    num_bottoms = (0, 0)
    num_tops = (1, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        transform = self.layer_param.transform_param
        self.batch = self.layer_param.data_param.batch_size
        if self.batch < 1:
            raise self.error("expected data_param { batch_size: … } of 1 or more, got 0 or none.")
        crop, resize = transform.crop_size, transform.resize_param
        self.size = (crop, crop) if crop else (resize.height, resize.width)
        if min(self.size) < 1:
            raise self.error("expected transform_param { resize_param { height: … width: … } } of 1 or more, got none.")
        self.channels = 1 if transform.force_gray else 3

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(self.batch, self.channels, *self.size)
        for blob in top[1:]:
            blob.reshape(1, 1, 1, 8)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        raise self.error(
            "annotated records of SSD are not read here; let an HDF5Data or Python layer give the net images and "
            "labels, 1 x 1 x n x 8: image, class, instance, xmin, ymin, xmax, ymax, difficult."
        )
