"""BatchNorm, Scale and ReLU as one: the numbers of the layers by themselves, wherever a run begins and ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pycaffe_lite import rng
from pycaffe_lite.net import Net
from pycaffe_lite.net.passes import Chain
from rigs.net_rig import inputs, layer, make_net

CONV_PARAM = 'convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } }'
CONV = layer("conv", "Convolution", ["x"], ["y"], CONV_PARAM)
SCALE = 'scale_param { bias_term: true filler { type: "uniform" min: 0.5 max: 2 } bias_filler { type: "gaussian" } }'
END = layer("sum", "Reduction", ["y"], ["sum"], "loss_weight: 1 reduction_param { operation: SUMSQ }")


def chain_net(scale: str = SCALE, relu: str = "", norm: str = "", top: str = "y", with_relu: bool = True) -> str:
    text = inputs(x=[3, 2, 8, 8]) + CONV
    text += layer("norm", "BatchNorm", ["y"], [top], norm) + layer("scale", "Scale", [top], [top], scale)
    text += layer("relu", "ReLU", [top], [top], relu) * with_relu
    return text + END.replace('"y"', f'"{top}"')


def seeded(text: str) -> Net:
    rng.set_random_seed(3)
    net = make_net(text)
    net.blobs["x"].data[...] = np.random.default_rng(4).normal(size=net.blobs["x"].shape)
    return net


def chains(net: Net) -> list[Chain]:
    return [step for step in net.steps if isinstance(step, Chain)]


def alone(net: Net) -> Net:
    """The same net, whose layers run one by one."""
    net.steps = list(net.nodes)
    return net


def everything(net: Net) -> dict[str, np.ndarray]:
    found = {f"{name} {what}": getattr(blob, what) for name, blob in net.blobs.items() for what in ("data", "diff")}
    for name, blobs in net.params.items():
        found |= {f"{name} {i} {what}": getattr(b, what) for i, b in enumerate(blobs) for what in ("data", "diff")}
    return {name: array.copy() for name, array in found.items()}


def train(net: Net) -> dict[str, np.ndarray]:
    for _ in range(2):
        net.forward_backward()
    return everything(net)


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        # The gradient of a bias before a BatchNorm is 0 but for rounding.
        np.testing.assert_allclose(array, theirs[name], rtol=2e-4, atol=5e-4, err_msg=name)


TEXTS = {
    "all": chain_net(),
    "no bias": chain_net("scale_param { filler { value: 2 } }"),
    "no relu": chain_net(with_relu=False),
    "stored statistics": chain_net(norm="batch_norm_param { use_global_stats: true }"),
    "frozen": chain_net(f"{SCALE} param {{ lr_mult: 0 }} param {{ lr_mult: 1 }}"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_numbers_of_the_layers_one_by_one(name: str) -> None:
    net = seeded(TEXTS[name])
    assert [chain.nodes[0] for chain in chains(net)] == [net.nodes[2]]
    if name == "stored statistics":
        net.params["norm"][0].data[...] = 0.1
        net.params["norm"][1].data[...] = net.params["norm"][2].data[...] = 1
    other = alone(seeded(TEXTS[name]))
    for mine, theirs in zip(net.params["norm"], other.params["norm"], strict=True):
        theirs.data[...] = mine.data
    same(train(net), train(other))


@pytest.mark.parametrize("first", range(2, 5))
@pytest.mark.parametrize("last", range(2, 5))
def test_ranges_that_cut_it(first: int, last: int) -> None:
    """A pass in two parts, the second by other hands than the first."""

    def run(net: Net) -> dict[str, np.ndarray]:
        end = len(net.layers) - 1
        net.forward_from_to(0, first - 1)
        net.forward_from_to(first, end)
        net.backward_from_to(end, last)
        net.backward_from_to(last - 1, 0)
        return everything(net)

    same(run(seeded(TEXTS["all"])), run(alone(seeded(TEXTS["all"]))))


def test_another_batch_size() -> None:
    def run(net: Net) -> dict[str, np.ndarray]:
        net.forward_backward()
        net.blobs["x"].reshape(5, 2, 8, 8)
        net.blobs["x"].data[...] = np.random.default_rng(5).normal(size=(5, 2, 8, 8))
        return train(net)

    same(run(seeded(TEXTS["all"])), run(alone(seeded(TEXTS["all"]))))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"ReLU"', '"TanH"').replace(SCALE, "scale_param { axis: 0 num_axes: 1 }"),
        lambda text: chain_net(top="z"),
        lambda text: text.replace(CONV_PARAM, f"{CONV_PARAM} param {{ lr_mult: 0 }} param {{ lr_mult: 0 }}"),
        lambda text: text.replace(SCALE, SCALE.replace("bias_term", "num_axes: -1 bias_term")),
        lambda text: text.replace(SCALE, SCALE.replace("bias_term", "axis: -1 bias_term")),
        lambda text: text.replace(SCALE, f"{SCALE} propagate_down: false"),
    ],
)
def test_other_layers_stay_by_themselves(change: Callable[[str], str]) -> None:
    assert not chains(seeded(change(chain_net())))


def test_a_leaky_relu_stays_by_itself() -> None:
    net = seeded(chain_net(relu="relu_param { negative_slope: 0.1 }"))
    (chain,) = chains(net)
    assert list(chain.nodes) == net.nodes[2:4]
    same(train(net), train(alone(seeded(chain_net(relu="relu_param { negative_slope: 0.1 }")))))


def test_debug_info_sees_each_layer(messages: list[str]) -> None:
    net = seeded(TEXTS["all"])
    net.debug_info = True
    seen = seeded(TEXTS["all"])
    same(train(net), train(seen))
    for name in ("norm", "scale", "relu"):
        assert any(f"Layer {name}, top blob y data" in line for line in messages), name
