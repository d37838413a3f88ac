"""The nets that benchmarks/nets.py measures, as prototxt: well-known shapes, made-up data.

Each function gives the text of a TRAIN net whose DummyData layer stands for the images and labels. With another
size, number of classes or width, a factor for the outputs of all layers but the last, it is the same net in small.
"""

from __future__ import annotations

from collections.abc import Callable

from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.proto.text import parse


class Writer:
    """Collects layers; each method adds one and returns the name of its top."""

    def __init__(self, name: str, batch: int, size: int, classes: int, width: float = 1, channels: int = 3) -> None:
        self.lines = [
            f'name: "{name}"',
            'layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {',
            f"  shape {{ dim: {batch} dim: {channels} dim: {size} dim: {size} }} shape {{ dim: {batch} }}",
            '  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }',
        ]
        self.classes = classes
        self.width = width

    def scaled(self, outputs: int) -> int:
        """How many outputs a layer has that has `outputs` at width 1."""
        return max(1, round(outputs * self.width))

    def layer(self, name: str, kind: str, bottoms: list[str], param: str = "", top: str = "") -> str:
        below = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self.lines.append(f'layer {{ name: "{name}" type: "{kind}" {below} top: "{top or name}" {param} }}')
        return top or name

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
    ) -> str:
        size = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
        param = f"num_output: {self.scaled(outputs)} {size} group: {group}"
        param += "" if bias else " bias_term: false"
        return self.layer(
            name, "Convolution", [bottom], f'convolution_param {{ {param} weight_filler {{ type: "msra" }} }}'
        )

    def relu(self, bottom: str) -> str:
        return self.layer(f"{bottom}_relu", "ReLU", [bottom], top=bottom)

    def pool(self, name: str, bottom: str, kind: str, kernel: int, stride: int, pad: int = 0) -> str:
        return self.layer(
            name,
            "Pooling",
            [bottom],
            f"pooling_param {{ pool: {kind} kernel_size: {kernel} stride: {stride} pad: {pad} }}",
        )

    def global_pool(self, name: str, bottom: str) -> str:
        return self.layer(name, "Pooling", [bottom], "pooling_param { pool: AVE global_pooling: true }")

    def lrn(self, name: str, bottom: str, size: int = 5) -> str:
        return self.layer(name, "LRN", [bottom], f"lrn_param {{ local_size: {size} alpha: 0.0001 beta: 0.75 }}")

    def fc(self, name: str, bottom: str, outputs: int) -> str:
        return self._fc(name, bottom, self.scaled(outputs))

    def scores(self, name: str, bottom: str) -> str:
        """The last layer: one output for each class."""
        return self._fc(name, bottom, self.classes)

    def _fc(self, name: str, bottom: str, outputs: int) -> str:
        std = 0.01 / self.width**0.5  # sums over fewer inputs are to be as large
        param = f'inner_product_param {{ num_output: {outputs} weight_filler {{ type: "gaussian" std: {std:g} }} }}'
        return self.layer(name, "InnerProduct", [bottom], param)

    def dropout(self, bottom: str, ratio: float = 0.5) -> str:
        return self.layer(
            f"{bottom}_drop", "Dropout", [bottom], f"dropout_param {{ dropout_ratio: {ratio} }}", top=bottom
        )

    def norm(self, bottom: str) -> str:
        """BatchNorm and Scale, in place, as ResNets have them."""
        self.layer(f"{bottom}_bn", "BatchNorm", [bottom], top=bottom)
        return self.layer(f"{bottom}_scale", "Scale", [bottom], "scale_param { bias_term: true }", top=bottom)

    def loss(self, bottom: str, name: str = "loss", weight: float = 1) -> str:
        return self.layer(name, "SoftmaxWithLoss", [bottom, "label"], f"loss_weight: {weight}")

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def cifar10_full(batch: int = 100) -> str:
    """Krizhevsky's CIFAR-10 net of Caffe's examples (cuda-convnet's layers-18pct)."""
    net = Writer("CIFAR10_full", batch, 32, 10)
    x = net.relu(net.pool("pool1", net.conv("conv1", "data", 32, 5, pad=2), "MAX", 3, 2))
    x = net.layer("norm1", "LRN", [x], "lrn_param { local_size: 3 alpha: 5e-5 beta: 0.75 norm_region: WITHIN_CHANNEL }")
    x = net.pool("pool2", net.relu(net.conv("conv2", x, 32, 5, pad=2)), "AVE", 3, 2)
    x = net.layer("norm2", "LRN", [x], "lrn_param { local_size: 3 alpha: 5e-5 beta: 0.75 norm_region: WITHIN_CHANNEL }")
    x = net.pool("pool3", net.relu(net.conv("conv3", x, 64, 5, pad=2)), "AVE", 3, 2)
    net.loss(net.scores("ip1", x))
    return net.text()


def caffenet(batch: int = 16, size: int = 227, classes: int = 1000, width: float = 1) -> str:
    """CaffeNet, that is AlexNet with pooling before normalization (Krizhevsky et al. 2012)."""
    net = Writer("CaffeNet", batch, size, classes, width)
    x = net.lrn("norm1", net.pool("pool1", net.relu(net.conv("conv1", "data", 96, 11, 4)), "MAX", 3, 2))
    x = net.lrn("norm2", net.pool("pool2", net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2)), "MAX", 3, 2))
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, group=2))
    x = net.pool("pool5", net.relu(net.conv("conv5", x, 256, 3, pad=1, group=2)), "MAX", 3, 2)
    x = net.dropout(net.relu(net.fc("fc6", x, 4096)))
    x = net.dropout(net.relu(net.fc("fc7", x, 4096)))
    net.loss(net.scores("fc8", x))
    return net.text()


INCEPTIONS = {
    # name: outputs of 1x1; 3x3 reduce and 3x3; 5x5 reduce and 5x5; after pooling
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _inception(net: Writer, name: str, bottom: str) -> str:
    one, reduce3, three, reduce5, five, pooled = INCEPTIONS[name]
    base = f"inception_{name}"
    parts = [
        net.relu(net.conv(f"{base}/1x1", bottom, one, 1)),
        net.relu(
            net.conv(f"{base}/3x3", net.relu(net.conv(f"{base}/3x3_reduce", bottom, reduce3, 1)), three, 3, pad=1)
        ),
        net.relu(net.conv(f"{base}/5x5", net.relu(net.conv(f"{base}/5x5_reduce", bottom, reduce5, 1)), five, 5, pad=2)),
        net.relu(net.conv(f"{base}/pool_proj", net.pool(f"{base}/pool", bottom, "MAX", 3, 1, 1), pooled, 1)),
    ]
    return net.layer(f"{base}/output", "Concat", parts)


def _auxiliary(net: Writer, number: int, bottom: str) -> None:
    base = f"loss{number}"
    x = net.relu(net.conv(f"{base}/conv", net.pool(f"{base}/ave_pool", bottom, "AVE", 5, 3), 128, 1))
    x = net.dropout(net.relu(net.fc(f"{base}/fc", x, 1024)), 0.7)
    net.loss(net.scores(f"{base}/classifier", x), f"{base}/loss", 0.3)


def googlenet(batch: int = 8, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """GoogLeNet with its two auxiliary losses (Szegedy et al. 2014)."""
    net = Writer("GoogLeNet", batch, size, classes, width)
    x = net.lrn("norm1", net.pool("pool1", net.relu(net.conv("conv1", "data", 64, 7, 2, 3)), "MAX", 3, 2))
    x = net.relu(net.conv("conv2_reduce", x, 64, 1))
    x = net.pool("pool2", net.lrn("norm2", net.relu(net.conv("conv2", x, 192, 3, pad=1))), "MAX", 3, 2)
    for name in INCEPTIONS:
        if name in ("4a", "5a"):
            x = net.pool(f"pool_before_{name}", x, "MAX", 3, 2)
        x = _inception(net, name, x)
        if name in ("4a", "4d"):
            _auxiliary(net, 1 if name == "4a" else 2, x)
    x = net.dropout(net.global_pool("pool5", x), 0.4)
    net.loss(net.scores("loss3/classifier", x), "loss3/loss")
    return net.text()


def _bottleneck(net: Writer, name: str, bottom: str, width: int, stride: int, project: bool) -> str:
    def conv(part: str, below: str, outputs: int, kernel: int, step: int = 1) -> str:
        return net.norm(net.conv(f"{name}_{part}", below, outputs, kernel, step, kernel // 2, bias=False))

    x = net.relu(conv("2a", bottom, width, 1, stride))
    x = conv("2c", net.relu(conv("2b", x, width, 3)), 4 * width, 1)
    shortcut = conv("1", bottom, 4 * width, 1, stride) if project else bottom
    return net.relu(net.layer(name, "Eltwise", [shortcut, x]))


def resnet50(batch: int = 4, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """ResNet-50 (He et al. 2015)."""
    net = Writer("ResNet-50", batch, size, classes, width)
    x = net.pool("pool1", net.relu(net.norm(net.conv("conv1", "data", 64, 7, 2, 3))), "MAX", 3, 2)
    for stage, (blocks, outputs) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            x = _bottleneck(net, f"res{stage + 2}{'abcdef'[block]}", x, outputs, stride, not block)
    net.loss(net.scores("fc1000", net.global_pool("pool5", x)))
    return net.text()


def mobilenet(batch: int = 4, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """MobileNet 1.0 at 224 (Howard et al. 2017)."""
    net = Writer("MobileNet", batch, size, classes, width)
    x = net.relu(net.norm(net.conv("conv1", "data", 32, 3, 2, 1, bias=False)))
    channels = 32
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for i, (outputs, stride) in enumerate(steps):
        x = net.relu(
            net.norm(net.conv(f"conv{i + 2}/dw", x, channels, 3, stride, 1, group=net.scaled(channels), bias=False))
        )
        x = net.relu(net.norm(net.conv(f"conv{i + 2}/sep", x, outputs, 1, bias=False)))
        channels = outputs
    net.loss(net.scores("fc7", net.global_pool("pool6", x)))
    return net.text()


def squeezenet(batch: int = 16, size: int = 227, classes: int = 1000, width: float = 1) -> str:
    """SqueezeNet 1.1 (Iandola et al. 2016)."""
    net = Writer("SqueezeNet", batch, size, classes, width)

    def fire(name: str, bottom: str, squeezed: int, expanded: int) -> str:
        x = net.relu(net.conv(f"{name}/squeeze1x1", bottom, squeezed, 1))
        parts = [(1, 0), (3, 1)]
        sides = [
            net.relu(net.conv(f"{name}/expand{kernel}x{kernel}", x, expanded, kernel, pad=pad)) for kernel, pad in parts
        ]
        return net.layer(f"{name}/concat", "Concat", sides)

    x = net.pool("pool1", net.relu(net.conv("conv1", "data", 64, 3, 2)), "MAX", 3, 2)
    x = fire("fire3", fire("fire2", x, 16, 64), 16, 64)
    x = fire("fire5", fire("fire4", net.pool("pool3", x, "MAX", 3, 2), 32, 128), 32, 128)
    x = fire("fire7", fire("fire6", net.pool("pool5", x, "MAX", 3, 2), 48, 192), 48, 192)
    x = net.dropout(fire("fire9", fire("fire8", x, 64, 256), 64, 256))
    x = net.relu(net.conv("conv10", x, round(classes / width), 1))
    net.loss(net.global_pool("pool10", x))
    return net.text()


def deploy(text: str, batch: int) -> NetParameter:
    """The net to run made of one to train: an Input for the images, Softmax for the last loss, and no other branch."""
    net = parse(text, NetParameter, "model")
    data, *layers = net.layer
    shape = [batch, *data.dummy_data_param.shape[0].dim[1:]]
    losses = [layer for layer in layers if layer.type == "SoftmaxWithLoss"]
    losses[-1].type = "Softmax"
    del losses[-1].bottom[1:]
    wanted, kept = {losses[-1].top[0]}, []
    for layer in reversed(layers):
        if wanted & set(layer.top):
            wanted |= set(layer.bottom)
            kept.append(layer)
    result = NetParameter(name=net.name)
    entry = result.layer.add(name="data", type="Input", top=["data"])
    entry.input_param.shape.add(dim=shape)
    result.layer.extend(reversed(kept))
    for layer in result.layer:
        layer.ClearField("loss_weight")
    return result


MODELS: dict[str, Callable[[], str]] = {
    "CIFAR-10 full, batch 100": cifar10_full,
    "CaffeNet, batch 16": caffenet,
    "GoogLeNet, batch 8": googlenet,
    "ResNet-50, batch 4": resnet50,
    "MobileNet, batch 4": mobilenet,
}
