import numpy as np
import pytest

from clearance_sim import from_values, run
from clearance_sim.analysis.estimate import Interval
from clearance_sim.analysis.summary import CLOCK_FIGURES
from clearance_sim.procedure.calibration import kept_fits, published
from clearance_sim.procedure.context import context
from clearance_sim.procedure.levers import Levers
from clearance_sim.procedure.network import ARRIVAL, LODGEMENT, network
from clearance_sim.procedure.simulation import Laboratory, by_replication, of_channel, time_in
from tests.clearance_sim.procedure.builders import levers_by

LABORATORY = Laboratory(replications=6, weeks=3, workers=1, seed=11)


@pytest.fixture(scope="module")
def paper():
    return LABORATORY.runs(context("general-import"), Levers(), stages=True)


def test_paper_arm_takes_72_hours_to_release(paper):
    """The paper arm takes 72 hours from arrival to release."""
    means = Interval.over([values.mean() for values in by_replication(paper, ARRIVAL)])
    assert means.low - 1 <= 72 <= means.high + 1
    assert means.high - means.low < 12


def test_total_is_strongly_skewed_to_the_right(paper):
    totals = np.concatenate(by_replication(paper, ARRIVAL))
    assert totals.mean() > 1.2 * np.median(totals)


def test_two_clocks_are_not_one(paper):
    arrival, lodgement = (np.concatenate(by_replication(paper, clock)) for clock in (ARRIVAL, LODGEMENT))
    assert lodgement.mean() < 0.8 * arrival.mean()
    assert (lodgement <= arrival + 1e-9).all()


def test_red_takes_longer_than_yellow_and_green(paper):
    """A red consignment takes longer than a green one."""
    green, yellow, red = (np.concatenate(by_replication(paper, ARRIVAL, c)).mean() for c in ("green", "yellow", "red"))
    assert green < yellow < red


def test_nobody_is_examined_who_is_not_red(paper):
    _, examined = time_in(paper, ("examination",))
    assert examined.any()
    assert not (examined & ~of_channel(paper, "red")).any()


def test_summary_matches_result_of_whole_run():
    """Figures taken straight from the engine are those of its result."""
    here = context("general-import")
    short = LABORATORY.summary(here, Levers())
    whole = run(from_values(network(here, Levers(), weeks=3)), replications=6, seed=11, workers=1)
    for clock in (ARRIVAL, LODGEMENT):
        readings = np.array([each.clocks[whole.clock_names.index(clock), 0] for each in whole.summaries])
        for name, figure in (("mean", "mean"), ("median", "p50"), ("p90", "p90")):
            assert short(clock, name) == pytest.approx(readings[:, CLOCK_FIGURES.index(figure)])


def test_common_draws_sharpen_differences_of_arms():
    """Arms share their luck so that differences are sharp."""
    here = context("general-import")
    paper, ledger = (LABORATORY.summary(here, levers_by(letters))(ARRIVAL, "mean") for letters in ("A", "AD"))
    other = Laboratory(replications=6, weeks=3, workers=1, seed=12).summary(here, levers_by("AD"))(ARRIVAL, "mean")
    assert np.var(paper - ledger, ddof=1) < np.var(paper - other, ddof=1) / 3


def test_threads_change_nothing():
    cells = [(context("general-import"), levers_by(letters)) for letters in ("", "L", "LEA")]
    small = {"replications": 2, "weeks": 1, "warm_up_weeks": 1}
    one, two = (Laboratory(**small, workers=workers).summaries(cells) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert (first(ARRIVAL, "p90") == second(ARRIVAL, "p90")).all()


@pytest.mark.parametrize("letters", ["L", "E", "A", "R", "D", "O"])
def test_no_lever_makes_clearance_longer(letters):
    here = context("general-import")
    base, pulled = (LABORATORY.summary(here, levers_by(each))(ARRIVAL, "mean") for each in ("", letters))
    assert (base - pulled).mean() > 0


def test_kept_parameters_fit_published_figures():
    """The parameters in use fit what they were fitted to."""
    fits = {fit.published.id: fit for fit in kept_fits()}
    assert set(fits) == set(published())
    for fit in fits.values():
        assert fit.simulated.value == pytest.approx(fit.published.value, rel=0.12)
    assert fits["ntfap-sea-target"].simulated.low <= 72 <= fits["ntfap-sea-target"].simulated.high
