"""What the texts of published deploy nets are written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models import Writer


class DeployWriter(Writer):
    """A Writer of nets to run: Input layers instead of made-up data, and what layers of Caffe's forks need.

    Layers with parameters have the names that the published files have, so that their weights fit.

    Args:
        name: of the net.
        inputs: shapes of the inputs by name.
        classes: how many the net tells apart.
        width: a factor for the outputs of all layers but those that predict.
    """

    def __init__(self, name: str, inputs: Mapping[str, Sequence[int]], classes: int, width: float = 1) -> None:
        self.lines = [f'name: "{name}"']
        self.classes, self.width = classes, width
        for top, shape in inputs.items():
            dims = " ".join(f"dim: {length}" for length in shape)
            self.layer(top, "Input", [], f"input_param {{ shape {{ {dims} }} }}")

    def conv(
        self,
        name: str,
        bottom: str,
        outputs: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
        bias: bool = True,
        dilation: int = 1,
        kind: str = "Convolution",
        top: str = "",
    ) -> str:
        param = f"num_output: {self.scaled(outputs)} kernel_size: {kernel} stride: {stride} pad: {pad} group: {group}"
        param += f" dilation: {dilation}" if dilation > 1 else ""
        param += "" if bias else " bias_term: false"
        filler = 'weight_filler { type: "msra" }'
        return self.layer(name, kind, [bottom], f"convolution_param {{ {param} {filler} }}", top)

    def predict(self, name: str, bottom: str, outputs: int, kernel: int = 1, pad: int = 0) -> str:
        """A convolution whose outputs are what the net says: they stay as many at any width."""
        param = f"num_output: {outputs} kernel_size: {kernel} pad: {pad}"
        return self.layer(
            name, "Convolution", [bottom], f'convolution_param {{ {param} weight_filler {{ type: "xavier" }} }}'
        )

    def norm(self, bottom: str, bn: str = "", scale: str = "", top: str = "") -> str:
        """BatchNorm with its stored statistics, and Scale; in place, unless another top is named."""
        top = self.layer(bn or f"{bottom}_bn", "BatchNorm", [bottom], top=top or bottom)
        return self.layer(scale or f"{bottom}_scale", "Scale", [top], "scale_param { bias_term: true }", top=top)

    def leaky(self, bottom: str) -> str:
        return self.layer(f"{bottom}_relu", "ReLU", [bottom], "relu_param { negative_slope: 0.1 }", top=bottom)

    def add(self, name: str, bottoms: list[str]) -> str:
        return self.layer(name, "Eltwise", bottoms)

    def concat(self, name: str, bottoms: list[str], axis: int = 1) -> str:
        return self.layer(name, "Concat", bottoms, f"concat_param {{ axis: {axis} }}")

    def interp(self, name: str, bottom: str, param: str) -> str:
        return self.layer(name, "Interp", [bottom], f"interp_param {{ {param} }}")

    def reshape(self, name: str, bottom: str, *dims: int, top: str = "") -> str:
        shape = " ".join(f"dim: {dim}" for dim in dims)
        return self.layer(name, "Reshape", [bottom], f"reshape_param {{ shape {{ {shape} }} }}", top)


VGG = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
"""Outputs and number of VGG-16's convolutions between poolings."""


def vgg16(net: DeployWriter, bottom: str) -> tuple[str, str]:
    """VGG-16's thirteen convolutions (Simonyan and Zisserman 2014), and four poolings between them.

    Returns:
        the tops of conv4_3 and conv5_3.
    """
    x, tops = bottom, []
    for stage, (outputs, count) in enumerate(VGG, 1):
        for i in range(1, count + 1):
            x = net.relu(net.conv(f"conv{stage}_{i}", x, outputs, 3, pad=1))
        tops.append(x)
        if stage < len(VGG):
            x = net.pool(f"pool{stage}", x, "MAX", 2, 2)
    return tops[3], tops[4]
