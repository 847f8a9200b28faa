"""Figures of a probe: quantiles, shares and their intervals, and seeds that send the same again."""

import random

import numpy as np
import pytest

from clearance_sim.probe.campaign import Plan
from clearance_sim.probe.cases import FORGED, WRONG
from clearance_sim.probe.client import ProbeError
from clearance_sim.probe.documents import Consignment
from clearance_sim.probe.findings import proportion, quantile


def test_quantile_interval_covers_truth_as_stated():
    """The interval of a quantile holds the true one as often as it says."""
    stream = np.random.default_rng(7)
    true = -np.log(0.1)  # the 90th percentile of an exponential distribution
    estimates = [quantile(stream.exponential(size=200), 0.9) for _ in range(1_000)]
    held = sum(e.low <= true <= e.high for e in estimates)
    assert 940 <= held <= 985


def test_quantile_of_few_observations_has_open_end():
    """A quantile that too few observations bound has an open end."""
    few = quantile([1.0, 2.0, 3.0], 0.95)
    assert few.high is None
    assert few.low == 2.0
    assert quantile(range(100), 0.5).low == 39


def test_share_has_the_exact_interval():
    none_of_ten = proportion(0, 10)
    assert none_of_ten.low == 0
    assert none_of_ten.high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_same_seed_sends_the_same_consignments():
    plan = Plan(count=60, seed=5)
    assert plan.kinds(with_stranger=True) == Plan(count=60, seed=5).kinds(with_stranger=True)
    assert plan.kinds(with_stranger=True) != Plan(count=60, seed=6).kinds(with_stranger=True)
    drawn = [Consignment.drawn(random.Random("5 3"), "n", "m") for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_every_kind_of_deceit_has_its_turn():
    kinds = Plan(count=40).kinds(with_stranger=True)
    assert {kind for family, kind in kinds if family == "forged"} == set(FORGED)
    assert {kind for family, kind in kinds if family == "wrong"} == set(WRONG)
    assert sum(family == "good" for family, _ in kinds) == 16
    assert "unaccredited" not in {kind for _, kind in Plan(count=40).kinds(with_stranger=False)}


@pytest.mark.parametrize("bad", [{"count": 10**6}, {"at_once": 99}, {"rate": 0}, {"seconds": 10**7}])
def test_plan_has_bounds(bad):
    with pytest.raises(ProbeError, match="give a number from"):
        Plan(**bad)
