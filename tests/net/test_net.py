"""Net: wiring, running, shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, ShapeError
from pycaffe_lite.net import Net
from pycaffe_lite.phase import TEST, TRAIN
from rigs.idx_files import write_idx
from rigs.net_rig import (
    data_threads,
    fill,
    inner_product,
    inputs,
    layer,
    logged,
    make_net,
    messages,
    net_param,
    softmax_loss,
)

CLASSIFIER = (
    inputs(data=[4, 3], label=[4])
    + inner_product("fc1", "data", 5)
    + layer("relu", "ReLU", ["fc1"], ["fc1"])
    + inner_product("fc2", "fc1", 3)
    + layer("accuracy", "Accuracy", ["fc2", "label"], ["accuracy"], "include { phase: TEST }")
    + softmax_loss("fc2")
)
CONVOLUTIONS = (
    inputs(data=[3, 2, 6, 6], label=[3])
    + layer(
        "conv", "Convolution", ["data"], ["conv"],
        'convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }',
    )
    + layer("pool", "Pooling", ["conv"], ["pool"], "pooling_param { kernel_size: 2 stride: 2 }")
    + inner_product("fc", "pool", 3)
    + softmax_loss("fc")
)  # fmt: skip


def filled(text: str, generator: np.random.Generator, phase: int = TRAIN, **options: object) -> Net:
    net = make_net(text, phase, **options)
    fill(net, generator, label=3)
    return net


# -- wiring ------------------------------------------------------------------------------------------------


def test_blobs_layers_and_parameters_by_name() -> None:
    net = make_net('name: "small"' + CLASSIFIER)
    assert net.name == "small"
    assert net.layer_names == ["in", "fc1", "relu", "fc2", "loss"]
    assert list(net.blobs) == ["data", "label", "fc1", "fc2", "loss"]
    assert {name: [blob.shape for blob in blobs] for name, blobs in net.params.items()} == {
        "fc1": [(5, 3), (5,)],
        "fc2": [(3, 5), (3,)],
    }
    assert net.layer_dict["relu"] is net.layers[2]
    assert net.inputs == ["data", "label"]
    assert (net.phase, make_net(CLASSIFIER, TEST).phase) == (TRAIN, TEST)


def test_outputs_are_in_alphabetical_order() -> None:
    text = inputs(x=[2, 3]) + "".join(inner_product(name, "x", 2) for name in ("zeta", "beta", "alpha"))
    assert make_net(text).outputs == ["alpha", "beta", "zeta"]
    assert make_net(CLASSIFIER, TEST).outputs == ["accuracy", "loss"]
    assert list(make_net(CLASSIFIER, TEST).forward()) == ["accuracy", "loss"]


def test_in_place_layers_share_one_blob() -> None:
    net = make_net(CLASSIFIER)
    assert net.nodes[2].bottoms[0] is net.nodes[2].tops[0] is net.blobs["fc1"]
    net.blobs["data"].data[...] = [[-1, 0, 1]] * 4
    net.forward()
    assert net.blobs["fc1"].data.min() == 0


def test_in_place_needs_the_same_size() -> None:
    pooling = layer("pool", "Pooling", ["x"], ["x"], "pooling_param { kernel_size: 2 stride: 2 }")
    with pytest.raises(CaffeError, match=r'size of its bottom "x", of shape \[1, 1, 4, 4\].* got \[1, 1, 2, 2\]'):
        make_net(inputs(x=[1, 1, 4, 4]) + pooling)


def test_in_place_needs_the_same_name_at_the_same_place() -> None:
    text = inputs(x=[2], y=[2]) + layer("split", "Split", ["x"], ["a", "x"])
    with pytest.raises(CaffeError, match=r'layer "split" \(Split\): expected a new name for top 1, but "x"'):
        make_net(text)


def test_a_loss_makes_up_its_top(generator: np.random.Generator) -> None:
    text = CLASSIFIER.replace('top: "loss"', "")
    net = filled(text, generator)
    assert (len(net.nodes[-1].tops), net.nodes[-1].top_names, net.outputs) == (1, [], [])
    assert net.forward_loss() == pytest.approx(float(net.nodes[-1].tops[0].data))


def test_only_losses_make_up_tops() -> None:
    with pytest.raises(CaffeError, match=r'layer "r" \(ReLU\): expected 1 top blob\(s\), got 0'):
        make_net(inputs(x=[1]) + layer("r", "ReLU", ["x"]))


def test_a_layer_takes_the_phase_of_the_net_unless_it_gives_one() -> None:
    text = inputs(x=[4]) + "".join(
        layer(name, "Dropout", ["x"], [name], phase) for name, phase in (("a", ""), ("b", "phase: TEST"))
    )
    assert [made.phase for made in make_net(text, TRAIN).layers if made.type == "Dropout"] == [TRAIN, TEST]


def test_a_net_without_layers() -> None:
    net = make_net('name: "empty"')
    assert (net.layers, net.outputs, net.forward(), net.forward_backward()) == ([], [], {}, 0)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("propagate_down: true propagate_down: false", r"one for each of its 1 bottom\(s\), got 2"),
        ("param { } param { } param { }", r"expected param \{ … \} at most 2 time\(s\), once a parameter, got 3"),
        ("loss_weight: 1 loss_weight: 2", r"one for each of its 1 top\(s\), got 2"),
    ],
)
def test_counts_that_do_not_fit(more: str, problem: str) -> None:
    with pytest.raises(CaffeError, match=rf'layer "fc" \(InnerProduct\): .*{problem}'):
        make_net(inputs(x=[2, 3]) + inner_product("fc", "x", 2, more))


def test_errors_say_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(inputs(x=[2, 3]) + "# a comment\n" + layer("r", "Rellu", ["x"], ["r"]))
    with pytest.raises(CaffeError, match=r'net\.prototxt:3: layer "r": unknown layer type "Rellu"; .*"ReLU"'):
        Net(str(path), TRAIN)


def test_the_log_of_a_small_net() -> None:
    lines = logged()
    make_net(inputs(data=[4, 3], label=[4]) + inner_product("fc", "data", 3) + softmax_loss("fc"))
    assert messages(lines)[1:] == [
        "Creating layer in",
        "Creating Layer in",
        "in -> data",
        "in -> label",
        "Setting up in",
        "Top shape: 4 3 (12)",
        "Top shape: 4 (4)",
        "Memory required for data: 64",
        "Creating layer fc",
        "Creating Layer fc",
        "fc <- data",
        "fc -> fc",
        "Setting up fc",
        "Top shape: 4 3 (12)",
        "Memory required for data: 112",
        "Creating layer loss",
        "Creating Layer loss",
        "loss <- fc",
        "loss <- label",
        "loss -> loss",
        "Creating layer loss",  # the Softmax within
        "Setting up loss",
        "Top shape: (1)",
        "    with loss weight 1",
        "Memory required for data: 116",
        "loss needs backward computation.",
        "fc needs backward computation.",
        "in does not need backward computation.",
        "This network produces output loss",
        "Network initialization done.",
    ]


# -- running -----------------------------------------------------------------------------------------------


def test_the_loss_is_weighted(generator: np.random.Generator) -> None:
    text = CLASSIFIER.replace('name: "loss"', 'name: "loss" loss_weight: 2.5')
    net = filled(text, generator)
    assert net.forward_loss() == pytest.approx(2.5 * float(net.blobs["loss"].data))
    assert (net.loss_weight("loss"), net.loss_weight("fc2"), net.loss_weight("nothing")) == (2.5, 0, 0)


def test_forward_takes_inputs_and_returns_outputs(generator: np.random.Generator) -> None:
    net = make_net(CLASSIFIER, TEST)
    data = generator.normal(size=(4, 3))
    out = net.forward(data=data, label=1)
    assert list(out) == ["accuracy", "loss"]
    np.testing.assert_array_equal(net.blobs["data"].data, data.astype(np.float32))
    assert net.blobs["label"].data.tolist() == [1, 1, 1, 1]
    assert list(net.forward(["fc2", "fc1"])) == ["accuracy", "loss", "fc2", "fc1"]


def test_forward_from_and_to_a_layer(generator: np.random.Generator) -> None:
    net = filled(CLASSIFIER, generator)
    net.forward()
    expected = net.blobs["fc2"].data.copy()
    net.blobs["fc2"].data[...] = 0
    assert list(net.forward(end="relu")) == ["fc1"]
    assert not net.blobs["fc2"].data.any()
    net.blobs["data"].data[...] = 0
    assert list(net.forward(start="fc2")) == ["loss"]
    np.testing.assert_array_equal(net.blobs["fc2"].data, expected)


def test_backward_takes_diffs_and_returns_those_of_the_inputs(generator: np.random.Generator) -> None:
    net = filled("force_backward: true " + inputs(data=[4, 3]) + inner_product("fc", "data", 2), generator)
    net.forward()
    diff = generator.normal(size=(4, 2)).astype(np.float32)
    out = net.backward(["fc"], fc=diff)
    assert list(out) == ["data", "fc"]
    np.testing.assert_allclose(out["data"], diff @ net.params["fc"][0].data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.params["fc"][1].diff, diff.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_backward_from_and_to_a_layer(generator: np.random.Generator) -> None:
    net = filled(CLASSIFIER, generator)
    net.forward_backward()
    expected = net.params["fc2"][0].diff.copy()
    net.clear_param_diffs()
    assert list(net.backward(end="fc2")) == ["fc1"]
    np.testing.assert_array_equal(net.params["fc2"][0].diff, expected)
    assert not net.params["fc1"][0].diff.any()
    net.clear_param_diffs()
    net.backward(start="fc1")
    assert net.params["fc1"][0].diff.any()
    assert not net.params["fc2"][0].diff.any()


def test_parameter_diffs_accumulate_until_they_are_cleared(generator: np.random.Generator) -> None:
    net = filled(CLASSIFIER, generator)
    net.forward_backward()
    once = net.params["fc1"][0].diff.copy()
    net.forward_backward()
    np.testing.assert_allclose(net.params["fc1"][0].diff, 2 * once, rtol=1e-6)
    net.clear_param_diffs()
    assert not any(blob.diff.any() for blobs in net.params.values() for blob in blobs)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"end": "los"}, 'has no layer "los"; did you mean "loss"?'),
        ({"start": "xyzzy"}, 'has no layer "xyzzy".'),
        ({"blobs": ["dta"]}, 'has no blob "dta"; did you mean "data"?'),
        ({"images": 1}, 'has no blob "images".'),
    ],
)
def test_names_that_do_not_exist(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(CaffeError) as caught:
        make_net(CLASSIFIER).forward(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == f'Net "" {problem}'


def test_values_that_do_not_fit_their_blob() -> None:
    with pytest.raises(ShapeError, match=r'shape \[4, 3\] for blob "data", got \[8, 3\]; reshape the blob'):
        make_net(CLASSIFIER).forward(data=np.zeros((8, 3)))


# -- shapes ------------------------------------------------------------------------------------------------


def test_another_batch_size_on_the_fly(generator: np.random.Generator) -> None:
    small = filled(CONVOLUTIONS, generator)
    large = make_net(
        CONVOLUTIONS.replace("dim: 3 dim: 2 dim: 6", "dim: 7 dim: 2 dim: 6").replace("dim: 3 }", "dim: 7 }")
    )
    for mine, theirs in zip(small.parameters.blobs, large.parameters.blobs, strict=True):
        theirs.data[...] = mine.data
    small.forward_backward()  # so that workspaces of the old size exist
    fill(large, generator, label=3)
    small.blobs["data"].reshape(7, 2, 6, 6)
    small.blobs["label"].reshape(7)
    small.clear_param_diffs()
    losses = []
    for net in (small, large):
        for name in ("data", "label"):
            net.blobs[name].data[...] = large.blobs[name].data
        losses.append(net.forward_backward())
    assert losses[0] == losses[1]
    assert small.blobs["pool"].shape == (7, 4, 2, 2)
    for mine, theirs in zip(small.parameters.blobs, large.parameters.blobs, strict=True):
        np.testing.assert_array_equal(mine.diff, theirs.diff)


def test_a_larger_image_on_the_fly() -> None:
    text = (
        inputs(data=[1, 2, 6, 6])
        + layer("conv", "Convolution", ["data"], ["conv"], "convolution_param { num_output: 4 kernel_size: 3 }")
        + layer("relu", "ReLU", ["conv"], ["conv"])
    )
    net = make_net(text)
    net.blobs["data"].reshape(2, 2, 9, 8)
    assert net.blobs["conv"].shape == (1, 4, 4, 4)
    net.reshape()
    assert net.blobs["conv"].shape == (2, 4, 7, 6)
    net.blobs["data"].reshape(1, 2, 3, 3)
    assert net.forward()["conv"].shape == (1, 4, 1, 1)


def test_a_shape_that_does_not_fit_any_more() -> None:
    net = make_net(CLASSIFIER)
    net.blobs["data"].reshape(4, 5)
    with pytest.raises(CaffeError, match=r'layer "fc1" \(InnerProduct\): expected 3 values from axis 1 on'):
        net.forward()


def test_reshaping_writes_loss_weights_anew(generator: np.random.Generator) -> None:
    net = filled(inputs(x=[2, 3]) + inner_product("fc", "x", 2, "loss_weight: 3"), generator)
    net.blobs["x"].reshape(5, 3)
    net.blobs["x"].data[...] = 1
    assert net.forward_loss() == pytest.approx(3 * net.blobs["fc"].data.sum(), rel=1e-5)
    assert (net.blobs["fc"].diff == 3).all()


# -- parameters --------------------------------------------------------------------------------------------


def test_flatten_keeps_values_and_makes_views(generator: np.random.Generator) -> None:
    net = filled(CONVOLUTIONS, generator)
    loss = net.forward_backward()
    before = [(blob.data.copy(), blob.diff.copy()) for blob in net.parameters.blobs]
    parameters = net.flatten()
    assert net.flatten() is parameters
    for blob, (data, diff) in zip(parameters.blobs, before, strict=True):
        np.testing.assert_array_equal(blob.data, data)
        np.testing.assert_array_equal(blob.diff, diff)
        assert np.shares_memory(blob.data, parameters.data)
        assert np.shares_memory(blob.diff, parameters.diff)
    net.clear_param_diffs()
    assert not parameters.diff.any()  # type: ignore[union-attr]
    assert net.forward_backward() == loss
    for blob, (_, diff) in zip(parameters.blobs, before, strict=True):
        np.testing.assert_array_equal(blob.diff, diff)


def test_flat_memory_holds_every_parameter_once_and_zeros_between() -> None:
    parameters = make_net(CONVOLUTIONS).flatten()
    assert parameters.data is not None
    inside = np.zeros(parameters.data.size, bool)
    for blob, segment in zip(parameters.blobs, parameters.segments, strict=True):
        assert segment.start % 16 == 0
        assert segment.stop - segment.start == blob.count
        assert not inside[segment].any()
        inside[segment] = True
        assert sorted(parameters.data[segment]) == sorted(blob.data.ravel())
    assert not parameters.data[~inside].any()


def test_a_net_in_double_precision(generator: np.random.Generator) -> None:
    single = filled(CONVOLUTIONS, generator)
    double = make_net(CONVOLUTIONS, dtype=np.float64)
    for mine, theirs in zip(single.parameters.blobs, double.parameters.blobs, strict=True):
        theirs.data[...] = mine.data
    for name in single.inputs:
        double.blobs[name].data[...] = single.blobs[name].data
    assert single.forward_backward() == pytest.approx(double.forward_backward(), rel=1e-6)
    arrays = [blob for name, blob in double.blobs.items()] + double.parameters.blobs
    assert {array.dtype for blob in arrays for array in (blob.data, blob.diff)} == {np.dtype(np.float64)}
    assert double.flatten().data.dtype == np.float64  # type: ignore[union-attr]
    for mine, theirs in zip(single.parameters.blobs, double.parameters.blobs, strict=True):
        np.testing.assert_allclose(mine.diff, theirs.diff, rtol=1e-4, atol=1e-6)


def test_a_net_shares_the_parameters_of_another(generator: np.random.Generator) -> None:
    train, test = filled(CLASSIFIER, generator), filled(CLASSIFIER, generator, TEST)
    train.flatten()
    test.share_trained_layers_with(train)
    train.params["fc1"][0].data[...] = 0.25
    train.params["fc1"][1].data[...] = 0
    out = test.forward(end="fc1", data=1)
    assert (out["fc1"] == 0.75).all()
    assert not np.shares_memory(test.params["fc1"][0].diff, train.params["fc1"][0].diff)


def test_sharing_passes_over_layers_of_other_names() -> None:
    net = make_net(inputs(data=[4, 3]) + inner_product("fc1", "data", 5) + inner_product("own", "fc1", 1))
    own = net.params["own"][0].data.copy()
    lines = logged()
    net.share_trained_layers_with(make_net(CLASSIFIER.replace('"fc2"', '"other"')))
    assert [line for line in messages(lines) if line.startswith("Ignoring")] == [
        "Ignoring source layer relu",
        "Ignoring source layer other",
        "Ignoring source layer loss",
    ]
    np.testing.assert_array_equal(net.params["own"][0].data, own)


@pytest.mark.parametrize(
    "other", [inner_product("fc1", "data", 4), inner_product("fc1", "data", 5, param="bias_term: false")]
)
def test_sharing_refuses_other_shapes(other: str) -> None:
    with pytest.raises(CaffeError, match=r'layer "fc1" \(InnerProduct\): expected .* 5 3 \(15\) and 5 \(5\), got'):
        make_net(CLASSIFIER).share_trained_layers_with(make_net(inputs(data=[4, 3]) + other))


# -- weights and files ---------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    """The files of a net with stages, and of its weights, all 2."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        inputs(data=[4, 3])
        + inner_product("fc", "data", 2)
        + layer("a", "ReLU", ["fc"], ["a"], 'include { stage: "s" min_level: 1 }')
        + layer("t", "ReLU", ["fc"], ["t"], "include { phase: TEST }")
    )
    net = Net(str(path), TRAIN)
    for blob in net.parameters.blobs:
        blob.data[...] = 2
    net.save(str(tmp_path / "net.caffemodel"))
    return str(path), str(tmp_path / "net.caffemodel")


def test_the_text_may_give_the_phase(tmp_path: Path, saved: tuple[str, str]) -> None:
    text = Path(saved[0]).read_text()
    (tmp_path / "own.prototxt").write_text("state { phase: TRAIN }\n" + text)
    assert Net(str(tmp_path / "own.prototxt")).layer_names == ["in", "fc"]


def test_copy_from_passes_over_unknown_layers(saved: tuple[str, str]) -> None:
    net = make_net(inputs(data=[4, 3]) + inner_product("mine", "data", 2))
    before = net.params["mine"][0].data.copy()
    lines = logged()
    net.copy_from(saved[1])
    assert messages(lines)[0] == "Ignoring source layer fc"
    np.testing.assert_array_equal(net.params["mine"][0].data, before)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (inner_product("fc", "data", 3), r"to have shape 3 3 \(9\), got 2 3 \(6\); rename the layer"),
        (inner_product("fc", "data", 2, param="bias_term: false"), r"expected 1 parameter\(s\) in .*, got 2; rename"),
    ],
)
def test_copy_from_refuses_other_shapes(saved: tuple[str, str], text: str, problem: str) -> None:
    with pytest.raises(CaffeError, match=problem):
        make_net(inputs(data=[4, 3]) + text, weights=saved[1])


def test_of_layers_of_one_name_the_first_gets_the_weights(saved: tuple[str, str]) -> None:
    text = inputs(data=[4, 3]) + inner_product("fc", "data", 2) + inner_product("fc", "data", 2, top="second")
    net = make_net(text, weights=saved[1])
    weights = [made.blobs[0].data for made in net.layers if made.name == "fc"]
    assert (weights[0] == 2).all()
    assert not (weights[1] == 2).all()


# -- threads that read data --------------------------------------------------------------------------------


def test_a_net_that_fails_leaves_no_threads(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", np.zeros((4, 5, 5)))
    write_idx(tmp_path / "labels", np.zeros(4))
    source = f'data_param {{ source: "{tmp_path}/images" backend: IDX batch_size: 2 }}'
    text = layer("data", "Data", top=["data", "label"], more=source)
    before = data_threads()
    make_net(text + inner_product("fc", "data", 2)).close()
    with pytest.raises(CaffeError):
        make_net(text + inner_product("fc", "data", 0))
    with pytest.raises(CaffeError):
        make_net(text, weights=str(tmp_path / "missing.caffemodel"))
    assert data_threads() == before


def test_a_net_can_be_made_twice_from_one_text() -> None:
    param = net_param(CLASSIFIER)
    first = Net(param, TEST)
    assert Net(param, TEST).layer_names == first.layer_names
    assert len(param.layer) == 6
