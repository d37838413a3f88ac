"""Node: a layer in its place in a net."""

from __future__ import annotations

from dataclasses import dataclass, field

from pycaffe_lite.blob import Blob
from pycaffe_lite.layers.contract import Layer

Shapes = list[tuple[int, ...]]


@dataclass(eq=False)
class Node:
    """A layer, what it reads and writes, and what part of it runs backward. A net is a list of nodes.

    Attributes:
        layer: the layer.
        bottoms, tops: its blobs; tops that the text does not name (a loss may have one) are among the tops.
        bottom_names, top_names: the names of those that have one.
        shapes: of the bottoms, those that the layer was last reshaped for.
        goes_backward: whether it takes part in the backward pass.
        propagate_down: for each bottom, whether it gets a diff.
    """

    layer: Layer
    bottoms: list[Blob]
    tops: list[Blob]
    bottom_names: list[str]
    top_names: list[str]
    shapes: Shapes = field(default_factory=list)
    goes_backward: bool = False
    propagate_down: list[bool] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def works_in_place(self) -> bool:
        """Whether it has one bottom, and that is its top."""
        return len(self.bottoms) == 1 and self.bottoms[0] is self.tops[0]

    def build(self) -> None:
        """Makes the layer ready for its bottoms."""
        self.layer.build(self.bottoms, self.tops)
        self.shapes = [blob.shape for blob in self.bottoms]

    def forward(self) -> float:
        """Runs the layer; returns its weighted loss, 0 if it is no loss."""
        self.reshape_if_needed()
        self.layer.forward(self.bottoms, self.tops)
        return self.layer.loss(self.tops) if any(self.layer.loss_weights) else 0.0

    def backward(self) -> None:
        """Runs the layer backward, if it takes part."""
        if self.goes_backward:
            self.layer.backward(self.tops, self.propagate_down, self.bottoms)

    def reshape_if_needed(self) -> None:
        """Lets the layer give its tops their shapes if a bottom has another one than before."""
        shapes = [blob.shape for blob in self.bottoms]
        if shapes != self.shapes or self.layer.always_reshape:
            self.reshape(shapes)

    def reshape(self, shapes: Shapes | None = None) -> None:
        """Lets the layer give its tops their shapes; a loss whose shape changes gets its weight again.

        Args:
            shapes: those of the bottoms, if they are at hand.
        """
        before = [blob.shape for blob in self.tops]
        self.layer.reshape(self.bottoms, self.tops)
        self.shapes = shapes or [blob.shape for blob in self.bottoms]
        if [blob.shape for blob in self.tops] != before:
            self.layer.write_loss_weights(self.tops)
