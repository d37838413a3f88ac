"""More well-known nets for images, in any size, as texts for benchmarks.models' Writer."""

from __future__ import annotations

from rigs.model_zoo import models

FIRES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
BLOCKS = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]


def squeezenet(batch: int = 1, size: int = 227, classes: int = 1000, width: float = 1) -> str:
    """SqueezeNet 1.1 (Iandola et al. 2016)."""
    net = models.Writer("SqueezeNet", batch, size, classes, width)
    x = net.pool("pool1", net.relu(net.conv("conv1", "data", 64, 3, 2)), "MAX", 3, 2)
    for i, (squeeze, expand) in enumerate(FIRES, 2):
        s = net.relu(net.conv(f"fire{i}/squeeze1x1", x, squeeze, 1))
        parts = [net.relu(net.conv(f"fire{i}/expand{k}x{k}", s, expand, k, pad=k // 2)) for k in (1, 3)]
        x = net.layer(f"fire{i}/concat", "Concat", parts)
        if i in (3, 5):
            x = net.pool(f"pool{i}", x, "MAX", 3, 2)
    net.loss(net.global_pool("pool10", net.relu(net.conv("conv10", net.dropout(x), round(classes / width), 1))))
    return net.text()


def vgg16(batch: int = 1, size: int = 224, classes: int = 1000, width: float = 1) -> str:
    """VGG-16 (Simonyan and Zisserman 2014)."""
    net, x = models.Writer("VGG-16", batch, size, classes, width), "data"
    for stage, (outputs, count) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            x = net.relu(net.conv(f"conv{stage}_{i}", x, outputs, 3, pad=1))
        x = net.pool(f"pool{stage}", x, "MAX", 2, 2)
    for name in ("fc6", "fc7"):
        x = net.dropout(net.relu(net.fc(name, x, 4096)))
    net.loss(net.scores("fc8", x))
    return net.text()
