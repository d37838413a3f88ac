"""The one contract of all layers, and the registry of their types.

A layer is a class with four methods, the ones pycaffe asks of a Python layer:

    setup(bottom, top)                        once: read the parameters, make `self.blobs`
    reshape(bottom, top)                      whenever a bottom's shape has changed: give the tops their shapes
    forward(bottom, top)                      fill top.data from bottom.data
    backward(top, propagate_down, bottom)     fill bottom.diff from top.diff where propagate_down says so

Two rules hold for every backward:

    bottom diffs are overwritten; a blob that feeds two layers goes through a Split, whose backward sums;
    parameter diffs accumulate; the solver clears them before each iteration.

A layer that remembers anything from one forward to the next, besides its blobs, also has `state()`, which gives it as a
dict of numbers and arrays, and `restore(state)`, so that a training run can go on exactly where it stopped.

The base class owns the sequence: counts are checked, then setup, reshape, and the loss weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, ShapeError, told_by
from pycaffe_lite.layers.filler import fill
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import FillerParameter, LayerParameter
from pycaffe_lite.ranks import ALL, Share

Range = tuple[int, int | None]


@dataclass(frozen=True)
class Place:
    """Where a layer is from.

    Attributes:
        location: `file:line: ` of the layer in its text, for the beginning of errors; or nothing.
        folder: where files named by the layer are looked for besides the working folder; or nothing.
        dtype: the type of its blobs: float32, as Caffe computes; float64 in gradient checks.
        share: which of a source's records are read, in the net that several ranks train together.
    """

    location: str = ""
    folder: str = ""
    dtype: np.dtype | type = np.float32
    share: Share = ALL

    def share_in(self, phase: int) -> Share:
        """Which of a source's records a layer of that phase reads; for testing all of them, as in Caffe."""
        return self.share if phase == TRAIN else ALL


class BlobVec(list[Blob]):
    """A layer's parameters; `add_blob` is how a Python layer written for Caffe makes one.

    Attributes:
        dtype: the type of those that `add_blob` makes.
    """

    dtype: np.dtype = np.dtype(np.float32)

    def add_blob(self, *shape: int) -> Blob:
        self.append(Blob(shape, dtype=self.dtype))
        return self[-1]


class Layer:
    """A step of the computation, from bottoms to tops.

    Attributes:
        type: the name that `type:` gives in the text; set by `register_layer`.
        num_bottoms, num_tops: how many of each the layer takes, (least, most); None means no limit.
        equal_counts: whether it takes as many tops as bottoms.
        auto_tops: whether the net makes up tops that the text does not name (losses: one).
        loss_weight: the weight of the first top when the text gives none (losses: 1, others: 0).
        default_lr_mult: the lr_mult of parameters for which the text has no `param` (statistics: 0, others: 1).
        may_propagate: for each bottom, whether `force_backward` may ask for its diff; missing ones may.
        always_reshape: whether reshape runs before every forward, as Caffe does it, and not only
            after a bottom has changed shape. For layers whose top shapes depend on values or on the outside.

        layer_param: the layer's LayerParameter.
        place: see Place; its parts are also at hand as `location`, `folder` and `dtype`.
        phase: TRAIN or TEST.
        blobs: the parameters.
        param_propagate_down: for each parameter, whether its diff is wanted.
        shares: parameters whose memory belongs to another layer: index -> the owner's blob.
        param_str: the text that a Python layer is given.
    """

    type: ClassVar[str] = ""
    num_bottoms: ClassVar[Range] = (1, 1)
    num_tops: ClassVar[Range] = (1, 1)
    equal_counts: ClassVar[bool] = False
    auto_tops: ClassVar[bool] = False
    loss_weight: ClassVar[float] = 0.0
    default_lr_mult: ClassVar[float] = 1.0
    may_propagate: tuple[bool, ...] = ()
    always_reshape: ClassVar[bool] = False

    def __init__(self, layer_param: LayerParameter, phase: int = TRAIN, place: Place = Place()) -> None:
        self.layer_param = layer_param
        self.name: str = layer_param.name
        self.phase = phase
        self.blobs = BlobVec()
        self.param_propagate_down: list[bool] = []
        self.shares: dict[int, Blob] = {}
        self.loss_weights: list[float] = []
        self.place = place
        self.dtype: np.dtype = np.dtype(place.dtype)
        self.folder = place.folder
        self.location = place.location
        self.param_str = str(layer_param.python_param.param_str)

    # -- what a layer type writes ----------------------------------------------------------------------------

    def open(self) -> None:
        """Opens what the layer reads from; the net calls it before it wires the layer, where Caffe opens databases."""

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Reads the layer's parameters and makes its blobs."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Gives the tops their shapes, and allocates workspaces."""
        raise NotImplementedError(f"{type(self).__name__} has no reshape")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Fills the tops' data."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Fills the bottoms' diffs, and adds to the parameters' diffs."""
        raise self.error("has no derivative; put propagate_down: false on it or leave it out of training.")

    # -- what the base class does ----------------------------------------------------------------------------

    def build(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Makes the layer ready for forward: the sequence every layer goes through once."""
        self.check_counts(len(bottom), len(top))
        try:
            self.setup(bottom, top)
            if not self.param_propagate_down:
                self.param_propagate_down = [True] * len(self.blobs)
            self.reshape(bottom, top)
        except ShapeError as problem:
            raise self.error(str(problem)) from None
        self.read_loss_weights(len(top))
        self.write_loss_weights(top)

    def check_counts(self, bottoms: int, tops: int) -> None:
        """Raises a CaffeError unless the layer takes that many bottoms and tops."""
        for word, count, (least, most) in (
            ("bottom", bottoms, self.num_bottoms),
            ("top", tops, self.num_tops),
        ):
            if count < least or (most is not None and count > most):
                raise self.error(f"expected {_range_text(least, most)} {word} blob(s), got {count}.")
        if self.equal_counts and bottoms != tops:
            raise self.error(f"expected as many top blobs as bottom blobs, got {bottoms} bottom(s) and {tops} top(s).")

    def read_loss_weights(self, tops: int) -> None:
        """Takes `loss_weight` from the text: none, or one for each top."""
        given = list(self.layer_param.loss_weight)
        if given and len(given) != tops:
            raise self.error(f"expected no loss_weight or one for each of its {tops} top(s), got {len(given)}.")
        self.loss_weights = given or [self.loss_weight if i == 0 else 0.0 for i in range(tops)]

    def write_loss_weights(self, top: Sequence[Blob]) -> None:
        """Backward starts from the top diffs; those of a loss are its weight, written once, as in Caffe."""
        for blob, weight in zip(top, self.loss_weights, strict=True):
            if weight:
                blob.diff[...] = weight

    def loss(self, top: Sequence[Blob]) -> float:
        """The tops' values times their weights, which stand in their diffs."""
        return sum(
            float(np.vdot(blob.data, blob.diff)) for blob, weight in zip(top, self.loss_weights, strict=True) if weight
        )

    def close(self) -> None:
        """Lets go of threads and files; data layers have them."""

    def add_param(self, shape: Sequence[int], filler: FillerParameter, order: Sequence[int] | None = None) -> Blob:
        """Makes the next parameter and fills it.

        Args:
            shape: logical shape, as Caffe stores it.
            filler: the FillerParameter of the text.
            order: the order of the axes in memory, see Blob.
        """
        with told_by(self.error):
            blob = Blob(shape, order, self.dtype)
            fill(blob, filler)
        self.blobs.append(blob)
        return blob

    def fit_stored(self, count: int) -> None:
        """Hears how many parameters a file of weights has for it, before they are copied; BN may change what it is."""

    def cannot_propagate(self, propagate_down: Sequence[bool], index: int, what: str) -> None:
        """Raises a CaffeError if a diff is wanted for the bottom of that index, which is `what` and has none."""
        if len(propagate_down) > index and propagate_down[index]:
            raise self.error(f"cannot propagate to {what} (bottom {index}); put propagate_down: false on that bottom.")

    def canonical_axis(self, axis: int, blob: Blob) -> int:
        """The axis counted from 0; a negative one counts from the end, -1 the last."""
        if not -blob.num_axes <= axis < blob.num_axes:
            raise self.error(f"expected an axis of its bottom of shape {list(blob.shape)}, got {axis}.")
        return axis % blob.num_axes

    def error(self, text: str) -> CaffeError:
        """A CaffeError that begins with where the layer stands: `net.prototxt:12: layer "conv1" (Convolution): …`."""
        return CaffeError(f'{self.location}layer "{self.name}" ({self.layer_param.type}): {text}')


def _range_text(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return str(least) if least == most else f"{least} to {most}"


_REGISTRY: dict[str, type[Layer]] = {}


def register_layer(name: str) -> Callable[[type[Layer]], type[Layer]]:
    """Class decorator: the type that `type: "name"` in a net stands for."""

    def register(cls: type[Layer]) -> type[Layer]:
        cls.type = name
        _REGISTRY[name] = cls
        return cls

    return register


def registered() -> dict[str, type[Layer]]:
    """The known layer types by name."""
    return _REGISTRY
