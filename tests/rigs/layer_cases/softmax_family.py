"""Softmax, its loss, and Accuracy."""

from __future__ import annotations

from rigs.layer_cases.table import Case, add, labels, values

SCORES_4D = (2, 3, 2, 3)
LARGE = ((4, 10, 64, 64),)

for name, shape, field in (
    ("matrix", (4, 5), ""),
    ("spatial", SCORES_4D, ""),
    ("last-axis", (2, 3, 4), "softmax_param { axis: -1 }"),
    ("first-axis", (3, 4), "softmax_param { axis: 0 }"),
):
    add(
        Case(
            text=f'type: "Softmax" bottom: "x" top: "y" {field}',
            bottoms=(shape,),
            tops=(shape,),
            name=name,
            large=LARGE,
        )
    )
add(
    Case(
        text='type: "Softmax" bottom: "x" top: "x"',
        bottoms=((4, 5),),
        tops=((4, 5),),
        name="in-place",
        large=LARGE,
    )
)

LOSS = 'type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "loss"'
for name, field in (
    ("valid", "ignore_label: 1"),
    ("full", "ignore_label: 1 normalization: FULL"),
    ("batch-size", "normalization: BATCH_SIZE"),
    ("none", "normalization: NONE"),
    ("normalize-false", "normalize: false"),
):
    add(
        Case(
            text=f"{LOSS} loss_param {{ {field} }}",
            bottoms=(SCORES_4D, labels((2, 2, 3), 3)),
            tops=((),),
            name=name,
            differentiable=(0,),
            large=(*LARGE, labels((4, 64, 64), 10)),
        )
    )
add(
    Case(
        text=LOSS + ' top: "probability" loss_weight: 2 loss_weight: 0',
        bottoms=((5, 4), labels((5, 1, 1, 1), 4)),
        tops=((), (5, 4)),
        name="two-tops",
        differentiable=(0,),
        weighted_tops=(0,),
    )
)
add(
    Case(
        text=LOSS + " softmax_param { axis: 2 }",
        bottoms=((2, 3, 4), labels((2, 3), 4)),
        tops=((),),
        name="last-axis",
        differentiable=(0,),
    )
)
add(
    Case(
        text=LOSS + " loss_param { ignore_label: -1 }",
        bottoms=((2, 3), values([-1, -1])),
        tops=((),),
        name="all-ignored",
        differentiable=(0,),
    )
)

for name, field in (("plain", ""), ("top-2", "top_k: 2"), ("ignore", "ignore_label: 0")):
    add(
        Case(
            text=f'type: "Accuracy" bottom: "x" bottom: "label" top: "share" accuracy_param {{ {field} }}',
            bottoms=(SCORES_4D, labels((2, 2, 3), 3)),
            tops=((),),
            name=name,
            differentiable=(),
        )
    )
add(
    Case(
        text='type: "Accuracy" bottom: "x" bottom: "label" top: "share" top: "by_class"',
        bottoms=((6, 4), labels((6,), 4)),
        tops=((), (4,)),
        name="by-class",
        differentiable=(),
    )
)
