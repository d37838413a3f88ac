"""Planned nets give what plain ones do, at every blob that is still there, and keep to what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.net.plan import InPlace, Joined
from pycaffe_lite.parallel import num_threads, set_num_threads
from pycaffe_lite.phase import TEST, TRAIN
from pycaffe_lite.pycaffe.net import Net as PycaffeNet
from rigs.kernel_choice import PLAIN, using
from rigs.model_zoo import models
from rigs.net_rig import inputs, layer, make_net

FILLERS = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.3 }'
SCALE = 'scale_param { bias_term: true filler { type: "uniform" min: -2 max: 2 } bias_filler { type: "gaussian" } }'
SHIFT = "power_param { shift: 1 }"
X = inputs(x=[2, 4, 9, 8])


def conv(top: str, bottom: str = "x", param: str = "num_output: 6 kernel_size: 3 pad: 1", more: str = "") -> str:
    return layer(f"to_{top}", "Convolution", [bottom], [top], f"convolution_param {{ {param} {FILLERS} }} {more}")


def norm(bottom: str, top: str) -> str:
    return layer(f"norm_{top}", "BatchNorm", [bottom], [top]) + layer(f"scale_{top}", "Scale", [top], [top], SCALE)


def relu(bottom: str, top: str = "", param: str = "") -> str:
    return layer(f"relu_{top or bottom}", "ReLU", [bottom], [top or bottom], param)


def joined(*kinds: str) -> list[str]:
    return ["Convolution", *kinds]


BN = ["BatchNorm", "Scale"]
# What stands behind the input, the types of the layers that run as one, and the blobs that do not come into being.
CAT = layer("cat", "Concat", ["a", "b", "x"], ["c"])

NETS: dict[str, tuple[str, list[list[str]], set[str]]] = {
    "relu in place": (conv("a") + relu("a"), [joined("ReLU")], set()),
    "relu apart": (conv("a") + relu("a", "b"), [joined("ReLU")], {"a"}),
    "leaky relu": (conv("a") + relu("a", param="relu_param { negative_slope: 0.1 }"), [joined()], set()),
    "norm in place": (conv("a") + norm("a", "a") + relu("a"), [joined(*BN, "ReLU")], set()),
    "norm apart": (conv("a") + norm("a", "b") + relu("b", "c"), [joined(*BN, "ReLU")], {"a", "b"}),
    "scale alone": (conv("a") + layer("s", "Scale", ["a"], ["a"], "scale_param { filler { value: 3 } }"), [], set()),
    "norm behind relu": (conv("a") + relu("a") + norm("a", "b"), [joined("ReLU")], set()),
    "norm of the batch": (
        conv("a") + layer("n", "BatchNorm", ["a"], ["a"], "batch_norm_param { use_global_stats: false }") + relu("a"),
        [joined()],
        set(),
    ),
    "scale of another axis": (
        conv("a") + layer("s", "Scale", ["a"], ["a"], "scale_param { axis: 0 num_axes: 1 }"), [joined()], set(),
    ),
    "scale by a blob": (
        layer("pool", "Pooling", ["x"], ["s"], "pooling_param { pool: AVE global_pooling: true }")
        + layer("flat", "Flatten", ["s"], ["f"])
        + conv("a", param="num_output: 4 kernel_size: 1")
        + layer("scale", "Scale", ["a", "f"], ["b"], "scale_param { axis: 0 }"),
        [joined()],
        set(),
    ),
    "read twice": (conv("a") + relu("a", "b") + conv("c", "a") + relu("c"), [joined(), joined("ReLU")], set()),
    "read before and after": (
        conv("a") + layer("p", "Power", ["a"], ["b"], "power_param { shift: 1 }") + layer("e", "Exp", ["b"], ["c"]),
        [joined()],
        set(),
    ),
    "dropout": (
        conv("a") + relu("a") + layer("d", "Dropout", ["a"], ["a"]) + layer("e", "Dropout", ["a"], ["b"]),
        [joined("ReLU", "Dropout", "Dropout")],
        {"a"},
    ),
    "sum with what was before": (
        conv("a", param="num_output: 4 kernel_size: 3 pad: 1")
        + norm("a", "a")
        + layer("sum", "Eltwise", ["x", "a"], ["b"])
        + relu("b"),
        [joined(*BN, "Eltwise", "ReLU")],
        {"a"},
    ),
    "sum of two": (
        conv("a") + conv("b", param="num_output: 6 kernel_size: 1") + layer("sum", "Eltwise", ["a", "b"], ["c"]),
        [joined(), joined("Eltwise")],
        {"b"},
    ),
    "sum with what comes between": (
        conv("a") + layer("p", "Power", ["x"], ["p"], "power_param { scale: 2 }") + conv("q", "p")
        + layer("sum", "Eltwise", ["a", "q"], ["c"]),
        [joined(), joined("Eltwise")],
        {"q"},
    ),
    "sum of later ones": (
        conv("a") + layer("p", "Power", ["a"], ["p"], "power_param { scale: 2 }")
        + layer("sum", "Eltwise", ["a", "p"], ["c"]),
        [joined()],
        set(),
    ),
    "weighed sum": (
        conv("a") + conv("b") + layer("sum", "Eltwise", ["a", "b"], ["c"], "eltwise_param { coeff: 1 coeff: -1 }"),
        [joined(), joined()],
        set(),
    ),
    "product": (
        conv("a") + conv("b") + layer("mul", "Eltwise", ["a", "b"], ["c"], "eltwise_param { operation: PROD }"),
        [joined(), joined()],
        set(),
    ),
    "sum with itself": (conv("a") + layer("sum", "Eltwise", ["a", "a"], ["c"]), [joined()], set()),
    "concat": (
        conv("a") + relu("a") + conv("b", param="num_output: 3 kernel_size: 1")
        + CAT
        + conv("d", "c", "num_output: 5 kernel_size: 3 stride: 2"),
        [joined("ReLU"), joined(), joined()],
        set(),
    ),
    "concat of rows": (
        conv("a") + conv("b") + layer("cat", "Concat", ["a", "b"], ["c"], "concat_param { axis: 2 }"),
        [joined(), joined()],
        set(),
    ),
    "concat twice": (
        conv("a") + conv("b") + layer("cat", "Concat", ["a", "b"], ["c"]) + layer("cut", "Concat", ["b", "a"], ["d"]),
        [joined(), joined()],
        set(),
    ),
    "concat that is worked on in place": (
        conv("a") + conv("b") + layer("cat", "Concat", ["a", "b"], ["c"]) + layer("p", "Power", ["c"], ["c"], SHIFT)
        + conv("d", "a"),
        [joined(), joined(), joined()],
        set(),
    ),
    "groups": (conv("a", param="num_output: 6 kernel_size: 3 group: 2") + relu("a"), [joined("ReLU")], set()),
    "depthwise": (
        conv("a", param="num_output: 4 kernel_size: 3 group: 4 pad: 1 stride: 2") + norm("a", "a") + relu("a"),
        [joined(*BN, "ReLU")],
        set(),
    ),
    "depthwise twice as wide": (
        conv("a", param="num_output: 8 kernel_size: 3 group: 4 dilation: 2 pad: 2") + relu("a"),
        [joined("ReLU")],
        set(),
    ),
    "no bias": (
        conv("a", param="num_output: 4 kernel_size: 3 bias_term: false") + norm("a", "a"), [joined(*BN)], set(),
    ),
    "many channels": (
        conv("a", param="num_output: 160 kernel_size: 3 stride: 2")
        + conv("b", "a", "num_output: 300 kernel_size: 3") + relu("b")
        + conv("c", "b", "num_output: 40 kernel_size: 1"),
        [joined(), joined("ReLU"), joined()],
        set(),
    ),
    "shared weights": (
        conv("a", more='param { name: "w" } param { name: "b" }') + norm("a", "a")
        + conv("b", "x", more='param { name: "w" } param { name: "b" }'),
        [joined(*BN), joined()],
        set(),
    ),
    "two bottoms": (
        layer("c", "Convolution", ["x", "x"], ["a", "b"], "convolution_param { num_output: 2 kernel_size: 3 }"),
        [],
        set(),
    ),
    "one axis": (
        layer("r", "Reshape", ["x"], ["r"], "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }")
        + conv("a", "r", "num_output: 3 kernel_size: 3") + relu("a"),
        [],
        set(),
    ),
    "by groups of axes": (conv("a", param="num_output: 6 kernel_size: 1 axis: 2"), [], set()),
}  # fmt: skip
NETS["scale alone"] = (NETS["scale alone"][0], [joined("Scale")], set())


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = num_threads()
    yield
    set_num_threads(before)


def seeded(text: str) -> Net:
    """The TEST net, with statistics, and values in its input."""
    rng.set_random_seed(7)
    net, generator = make_net(text, TEST), np.random.default_rng(3)
    for node in net.nodes:
        if node.layer.layer_param.type == "BatchNorm":
            mean, variance, weight = (blob.data for blob in node.layer.blobs)
            mean[...], variance[...] = generator.normal(size=mean.shape), generator.uniform(0.5, 2, mean.shape)
            weight[...] = 1.5
    for name in net.inputs:
        net.blobs[name].data[...] = generator.normal(size=net.blobs[name].shape)
    return net


def values(net: Net, passes: int = 1) -> dict[str, np.ndarray]:
    for _ in range(passes):
        net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def agree(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], 1e-5, 1e-5 * np.abs(theirs[name]).max(), err_msg=name)


@pytest.mark.parametrize("kernels", [None, PLAIN], ids=["numpy", "loops"])
@pytest.mark.parametrize("name", NETS)
def test_planned_net_gives_the_same(name: str, kernels: object) -> None:
    text, steps, gone = NETS[name]
    with using(kernels):
        expected = values(seeded(X + text))
        net = seeded(X + text)
        net.plan()
        assert [[n.layer.layer_param.type for n in s.nodes] for s in net._plan.steps if isinstance(s, Joined)] == steps
        assert set(expected) - set(net.blobs) == gone
        for passes in (1, 2):
            agree(values(net, passes), expected)


@pytest.mark.parametrize("name", ["googlenet", "resnet50", "mobilenet", "squeezenet"])
def test_known_nets(name: str) -> None:
    param = models.deploy(getattr(models, name)(size=64, classes=10, width=0.25), 2)
    nets = []
    for _ in range(2):
        rng.set_random_seed(1)
        net = Net(param, TEST)
        for node in net.nodes:
            if node.layer.layer_param.type == "BatchNorm":
                for blob, value in zip(node.layer.blobs, (0.1, 2, 1), strict=True):
                    blob.data[...] = value
        net.blobs["data"].data[...] = np.random.default_rng(2).normal(size=net.blobs["data"].shape)
        nets.append(net)
    plain, planned = nets
    planned.plan()
    agree(values(planned, 2), values(plain))
    assert len(planned._plan.steps) < 0.8 * len(plain.nodes)
    results = []
    for threads in (1, 2, 8):
        set_num_threads(threads)
        results.append(values(planned))
    for other in results[1:]:
        for blob, array in results[0].items():
            np.testing.assert_array_equal(array, other[blob], err_msg=blob)


def test_concat_is_written_by_its_bottoms() -> None:
    net = seeded(X + NETS["concat"][0])
    net.plan()
    net.forward()
    top = net.blobs["c"].data
    assert [np.may_share_memory(net.blobs[name].data, top) for name in "abx"] == [True, True, False]
    assert any(isinstance(step, InPlace) for step in net._plan.steps)


def test_kept_blobs_are_there() -> None:
    text = X + NETS["norm apart"][0]
    expected, net = values(seeded(text)), seeded(text)
    net.plan(keep=["b"])
    assert set(net.blobs) == {"x", "b", "c"}
    agree(values(net), expected)
    with pytest.raises(CaffeError, match=r'^Net "" is planned without blob "a"; name it in plan\(keep=\[…\]\)\.$'):
        net.forward(["a"])
    with pytest.raises(CaffeError, match='has no blob "q"'):
        net.plan(keep=["q"])


def test_a_dropout_behind_a_concat_leaves_it_in_place() -> None:
    dropout = layer("d", "Dropout", ["c"], ["c"])
    net, plain = (seeded(X + NETS["concat"][0].replace(CAT, CAT + dropout)) for _ in range(2))
    net.plan()
    for _ in range(2):
        agree(values(net), values(plain))
    assert np.may_share_memory(net.blobs["a"].data, net.blobs["c"].data)


def test_other_shapes() -> None:
    text = X + NETS["concat"][0]
    net, plain = seeded(text), seeded(text)
    net.plan()
    for shape in ((2, 4, 9, 8), (1, 4, 20, 8), (3, 4, 5, 5), (2, 4, 9, 8)):
        data = np.random.default_rng(sum(shape)).normal(size=shape)
        for each in (net, plain):
            each.blobs["x"].reshape(*shape)
            each.blobs["x"].data[...] = data
        for _ in range(2):
            agree(values(net), values(plain))


def test_weights_cannot_be_written_until_it_is_unplanned() -> None:
    text = X + NETS["norm in place"][0]
    net, plain = seeded(text), seeded(text)
    net.plan()
    with pytest.raises(ValueError, match="read-only"):
        net.params["to_a"][0].data[...] = 1
    net.unplan()
    for each in (net, plain):
        each.params["to_a"][0].data[...] = 1
    net.plan()
    agree(values(net), values(plain))


def test_parameters_with_other_arrays_are_folded_anew() -> None:
    text = X + NETS["norm in place"][0]
    net, plain = seeded(text), seeded(text)
    net.plan()
    net.forward()
    net.flatten()  # moves them
    for each in (net, plain):
        blob = each.params["to_a"][1]
        blob.data = blob.data + 2
    agree(values(net), values(plain))
    with pytest.raises(ValueError, match="read-only"):
        net.params["to_a"][1].data[...] = 1


def test_one_plan_of_two_over_the_same_weights_goes() -> None:
    text = X + NETS["norm in place"][0]
    first, second = seeded(text), seeded(text)
    second.share_trained_layers_with(first)
    first.plan()
    second.plan()
    second.unplan()
    with pytest.raises(ValueError, match="read-only"):
        first.params["to_a"][1].data[...] += 1


def test_caffes_nets_see_new_parameters() -> None:
    """Whoever asks caffe.Net for a parameter's array gets one that may be written to, so the plan is made anew."""
    text = X + NETS["norm in place"][0]
    net, plain = (PycaffeNet.of(seeded(text), None) for _ in range(2))
    net.inner.plan()
    for _ in range(2):
        for each in (net, plain):
            each.params["to_a"][1].data[...] += 3
            each.forward()
        agree({"a": net.blobs["a"].data}, {"a": plain.blobs["a"].data})


def test_weights_from_a_file(tmp_path: Path) -> None:
    text = X + NETS["norm apart"][0]
    other, net = seeded(text), seeded(text)
    other.params["to_a"][0].data[...] += 1
    other.save(str(tmp_path / "w.caffemodel"))
    net.plan(keep=["a"])
    before = values(net)
    net.copy_from(str(tmp_path / "w.caffemodel"))
    after = values(net)
    agree(after, values(other))
    assert not np.allclose(before["a"], after["a"])
    with pytest.raises(CaffeError):
        net.copy_from(str(tmp_path / "none.caffemodel"))
    agree(values(net), after)


@pytest.mark.parametrize("name", ["norm apart", "concat", "concat twice"])
def test_unplan_brings_everything_back(name: str) -> None:
    text = X + NETS[name][0]
    expected, net = values(seeded(text)), seeded(text)
    net.plan()
    values(net, 2)
    net.unplan()
    tops = [net.blobs[top].data for top in "abcd" if top in net.blobs]
    assert not any(np.may_share_memory(a, b) for i, a in enumerate(tops) for b in tops[:i])
    for blob, array in values(net).items():
        np.testing.assert_array_equal(array, expected[blob])
    assert set(net.blobs) == set(expected)


def test_parts_of_a_pass_and_callbacks_see_every_layer() -> None:
    text = X + NETS["norm in place"][0]
    net, plain = seeded(text), seeded(text)
    net.plan()
    np.testing.assert_array_equal(net.forward(end="norm_a")["a"], plain.forward(end="norm_a")["a"])
    called: list[int] = []
    net.callbacks["after_forward"] = [called.append]
    net.forward()
    assert called == list(range(len(net.nodes)))


def test_no_way_back() -> None:
    net = seeded(X + conv("a"))
    net.plan()
    net.forward()
    with pytest.raises(CaffeError, match=r"is planned, so it only runs forward; call unplan\(\) before"):
        net.backward()
    with pytest.raises(CaffeError, match="expected a net of phase TEST to plan, got TRAIN"):
        make_net(X + conv("a"), TRAIN).plan()


def test_not_a_number_stays_one() -> None:
    net = seeded(X + NETS["norm in place"][0])
    net.plan()
    net.blobs["x"].data[0, 0, 4, 4] = np.nan
    net.forward()
    assert np.isnan(net.blobs["a"].data[0, :, 4, 4]).all()
    assert np.isfinite(net.blobs["a"].data[1]).all()
