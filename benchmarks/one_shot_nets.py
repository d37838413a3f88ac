"""Published deploy nets that find boxes in one go: SSD with three bodies, and YOLOv2."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from deploy_writer import DeployWriter, vgg16


class Map(NamedTuple):
    """A map from which boxes are predicted.

    Attributes:
        name: what its layers are named after.
        top: the blob.
        sizes: min_size and max_size, in pixels of an image of 300; a max_size of 0 for none.
        ratios: aspect ratios besides 1, each taken both ways.
        step: between centres in pixels; 0 for the image's size by the map's.
    """

    name: str
    top: str
    sizes: tuple[int, int]
    ratios: tuple[int, ...]
    step: int = 0

    @property
    def priors(self) -> int:
        """How many each place has."""
        return 1 + (self.sizes[1] > 0) + 2 * len(self.ratios)


def _flat(net: DeployWriter, name: str) -> str:
    """The predictions of a map as rows: place, prior, value."""
    net.layer(f"{name}_perm", "Permute", [name], "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    return net.layer(f"{name}_flat", "Flatten", [f"{name}_perm"], "flatten_param { axis: 1 }")


def _prior_box(net: DeployWriter, each: Map) -> str:
    low, high = each.sizes
    size = f"min_size: {low}" + (f" max_size: {high}" if high else "")
    ratios = " ".join(f"aspect_ratio: {ratio}" for ratio in each.ratios)
    step = f"step: {each.step}" if each.step else ""
    variances = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    param = f"{size} {ratios} flip: true clip: false {variances} {step} offset: 0.5"
    return net.layer(f"{each.name}_mbox_priorbox", "PriorBox", [each.top, "data"], f"prior_box_param {{ {param} }}")


def find_boxes(net: DeployWriter, maps: list[Map], kernel: int, choice: str) -> None:
    """What SSD has after its body: predictions from all maps, and of their boxes those that are found.

    Args:
        kernel: of the convolutions that predict.
        choice: the fields of nms_param, and those of detection_output_param besides.
    """
    parts: dict[str, list[str]] = {"loc": [], "conf": [], "priorbox": []}
    for each in maps:
        for kind, outputs in (("loc", 4), ("conf", net.classes)):
            name = f"{each.name}_mbox_{kind}"
            net.predict(name, each.top, each.priors * outputs, kernel, kernel // 2)
            parts[kind].append(_flat(net, name))
        parts["priorbox"].append(_prior_box(net, each))
    for kind, bottoms in parts.items():
        net.concat(f"mbox_{kind}", bottoms, axis=2 if kind == "priorbox" else 1)
    x = net.reshape("mbox_conf_reshape", "mbox_conf", 0, -1, net.classes)
    x = net.layer("mbox_conf_softmax", "Softmax", [x], "softmax_param { axis: 2 }")
    x = net.layer("mbox_conf_flatten", "Flatten", [x], "flatten_param { axis: 1 }")
    param = f"num_classes: {net.classes} share_location: true background_label_id: 0 code_type: CENTER_SIZE {choice}"
    net.layer("detection_out", "DetectionOutput", ["mbox_loc", x, "mbox_priorbox"],
              f"include {{ phase: TEST }} detection_output_param {{ {param} }}")  # fmt: skip


def ssd300(batch: int = 1, classes: int = 21, width: float = 1) -> str:
    """SSD 300 on VGG-16 for PASCAL VOC (Liu et al. 2016), 8,732 priors."""
    net = DeployWriter("VGG_VOC0712_SSD_300x300_deploy", {"data": (batch, 3, 300, 300)}, classes, width)
    conv4, x = vgg16(net, "data")
    x = net.pool("pool5", x, "MAX", 3, 1, 1)
    x = net.relu(net.conv("fc6", x, 1024, 3, pad=6, dilation=6))
    x = fc7 = net.relu(net.conv("fc7", x, 1024, 1))
    tops = [fc7]
    for i, outputs, stride, pad in ((6, 512, 2, 1), (7, 256, 2, 1), (8, 256, 1, 0), (9, 256, 1, 0)):
        x = net.relu(net.conv(f"conv{i}_1", x, outputs // 2, 1))
        x = net.relu(net.conv(f"conv{i}_2", x, outputs, 3, stride, pad))
        tops.append(x)
    scale = 'across_spatial: false channel_shared: false scale_filler { type: "constant" value: 20 }'
    norm = net.layer("conv4_3_norm", "Normalize", [conv4], f"norm_param {{ {scale} }}")
    find_boxes(net, _ssd_maps([norm, *tops]), 3, "nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 200 "
               "confidence_threshold: 0.01 " + VOC_RESULTS)  # fmt: skip
    return net.text()


VOC_RESULTS = """save_output_param {
  output_directory: "results" output_name_prefix: "comp4_det_test_" output_format: "VOC"
  label_map_file: "data/VOC0712/labelmap_voc.prototxt" name_size_file: "data/VOC0712/test_name_size.txt"
  num_test_image: 4952 }"""
"""Where those who trained SSD had their results written; the files are theirs alone."""


def _ssd_maps(tops: list[str]) -> list[Map]:
    names = ["conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"]
    sizes = [30, 60, 111, 162, 213, 264, 315]
    ratios = [(2,), (2, 3), (2, 3), (2, 3), (2,), (2,)]
    steps = [8, 16, 32, 64, 100, 300]
    return [Map(*each) for each in zip(names, tops, pairwise(sizes), ratios, steps, strict=True)]


def mobilenet_ssd(batch: int = 1, classes: int = 21, width: float = 1) -> str:
    """MobileNet-SSD 300 for PASCAL VOC, its normalization part of its convolutions (chuanqi305 2017), 1,917 priors."""
    net = DeployWriter("MobileNet-SSD", {"data": (batch, 3, 300, 300)}, classes, width)
    x = net.relu(net.conv("conv0", "data", 32, 3, 2, 1))
    channels, tops = 32, {}
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for i, (outputs, stride) in enumerate(steps, 1):
        x = net.relu(net.conv(f"conv{i}/dw", x, channels, 3, stride, 1, group=net.scaled(channels)))
        x = tops[i] = net.relu(net.conv(f"conv{i}", x, outputs, 1))
        channels = outputs
    maps = [Map("conv11", tops[11], (60, 0), (2,)), Map("conv13", tops[13], (105, 150), (2, 3))]
    sizes = ((150, 195), (195, 240), (240, 285), (285, 300))
    for i, outputs, size in zip((14, 15, 16, 17), (512, 256, 256, 128), sizes, strict=True):
        x = net.relu(net.conv(f"conv{i}_1", x, outputs // 2, 1))
        x = net.relu(net.conv(f"conv{i}_2", x, outputs, 3, 2, 1))
        maps.append(Map(f"conv{i}_2", x, size, (2, 3)))
    find_boxes(net, maps, 1, "nms_param { nms_threshold: 0.45 top_k: 100 } keep_top_k: 100 confidence_threshold: 0.25")
    return net.text()


def _residual(
    net: DeployWriter, name: str, bottom: str, outputs: tuple[int, int], stride: int, halved: str, dilation: int = 1
) -> str:
    """A block of the face detector: BatchNorm and ReLU before its convolutions.

    Args:
        outputs: of its two convolutions.
        halved: the layers whose names end in _h, for half as many outputs as ResNet's.
    """

    def named(part: str) -> str:
        return f"{name}_{part}_h" if part in halved.split() else f"{name}_{part}"

    x = before = net.relu(net.norm(bottom, named("bn1"), named("scale1"), top=named("bn1")))
    x = net.conv(named("conv1"), x, outputs[0], 3, stride, 1, bias=False)
    x = net.relu(net.norm(x, named("bn2"), named("scale2")))
    x = net.conv(named("conv2"), x, outputs[1], 3, pad=dilation, dilation=dilation, bias=False)
    short = net.conv(named("conv_expand"), before, outputs[1], 1, stride, bias=False)
    return net.add(f"{name}_sum", [x, short])


def face_detector(batch: int = 1, width: float = 1) -> str:
    """OpenCV's face detector: SSD 300 on a ResNet of ten layers, `clip` as OpenCV's own field (OpenCV 2017)."""
    net = DeployWriter("res10_300x300_ssd", {"data": (batch, 3, 300, 300)}, 2, width)
    x = net.conv("conv1_h", net.norm("data", "data_bn", "data_scale", top="data_bn"), 32, 7, 2, 3)
    x = net.relu(net.norm(x, "conv1_bn_h", "conv1_scale_h"))
    x = pool = net.pool("conv1_pool", x, "MAX", 3, 2)
    x = net.conv("layer_64_1_conv1_h", x, 32, 3, pad=1, bias=False)
    x = net.relu(net.norm(x, "layer_64_1_bn2_h", "layer_64_1_scale2_h"))
    x = net.add("layer_64_1_sum", [net.conv("layer_64_1_conv2_h", x, 32, 3, pad=1, bias=False), pool])
    x = _residual(net, "layer_128_1", x, (128, 128), 2, "bn1 scale1 conv1 conv_expand")
    x = _residual(net, "layer_256_1", x, (256, 256), 2, "")
    x = _residual(net, "layer_512_1", x, (128, 256), 1, "conv1 bn2 scale2 conv2 conv_expand", dilation=2)
    x = net.layer("last_relu", "ReLU", [net.norm(x, "last_bn_h", "last_scale_h")], top="fc7")
    tops = [x]
    for i, outputs, stride in ((6, 256, 2), (7, 128, 2), (8, 128, 1), (9, 128, 1)):
        x = net.relu(net.conv(f"conv{i}_1_h", x, outputs // 2, 1))
        x = net.relu(net.conv(f"conv{i}_2_h", x, outputs, 3, stride, 1))
        tops.append(x)
    scale = 'across_spatial: false channel_shared: false scale_filler { type: "constant" value: 20 }'
    norm = net.layer("conv4_3_norm", "Normalize", ["layer_256_1_bn1"], f"norm_param {{ {scale} }}")
    find_boxes(net, _ssd_maps([norm, *tops]), 3, "nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 200 "
               "confidence_threshold: 0.2 clip: 1")  # fmt: skip
    return net.text()


DARKNET = [[(32, 3)], [(64, 3)], [(128, 3), (64, 1), (128, 3)], [(256, 3), (128, 1), (256, 3)],
           [(512, 3), (256, 1), (512, 3), (256, 1), (512, 3)],
           [(1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3)]]  # fmt: skip
"""Outputs and kernels of YOLOv2's convolutions, cut where it pools."""


def yolo_v2(batch: int = 1, size: int = 416, classes: int = 80, width: float = 1) -> str:
    """YOLOv2 on Darknet-19 with its passthrough, for COCO (Redmon and Farhadi 2016): five anchors at each place."""
    net = DeployWriter("YOLOv2", {"data": (batch, 3, size, size)}, classes, width)

    def conv(name: str, bottom: str, outputs: int, kernel: int) -> str:
        return net.leaky(net.norm(net.conv(name, bottom, outputs, kernel, pad=kernel // 2, bias=False)))

    x, number, fine = "data", 0, ""
    for stage, convolutions in enumerate(DARKNET):
        if stage:
            fine, x = x, net.pool(f"pool{stage}", x, "MAX", 2, 2)
        for outputs, kernel in convolutions:
            number += 1
            x = conv(f"conv{number}", x, outputs, kernel)
    through = net.layer("reorg1", "Reorg", [conv("conv21", fine, 64, 1)], "reorg_param { stride: 2 }")
    x = conv("conv22", net.concat("concat1", [through, x]), 1024, 3)
    net.predict("conv23", x, 5 * (5 + classes))
    return net.text()
