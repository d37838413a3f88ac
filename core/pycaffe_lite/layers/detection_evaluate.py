"""DetectionEvaluate: where SSD's test nets compare what was found with what is there."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer, register_layer


@register_layer("DetectionEvaluate")
class DetectionEvaluate(Layer):
    """Gives a net its shapes, so that it can be built and summed up; detections themselves are not evaluated.

    Bottoms: detections, 1 x 1 x n x 7, as DetectionOutput gives them; objects, 1 x 1 x n x 8.
    Top: 1 x 1 x 1 x 5 before the first forward.
    Parameters: detection_evaluate_param, as SSD's.

    Errors: no num_classes; each forward.

    Source: SSD's DetectionEvaluate.
    """

    num_bottoms = (2, 2)

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.layer_param.detection_evaluate_param.num_classes < 1:
            raise self.error("expected detection_evaluate_param { num_classes: … } of 1 or more, got none.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        widths = [blob.shape[-1:] for blob in bottom]
        if widths != [(7,), (8,)]:
            shapes = " and ".join(str(list(blob.shape)) for blob in bottom)
            raise self.error(f"expected detections 1 x 1 x n x 7 and objects 1 x 1 x n x 8, got shapes {shapes}.")
        top[0].reshape(1, 1, 1, 5)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        raise self.error(
            "detections are not evaluated here; leave this layer out, or let DetectionOutput write files for the tools "
            "of VOC, COCO or ILSVRC (save_output_param)."
        )
