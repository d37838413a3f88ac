"""What each of Caffe's own layer types is in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import prod
from typing import Any

import numpy as np

from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.tools.export_onnx.converters import CONVERT, Convert, Item, by_the_batch, converts, weight
from pycaffe_lite.tools.export_onnx.graph import FLOAT, INT64, Form, Graph

# -- windows ------------------------------------------------------------------------------------------------


@converts("Convolution", "Deconvolution", "DepthwiseConvolution", "ConvolutionDepthwise")
def _convolution(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer = item.layer
    attributes = _window(item, layer.window, item.param.convolution_param.group)
    kind = "ConvTranspose" if layer.transposed else "Conv"
    parameters = [weight(g, item, i) for i in range(len(layer.blobs))]
    return [g.add(kind, value, *parameters, **attributes) for value in x]


@converts("Im2col")
def _im2col(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """A convolution of each channel by itself, with a filter for each tap."""
    window, channels = item.layer.window, item.bottoms[0].length(1)
    taps = prod(window.kernel)
    filters = np.tile(np.eye(taps).reshape(taps, 1, *window.kernel), (channels, *[1] * (len(window.kernel) + 1)))
    return [g.add("Conv", x[0], g.constant(filters), **_window(item, window, channels))]


def _window(item: Item, window: Window, group: int) -> dict[str, Any]:
    """The attributes of Conv and ConvTranspose."""
    if item.layer.axis != 1:
        raise item.cannot(f"ONNX has channels on axis 1 alone, they are on axis {item.layer.axis}.")
    if not window.kernel:
        raise item.cannot("ONNX convolves over one axis or more, its bottom has none behind the channels.")
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": [*window.pad, *window.pad],
        "dilations": list(window.dilation),
        "group": group,
    }


@converts("Pooling")
def _pooling(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    bottom, indexed = item.bottoms[0], len(item.tops) > 1 and item.read[1]
    if not indexed:
        return [pool(g, x[0], item.layer, bottom, item.tops[0])] * len(item.tops)
    if _is_beyond(item.layer, bottom, item.tops[0]):
        raise item.cannot("a last window lies beyond the image, where ONNX has no index for its second top.")
    y, places = pool(g, x[0], item.layer, bottom, item.tops[0], places=True)
    # ONNX counts through all images and channels, Caffe through a plane.
    plane = prod(bottom.length(axis) for axis in range(2, bottom.axes))
    return [y, g.add("Cast", g.add("Mod", places, g.constant(plane, np.int64)), to=FLOAT)]


def pool(g: Graph, x: str, layer: Any, bottom: Form, top: Form, places: bool = False) -> Any:
    """A Pooling layer's operation; with `places` those of the maxima too."""
    if layer.kind == "STOCHASTIC":
        return _weighted_pool(g, x, layer, bottom, top)
    if layer.whole and not places:
        return g.add("GlobalMaxPool" if layer.kind == "MAX" else "GlobalAveragePool", x)
    window: Window = layer.window
    axes = range(2, 2 + len(window.kernel))
    size, count = ([form.length(axis) for axis in axes] for form in (bottom, top))
    ends = _ends(layer, bottom, top)
    if _is_beyond(layer, bottom, top):
        rest = [0] * len(ends)
        lowest = float(np.finfo(np.float32).min) if layer.kind == "MAX" else 0.0
        x = g.add("Pad", x, g.ints(0, 0, *rest, 0, 0, *ends), g.constant(lowest))
        ends = rest
    stride = [s if n > 1 else 1 for n, s in zip(count, window.stride, strict=True)]
    common: dict[str, Any] = {"kernel_shape": list(window.kernel), "strides": stride, "pads": [*window.pad, *ends]}
    if layer.kind == "MAX":
        return g.add("MaxPool", x, outputs=2 if places else 1, **common)
    y = g.add("AveragePool", x, count_include_pad=1, **common)
    shares = np.ones(())
    for n, s, k, p, length in zip(count, window.stride, window.kernel, window.pad, size, strict=True):
        shares = shares[..., None] * _counted(n, s, k, p, length).astype(np.float64)
    full = np.prod(window.kernel)
    factors = np.divide(full, shares, out=np.zeros_like(shares), where=shares > 0)
    return y if (factors == 1).all() else g.add("Mul", y, g.constant(factors[None, None]))


def _ends(layer: Any, bottom: Form, top: Form) -> list[int]:
    """As much behind the image as the last window needs, which Caffe's rounding up may let reach beyond its pad."""
    window: Window = layer.window
    lengths = [(bottom.length(axis), top.length(axis)) for axis in range(2, 2 + len(window.kernel))]
    return [
        max(0, (n - 1) * s + k - size - p)
        for (size, n), s, k, p in zip(lengths, window.stride, window.kernel, window.pad, strict=True)
    ]


def _is_beyond(layer: Any, bottom: Form, top: Form) -> bool:
    """Whether the last window of some axis has no pixel, as when the stride is larger than the kernel; ONNX's pads are
    smaller than that."""
    return any(end >= k for end, k in zip(_ends(layer, bottom, top), layer.window.kernel, strict=True))


def _weighted_pool(g: Graph, x: str, layer: Any, bottom: Form, top: Form) -> Any:
    """STOCHASTIC in tests: the average weighted by the values themselves, 0 where their sum is not above 0."""
    average = copy(layer)
    average.kind = "AVE"
    squares, values = (pool(g, value, average, bottom, top) for value in (g.add("Mul", x, x), x))
    some = g.add("Greater", values, g.constant(0.0))
    return g.add("Where", some, g.add("Div", squares, values), g.constant(0.0))


def _counted(count: int, stride: int, kernel: int, pad: int, size: int) -> np.ndarray:
    """How many pixels of each window Caffe divides by: those up to one pad past the edge."""
    starts = np.arange(count) * stride - pad
    return np.maximum(np.minimum(starts + kernel, size + pad) - starts, 0)


@converts("SPP")
def _pyramid(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    parts = []
    for layer, source, pooled in item.layer.levels:
        form = item.bottoms[0]
        top = Form((form.at[0], *pooled.shape[1:]), (form.other[0], *pooled.shape[1:]))
        y = pool(g, x[0], layer, Form((form.at[0], *source.shape[1:]), (form.other[0], *source.shape[1:])), top)
        parts.append(y if len(item.layer.levels) == 1 else g.add("Flatten", y, axis=1))
    return [parts[0] if len(parts) == 1 else g.add("Concat", *parts, axis=1)]


@converts("LRN")
def _lrn(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    param = item.param.lrn_param
    if not item.layer.within:
        return [g.add("LRN", x[0], size=param.local_size, alpha=param.alpha, beta=param.beta, bias=param.k)]
    half = param.local_size // 2
    mean = g.add(
        "AveragePool", g.add("Mul", x[0], x[0]), kernel_shape=[param.local_size] * 2, strides=[1, 1],
        pads=[half] * 4, count_include_pad=1,
    )  # fmt: skip
    scale = g.scaled(mean, param.alpha, 1.0)
    return [g.add("Mul", x[0], g.add("Pow", scale, g.constant(-param.beta)))]


# -- products and channels ----------------------------------------------------------------------------------


@converts("InnerProduct")
def _inner_product(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer, axis = item.layer, item.layer.axis
    if axis == 1:
        rows = x[0] if item.bottoms[0].axes == 2 else g.add("Flatten", x[0], axis=1)
        parameters = [weight(g, item, i) for i in range(len(layer.blobs))]
        return [g.add("Gemm", rows, *parameters, transB=int(not layer.transposed))]
    values = item.blob(0) if layer.transposed else item.blob(0).T
    rows = g.reshape(x[0], item.bottoms[0][slice(axis)] + [layer.inputs])
    y = g.add("MatMul", rows, weight(g, item, 0, values))
    return [g.add("Add", y, weight(g, item, 1)) if len(layer.blobs) > 1 else y]


@converts("BatchNorm")
def _batch_norm(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer, axes = item.layer, item.bottoms[0].axes
    if not layer.use_global_stats:
        return by_the_batch(g, x[0], [axis for axis in range(axes) if axis != 1 or axes == 1], layer.eps)[:1]
    mean, variance = layer.stored()
    if axes < 2:
        return [g.add("Div", g.scaled(x[0], 1, -float(mean[0])), g.constant(np.sqrt(variance[0] + layer.eps)))]
    ones = np.ones_like(mean)
    values = [g.constant(array, what=what) for array, what in
              ((ones, "scale"), (0 * ones, "bias"), (mean, "mean"), (variance, "variance"))]  # fmt: skip
    return [g.add("BatchNormalization", x[0], *values, epsilon=layer.eps)]


@converts("Scale", "Bias")
def _broadcast(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    kind, axes = item.param.type, item.bottoms[0].axes
    learned = len(x) == 1
    first = item.layer.param.axis % max(1, axes)
    operand_axes = item.layer.blobs[0].num_axes if learned else item.bottoms[1].axes
    behind = axes - first - operand_axes if operand_axes else 0

    def known(index: int) -> str:
        values = item.blob(index)
        return weight(g, item, index, values.reshape(values.shape + (1,) * behind))

    if learned:
        operand = known(0)
    elif behind:
        operand = g.add("Unsqueeze", x[1], g.ints(*range(operand_axes, operand_axes + behind)))
    else:
        operand = x[1]
    y = g.add("Mul" if kind == "Scale" else "Add", x[0], operand)
    if kind == "Scale" and item.param.scale_param.bias_term:
        y = g.add("Add", y, known(len(item.layer.blobs) - 1))
    return [y]


@converts("PReLU")
def _prelu(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    slopes = item.blob(0)
    if not item.layer.shared:
        slopes = slopes.reshape(-1, *[1] * (item.bottoms[0].axes - 2))
    return [g.add("PRelu", x[0], weight(g, item, 0, slopes.reshape(slopes.shape or (1,))))]


@converts("MVN")
def _mvn(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    param, axes = item.param.mvn_param, item.bottoms[0].axes
    over = list(range(min(axes, 1 if param.across_channels else 2), axes))
    y = x[0]
    if over:
        y = g.add("Sub", y, g.reduce("ReduceMean", y, over, True))
        if param.normalize_variance:
            variance = g.reduce("ReduceMean", g.add("Mul", y, y), over, True)
            y = g.add("Div", y, g.scaled(g.add("Sqrt", variance), 1, param.eps))
    else:
        y = g.scaled(y, 0.0)
    return [y if axes == 4 else g.reshape(y, item.tops[0])]


@converts("Embed")
def _embed(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    y = g.add("Gather", weight(g, item, 0), g.add("Cast", x[0], to=INT64), axis=0)
    return [g.add("Add", y, weight(g, item, 1)) if len(item.layer.blobs) > 1 else y]


# -- element by element -------------------------------------------------------------------------------------


def _plain(kind: str) -> Convert:
    return lambda g, item, x: [g.add(kind, x[0])]


CONVERT.update({kind: _plain(onnx) for kind, onnx in
                {"AbsVal": "Abs", "BNLL": "Softplus", "Sigmoid": "Sigmoid", "TanH": "Tanh"}.items()})  # fmt: skip


@converts("ReLU")
def _relu(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    slope = item.param.relu_param.negative_slope
    return [g.add("LeakyRelu", x[0], alpha=slope) if slope else g.add("Relu", x[0])]


@converts("ELU")
def _elu(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Elu", x[0], alpha=item.param.elu_param.alpha)]


@converts("Clip")
def _clip(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Clip", x[0], g.constant(item.layer.least), g.constant(item.layer.most))]


@converts("Threshold")
def _threshold(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Cast", g.add("Greater", x[0], g.constant(item.layer.threshold)), to=FLOAT)]


@converts("Swish")
def _swish(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Mul", x[0], g.add("Sigmoid", g.scaled(x[0], float(item.layer.beta))))]


@converts("Power")
def _power(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer = item.layer
    y = g.scaled(x[0], layer.scale, layer.shift)
    if layer.power == 1:
        return [y]
    if layer.power == 2:
        return [g.add("Mul", y, y)]
    return [g.add("Pow", y, g.constant(layer.power))]


@converts("Exp")
def _exp(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer = item.layer
    return [g.scaled(g.add("Exp", g.scaled(x[0], float(layer.inner_scale))), float(layer.outer_scale))]


@converts("Log")
def _log(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    layer = item.layer
    return [g.scaled(g.add("Log", g.scaled(x[0], layer.scale, layer.shift)), float(layer.outer_scale))]


@converts("Eltwise")
def _eltwise(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    param = item.param.eltwise_param
    kind = {param.PROD: "Mul", param.SUM: "Add", param.MAX: "Max"}[param.operation]
    coeffs = item.layer.coeffs if kind == "Add" else [1.0] * len(x)
    if kind == "Add" and coeffs == [1.0, -1.0]:
        return [g.add("Sub", *x)]
    values = [g.scaled(value, coeff) for value, coeff in zip(x, coeffs, strict=True)]
    y = values[0]
    for value in values[1:]:
        y = g.add(kind, y, value)
    return [y]


@converts("Softmax")
def _softmax(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Softmax", x[0], axis=item.param.softmax_param.axis % item.bottoms[0].axes)]


@converts("Reduction")
def _reduction(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    param, axes = item.param.reduction_param, item.bottoms[0].axes
    kinds = {param.SUM: "ReduceSum", param.ASUM: "ReduceL1", param.SUMSQ: "ReduceSumSquare", param.MEAN: "ReduceMean"}
    over = list(range(param.axis % axes, axes))
    return [g.scaled(g.reduce(kinds[param.operation], x[0], over, False), param.coeff)]


@converts("ArgMax")
def _argmax(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    param = item.param.argmax_param
    by_axis = param.HasField("axis")
    axis = param.axis % item.bottoms[0].axes if by_axis else 1
    y = x[0] if by_axis else g.add("Flatten", x[0], axis=1)
    if param.top_k == 1 and not param.out_max_val:
        best = g.add("Cast", g.add("ArgMax", y, axis=axis, keepdims=1, select_last_index=1), to=FLOAT)
        return [best if by_axis else g.reshape(best, item.tops[0])]
    # Backwards, because of equal values Caffe takes the last one first, and ONNX the first.
    length = item.bottoms[0].length(axis) if by_axis else prod(item.bottoms[0][slice(1, None)].target)
    backwards = g.reversed(y, axis)
    values, indices = g.add("TopK", backwards, g.ints(param.top_k), outputs=2, axis=axis)
    indices = g.scaled(g.add("Cast", indices, to=FLOAT), -1.0, length - 1)
    if by_axis:
        return [values if param.out_max_val else indices]
    if param.out_max_val:
        indices = g.add("Concat", *(g.add("Unsqueeze", part, g.ints(1)) for part in (indices, values)), axis=1)
    return [g.reshape(indices, item.tops[0])]


# -- shapes -------------------------------------------------------------------------------------------------


@converts("Flatten", "Reshape")
def _reshape(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.reshape(x[0], item.tops[0])]


@converts("Concat")
def _concat(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Concat", *x, axis=item.layer.axis)]


@converts("Slice")
def _slice(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    if len(item.tops) == 1:
        return x
    axis = item.layer.axis
    lengths = [top.length(axis) for top in item.tops]
    return list(g.add("Split", x[0], g.ints(*lengths), outputs=len(lengths), axis=axis))


@converts("Crop")
def _crop(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    axes = [axis for axis, part in enumerate(item.layer.part) if part.start is not None]
    starts = [item.layer.part[axis].start for axis in axes]
    ends = [start + item.tops[0].length(axis) for start, axis in zip(starts, axes, strict=True)]
    return [g.add("Slice", x[0], g.ints(*starts), g.ints(*ends), g.ints(*axes))]


@converts("Tile")
def _tile(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    repeats = [1] * item.bottoms[0].axes
    repeats[item.layer.axis] = item.layer.tiles
    return [g.add("Tile", x[0], g.ints(*repeats))]


@converts("BatchReindex")
def _batch_reindex(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [g.add("Gather", x[0], g.add("Cast", x[1], to=INT64), axis=0)]


@converts("Filter")
def _filter(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    selector = g.reshape(x[-1], item.bottoms[-1][slice(1)])
    kept = g.add("Not", g.add("Equal", selector, g.constant(0.0)))
    return [g.add("Compress", value, kept, axis=0) for value in x[:-1]]


@converts("Dropout")
def _dropout(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return x


@converts("Split")
def _split(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [x[0]] * len(item.tops)


@converts("Silence")
def _silence(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return []


@converts("Parameter")
def _parameter(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    return [weight(g, item, 0)]


@converts("DummyData")
def _dummy_data(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    fillers = list(item.param.dummy_data_param.data_filler)
    if any(filler.type != "constant" for filler in fillers):
        raise item.cannot("random data are no part of a net to run; make an Input of it.")
    values = [filler.value for filler in fillers] or [0.0]
    values *= len(item.tops) if len(values) == 1 else 1
    return [g.constant(np.full(top.at, value)) for top, value in zip(item.tops, values, strict=True)]


# -- sequences ----------------------------------------------------------------------------------------------


@converts("LSTM", "RNN")
def _recurrent(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    """Step by step, because ONNX's own LSTM knows nothing of sequences that begin within one."""
    layer, form = item.layer, item.bottoms[0]
    steps, states = form.length(0), list(x[3 if layer.static else 2 :])
    rows = x[0] if form.axes == 3 else g.reshape(x[0], form[slice(2)] + [item.blob(0).shape[1]])
    z = g.add("Add", g.add("MatMul", rows, weight(g, item, 0, item.blob(0).T)), weight(g, item, 1))
    if layer.static:
        static = item.bottoms[2]
        flat = x[2] if static.axes == 2 else g.reshape(x[2], static[slice(1)] + [item.blob(2).shape[1]])
        z = g.add("Add", z, g.add("MatMul", flat, weight(g, item, 2, item.blob(2).T)))
    cont = g.add("Unsqueeze", x[1], g.ints(2))
    zs, conts = _each(g, z, steps), _each(g, cont, steps)
    matrix = weight(g, item, layer.recurrent, item.blob(layer.recurrent).T)
    hidden: list[str] = []
    before: list[str | None] = list(states) or [None] * len(layer.state_names)
    for z_t, cont_t in zip(zs, conts, strict=True):
        if before[0] is not None:
            z_t = g.add("Add", z_t, g.add("MatMul", g.add("Mul", before[0], cont_t), matrix))  # noqa: PLW2901
        before = _lstm_step(g, z_t, cont_t, before[1]) if item.param.type == "LSTM" else [g.add("Tanh", z_t)]
        hidden.append(str(before[0]))
    y = hidden[0] if steps == 1 else g.add("Concat", *hidden, axis=0)
    if item.param.type == "RNN":
        last = len(layer.blobs) - 1
        y = g.add("MatMul", y, weight(g, item, last - 1, item.blob(last - 1).T))
        y = g.add("Tanh", g.add("Add", y, weight(g, item, last)))
    return [y, *(str(state) for state in before)][: len(item.tops)]


@converts("LSTMUnit")
def _lstm_unit(g: Graph, item: Item, x: Sequence[str]) -> Sequence[str]:
    hidden, cell = _lstm_step(g, x[1], g.add("Unsqueeze", x[2], g.ints(2)), x[0])
    return [str(cell), str(hidden)]


def _each(g: Graph, value: str, steps: int) -> list[str]:
    return [value] if steps == 1 else list(g.add("Split", value, g.ints(*[1] * steps), outputs=steps, axis=0))


def _lstm_step(g: Graph, z: str, cont: str, cell: str | None) -> list[str | None]:
    """The next hidden state and cell; without a cell before, it is 0."""
    units = g.add("Split", z, outputs=4, axis=2, **({"num_outputs": 4} if g.opset >= 18 else {}))
    i, f, o = (g.add("Sigmoid", gate) for gate in units[:3])
    new = g.add("Mul", i, g.add("Tanh", units[3]))
    if cell is not None:
        new = g.add("Add", g.add("Mul", g.add("Mul", f, cont), cell), new)
    return [g.add("Mul", o, g.add("Tanh", new)), new]
