"""The losses besides SoftmaxWithLoss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pycaffe_lite.proto import caffe_pb2
from rigs.layer_cases.table import Case, add, labels, uniform, values

IMAGES = (2, 3, 2, 2)
LARGE = (4, 3, 120, 120)

EUCLIDEAN = 'type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss"'
add(Case(text=EUCLIDEAN, bottoms=(IMAGES, IMAGES), tops=((),), large=(LARGE, LARGE)))
add(Case(text=EUCLIDEAN, bottoms=((3, 4), (3, 2, 2)), tops=((),), name="other-axes"))

ALIKE = values([1, 0, 0, 1, 0])
for name, fields, rtol in (
    # The derivative divides by the distance + 1e-4 and not by the distance.
    ("plain", "margin: 4", 1e-3),
    ("legacy", "margin: 9 legacy_version: true", 1e-5),
):
    for shape in ((5, 3), (5, 3, 1, 1)):
        add(
            Case(
                text='type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "alike" top: "loss" '
                f"contrastive_loss_param {{ {fields} }}",
                bottoms=(shape, shape, ALIKE),
                tops=((),),
                name=f"{name}-{len(shape)}-axes",
                differentiable=(0, 1),
                rtol=rtol,
            )
        )

for norm in ("L1", "L2"):
    for shape in ((4, 5), IMAGES):
        add(
            Case(
                text=f'type: "HingeLoss" bottom: "x" bottom: "label" top: "loss" hinge_loss_param {{ norm: {norm} }}',
                bottoms=(shape, labels(shape[:1], 5)),
                tops=((),),
                name=f"{norm}-{len(shape)}-axes",
                differentiable=(0,),
            )
        )

for shape in ((4, 5), IMAGES):
    add(
        Case(
            text='type: "MultinomialLogisticLoss" bottom: "p" bottom: "label" top: "loss"',
            bottoms=(uniform(shape, 0.1, 1), labels((shape[0], 1, 1, 1), 5)),
            tops=((),),
            name=f"{len(shape)}-axes",
            differentiable=(0,),
        )
    )

INFOGAIN = 'type: "InfogainLoss" bottom: "x" bottom: "label"'
for name, field in (
    ("valid", "ignore_label: 1"),
    ("full", "ignore_label: 1 normalization: FULL"),
    ("batch-size", "normalization: BATCH_SIZE"),
    ("none", "normalization: NONE"),
):
    add(
        Case(
            text=f'{INFOGAIN} bottom: "H" top: "loss" loss_param {{ {field} }}',
            bottoms=(IMAGES, labels((2, 2, 2), 3), (1, 1, 3, 3)),
            tops=((),),
            name=name,
            differentiable=(0,),
            grow=(0, 1),
            large=((4, 3, 120, 120), labels((4, 120, 120), 3), (3, 3)),
        )
    )
add(
    Case(
        text=f'{INFOGAIN} bottom: "H" top: "loss" top: "p" loss_weight: 2 loss_weight: 0 '
        "infogain_loss_param { axis: -1 }",
        bottoms=((2, 3, 4), labels((2, 3), 4), (4, 4)),
        tops=((), (2, 3, 4)),
        name="two-tops-last-axis",
        differentiable=(0,),
        weighted_tops=(0,),
        grow=(0, 1),
    )
)


def write_matrix(folder: Path) -> None:
    values = np.random.default_rng(4).normal(size=9)
    blob = caffe_pb2.BlobProto(num=1, channels=1, height=3, width=3, data=values)
    (folder / "H.binaryproto").write_bytes(blob.SerializeToString())


add(
    Case(
        text=f'{INFOGAIN} top: "loss" infogain_loss_param {{ source: "FOLDER/H.binaryproto" }}',
        bottoms=((4, 3), labels((4,), 3)),
        tops=((),),
        name="file",
        differentiable=(0,),
        prepare=write_matrix,
    )
)

for name, field, targets in (
    ("batch-size", "", uniform(IMAGES, 0, 1)),
    ("valid", "ignore_label: 1 normalization: VALID", labels(IMAGES, 2)),
    ("full", "ignore_label: 1 normalization: FULL", labels(IMAGES, 2)),
    ("none", "normalization: NONE", uniform((2, 12), 0, 1)),
    ("normalize", "normalize: true", uniform((2, 3, 4), 0, 1)),
):
    add(
        Case(
            text=f'type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "t" top: "loss" loss_param {{ {field} }}',
            bottoms=(IMAGES, targets),
            tops=((),),
            name=name,
            differentiable=(0,),
            large=(LARGE, labels(LARGE, 2)),
        )
    )
