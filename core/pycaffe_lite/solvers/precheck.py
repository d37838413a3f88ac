"""What can be seen of the data before training begins, and would be seen in the midst of it otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pycaffe_lite import log
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.layers.contract import Layer
from pycaffe_lite.layers.feed_base import FeedLayer
from pycaffe_lite.layers.loss_base import Labels
from pycaffe_lite.net import Net
from pycaffe_lite.net.node import Node


def check_data(train: Net, tests: Sequence[Net], test_iter: Sequence[int]) -> None:
    """Warns of tests that go round the data; raises for labels that no class is there for.

    Args:
        train: the net to be trained.
        tests: the test nets.
        test_iter: for each of them how many batches a test takes.

    Raises:
        CaffeError: a source of the train net or of a test net has a label outside the classes.
    """
    for number, (net, batches) in enumerate(zip(tests, test_iter, strict=False)):
        _warn_of_rounds(net, number, batches)
    for net in (train, *tests):
        for problem in label_problems(net.nodes):
            raise problem


def _warn_of_rounds(net: Net, number: int, batches: int) -> None:
    for node in net.nodes:
        layer = node.layer
        records = layer.records() if isinstance(layer, FeedLayer) else None
        if records is None:
            continue
        batch = node.tops[0].shape[0]
        if batches * batch > records:
            log.warning(
                f"Test net (#{number}): test_iter {batches} x batch_size {batch} = {batches * batch} is more than the "
                f'{records} records of layer "{layer.name}", so that some count more than once.'
            )


def label_problems(nodes: Sequence[Node]) -> Iterator[CaffeError]:
    """What is wrong with the labels of data layers for the layers that take them as classes."""
    for data, reader in _label_readers(nodes):
        problem = _label_problem(data, reader)
        if problem is not None:
            yield problem


def _label_readers(nodes: Sequence[Node]) -> Iterator[tuple[FeedLayer, Layer]]:
    """Each layer that takes the labels of a data layer as classes, with that data layer."""
    origin: dict[str, FeedLayer] = {}
    for node in nodes:
        layer, bottoms, tops = node.layer, node.bottom_names, node.top_names
        if isinstance(layer, FeedLayer):
            origin.update(dict.fromkeys(tops[1:2], layer))
        elif layer.layer_param.type == "Split" and bottoms[0] in origin:
            origin.update(dict.fromkeys(tops, origin[bottoms[0]]))
        elif _reads_labels(layer, bottoms) and bottoms[1] in origin:
            yield origin[bottoms[1]], layer


def _reads_labels(layer: Layer, bottoms: Sequence[str]) -> bool:
    return len(bottoms) > 1 and isinstance(getattr(layer, "labels", None), Labels)


def _label_problem(data: FeedLayer, reader: Layer) -> CaffeError | None:
    labels: Labels = reader.labels  # type: ignore[attr-defined]
    values = data.all_labels()
    if values is None:
        return None
    good = (values > -1) & (values < labels.classes)
    if labels.ignore_label is not None:
        good |= np.trunc(values) == labels.ignore_label
    if good.all():
        return None
    # A record may have several labels.
    bad = np.flatnonzero(~good.reshape(len(good), -1).all(axis=1))
    first = values[~good][0]
    return CaffeError(
        f'{data.location}layer "{data.name}" ({data.layer_param.type}): expected labels from 0 to '
        f'{labels.classes - 1}, of which layer "{reader.name}" ({reader.layer_param.type}) takes the class, got '
        f"{first:g} in record {bad[0]}, and {len(bad)} such in all; mend the data, let the scores have "
        "more classes, or name it as ignore_label."
    )
