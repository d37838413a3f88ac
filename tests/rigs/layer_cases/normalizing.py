"""BatchNorm, MVN and LRN."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.phase import TEST, TRAIN
from rigs.layer_cases.table import Case, add

IMAGE = (2, 3, 3, 2)
LARGE = ((5, 24, 50, 50),)


def sums(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Statistics as a layer may have summed them: no variance is negative, and no weight."""
    return generator.uniform(0.5, 2, shape)


for top in ("x", "y"):
    place = "-in-place" if top == "x" else ""
    for name, shape, phase, fields in (
        ("train", IMAGE, TRAIN, ""),
        ("matrix", (5, 3), TRAIN, ""),
        ("vector", (6,), TRAIN, ""),
        ("momentum", IMAGE, TRAIN, "moving_average_fraction: 0.9 eps: 0.01"),
        ("stored", IMAGE, TEST, ""),
        ("stored-in-training", (5, 3), TRAIN, "use_global_stats: true"),
        ("batch-in-test", (5, 3), TEST, "use_global_stats: false"),
    ):
        add(
            Case(
                text=f'type: "BatchNorm" bottom: "x" top: "{top}" batch_norm_param {{ {fields} }}',
                bottoms=(shape,),
                tops=(shape,),
                name=name + place,
                phase=phase,
                param_values=sums,
                # With a batch of its own the layer changes the sums in every forward: they have no derivative.
                differentiable_params=(),
                large=LARGE if len(shape) == 4 else ((3000, 50),) if len(shape) == 2 else ((300_000,),),
            )
        )
    for name, fields in (
        ("plain", ""),
        ("mean", "normalize_variance: false"),
        ("across", "across_channels: true"),
    ):
        add(
            Case(
                text=f'type: "MVN" bottom: "x" top: "{top}" mvn_param {{ {fields} }}',
                bottoms=((2, 2, 3, 2),),
                tops=((2, 2, 3, 2),),
                name=name + place,
                large=LARGE,
            )
        )
    for name, shape, fields in (
        ("plain", (2, 7, 2, 2), "local_size: 3 alpha: 0.5"),
        ("wide", IMAGE, "local_size: 9 alpha: 0.8 beta: 0.6 k: 2"),
        ("alone", IMAGE, "local_size: 1 alpha: 0.8"),
        ("within", IMAGE, "local_size: 3 norm_region: WITHIN_CHANNEL"),
        ("within-wide", IMAGE, "local_size: 7 alpha: 3 beta: 0.5 k: 4 norm_region: WITHIN_CHANNEL"),
    ):
        add(
            Case(
                text=f'type: "LRN" bottom: "x" top: "{top}" lrn_param {{ {fields} }}',
                bottoms=(shape,),
                tops=(shape,),
                name=name + place,
                large=LARGE,
            )
        )
for shape in ((3, 4, 5), (3, 4)):
    add(
        Case(
            text='type: "MVN" bottom: "x" top: "y" mvn_param { across_channels: true }',
            bottoms=(shape,),
            tops=((*shape, 1, 1)[:4],),
            name=f"{len(shape)}-axes",
        )
    )
