"""Published deploy nets that name a class for each pixel: SegNet, PSPNet and ICNet."""

from __future__ import annotations

from collections.abc import Callable

from deploy_writer import VGG, DeployWriter

DECODER = [[512, 512, 512], [512, 512, 256], [256, 256, 128], [128, 64], [64]]
"""Outputs of the convolutions after each of SegNet's enlargements, the coarsest first; one more predicts."""


def segnet(batch: int = 1, height: int = 360, width: int = 480, classes: int = 11, factor: float = 1) -> str:
    """SegNet for CamVid, its normalization as it is for inference (Badrinarayanan et al. 2015)."""
    net = DeployWriter("segnet", {"data": (batch, 3, height, width)}, classes, factor)
    bn = 'bn_param { bn_mode: INFERENCE scale_filler { type: "constant" value: 1 } shift_filler { type: "constant" '
    bn += "value: 0.001 } }"

    def conv(name: str, bottom: str, outputs: int) -> str:
        x = net.conv(name, bottom, outputs, 3, pad=1)
        return net.relu(net.layer(f"{name}_bn", "BN", [x], bn, top=x))

    x, sizes = "data", [(height, width)]
    for stage, (outputs, count) in enumerate(VGG, 1):
        for i in range(1, count + 1):
            x = conv(f"conv{stage}_{i}", x, outputs)
        mask = f"pool{stage}_mask"
        net.lines.append(f'layer {{ name: "pool{stage}" type: "Pooling" bottom: "{x}" top: "pool{stage}" '
                         f'top: "{mask}" pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}')  # fmt: skip
        x = f"pool{stage}"
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    for stage, decoder in zip((5, 4, 3, 2, 1), DECODER, strict=True):
        high, wide = sizes[stage - 1]
        odd = f" upsample_w: {wide} upsample_h: {high}" if (high % 2 or wide % 2 or stage == 5) else ""
        mask = f"pool{stage}_mask"
        x = net.layer(f"upsample{stage}", "Upsample", [x, mask], f"upsample_param {{ scale: 2{odd} }}",
                      top=f"pool{stage}_D")  # fmt: skip
        for i, outputs in enumerate(decoder):
            x = conv(f"conv{stage}_{VGG[stage - 1][1] - i}_D", x, outputs)
    net.layer("prob", "Softmax", [net.predict("conv1_1_D", x, classes, 3, 1)])
    return net.text()


# -- PSPNet and ICNet ------------------------------------------------------------------------------------------

Conv = Callable[..., str]
"""Name, bottom, outputs, kernel, stride and dilation of a convolution; its top, normalized."""


def _bottleneck(net: DeployWriter, conv: Conv, name: str, bottom: str, mid: int, stride: int, dilation: int,
                project: bool) -> str:  # fmt: skip
    x = net.relu(conv(f"{name}_1x1_reduce", bottom, mid, 1, stride))
    x = net.relu(conv(f"{name}_3x3", x, mid, 3, 1, dilation))
    x = conv(f"{name}_1x1_increase", x, 4 * mid, 1)
    short = conv(f"{name}_1x1_proj", bottom, 4 * mid, 1, stride) if project else bottom
    return net.relu(net.add(name, [short, x]))


def _stem(net: DeployWriter, conv: Conv, bottom: str, outputs: int) -> str:
    """The three convolutions with which both begin."""
    x = net.relu(conv("conv1_1_3x3_s2", bottom, outputs, 3, 2))
    x = net.relu(conv("conv1_2_3x3", x, outputs, 3))
    return net.pool("pool1_3x3_s2", net.relu(conv("conv1_3_3x3", x, 2 * outputs, 3)), "MAX", 3, 2, 1)


def _normalized(net: DeployWriter) -> Conv:
    """Convolutions with PSPNet's BN, which keeps its statistics."""
    fillers = 'slope_filler { type: "constant" value: 1 } bias_filler { type: "constant" value: 0 }'

    def conv(name: str, bottom: str, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> str:
        pad = dilation * (kernel // 2)
        x = net.conv(name, bottom, outputs, kernel, stride, pad, bias=False, dilation=dilation)
        return net.layer(f"{name}/bn", "BN", [x], f"bn_param {{ {fillers} frozen: true momentum: 0.95 }}", top=x)

    return conv


def _merged(net: DeployWriter) -> Conv:
    """Convolutions that their normalization has become part of."""

    def conv(name: str, bottom: str, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> str:
        return net.conv(name, bottom, outputs, kernel, stride, dilation * (kernel // 2), dilation=dilation)

    return conv


def pspnet50(batch: int = 1, classes: int = 150, factor: float = 1) -> str:
    """PSPNet on a dilated ResNet-50 for ADE20K, crops of 473 (Zhao et al. 2016)."""
    net = DeployWriter("PSPNet50", {"data": (batch, 3, 473, 473)}, classes, factor)
    conv = _normalized(net)
    x = _stem(net, conv, "data", 64)
    for stage, (count, mid, stride, dilation) in enumerate(
        [(3, 64, 1, 1), (4, 128, 2, 1), (6, 256, 1, 2), (3, 512, 1, 4)], 2
    ):
        for i in range(count):
            x = _bottleneck(net, conv, f"conv{stage}_{i + 1}", x, mid, 1 if i else stride, dilation, not i)
    levels = [x]
    for bins in (6, 3, 2, 1):
        name, size = f"conv5_3_pool{bins}", 60 // bins
        y = net.relu(conv(f"{name}_conv", net.pool(name, x, "AVE", size, size), 512, 1))
        levels.append(net.interp(f"{name}_interp", y, "height: 60 width: 60"))
    x = net.dropout(net.relu(conv("conv5_4", net.concat("conv5_3_concat", levels), 512, 3)), 0.1)
    net.interp("conv6_interp", net.predict("conv6", x, classes), "zoom_factor: 8")
    return net.text()


def icnet(batch: int = 1, classes: int = 19, factor: float = 1, merged: bool = True) -> str:
    """ICNet for Cityscapes: an image of 1025 x 2049 seen at three sizes (Zhao et al. 2017).

    Args:
        merged: whether normalization has become part of the convolutions, as in the faster of its two files.
    """
    net = DeployWriter("ICNet", {"data": (batch, 3, 1025, 2049)}, classes, factor)
    conv = (_merged if merged else _normalized)(net)
    net.layer("data_sub1", "Scale", ["data"])
    x = _stem(net, conv, net.interp("data_sub2", "data_sub1", "shrink_factor: 2"), 32)
    half = ""
    for stage, (count, mid, stride, dilation) in enumerate(
        [(3, 32, 1, 1), (4, 64, 2, 1), (6, 128, 1, 2), (3, 256, 1, 4)], 2
    ):
        for i in range(count):
            x = _bottleneck(net, conv, f"conv{stage}_{i + 1}", x, mid, 1 if i else stride, dilation, not i)
            if (stage, i) == (3, 0):
                half, x = x, net.interp("conv3_1_sub4", x, "shrink_factor: 2")
    sums = [x]
    windows = {6: ((8, 15), (5, 10)), 3: ((13, 25), (10, 20)), 2: ((17, 33), (16, 32)), 1: ((33, 65), (33, 65))}
    for bins, ((high, wide), (down, right)) in windows.items():
        name = f"conv5_3_pool{bins}"
        param = f"pool: AVE kernel_h: {high} kernel_w: {wide} stride_h: {down} stride_w: {right}"
        y = net.layer(name, "Pooling", [x], f"pooling_param {{ {param} }}")
        sums.append(net.interp(f"{name}_interp", y, "height: 33 width: 65"))
    x = net.relu(conv("conv5_4_k1", net.add("conv5_3_sum", sums), 256, 1))
    x = conv("conv_sub4", net.interp("conv5_4_interp", x, "zoom_factor: 2"), 128, 3, 1, 2)
    x = net.relu(net.add("sub24_sum", [conv("conv3_1_sub2_proj", half, 128, 1), x]))
    x = conv("conv_sub2", net.interp("sub24_sum_interp", x, "zoom_factor: 2"), 128, 3, 1, 2)
    whole = "data_sub1"
    for i, outputs in enumerate((32, 32, 64), 1):
        whole = net.relu(conv(f"conv{i}_sub1", whole, outputs, 3, 2))
    x = net.relu(net.add("sub12_sum", [conv("conv3_sub1_proj", whole, 128, 1), x]))
    x = net.predict("conv6_cls", net.interp("sub12_sum_interp", x, "zoom_factor: 2"), classes)
    net.interp("conv6_interp", x, "zoom_factor: 4")
    return net.text()
