"""Whole nets against what Caffe computed: shared weights, residual sums, branches, rules, several losses."""

from __future__ import annotations

import pytest

from rigs.golden_nets import GoldenNet, manifest

NETS = sorted(manifest())


@pytest.mark.parametrize("name", NETS)
def test_first_pass(name: str) -> None:
    GoldenNet(name).check_first_pass()


@pytest.mark.parametrize("name", NETS)
def test_updates(name: str) -> None:
    GoldenNet(name).check_updates()


@pytest.mark.parametrize("name", NETS)
def test_test_phase(name: str) -> None:
    GoldenNet(name).check_test_net()
