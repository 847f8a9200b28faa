import json
import math
from dataclasses import replace

import numpy as np
import pytest

from clearance_sim.claim.factorial import Factorial, attribution, ratio_percent, smallest_sets
from clearance_sim.claim.sensitivity import moved, ranges, sobol
from clearance_sim.claim.study import Effort, Question, study
from clearance_sim.claim.sweeps import bound, frontier
from clearance_sim.claim.verdict import remarks
from clearance_sim.procedure.context import context
from clearance_sim.procedure.levers import ARMS, LETTERS
from clearance_sim.procedure.network import ARRIVAL, LODGEMENT
from clearance_sim.procedure.simulation import Laboratory, Summary

TINY = Laboratory(replications=2, weeks=1, warm_up_weeks=1, workers=1)


def a_factorial(hours_of):
    """Cells whose mean is a planted function of the levers on."""
    rng = np.random.default_rng(2)
    cells = []
    for mask in range(64):
        on = {letter for bit, letter in enumerate(LETTERS.values()) if mask >> bit & 1}
        values = hours_of(on) + rng.normal(0, 0.01, 10)
        cells.append(Summary({(c, s): values for c in (ARRIVAL, LODGEMENT) for s in ("mean", "median", "p90")}))
    return Factorial(cells)


def test_planted_hours_come_back_as_shares():
    saved = {"L": 2.0, "E": 30.0, "A": 20.0, "R": 5.0, "D": 8.0, "O": 1.0}
    found = attribution(a_factorial(lambda on: 72 - sum(saved[letter] for letter in on)), ARRIVAL, "mean")
    assert found.split.shapley.mean(axis=1) == pytest.approx([saved[letter] for letter in LETTERS.values()], abs=0.05)
    direct, enabled = found.ledger()
    assert direct.value == pytest.approx(100 * 2 / 66, abs=0.1)
    assert enabled.value == pytest.approx(100 * (2 + 30 + 2.5) / 66, abs=0.1)
    assert direct.low < direct.value < direct.high


def test_smallest_sets_are_minimal_and_reach_target():
    """The smallest sets are minimal and reach the target."""
    hours = a_factorial(lambda on: 7.0 if {"E", "A"} <= on or {"D"} <= on else 20.0)
    assert smallest_sets(hours, ARRIVAL, "mean", 8.0) == [("deferred_duty",), ("early_documents", "automation")]
    assert smallest_sets(hours, ARRIVAL, "mean", 5.0) == []
    assert smallest_sets(a_factorial(lambda on: 1.0), ARRIVAL, "mean", 8.0) == [()]


def test_saving_of_nothing_has_no_shares():
    assert math.isnan(ratio_percent(np.zeros(5), np.zeros(5)).value)


def test_more_early_lodging_and_deferral_never_slower():
    """More lodged early and more duty deferred is never slower."""
    found = frontier(context("general-import"), replace(TINY, replications=4), points=3)
    for page in found["slices"]:
        grid = np.array(page["mean"])
        assert (np.diff(grid, axis=0) <= 0.5).all()
        assert (np.diff(grid, axis=1) <= 0.5).all()
        assert grid[-1, -1] < grid[0, 0]


def test_bound_follows_the_numbers():
    assert "rules out a mean of 8 h" in bound(72, 8, 8.7)["en"]
    assert "does not rule out a mean of 8 h" in bound(40, 8, 8.7)["en"]
    assert "88.9 %" in bound(72, 8, 8.7)["en"]
    assert "cut of" not in bound(3, 8, 1)["en"]


def test_moved_median_takes_its_p90_along():
    """A duration moves with its ninth decile and shares leave room."""
    here = context("general-import")
    slow = moved(here, {"documents_median_h": 2 * here["documents_median_h"]})
    assert slow["documents_p90_h"] == 2 * here["documents_p90_h"]
    full = moved(here, {"red_share": 0.6, "yellow_share": 0.4})
    assert full["red_share"] + full["yellow_share"] == pytest.approx(0.95)


@pytest.mark.parametrize("name", ["general-import", "parcels-9610"])
def test_every_range_holds_its_value_and_simulates(name):
    """Every range surrounds its value and can be simulated."""
    here = context(name)
    for each in ranges(here):
        assert each.low <= each.value <= each.high, each.name
    TINY.summary(moved(here, {each.name: each.low for each in ranges(here)}), ARMS[2].levers)
    TINY.summary(moved(here, {each.name: each.high for each in ranges(here)}), ARMS[2].levers)


def test_sobol_finds_the_parameter_that_matters():
    found = sobol(context("general-import"), ARMS[0], TINY, 4, ARRIVAL)
    names = [row["name"] for row in found["parameters"]]
    assert set(names[:8]) & {"trader_scale", "documents_median_h", "red_share", "frailty", "load"}


def test_claimed_days_are_weighed_against_claimed_hours():
    """The papers own days are weighed against its hours."""
    room, cut, _ = remarks(72, 8, 50)
    assert "53 % of 5.7 logistics days" in room["en"]
    assert "at most 2.7 days" in cut["en"]


def test_whole_study_survives_json():
    """The whole study is one document that json can carry."""
    small = Effort(TINY, TINY, TINY, TINY, sobol_base=2, frontier_points=2, adoption_points=3, quick=True)
    found = study(small, Question())
    again = json.loads(json.dumps(found, ensure_ascii=False, allow_nan=False))
    assert [each["name"] for each in again["contexts"]] == ["general-import", "parcels-9610"]
    first = again["contexts"][0]
    assert len(first["factorial"]["cells"]) == 64
    assert {arm["name"] for arm in first["arms"]} == {arm.name for arm in ARMS}
    assert first["verdict"]["outcome"] in ("does not hold", "indeterminate", "holds as median")
    assert not again["contexts"][1]["baseline_defensible"]
    assert all(len(week["queue"]) == 168 for arm in first["arms"] for week in arm["week"])
    assert sum(stage["share"] for stage in first["arms"][0]["stages"]) == pytest.approx(1, abs=1e-4)
