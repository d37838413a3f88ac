"""The compiled loops, the same loops as plain Python, and NumPy's kernels: all three give the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from pycaffe_lite.blob import Blob
from pycaffe_lite.kernels import loops
from pycaffe_lite.kernels.boxes import Suppression, areas, suppress
from pycaffe_lite.kernels.channels import Channels
from pycaffe_lite.kernels.convolution import WindowProduct
from pycaffe_lite.kernels.depthwise import DepthwiseProduct
from pycaffe_lite.kernels.elementwise import flat
from pycaffe_lite.kernels.fused import finish
from pycaffe_lite.kernels.normalization import derive, mean_and_variance, normalize_and_scale, rectify_and_sum
from pycaffe_lite.kernels.pooling import AveragePooling, MaxPooling
from pycaffe_lite.kernels.windows import Window
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.solvers.adadelta import AdaDeltaSolver
from pycaffe_lite.solvers.adagrad import AdaGradSolver
from pycaffe_lite.solvers.adam import AdamSolver
from pycaffe_lite.solvers.nesterov import NesterovSolver
from pycaffe_lite.solvers.rmsprop import RMSPropSolver
from pycaffe_lite.solvers.sgd import Piece, SGDSolver
from rigs.kernel_choice import DTYPES, PLAIN, compiled, using

pytest.importorskip("numba")

EXAMPLES = settings(deadline=None, max_examples=60)
SPECIAL = [np.nan, np.inf, -np.inf]
Values = dict[str, np.ndarray]


def all_three(compute: Callable[[], Values], dtype: np.dtype, exact: bool = False) -> None:
    """Checks that NumPy, the plain loops and the compiled ones agree; the last two to the bit."""
    results = []
    for kernels in (None, PLAIN, compiled(dtype)):
        with using(kernels):
            results.append(compute())
    by_numpy, plain, fast = results
    tolerance = 0 if exact else 200 * np.finfo(dtype).eps
    for name, value in fast.items():
        np.testing.assert_array_equal(value, plain[name], err_msg=f"{name}, plain and compiled")
        np.testing.assert_allclose(value, by_numpy[name], tolerance, 10 * tolerance, err_msg=f"{name}, NumPy's")


@st.composite
def geometries(draw: st.DrawFn, dilated: bool) -> tuple[Window, tuple[int, int]]:
    """A window of two axes, and the sizes of an image into which it fits."""
    two = st.tuples
    kernel = draw(two(*[st.integers(1, 4)] * 2))
    stride = draw(two(*[st.integers(1, 3)] * 2))
    pad = draw(two(*(st.integers(0, k - 1) for k in kernel)))
    dilation = draw(two(*[st.integers(1, 3)] * 2)) if dilated else (1, 1)
    window = Window(kernel, stride, pad, dilation)
    sizes = [max(1, extent - 2 * p) + draw(st.integers(0, 6)) for extent, p in zip(window.extent, pad, strict=True)]
    return window, (sizes[0], sizes[1])


def numbers(draw: st.DrawFn, shape: tuple[int, ...], dtype: np.dtype, special: bool = False) -> np.ndarray:
    """Small whole numbers, with many equal ones; with some that are not finite, if wanted."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = rng.integers(-4, 5, shape).astype(dtype)
    if special:
        where = rng.random(shape) < 0.3
        values[where] = rng.choice(SPECIAL, int(where.sum()))
    return values


@pytest.mark.parametrize("method", [MaxPooling, AveragePooling])
@EXAMPLES
@given(st.data(), st.booleans(), st.sampled_from(DTYPES), st.integers(0, 2), st.booleans())
def test_pooling(
    method: type, data: st.DataObject, channels_last: bool, dtype: np.dtype, batch: int, special: bool
) -> None:
    window, sizes = data.draw(geometries(dilated=False))
    channels = data.draw(st.sampled_from([1, 3, 17]))
    planes, run = (1, channels) if channels_last else (channels, 1)
    count = window.output(sizes)
    image = numbers(data.draw, (batch, planes, *sizes, run), dtype, special)
    diff = numbers(data.draw, (batch, planes, *count, run), dtype)

    def compute() -> Values:
        pooling = method(window, sizes, count, dtype)
        out, image_diff = np.full(diff.shape, 9, dtype), np.full(image.shape, 9, dtype)
        pooling.prepare(out)
        pooling.forward(image, out, slice(0, batch))
        if batch:  # the layer does not ask for the rest
            pooling.prepare_backward(image.shape)
            pooling.backward(image, image_diff, out, diff, slice(0, batch))
        return {"out": out, "diff": image_diff}

    all_three(compute, dtype, exact=method is MaxPooling)


def test_max_pooling_of_windows_with_too_many_taps_for_a_byte() -> None:
    """The winners of such windows have no place in a byte; NumPy finds them again."""
    window, sizes = Window((16, 16), (1, 1), (0, 0), (1, 1)), (20, 17)
    count = window.output(sizes)
    rng = np.random.default_rng(0)
    image, diff = rng.normal(size=(2, 1, *sizes, 3)), rng.normal(size=(2, 1, *count, 3))

    def compute() -> Values:
        pooling = MaxPooling(window, sizes, count, image.dtype)
        out, image_diff = np.empty_like(diff), np.empty_like(image)
        pooling.prepare(out)
        pooling.forward(image, out, slice(0, 2))
        pooling.prepare_backward(image.shape)
        pooling.backward(image, image_diff, out, diff, slice(0, 2))
        return {"out": out, "diff": image_diff}

    all_three(compute, image.dtype, exact=True)
    assert np.isclose(compute()["diff"].sum(), diff.sum())


@pytest.mark.parametrize("depthwise", [True, False])
@EXAMPLES
@given(st.data(), st.sampled_from(DTYPES), st.integers(0, 2), st.booleans())
def test_convolution(depthwise: bool, data: st.DataObject, dtype: np.dtype, batch: int, special: bool) -> None:
    window, sizes = data.draw(geometries(dilated=True))
    if depthwise and any(s > 1 and d > 1 for s, d in zip(window.stride, window.dilation, strict=True)):
        window = Window(window.kernel, window.stride, window.pad, (1, 1))
        sizes = (sizes[0] + 3, sizes[1] + 3)
    channels, group = (data.draw(st.sampled_from([2, 5, 16])),) * 2 if depthwise else data.draw(
        st.sampled_from([(16, 1), (17, 1), (32, 2)])
    )  # fmt: skip
    maps_shape = (batch, *window.output(sizes), channels)
    special &= not depthwise  # NumPy's derivative with a stride multiplies inserted zeros, so nan reaches neighbours
    image, diff = (numbers(data.draw, shape, dtype, special) for shape in ((batch, *sizes, channels), maps_shape))

    def compute() -> Values:
        if depthwise:
            product = DepthwiseProduct(window, image.shape, maps_shape, dtype)
        else:
            product = WindowProduct(window, image.shape, maps_shape, dtype, group)
        weight = np.resize(np.arange(-3, 4), product.weight_shape).astype(dtype)
        maps, image_diff = np.full(maps_shape, 9, dtype), np.full(image.shape, 9, dtype)
        weight_diff = np.ones(product.weight_shape, dtype)
        product.gather(image, weight, maps)
        product.scatter(diff, weight, image_diff)
        product.add_gradients(image, diff, diff, weight_diff, None)
        return {"maps": maps, "image diff": image_diff, "weight diff": weight_diff}

    all_three(compute, dtype)


@EXAMPLES
@given(
    st.data(),
    st.sampled_from(DTYPES),
    st.sampled_from([(0, 3, 2, 2), (2, 5, 3, 4), (3, 17, 1, 2), (4, 2, 9, 12), (5, 7)]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_normalization(
    data: st.DataObject, dtype: np.dtype, shape: tuple[int, ...], last: bool, rectify: bool, with_bias: bool
) -> None:
    order = (0, 2, 3, 1) if last and len(shape) == 4 else None
    x, y, dy = (Blob(shape, order, dtype) for _ in range(3))
    for blob in (x, dy):
        blob.data[...] = numbers(data.draw, shape, dtype)
    vectors = [numbers(data.draw, (shape[1],), np.dtype(np.float64)) for _ in range(4 if with_bias else 3)]

    def compute() -> Values:
        channels = Channels(x, 1, 2)
        normal, diff, dx = np.empty_like(x.data), dy.data.copy(order="K"), np.empty_like(x.data)
        mean, variance = mean_and_variance(channels, x.data)
        normalize_and_scale(channels, x.data, normal, y.data, vectors, rectify)
        out = y.data.copy()
        sums = rectify_and_sum(channels, y.data, normal, diff)
        derive(channels, diff, normal, dx, vectors[:3])
        return {"mean": mean, "variance": variance, "normal": normal, "y": out, "sums": sums, "diff": diff, "dx": dx}

    all_three(compute, dtype)


def test_rectifying_keeps_what_is_not_a_number_and_what_is_not_finite() -> None:
    x = Blob((1, 3, 1, 1), (0, 2, 3, 1), np.float32)
    x.data[...] = np.array(SPECIAL).reshape(1, 3, 1, 1)

    def compute() -> Values:
        normal, y = np.empty_like(x.data), np.empty_like(x.data)
        vectors = [np.zeros(3), np.ones(3), np.ones(3), np.zeros(3)]
        normalize_and_scale(Channels(x, 1, 2), x.data, normal, y, vectors, True)
        return {"y": y, "normal": normal}

    all_three(compute, x.dtype, exact=True)
    np.testing.assert_array_equal(compute()["y"].ravel(), [np.nan, np.inf, 0])


@EXAMPLES
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from([(0, 4), (1, 1), (3, 5), (7, 33)]), st.integers(0, 3))
def test_lrn(data: st.DataObject, dtype: np.dtype, shape: tuple[int, int], half: int) -> None:
    x, dy = (numbers(data.draw, shape, dtype) for _ in range(2))
    results = []
    for kernels in (PLAIN, compiled(dtype)):
        base, y, dx = (np.empty_like(x) for _ in range(3))
        kernels.lrn_forward(x, base, y, half, 0.2, 1.5)
        kernels.lrn_backward(x, base, dy, dx, half, -0.3)
        results.append((base, y, dx))
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(plain, fast, 20 * np.finfo(dtype).eps, 1e-7)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (half, half)))
    scale = 1.5 + 0.2 * sum(squares[:, d : d + shape[1]] for d in range(2 * half + 1))
    np.testing.assert_allclose(y, x / scale**0.75, 1e-5, 1e-6)
    terms = np.pad(dy * x / scale**1.75, ((0, 0), (half, half)))
    total = sum(terms[:, d : d + shape[1]] for d in range(2 * half + 1))
    np.testing.assert_allclose(dx, dy / scale**0.75 - 0.3 * x * total, 1e-4, 1e-5)


@EXAMPLES
@given(st.data(), st.sampled_from(DTYPES), st.integers(0, 40))
def test_relu_backward(data: st.DataObject, dtype: np.dtype, size: int) -> None:
    x, dy = (numbers(data.draw, (size,), dtype, special=True) for _ in range(2))
    with np.errstate(all="ignore"):
        expected = dy * (x > 0)
        for kernels in (PLAIN, compiled(dtype)):
            dx = np.empty_like(x)
            kernels.relu_backward(x, dy, dx)
            np.testing.assert_array_equal(dx, expected)


def test_flat_needs_one_order_of_memory_that_is_filled() -> None:
    last = np.zeros((2, 3, 4, 5)).transpose(0, 3, 1, 2)
    vectors = flat(last, np.ones_like(last))
    assert vectors is not None
    vectors[0][...] = 7
    assert (last == 7).all()
    assert flat(last, np.ones(last.shape)) is None
    assert flat(last[:, ::2]) is None


RULES = {"SGD": "momentum: 0.9", "Nesterov": "momentum: 0.9", "AdaGrad": "", "RMSProp": "rms_decay: 0.98",
         "AdaDelta": "momentum: 0.95 delta: 1e-6", "Adam": "momentum: 0.9 momentum2: 0.999"}  # fmt: skip


CLASSES = {
    rule.type: rule for rule in (SGDSolver, NesterovSolver, AdaGradSolver, RMSPropSolver, AdaDeltaSolver, AdamSolver)
}


def solver_of(rule: str, values: str, iter_size: int = 2) -> SGDSolver:
    """A solver of that rule, of which only the update is to be used."""
    param = text_format.Parse(
        f'type: "{rule}" {values} base_lr: 0.1 lr_policy: "fixed" weight_decay: 0.01 iter_size: {iter_size}',
        SolverParameter(),
    )
    solver = object.__new__(CLASSES[rule])
    solver.param, solver.iter = param, 3
    return solver


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "special"), [(0, False), (1, False), (1000, False), (50, True)])
@np.errstate(all="ignore")
def test_updates(rule: str, dtype: np.dtype, size: int, special: bool) -> None:
    """The stages one by one, the plain loop and the compiled one: the same to the bit, whatever the values."""
    solver, rng = solver_of(rule, RULES[rule]), np.random.default_rng(1)
    given = [rng.normal(size=size).astype(dtype) for _ in range(2)]
    given += [rng.random(size).astype(dtype) for _ in range(solver.num_histories)]
    if special:
        given[1][::3] = rng.choice(SPECIAL, len(given[1][::3]))
    results = []
    for kernels in (None, PLAIN, compiled(dtype)):
        data, diff, *history = (array.copy() for array in given)
        piece = Piece(data, diff, tuple(history), 2.0, 0.5)
        if kernels is None:
            solver.normalize(piece)
            solver.regularize(piece)
            solver.compute_update_value(piece, 0.1)
            np.subtract(data, diff, out=data)
        else:
            solver.update_at_once(getattr(kernels, rule.lower()), piece, 0.1)
        results.append((data, diff, *history))
    for by_numpy, plain, fast in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, by_numpy)
        np.testing.assert_array_equal(fast, by_numpy)
    assert not size or not np.array_equal(results[0][0], given[0])


def test_every_loop_is_compiled() -> None:
    names = {loop.name for loop in loops.LOOPS}
    assert names <= set(vars(compiled(np.dtype(np.float32))))


@EXAMPLES
@given(st.data(), st.sampled_from(DTYPES), st.booleans(), st.booleans())
def test_finish(data: st.DataObject, dtype: np.dtype, add: bool, rectify: bool) -> None:
    """Rows that lie side by side and rows that are parts of longer ones."""
    count, channels, rest = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 40)), data.draw(st.integers(0, 9))
    memory = numbers(data.draw, (count, channels + rest), dtype, special=True)
    bias = numbers(data.draw, (channels,), dtype)
    other = numbers(data.draw, (count, channels + rest), dtype)[:, rest:] if add else None

    def compute() -> Values:
        copy = memory.copy()
        finish(copy[:, :channels], bias, other, rectify)
        return {"memory": copy}

    all_three(compute, dtype, exact=True)


def survivors(boxes: np.ndarray, threshold: float, eta: float, most: int, ends: float) -> list[int]:
    """Suppression in plain words; of what has a corner that is not a number, or no area, nothing overlaps more."""
    kind, area, kept = boxes.dtype.type, areas(boxes, ends), []
    limit = kind(threshold)
    for i, box in enumerate(boxes):
        if len(kept) == most:
            break
        for k in kept:
            sides = np.minimum(box[2:], boxes[k, 2:]) - np.maximum(box[:2], boxes[k, :2]) + kind(ends)
            shared = np.prod(np.maximum(sides, 0))
            if shared / (area[i] + area[k] - shared) > limit:
                break
        else:
            kept.append(i)
            if limit > 0.5:
                limit *= kind(eta)
    return kept


@EXAMPLES
@given(
    st.data(),
    st.sampled_from(DTYPES),
    st.sampled_from([0, 1, 2, 40, 150]),
    st.sampled_from([0, 0.25, 0.3, 0.5, 0.7, 1]),
    st.sampled_from([1, 0.95, 0.5]),
    st.sampled_from([-1, 0, 1, 7, 130]),
    st.sampled_from([0, 1]),
)
def test_suppression(
    data: st.DataObject, dtype: np.dtype, count: int, threshold: float, eta: float, most: int, ends: int
) -> None:
    """Equal boxes, equal overlaps, boxes without an area or the wrong way round, and corners that are no numbers."""
    boxes = numbers(data.draw, (count, 4), dtype) / dtype.type(data.draw(st.sampled_from([1, 3])))
    straight = np.random.default_rng(count).random(count) < 0.8
    boxes[straight] = np.concatenate([np.minimum(*corners(boxes)), np.maximum(*corners(boxes))], axis=1)[straight]
    if data.draw(st.booleans()):
        boxes[::5, data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(SPECIAL))
    pieces = data.draw(st.lists(st.integers(0, 60), max_size=4))

    def compute() -> Values:
        suppression = Suppression(boxes, threshold, eta, ends)
        for piece in [*pieces, count]:
            suppression.go_on(piece)
        return {"kept": suppress(boxes, threshold, eta, most, ends), "in pieces": suppression.kept}

    all_three(compute, dtype, exact=True)
    with np.errstate(all="ignore"):
        expected = [survivors(boxes, threshold, eta, stay, ends) for stay in (most, -1)]
        assert [value.tolist() for value in compute().values()] == expected


def corners(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes[:, :2], boxes[:, 2:]
