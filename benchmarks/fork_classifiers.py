"""Published deploy nets for classification that need layers of Caffe's forks: SE-ResNet-50 and ShuffleNet."""

from __future__ import annotations

from deploy_writer import DeployWriter


def se_resnet50(batch: int = 1, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """SE-ResNet-50: each block weighs its channels by what it sees of the whole image (Hu et al. 2017)."""
    net = DeployWriter("SE-ResNet-50", {"data": (batch, 3, size, size)}, classes, width)

    def conv(name: str, bottom: str, outputs: int, kernel: int, stride: int = 1) -> str:
        x = net.conv(name, bottom, outputs, kernel, stride, kernel // 2, bias=False)
        return net.norm(x, f"{name}/bn", f"{name}/bn/scale")

    x = net.pool("pool1/3x3_s2", net.relu(conv("conv1/7x7_s2", "data", 64, 7, 2)), "MAX", 3, 2)
    for stage, (count, mid) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 2):
        for i in range(count):
            name, stride = f"conv{stage}_{i + 1}", 2 if stage > 2 and not i else 1
            y = net.relu(conv(f"{name}_1x1_reduce", x, mid, 1, stride))
            y = conv(f"{name}_1x1_increase", net.relu(conv(f"{name}_3x3", y, mid, 3)), 4 * mid, 1)
            weight = net.global_pool(f"{name}_global_pool", y)
            weight = net.relu(net.conv(f"{name}_1x1_down", weight, mid // 4, 1))
            weight = net.conv(f"{name}_1x1_up", weight, 4 * mid, 1)
            weight = net.layer(f"{name}_prob", "Sigmoid", [weight], top=weight)
            short = x if i else conv(f"{name}_1x1_proj", x, 4 * mid, 1, stride)
            x = net.relu(net.layer(name, "Axpy", [weight, y, short]))
    net.layer("prob", "Softmax", [net.scores("classifier", net.global_pool("pool5/7x7_s1", x))])
    return net.text()


GROUPS = 3


def shufflenet(batch: int = 1, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """ShuffleNet 1x with three groups, as its port to Caffe has it (Zhang et al. 2017)."""
    net = DeployWriter("shufflenet", {"data": (batch, 3, size, size)}, classes, width)

    def conv(name: str, bottom: str, outputs: int, kernel: int = 1, stride: int = 1, group: int = 1,
             kind: str = "Convolution") -> str:  # fmt: skip
        return net.norm(net.conv(name, bottom, outputs, kernel, stride, kernel // 2, group, bias=False, kind=kind))

    x = net.pool("pool1", net.relu(conv("conv1", "data", 24, 3, 2)), "MAX", 3, 2)
    channels, number = 24, 0
    for count, outputs in ((4, 240), (8, 480), (4, 960)):
        for i in range(count):
            number += 1
            name, stride, first = f"resx{number}", 1 if i else 2, number == 1
            mid = 54 if first else (outputs if i else channels) // 4
            y = net.relu(conv(f"{name}_conv1", x, mid, group=1 if first else GROUPS))
            if not first:
                y = net.layer(f"shuffle{number}", "ShuffleChannel", [y], f"shuffle_channel_param {{ group: {GROUPS} }}")
            y = conv(f"{name}_conv2", y, mid, 3, stride, net.scaled(mid), "ConvolutionDepthwise")
            y = conv(f"{name}_conv3", y, outputs if i else outputs - channels, group=GROUPS)
            if i:
                x = net.relu(net.add(f"{name}_elewise", [x, y]))
            else:
                short = net.pool(f"{name}_match_conv", x, "AVE", 3, 2)
                x = net.relu(net.concat(f"{name}_concat", [short, y]))
        channels = outputs
    net.predict("fc1000", net.global_pool("pool_ave", x), classes)
    return net.text()
