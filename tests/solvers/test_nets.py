"""The nets of a solver: states that reach one of them alone, and parameters that a test net does not get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from rigs.cli_rig import Command
from rigs.net_rig import inner_product, layer, logged, make_solver, messages, softmax_loss, write_solver

BASE = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 3 snapshot_after_train: false '
TESTED = BASE + "test_iter: 1 test_interval: 2 "
SHAPES = "shape { dim: 4 dim: 3 } shape { dim: 4 }"
FILLERS = 'data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 }'
LEFT_OUT = (
    'layer "fc" (InnerProduct): bottom 0, "x", is no top of a layer before it; layer "data" (DummyData) makes it, but '
    "the phase, level or stage in its include or exclude rules leaves it out here. This is the TEST net (#0)"
)


def data(rules: str = "") -> str:
    return layer("data", "DummyData", top=["x", "label"], more=f"dummy_data_param {{ {SHAPES} {FILLERS} }} {rules}")


def scores(rules: str = "") -> str:
    return data(rules) + inner_product("fc", "x", 3) + softmax_loss("fc")


@pytest.mark.parametrize(
    ("rules", "state", "hint"),
    [
        ('include { stage: "a" }', 'train_state { stage: "a" stage: "z" }', 'test_state { stage: "a" }'),
        ('include { stage: "a" stage: "b" }', 'train_state { stage: "a" stage: "b" } test_state { stage: "a" }',
         'test_state { stage: "b" }'),
        ("include { min_level: 2 }", "train_state { level: 2 }", "test_state { level: 2 }"),
        ('exclude { not_stage: "a" }', 'train_state { stage: "a" }', 'test_state { stage: "a" }'),
    ],
)  # fmt: skip
def test_a_state_that_reaches_the_train_net_alone(tmp_path: Path, rules: str, state: str, hint: str) -> None:
    with pytest.raises(CaffeError) as caught:
        make_solver(tmp_path, scores(rules), TESTED + state)
    assert str(caught.value) == (
        f"{tmp_path}/net.prototxt:2: {LEFT_OUT}: --stage, --level and train_state reach the train net alone; give the "
        f"solver {hint}, once for each test net."
    )
    train_state = state.split("test_state", maxsplit=1)[0]
    make_solver(tmp_path, scores(rules), TESTED + train_state + train_state.replace("train", "test")).close()


def test_the_option_stage_is_no_state_of_test_nets(here: Path) -> None:
    write_solver(here, scores('include { stage: "a" }'), TESTED)
    command = Command("train", "--solver=solver.prototxt", "--stage=a")
    assert command.status == 1
    assert command.sentence().endswith('give the solver test_state { stage: "a" }, once for each test net.')


def test_a_phase_that_leaves_a_layer_out_gets_no_advice_on_stages(tmp_path: Path) -> None:
    with pytest.raises(CaffeError) as caught:
        make_solver(tmp_path, scores("include { phase: TRAIN }"), TESTED + 'train_state { stage: "a" }')
    assert str(caught.value) == f"{tmp_path}/net.prototxt:2: {LEFT_OUT}."


# -- parameters by the names of layers ---------------------------------------------------------------------


def warned(folder: Path, net: str) -> tuple[list[str], float]:
    """The warnings of a run, and how far the test layer's weights are from those that were trained."""
    lines = logged()
    solver = make_solver(folder, net, TESTED)
    solver.solve()
    trained = next(iter(solver.net.params.values()))[0].data
    tested = list(solver.test_nets[0].params.values())[-1][0].data
    solver.close()
    return messages([line for line in lines if line.startswith("W")]), float(np.abs(trained - tested).max())


def shared(name: str, rules: str = "", param: str = "w") -> str:
    return inner_product(name, "x", 3, f'param {{ name: "{param}" }} {rules}', top=f"{name}_top")


def test_a_layer_of_the_test_net_alone_keeps_its_own_values(tmp_path: Path) -> None:
    own = shared("more", "include { phase: TEST }") + layer(
        "end", "Silence", ["more_top"], more="include { phase: TEST }"
    )
    said, apart = warned(tmp_path, data() + shared("fc") + softmax_loss("fc_top") + own)
    assert said == [
        f'{tmp_path}/net.prototxt:4: layer "more" (InnerProduct) of test net (#0) keeps its own values of "w": those '
        'that layer "fc" trains go to the test layer of that name alone, as in Caffe.'
    ]
    assert apart > 0.01


def test_a_layer_of_another_name_in_the_test_net_should_have_the_same(tmp_path: Path) -> None:
    def net(name: str) -> str:
        first, second = shared("fc", "include { phase: TRAIN }"), shared(name, "include { phase: TEST }")
        loss = (
            'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "BOTTOM" bottom: "label" top: "l" include { RULE } }'
        )
        train = loss.replace("BOTTOM", "fc_top").replace("RULE", "phase: TRAIN")
        test = loss.replace("BOTTOM", f"{name}_top").replace("RULE", "phase: TEST")
        return "\n".join([data(), first, second, train, test])

    said, apart = warned(tmp_path, net("deploy"))
    assert len(said) == 1
    assert said[0].endswith('go to the test layer of that name alone, as in Caffe; name it "fc" as well.')
    assert apart > 0.01
    assert warned(tmp_path, net("fc")) == ([], 0)


def test_layers_that_both_nets_have_are_not_warned_of(tmp_path: Path) -> None:
    both = data() + shared("fc") + shared("twin") + layer("end", "Silence", ["twin_top"]) + softmax_loss("fc_top")
    assert warned(tmp_path, both) == ([], 0)
    own = shared("more", "include { phase: TEST }", "other") + layer(
        "rest", "Silence", ["more_top"], more="include { phase: TEST }"
    )
    assert warned(tmp_path, both + own)[0] == []
