"""Published nets that need layers of Caffe's forks, as deploy prototxt: detectors and a segmentation net.

As in models.py, they are written after the structure that their papers and authors give; `width` is a factor for the
outputs of all layers but those that predict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from models import Writer

VOC_CLASSES = 21


class Source(NamedTuple):
    """A blob that boxes are predicted from.

    Attributes:
        blob: its name.
        sizes: the smallest side of a prior box in pixels, and the largest, if there is one.
        ratios: of the boxes' sides besides 1; each turned round as well.
        step: pixels between neighbouring boxes; 0: what follows from the shapes.
    """

    blob: str
    sizes: tuple[int, ...]
    ratios: tuple[int, ...]
    step: int = 0

    @property
    def boxes(self) -> int:
        """How many prior boxes a pixel has."""
        return len(self.sizes) + 2 * len(self.ratios)


class Deploy(Writer):
    """A Writer of nets to run, whose data come through an Input layer."""

    def __init__(self, name: str, height: int, width_in_pixels: int, width: float = 1) -> None:
        super().__init__(name, 1, height, VOC_CLASSES, width)
        shape = f"dim: 1 dim: 3 dim: {height} dim: {width_in_pixels}"
        self.lines[1:] = [f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }}']

    def conv_relu(
        self, name: str, bottom: str, outputs: int, kernel: int, stride: int = 1, pad: int = 0, group: int = 1
    ) -> str:
        return self.relu(self.conv(name, bottom, outputs, kernel, stride, pad, group))

    def detect(self, sources: Sequence[Source], kernel: int, top_k: int) -> None:
        """SSD's head: offsets, scores and prior boxes of each source, together into DetectionOutput."""
        parts: dict[str, list[str]] = {"loc": [], "conf": [], "priors": []}
        for source in sources:
            for kind, values in (("loc", 4), ("conf", self.classes)):
                name, width = f"{source.blob}_mbox_{kind}", self.width
                self.width = 1
                x = self.conv(name, source.blob, source.boxes * values, kernel, pad=kernel // 2)
                self.width = width
                x = self.layer(f"{name}_perm", "Permute", [x], "permute_param { order: 0 order: 2 order: 3 order: 1 }")
                parts[kind].append(self.layer(f"{name}_flat", "Flatten", [x], "flatten_param { axis: 1 }"))
            sizes = f"min_size: {source.sizes[0]} " + "".join(f"max_size: {size} " for size in source.sizes[1:])
            ratios = " ".join(f"aspect_ratio: {ratio}" for ratio in source.ratios)
            variance = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
            step = f"step: {source.step}" if source.step else ""
            param = f"prior_box_param {{ {sizes} {ratios} flip: true clip: false {variance} {step} offset: 0.5 }}"
            parts["priors"].append(self.layer(f"{source.blob}_mbox_priorbox", "PriorBox", [source.blob, "data"], param))
        loc, conf = (self.layer(f"mbox_{kind}", "Concat", parts[kind]) for kind in ("loc", "conf"))
        priors = self.layer("mbox_priorbox", "Concat", parts["priors"], "concat_param { axis: 2 }")
        shape = f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {self.classes} }} }}"
        conf = self.layer("mbox_conf_reshape", "Reshape", [conf], shape)
        conf = self.layer("mbox_conf_softmax", "Softmax", [conf], "softmax_param { axis: 2 }")
        conf = self.layer("mbox_conf_flatten", "Flatten", [conf], "flatten_param { axis: 1 }")
        limits = (
            f"nms_param {{ nms_threshold: 0.45 top_k: {top_k} }} keep_top_k: {top_k // 2} confidence_threshold: 0.01"
        )
        param = (
            f"num_classes: {self.classes} share_location: true background_label_id: 0 code_type: CENTER_SIZE {limits}"
        )
        self.layer("detection_out", "DetectionOutput", [loc, conf, priors], f"detection_output_param {{ {param} }}")


def ssd300(width: float = 1) -> str:
    """SSD300 on VGG-16, PASCAL VOC's 21 classes (Liu et al. 2016): 8,732 prior boxes."""
    net, x = Deploy("SSD300", 300, 300, width), "data"
    for stage, (outputs, count) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for i in range(1, count + 1):
            x = net.conv_relu(f"conv{stage}_{i}", x, outputs, 3, pad=1)
        x = net.pool(f"pool{stage}", x, "MAX", *((2, 2) if stage < 5 else (3, 1, 1)))
    scale = "norm_param { across_spatial: false scale_filler { value: 20 } channel_shared: false }"
    net.layer("conv4_3_norm", "Normalize", ["conv4_3"], scale)
    size = 'kernel_size: 3 pad: 6 dilation: 6 weight_filler { type: "msra" }'
    param = f"convolution_param {{ num_output: {net.scaled(1024)} {size} }}"
    x = net.conv_relu("fc7", net.relu(net.layer("fc6", "Convolution", [x], param)), 1024, 1)
    for stage, (squeezed, outputs, stride, pad) in enumerate(
        [(256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 1, 0), (128, 256, 1, 0)], start=6
    ):
        x = net.conv_relu(f"conv{stage}_1", x, squeezed, 1)
        x = net.conv_relu(f"conv{stage}_2", x, outputs, 3, stride, pad)
    sources = [
        Source("conv4_3_norm", (30, 60), (2,), 8),
        Source("fc7", (60, 111), (2, 3), 16),
        Source("conv6_2", (111, 162), (2, 3), 32),
        Source("conv7_2", (162, 213), (2, 3), 64),
        Source("conv8_2", (213, 264), (2,), 100),
        Source("conv9_2", (264, 315), (2,), 300),
    ]
    net.detect(sources, 3, 400)
    return net.text()


def mobilenet_ssd(width: float = 1) -> str:
    """MobileNet-SSD 300 with its BatchNorms folded, PASCAL VOC (chuanqi305's): 1,917 prior boxes."""
    net = Deploy("MobileNet-SSD", 300, 300, width)
    x, channels = net.conv_relu("conv0", "data", 32, 3, 2, 1), 32
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for i, (outputs, stride) in enumerate(steps, start=1):
        x = net.conv_relu(f"conv{i}/dw", x, channels, 3, stride, 1, net.scaled(channels))
        x, channels = net.conv_relu(f"conv{i}", x, outputs, 1), outputs
    for i, outputs in enumerate([512, 256, 256, 128], start=14):
        x = net.conv_relu(f"conv{i}_1", x, outputs // 2, 1)
        x = net.conv_relu(f"conv{i}_2", x, outputs, 3, 2, 1)
    sources = [Source("conv11", (60,), (2,)), Source("conv13", (105, 150), (2, 3))]
    bounds = [(150, 195), (195, 240), (240, 285), (285, 300)]
    sources += [Source(f"conv{i}_2", sizes, (2, 3)) for i, sizes in enumerate(bounds, start=14)]
    net.detect(sources, 1, 100)
    return net.text()


def segnet(height: int = 360, width_in_pixels: int = 480, width: float = 1, classes: int = 11) -> str:
    """SegNet for CamVid: VGG-16's convolutions there and back, by the places of the maxima (Badrinarayanan 2015)."""
    net, x = Deploy("SegNet", height, width_in_pixels, width), "data"

    def block(name: str, bottom: str, outputs: int) -> str:
        x = net.conv(name, bottom, outputs, 3, pad=1)
        fill = "scale_filler { value: 1 } shift_filler { value: 0.001 } bn_mode: INFERENCE"
        return net.relu(net.layer(f"{name}_bn", "BN", [x], f"bn_param {{ {fill} }}", top=x))

    stages, sizes = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], [(height, width_in_pixels)]
    for stage, (outputs, count) in enumerate(stages, start=1):
        for i in range(1, count + 1):
            x = block(f"conv{stage}_{i}", x, outputs)
        pool = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
        mask = f'top: "pool{stage}_mask"'
        x = net.layer(f"pool{stage}", "Pooling", [x], f"{mask} {pool}")
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    for stage in range(5, 0, -1):
        rows, columns = sizes[stage - 1]
        param = f"upsample_param {{ scale: 2 upsample_w: {columns} upsample_h: {rows} }}"
        x = net.layer(f"upsample{stage}", "Upsample", [x, f"pool{stage}_mask"], param)
        outputs, count = stages[stage - 1]
        below = stages[max(0, stage - 2)][0]
        for i in range(count, 0, -1):
            if (stage, i) != (1, 1):
                x = block(f"conv{stage}_{i}_D", x, outputs if i > 1 else below)
    net.width = 1
    net.layer("prob", "Softmax", [net.conv("scores", x, classes, 3, pad=1)])
    return net.text()


FORK_MODELS: dict[str, Callable[[], str]] = {
    "MobileNet-SSD 300": mobilenet_ssd,
    "VGG-SSD 300": ssd300,
    "SegNet 360x480": segnet,
}
