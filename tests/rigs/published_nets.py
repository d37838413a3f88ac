"""Published nets that need layers of Caffe's forks, and what is known of them.

Their texts are written by the modules of benchmarks/ after the structure that the published files and papers have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from fork_classifiers import se_resnet50, shufflenet
from one_shot_nets import face_detector, mobilenet_ssd, ssd300, yolo_v2
from pixel_nets import icnet, pspnet50, segnet
from two_stage_nets import faster_rcnn, rfcn

from pycaffe_lite import rng
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST
from rigs.net_rig import net_param

Shapes = dict[str, tuple[int, ...]]


SPREAD = {"_mbox_conf": 2.5, "_mbox_loc": 0.5, "rpn_cls_score": 1.0, "rpn_bbox_pred": 0.2}
"""The standard deviation of what is predicted, by the ends of the names of the layers that do."""

BACKGROUND = 9.0
"""By how much SSD's background is likelier than another class, before the softmax."""


class Published(NamedTuple):
    """A net, and what is known of it.

    Attributes:
        text: gives its text, as published.
        small: gives the text of the same net in small.
        learned: how many parameters training changes.
        statistics: how many more its BatchNorm and BN layers keep.
        shapes: of blobs, in the published size.
        full: the size at which it is usually run, where its text has another one.
    """

    text: Callable[..., str]
    small: Callable[[], str]
    learned: int
    statistics: int
    shapes: Shapes
    full: Callable[[], str] | None = None


def _ssd_shapes(priors: int, classes: int, maps: dict[str, int]) -> Shapes:
    sizes = {name: (1, -1, size, size) for name, size in maps.items()}
    heads = {"mbox_loc": (1, 4 * priors), "mbox_conf": (1, classes * priors), "mbox_priorbox": (1, 2, 4 * priors)}
    return {**sizes, **heads}


NETS = {
    # 26,285,486 is what summaries of its ports to Keras and PyTorch say, 26.285 million what Open Model Zoo does.
    # 8,732 priors: Liu et al., section 3.1.
    "SSD 300": Published(
        ssd300,
        partial(ssd300, width=1 / 16),
        26_285_486,
        0,
        _ssd_shapes(8732, 21, {"conv4_3_norm": 38, "fc7": 19, "conv6_2": 10, "conv7_2": 5, "conv8_2": 3, "conv9_2": 1}),
    ),
    # Open Model Zoo: 5.783 million; its MobileNetSSD_deploy.caffemodel has 23,147,564 bytes, four for each and text.
    "MobileNet-SSD": Published(
        mobilenet_ssd,
        partial(mobilenet_ssd, width=1 / 8),
        5_783_417,
        0,
        _ssd_shapes(1917, 21, {"conv11": 19, "conv13": 10, "conv14_2": 5, "conv15_2": 3, "conv16_2": 2, "conv17_2": 1}),
    ),
    # res10_300x300_ssd_iter_140000.caffemodel has 10,666,211 bytes: four for each number, 10,650,664, and text.
    # Priors: 4 at 38 x 38 places, 6 at 19 x 19, 10 x 10 and 5 x 5, 4 at twice 5 x 5.
    "face detector": Published(
        face_detector,
        partial(face_detector, width=1 / 4),
        2_660_154,
        2_512,
        _ssd_shapes(
            8892, 2, {"conv4_3_norm": 38, "fc7": 19, "conv6_2_h": 10, "conv7_2_h": 5, "conv8_2_h": 5, "conv9_2_h": 5}
        ),
    ),
    # yolov2.weights has 203,934,260 bytes, a header of 16 and 50,983,561 numbers: those learned, and 20,672 statistics
    # (as summaries of Keras' port say too); Caffe's BatchNorm keeps one more number in each of 22 layers.
    "YOLOv2": Published(
        yolo_v2,
        partial(yolo_v2, size=96, width=1 / 8),
        50_962_889,
        20_672 + 22,
        {"conv20": (1, 1024, 13, 13), "reorg1": (1, 256, 13, 13), "conv23": (1, 425, 13, 13)},
        partial(yolo_v2, size=608),
    ),
    # VGG-16's convolutions, 14,714,688; rpn, 2,359,808 + 9,234 + 18,468; fc6 and fc7, 102,764,544 + 16,781,312; scores
    # and boxes of 21 classes, 86,037 + 344,148. VGG16_faster_rcnn_final.caffemodel is said to have 548 million bytes.
    "Faster R-CNN": Published(
        faster_rcnn,
        partial(faster_rcnn, 96, 128, factor=1 / 16),
        137_078_239,
        0,
        {"conv5_3": (1, 512, 14, 14), "rpn_cls_score": (1, 18, 14, 14), "rpn_bbox_pred": (1, 36, 14, 14)},
        partial(faster_rcnn, 600, 800),
    ),
    # ResNet-50 without its classifier and with a bias in conv1, 23,508,032 + 64; rpn on 1024 channels, 4,719,104 +
    # 9,234 + 18,468; conv_new_1, 2,098,176; maps for 7 x 7 parts of 21 classes and 2 boxes, 1,054,725 + 401,800.
    "R-FCN": Published(
        rfcn,
        partial(rfcn, 96, 128, factor=1 / 16),
        31_809_603,
        53_173,
        {"res4f": (1, 1024, 14, 14), "res5c": (1, 2048, 14, 14), "rfcn_cls": (1, 1029, 14, 14)},
        partial(rfcn, 600, 800),
    ),
    # 29.4 million, 117.8 million bytes: what papers that compare nets of its kind give for it, as ENet's.
    "SegNet": Published(
        segnet,
        partial(segnet, height=72, width=96, factor=1 / 8),
        29_449_355,
        0,
        {
            "pool5": (1, 512, 12, 15),
            "pool5_D": (1, 512, 23, 30),
            "pool4_D": (1, 512, 45, 60),
            "prob": (1, 11, 360, 480),
        },
    ),
    # ResNet-50 without its classifier, 23,508,032; its first convolution is three, 112,832 instead of 9,536, whose 128
    # channels add 20,480; four levels, 4,198,400; conv5_4, 18,875,392; scores of 150 classes, 76,950.
    "PSPNet-50": Published(
        pspnet50,
        partial(pspnet50, classes=15, factor=1 / 32),
        46_782_550,
        58_624,
        {"conv5_3": (1, 2048, 60, 60), "conv5_3_concat": (1, 4096, 60, 60), "conv6_interp": (1, 150, 473, 473)},
    ),
    # Half of ResNet-50's outputs, which is a quarter of its weights, and what joins the three sizes of image.
    "ICNet": Published(
        icnet,
        partial(icnet, classes=5, factor=1 / 16),
        6_685_718,
        0,
        {
            "conv5_3": (1, 1024, 33, 65),
            "sub24_sum": (1, 128, 65, 129),
            "sub12_sum": (1, 128, 129, 257),
            "conv6_interp": (1, 19, 1025, 2049),
        },
    ),
    # 28,088,024: the total of its port to PyTorch (pretrained-models.pytorch, imgclsmob).
    "SE-ResNet-50": Published(
        se_resnet50,
        partial(se_resnet50, size=64, classes=10, width=1 / 16),
        28_088_024,
        53_173,
        {"conv5_3": (1, 2048, 7, 7), "conv5_3_1x1_down": (1, 128, 1, 1), "prob": (1, 1000)},
    ),
    # imgclsmob's has 1,865,728: a quarter of a unit's outputs in its middle, where the port to Caffe has 54, 60 and 120
    # in the first units of its three stages instead of 60, 120 and 240, which makes 1,014, 10,260 and 39,720 less.
    "ShuffleNet": Published(
        shufflenet,
        partial(shufflenet, size=64, classes=10, width=1 / 2),
        1_865_728 - 1_014 - 10_260 - 39_720,
        23_785,
        {"resx4_elewise": (1, 240, 28, 28), "resx16_elewise": (1, 960, 7, 7), "fc1000": (1, 1000, 1, 1)},
    ),
}


def empty(text: str) -> Net:
    """The net of a text for tests, its parameters 0: it takes no time to draw them."""
    param = net_param(text)
    for layer in param.layer:
        for kind in (layer.convolution_param, layer.inner_product_param):
            kind.ClearField("weight_filler")
    return Net(param, TEST)


def drawn(text: str, seed: int = 2) -> Net:
    """The net of a text for tests, with values for all parameters, statistics among them."""
    rng.set_random_seed(seed)
    net, random = Net(net_param(text), TEST), np.random.default_rng(seed)
    for node in net.layers:
        for i, blob in enumerate(node.blobs):
            if node.type == "BatchNorm":
                blob.data[...] = (random.normal(0, 0.1, blob.shape), random.uniform(1, 2, blob.shape), 1)[i]
            elif node.type in ("Scale", "BN"):
                is_size = i in (0, 3)
                blob.data[...] = random.uniform(0.7, 1.3, blob.shape) if is_size else random.normal(0, 0.1, blob.shape)
            elif blob.num_axes == 1 and node.type != "Normalize":
                blob.data[...] = random.normal(0, 0.1, blob.shape)
    for name in net.inputs:
        blob = net.blobs[name]
        blob.data[...] = random.normal(size=blob.shape)
    if "im_info" in net.inputs:
        height, width = net.blobs["data"].shape[2:]
        net.blobs["im_info"].data[...] = [height, width, 1]
    if {"detection_out", "rois"} & net.blobs.keys():
        _spread(net)
    return net


def _spread(net: Net) -> None:
    """Gives layers that predict classes and boxes weights with which they do: few scores are near 1, no two are alike,
    most places are background, and boxes lie near their priors."""
    for node in net.nodes:
        node.forward()
        for end, spread in SPREAD.items():
            if node.name.endswith(end):
                weights, bias = node.layer.blobs
                weights.data[...] *= spread / np.std(node.tops[0].data)
                if end == "_mbox_conf":
                    bias.data[:: net.blobs["mbox_conf_reshape"].shape[2]] += BACKGROUND
                node.forward()
