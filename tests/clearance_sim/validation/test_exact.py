"""Theory's own cross-checks: each formula against another that must give the same."""

import math

import numpy as np
import pytest

from clearance_sim.validation import exact
from clearance_sim.validation.cases import all_cases
from clearance_sim.validation.exact import Roster


def test_erlang_b_matches_queue_without_room():
    """Erlangs loss is that of a queue without room."""
    for servers, offered in ((1, 0.5), (5, 3.0), (10, 12.0)):
        assert exact.erlang_b(servers, offered) == pytest.approx(exact.mmck(offered, 1.0, servers, 0)[0], rel=1e-12)


def test_long_waiting_room_matches_endless_one():
    """A long waiting room waits as an endless one."""
    lost, waiting = exact.mmck(2.4, 1.0, 3, 600)
    assert lost < 1e-12
    assert waiting / 2.4 == pytest.approx(exact.mmc_wait(2.4, 1.0, 3), rel=1e-9)


def test_endless_patience_waits_as_without():
    waiting, gave_up = exact.erlang_a(2.4, 1.0, 3, 1e9)
    assert waiting / 2.4 == pytest.approx(exact.mmc_wait(2.4, 1.0, 3), rel=1e-5)
    assert gave_up < 1e-8


def test_one_server_is_pollaczek_khinchines_case():
    assert exact.mmc_wait(0.8, 1.0, 1) == pytest.approx(exact.pollaczek_khinchine_wait(0.8, 1.0, 1.0), rel=1e-12)
    assert exact.mdc_wait(0.8, 1.0, 1) == pytest.approx(exact.pollaczek_khinchine_wait(0.8, 1.0, 0.0), rel=1e-9)
    assert exact.batch_wait(0.8, 1.0, 1.0, 1.0) == pytest.approx(exact.mmc_wait(0.8, 1.0, 1), rel=1e-12)


def test_priorities_keep_the_mean_wait_of_all():
    rates = [0.6, 0.9, 0.9]
    waits = exact.priority_waits(rates, 1.0, 3)
    assert np.dot(rates, waits) / sum(rates) == pytest.approx(exact.mmc_wait(2.4, 1.0, 3), rel=1e-12)
    assert exact.cobham_waits([0.3, 0.5], [1.0, 1.0], [2.0, 2.0]) == pytest.approx(
        exact.priority_waits([0.3, 0.5], 1.0, 1), rel=1e-12
    )


def test_first_pre_emptive_priority_ignores_others():
    """The first priority that interrupts never meets the others."""
    first, *_ = exact.pre_emptive_sojourns([0.2, 0.3], [1.0, 1.0], [2.0, 2.0])
    assert first == pytest.approx(exact.mmc_wait(0.2, 1.0, 1) + 1.0, rel=1e-12)


def test_network_of_one_station_is_that_station():
    times, through = exact.jackson_sojourns([2.4], [[0.0]], [1.0], [3])
    assert times == pytest.approx([through])
    assert through == pytest.approx(exact.mmc_wait(2.4, 1.0, 3) + 1.0, rel=1e-12)


def test_queue_long_after_empty_start_is_stationary():
    """A queue that started empty long ago has forgotten it."""
    (number,) = exact.from_empty(0.5, 1.0, 1, [2000.0])
    assert number == pytest.approx(1.0, rel=1e-9)


def test_constant_roster_matches_plain_queue():
    """A roster that never changes is a plain queue."""
    roster = Roster(1.8, 0.9, (3, 3, 3), 8.0)
    plain = exact.mmc_wait(1.8, 0.9, 3) + 0.9
    assert exact.drain_sojourn(roster) == pytest.approx(plain, rel=1e-8)
    assert exact.pre_empt_resume_sojourn(roster) == pytest.approx(plain, rel=1e-8)
    assert exact.crew_sojourn(roster) < plain, "a new crew is free while the old one finishes"


def test_pre_emption_waits_longer_than_drain():
    """What stops at night takes longer than what is finished."""
    roster = Roster(1.8, 0.9, (0, 5, 2), 8.0)
    assert exact.crew_sojourn(roster) < exact.drain_sojourn(roster) < exact.pre_empt_resume_sojourn(roster)


def test_swinging_arrivals_of_whole_cycles_are_the_mean():
    assert exact.swinging_arrivals(10.0, 0.8, 24.0, 5.0, 48.0) == pytest.approx(480.0, rel=1e-12)
    assert exact.swinging_infinite_servers(10.0, 0.0, 24.0, 4.0, [3.0]) == [40.0]


def test_kingman_bound_lies_above_markov_wait():
    """Memoryless gaps make the bound of kingman the wait itself."""
    assert exact.kingman_bound(1.25, 1.0, 1.0, 1.0) >= exact.mmc_wait(0.8, 1.0, 1)
    assert exact.deterministic_arrivals_wait(1.25, 1.0) < exact.mmc_wait(0.8, 1.0, 1)


def test_every_case_has_finite_values_above_zero():
    cases = all_cases()
    assert len(cases) >= 30
    assert all(math.isfinite(value) and value > 0 for case in cases for _, value in case.expected)


def test_interruption_changes_no_loss_of_one_room():
    """Who is served first changes nothing in how many find no place, nor in the mean time of all together."""
    lost, (first, second) = exact.pre_emptive_room([0.5, 0.5], 1.0, 2)
    plain, waiting = exact.mmck(1.0, 1.0, 1, 2)
    assert lost == pytest.approx(plain, rel=1e-12)
    assert lost == pytest.approx(0.25, rel=1e-12)
    assert (first + second) / 2 == pytest.approx(waiting / 0.75 + 1.0, rel=1e-12)
    assert first < second


def test_interruption_with_long_room_matches_endless_one():
    _, sojourns = exact.pre_emptive_room([0.3, 0.3], 1.0, 60)
    assert sojourns == pytest.approx(exact.pre_emptive_sojourns([0.3, 0.3], [1.0] * 2, [2.0] * 2), rel=1e-8)


def test_constant_roster_with_room_loses_as_plain():
    roster = Roster(1.8, 1.0, (2, 2, 2), 8.0)
    assert exact.roster_loss(roster, 4) == pytest.approx(exact.mmck(1.8, 1.0, 2, 4)[0], rel=1e-8)


def test_jobs_that_fill_a_shift_leave_the_last():
    assert exact.fixed_work_wait(4, 1.0, 8.0, 4, 24.0) == 9.5
    assert exact.fixed_work_wait(5, 1.0, 8.0, 4, 24.0) == 14.0
