"""Whole nets against what Caffe computed: shared weights, residual sums, branches, rules, several losses."""

from __future__ import annotations

import pytest

from golden_nets import GoldenNet, manifest, missing_types

PENDING = {"siamese", "residual", "inception"}
"""The nets that need layer types which are still to come."""

NETS = sorted(set(manifest()) - PENDING)


@pytest.mark.parametrize("name", sorted(PENDING))
def test_a_net_is_pending_only_while_it_must(name: str) -> None:
    assert missing_types(name), f"all layer types of {name} are there: take it out of PENDING"


@pytest.mark.parametrize("name", NETS)
def test_first_pass(name: str) -> None:
    GoldenNet(name).check_first_pass()


@pytest.mark.parametrize("name", NETS)
def test_updates(name: str) -> None:
    GoldenNet(name).check_updates()


@pytest.mark.parametrize("name", NETS)
def test_test_phase(name: str) -> None:
    GoldenNet(name).check_test_net()
