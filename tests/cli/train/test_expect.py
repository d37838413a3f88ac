"""Expectations of a training run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.solvers.report import IterationReport, Output, TestReport
from pycaffe_lite_cli.train.expect import Expectations


def test_report(net: int = 0, iteration: int = 9, **values: Any) -> TestReport:
    outputs = [
        Output(name, value, 0)
        for name, given in values.items()
        for value in (given if isinstance(given, list) else [given])
    ]
    return TestReport(iteration, net, outputs)


test_report.__test__ = False  # type: ignore[attr-defined]  # a helper


def solver(*nets: list[str], iteration: int = 9, stopped: bool = False) -> Any:
    test_nets = [SimpleNamespace(outputs=names) for names in nets]
    return SimpleNamespace(test_nets=test_nets, iter=iteration, stopped_early=stopped)


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("a>=1", 1, True),
        ("a>=1", 0.999, False),
        ("a<=1", 1, True),
        ("a<=1", 1.001, False),
        ("a>1", 1, False),
        ("a>1", 1.001, True),
        ("a<1", 1, False),
        ("a<1", 0.999, True),
        (" a >= 1e-3 ", 0.001, True),
        ("a>=-0.5", -0.4, True),
        ("a>=0", float("nan"), False),
        ("a<=0", float("nan"), False),
    ],
)
def test_comparisons(text: str, value: float, met: bool) -> None:
    expected = Expectations([text])
    expected.note(test_report(a=value))
    assert (expected.problem() == "") is met


@pytest.mark.parametrize(
    "text", ["", "accuracy", "accuracy=0.9", ">=0.9", "accuracy>=", "accuracy>=much", "a b>=1", "a>=1>=2"]
)
def test_other_forms_are_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"--expect: expected NAME>=VALUE, like 'accuracy>=0\.97'"):
        Expectations([text])


def test_the_sentence() -> None:
    expected = Expectations(["accuracy>=0.97", "loss<0.1", "accuracy<=1"])
    expected.note(test_report(accuracy=0.5, loss=0.25))
    assert expected.problem() == (
        "Expected accuracy >= 0.97 in the last test, got 0.5.\nExpected loss < 0.1 in the last test, got 0.25."
    )


def test_the_last_test_of_each_net_counts() -> None:
    expected = Expectations(["a>=1"])
    for report in (test_report(0, 0, a=0), test_report(1, 0, a=5), test_report(0, 9, a=2), test_report(1, 9, a=0)):
        expected.note(report)
    assert expected.problem() == "Expected a >= 1 in the last test, got 0."


def test_every_element_of_an_output_counts() -> None:
    expected = Expectations(["a>=1"])
    expected.note(test_report(a=[2, 0.5, 3]))
    assert "got 0.5" in expected.problem()


def test_an_expectation_that_nothing_has_tested_is_not_met() -> None:
    expected = Expectations(["a>=1"])
    assert expected.problem() == "Expected a >= 1 in the last test, but no test has run; set test_iter to 1 or more."
    expected.note(test_report())
    assert "no test has run" in expected.problem()


def test_reports_of_iterations_do_not_matter() -> None:
    expected = Expectations(["a>=1"])
    expected.note(IterationReport(0, 0.1, 2, 2))
    assert expected.last == {}


def test_names_are_checked() -> None:
    expected = Expectations(["a>=1", "b>=1"])
    expected.check_names(solver(["a"], ["b", "c"]))
    with pytest.raises(CaffeError, match='expected the name of a test output, got "b"; the outputs are a, c'):
        expected.check_names(solver(["c", "a"]))
    with pytest.raises(CaffeError, match="the solver has no test net"):
        expected.check_names(solver())


@pytest.mark.parametrize(
    ("texts", "made", "tested", "outdated"),
    [
        (["a>=1"], solver(["a"]), [9], False),
        (["a>=1"], solver(["a"]), [5], True),
        (["a>=1"], solver(["a"]), [], True),
        (["a>=1"], solver(["a"], ["a"]), [9], True),
        (["a>=1"], solver(["a"], stopped=True), [], False),
        ([], solver(["a"]), [], False),
    ],
)
def test_whether_the_final_weights_are_still_to_be_tested(
    texts: list[str], made: Any, tested: list[int], outdated: bool
) -> None:
    expected = Expectations(texts)
    for iteration in tested:
        expected.note(test_report(iteration=iteration, a=1))
    assert expected.outdated(made) is outdated
