"""Well-known nets in small, as NetParameters whose data come through Input layers.

Some are those that benchmarks/models.py measures, some are those under configs/, and some are written here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import models
import numpy as np

from pycaffe_lite.net import Net
from pycaffe_lite.phase import TRAIN
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from rigs import ROOT
from rigs.net_rig import inputs, layer, net_param
from rigs.zoo_batch import fill

# -- where the data come from ----------------------------------------------------------------------------------


def from_dummies(text: str) -> NetParameter:
    """A net of benchmarks/models.py, with an Input layer in the place of its DummyData."""
    param = net_param(text)
    data = param.layer[0]
    shapes = list(data.dummy_data_param.shape)
    data.type = "Input"
    data.ClearField("dummy_data_param")
    data.input_param.shape.extend(shapes)
    return param


def from_config(path: str, image: tuple[int, ...], batch: int = 0) -> NetParameter:
    """The TRAIN net of a file under configs/, with Input layers in the place of its Data.

    Args:
        path: the file.
        image: the shape of an image.
        batch: images in a batch; 0: as many as the file says.
    """
    param = net_param((ROOT / "configs" / path).read_text(encoding="utf-8"))
    for data in param.layer:
        if data.type == "Data":
            count = batch or data.data_param.batch_size
            data.type = "Input"
            for shape in ((count, *image), (count,))[: len(data.top)]:
                data.input_param.shape.add(dim=shape)
            data.ClearField("data_param")
            data.ClearField("transform_param")
    return param


# -- images ----------------------------------------------------------------------------------------------------


def alexnet() -> NetParameter:
    """AlexNet: normalization before pooling, two groups (Krizhevsky et al. 2012)."""
    net = models.Writer("AlexNet", 4, 67, 5, width=1 / 8)
    x = net.pool("pool1", net.lrn("norm1", net.relu(net.conv("conv1", "data", 96, 11, 4))), "MAX", 3, 2)
    x = net.pool("pool2", net.lrn("norm2", net.relu(net.conv("conv2", x, 256, 5, pad=2, group=2))), "MAX", 3, 2)
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, group=2))
    x = net.pool("pool5", net.relu(net.conv("conv5", x, 256, 3, pad=1, group=2)), "MAX", 3, 2)
    for name in ("fc6", "fc7"):
        x = net.dropout(net.relu(net.fc(name, x, 4096)))
    net.loss(net.scores("fc8", x))
    return from_dummies(net.text())


def densenet40() -> NetParameter:
    """DenseNet-40: three blocks of twelve layers, each of which sees all before it (Huang et al. 2016)."""
    growth = 4
    net = models.Writer("DenseNet-40", 4, 16, 5)
    x, channels = net.conv("conv1", "data", 2 * growth, 3, pad=1, bias=False), 2 * growth
    for block in range(3):
        for i in range(12):
            name = f"block{block}_{i}"
            new = net.conv(f"{name}_conv", _preactivated(net, name, x), growth, 3, pad=1, bias=False)
            x = net.layer(name, "Concat", [x, net.dropout(new, 0.2)])
            channels += growth
        if block < 2:
            name = f"transition{block}"
            x = net.conv(f"{name}_conv", _preactivated(net, name, x), channels, 1, bias=False)
            x = net.pool(f"{name}_pool", net.dropout(x, 0.2), "AVE", 2, 2)
    net.loss(net.scores("fc", net.global_pool("pool", _preactivated(net, "last", x))))
    return from_dummies(net.text())


def _preactivated(net, name: str, bottom: str) -> str:  # type: ignore[no-untyped-def]
    """BatchNorm, Scale and ReLU, not in place: the bottom is needed as it was."""
    x = net.layer(f"{name}_bn", "BatchNorm", [bottom])
    return net.relu(net.layer(f"{name}_scale", "Scale", [x], "scale_param { bias_term: true }", top=x))


def fcn8s(size: int = 32, classes: int = 4) -> NetParameter:
    """FCN-8s on VGG-16: a class for each pixel, from three depths (Long et al. 2015)."""
    net = models.Writer("FCN-8s", 1, size, classes, width=1 / 16)
    x, depth = "data", {}
    for block, (convolutions, outputs) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for i in range(1, convolutions + 1):
            # The first padding is what lets any size of image through; the crops take it away again.
            x = net.relu(net.conv(f"conv{block}_{i}", x, outputs, 3, pad=100 if (block, i) == (1, 1) else 1))
        x = depth[block] = net.pool(f"pool{block}", x, "MAX", 2, 2)
    x = net.dropout(net.relu(net.conv("fc6", x, 4096, 7)))
    x = net.dropout(net.relu(net.conv("fc7", x, 4096, 1)))
    x = _upscore(net, "upscore2", _class_scores(net, "score_fr", x), 2)
    x = _upscore(net, "upscore_pool4", _fuse(net, "fuse_pool4", x, depth[4], 5), 2)
    x = _upscore(net, "upscore8", _fuse(net, "fuse_pool3", x, depth[3], 9), 8)
    net.loss(_crop(net, "score", x, "data", 31))
    param = from_dummies(net.text())
    del param.layer[0].input_param.shape[1].dim[:]
    param.layer[0].input_param.shape[1].dim.extend([1, 1, size, size])
    param.layer[-1].loss_param.ignore_label = 255
    for convolution in (one.convolution_param for one in param.layer if one.type == "Convolution"):
        convolution.bias_filler.value = 0.1  # or ReLU would get exactly 0, its kink, wherever there is padding alone
    return param


def _class_scores(net, name: str, bottom: str) -> str:  # type: ignore[no-untyped-def]
    more = f'convolution_param {{ num_output: {net.classes} kernel_size: 1 weight_filler {{ type: "xavier" }} }}'
    return str(net.layer(name, "Convolution", [bottom], more))


def _upscore(net, name: str, bottom: str, factor: int) -> str:  # type: ignore[no-untyped-def]
    """Bilinear enlargement, fixed, each class by itself."""
    size = f"kernel_size: {2 * factor} stride: {factor} num_output: {net.classes} group: {net.classes}"
    more = f'convolution_param {{ {size} bias_term: false weight_filler {{ type: "bilinear" }} }}'
    return str(net.layer(name, "Deconvolution", [bottom], f"param {{ lr_mult: 0 }} {more}"))


def _crop(net, name: str, bottom: str, like: str, offset: int) -> str:  # type: ignore[no-untyped-def]
    return str(net.layer(name, "Crop", [bottom, like], f"crop_param {{ axis: 2 offset: {offset} }}"))


def _fuse(net, name: str, coarse: str, fine: str, offset: int) -> str:  # type: ignore[no-untyped-def]
    """The sum of coarse scores and those of a finer layer, cropped to fit."""
    scores = _class_scores(net, f"{name}_score", fine)
    return str(net.layer(name, "Eltwise", [coarse, _crop(net, f"{name}_crop", scores, coarse, offset)]))


# -- sequences -------------------------------------------------------------------------------------------------

RANDOM = 'weight_filler { type: "uniform" min: -0.3 max: 0.3 }'


def _lstm(name: str, bottoms: list[str], units: int) -> str:
    return layer(name, "LSTM", bottoms, [name], f"recurrent_param {{ num_output: {units} {RANDOM} }}")


def _embed(bottom: str, words: int, outputs: int) -> str:
    more = f"embed_param {{ bias_term: false input_dim: {words} num_output: {outputs} {RANDOM} }}"
    return layer("embedded", "Embed", [bottom], ["embedded"], more)


def _predict(bottom: str, words: int) -> str:
    """Scores of all words at each step, and their loss; targets of -1 do not count."""
    scores = f"inner_product_param {{ axis: 2 num_output: {words} {RANDOM} }}"
    loss = "softmax_param { axis: 2 } loss_param { ignore_label: -1 }"
    return layer("predict", "InnerProduct", [bottom], ["predict"], scores) + layer(
        "loss", "SoftmaxWithLoss", ["predict", "target"], ["loss"], loss
    )


def captioner(steps: int = 10, images: int = 4, words: int = 12) -> NetParameter:
    """LRCN: a convolutional net looks, two LSTMs say what it sees, and the second is told (Donahue et al. 2015)."""
    look = (
        layer("conv", "Convolution", ["data"], ["conv"],
              'convolution_param { num_output: 8 kernel_size: 3 stride: 2 weight_filler { type: "msra" } }')
        + layer("relu", "ReLU", ["conv"], ["conv"])
        + layer("pool", "Pooling", ["conv"], ["pool"], "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
        + layer("features", "InnerProduct", ["pool"], ["features"],
                'inner_product_param { num_output: 16 weight_filler { type: "xavier" } }')
    )  # fmt: skip
    say = (
        _embed("input", words, 32)
        + layer("drop", "Dropout", ["embedded"], ["embedded"], "dropout_param { dropout_ratio: 0.1 }")
        + _lstm("lstm1", ["embedded", "cont"], 32)
        + _lstm("lstm2", ["lstm1", "cont", "features"], 32)
    )
    sentence = (steps, images)
    data = inputs(data=(images, 3, 16, 16), cont=sentence, input=sentence, target=sentence)
    return net_param('name: "LRCN" ' + data + look + say + _predict("lstm2", words))


def char_rnn(steps: int = 16, streams: int = 4, letters: int = 12) -> NetParameter:
    """Two LSTMs that guess the next letter of a text, whose state goes on from batch to batch (Karpathy 2015)."""
    text = (steps, streams)
    return net_param(
        'name: "char-RNN" '
        + inputs(cont=text, input=text, target=text)
        + _embed("input", letters, 12)
        + _lstm("lstm1", ["embedded", "cont"], 24)
        + _lstm("lstm2", ["lstm1", "cont"], 24)
        + _predict("lstm2", letters)
    )


# -- all of them -----------------------------------------------------------------------------------------------


class Model(NamedTuple):
    """A net, how it is trained on one batch, and what that must come to.

    Attributes:
        build: makes the NetParameter.
        rate: base_lr of SGD with momentum 0.9.
        reaches: the loss after 20 iterations is below this.
        more: further fields of the solver.
        idle: the parameters on which the loss does not depend.
        tolerance: how far the gradient may be off, of 1.
    """

    build: Callable[[], NetParameter]
    rate: float
    reaches: float
    more: str = ""
    idle: tuple[str, ...] = ()
    tolerance: float = 1e-5


def _config(path: str, image: tuple[int, ...], batch: int = 0) -> Callable[[], NetParameter]:
    return lambda: from_config(path, image, batch)


ADAM = 'type: "Adam" momentum2: 0.999'

ZOO = {
    "AlexNet": Model(alexnet, 0.003, 1.1, ADAM),
    # Its three losses weigh 1.6, so that a net of biases alone stays above 2.22.
    "GoogLeNet": Model(lambda: from_dummies(models.googlenet(4, 96, 5, 1 / 4)), 0.001, 2.1, ADAM),
    "ResNet-50": Model(lambda: from_dummies(models.resnet50(4, 64, 5, 1 / 16)), 0.03, 0.3),
    "MobileNet": Model(lambda: from_dummies(models.mobilenet(4, 64, 5, 1 / 16)), 0.01, 0.5, ADAM),
    "DenseNet-40": Model(densenet40, 0.1, 0.5),
    "FCN-8s": Model(fcn8s, 0.003, 0.8),
    "CIFAR-10 quick": Model(_config("cifar10/quick_train_test.prototxt", (3, 32, 32), 4), 0.0003, 0.7, ADAM),
    "CIFAR-10 full": Model(_config("cifar10/full_train_test.prototxt", (3, 32, 32), 4), 0.003, 1.25, ADAM),
    # The last two biases add the same to both points of a pair. The loss divides by the distance + 0.0001, as Caffe's.
    "Siamese": Model(
        _config("siamese/train_test.prototxt", (1, 28, 28), 8), 0.01, 0.02, idle=("ip2/1", "feat/1"), tolerance=1e-3
    ),
    "autoencoder": Model(_config("mnist_autoencoder/train_test.prototxt", (1, 28, 28), 8), 0.01, 400),
    "LSTM on rows": Model(_config("lstm/train_test.prototxt", (1, 28, 28)), 0.01, 0.5, ADAM),
    "LRCN": Model(captioner, 0.02, 1.25, ADAM),
    "char-RNN": Model(char_rnn, 0.03, 1.2, ADAM),
}


def make(name: str, dtype: type = np.float32) -> Net:
    """The TRAIN net of a model, with its batch."""
    net = Net(ZOO[name].build(), TRAIN, dtype=dtype)
    fill(net)
    return net
