import numpy as np
import pytest

from clearance_sim.staffing.search import TargetError, read_target

CLOCKS = ["arrival → release", "lodgement → release"]


@pytest.mark.parametrize(
    ("words", "statistic", "bound"),
    [
        ("P90(lodgement → release) <= 8h", "p90", 8.0),
        ("p95(lodgement -> release) <= 8", "p95", 8.0),
        ("mean( arrival -> release ) < 6.5 h", "mean", 6.5),
        ("median(arrival → release) <= 4h", "median", 4.0),
        ("share(arrival → release, 8h) >= 90%", "share", 0.9),
        ("share(arrival -> release, 8) >= 0.9", "share", 0.9),
    ],
)
def test_targets_are_read_as_people_write_them(words, statistic, bound):
    target = read_target(words, CLOCKS)
    assert (target.statistic, target.bound) == (statistic, pytest.approx(bound))
    assert target.clock in CLOCKS


def test_target_is_kept_when_nothing_is_short():
    hours = np.arange(1.0, 11.0)
    assert read_target("P90(arrival → release) <= 9.1h", CLOCKS).shortfall(hours) == pytest.approx(0)
    assert read_target("share(arrival → release, 8h) >= 80%", CLOCKS).shortfall(hours) == pytest.approx(0)
    assert read_target("mean(arrival → release) <= 5h", CLOCKS).shortfall(hours) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "words",
    ["", "P90 <= 8h", "P90(departure) <= 8h", "P90(arrival → release) >= 8h", "share(arrival → release, 8h) >= 120%"],
)
def test_targets_that_make_no_sense_are_refused(words):
    with pytest.raises(TargetError):
        read_target(words, CLOCKS)
