"""The mean average precision of a test, from what DetectionEvaluate has said of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pycaffe_lite.blob import Array
from pycaffe_lite.kernels.average_precision import average_precision
from pycaffe_lite.net.node import Node
from pycaffe_lite.proto.read import SolverText

EVALUATION = "DetectionEvaluate"

EVAL_TYPES = ("classification", "detection")
"""What a solver's eval_type may be: tests of any outputs, or of detections, for which each test net must have one."""


class Precision(NamedTuple):
    """How good the detections of a test are.

    Attributes:
        mean: the mean of all classes.
        classes: each class's average precision; 0 for one without detections or objects.
    """

    mean: float
    classes: dict[int, float]


def evaluations(nodes: Sequence[Node]) -> list[str]:
    """The blobs that a DetectionEvaluate gives."""
    return [node.top_names[0] for node in nodes if node.layer.layer_param.type == EVALUATION]


def check_evaluations(text: SolverText, test_nets: Sequence[Sequence[Node]]) -> None:
    """Raises a CaffeError if eval_type "detection" is asked for, and a test net has no DetectionEvaluate.

    Args:
        test_nets: the nodes of each.
    """
    if text.param.eval_type != "detection":
        return
    for number, nodes in enumerate(test_nets):
        if not evaluations(nodes):
            wanted = f'expected a DetectionEvaluate layer in test net (#{number}), as eval_type "detection" needs one'
            raise text.error("eval_type", f"{wanted}, got none; add it, or leave eval_type out.")


def precision_of(batches: Sequence[Array], version: str) -> Precision:
    """The mean average precision of a test.

    Args:
        batches: what DetectionEvaluate gave for each batch, … x 5.
        version: see `average_precision`.
    """
    rows = np.concatenate([batch.reshape(-1, 5) for batch in batches])
    counts, detections = rows[rows[:, 0] == -1], rows[rows[:, 0] != -1]
    detections = detections[detections[:, 3:].any(axis=1)]
    classes = {}
    for label in np.unique(counts[:, 1]):
        objects = int(counts[counts[:, 1] == label, 2].sum())
        own = detections[detections[:, 1] == label]
        classes[int(label)] = average_precision(own[:, 2], own[:, 3] > 0, objects, version)
    return Precision(float(np.mean(list(classes.values()))), classes)
