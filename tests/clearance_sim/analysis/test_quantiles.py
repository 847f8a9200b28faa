import numpy as np
import pytest

from clearance_sim.analysis.quantiles import figures, quantiles
from clearance_sim.engine.service import bin_of
from clearance_sim.engine.state import BINS

AT = (0.5, 0.9, 0.95)
TARGETS = (0.5, 2.0)
RANDOM = np.random.default_rng(7)
CASES = {
    "spread over octaves": RANDOM.lognormal(0, 3, 20_000),
    "with many alike": np.round(RANDOM.exponential(2, 5_000)),
    "all alike": np.full(999, 0.25),
    "below zero, too": RANDOM.normal(0, 1, 3_000),
    "a few": np.array([3.0, 1.0, 2.0]),
    "one": np.array([3.0]),
    "none": np.array([]),
}


def by_numpy(values):
    known = values[~np.isnan(values)]
    if not len(known):
        return [np.nan, *(np.nan for _ in AT), 0, np.nan, *(np.nan for _ in TARGETS)]
    within = [(known <= target).mean() for target in TARGETS]
    return [known.mean(), *np.quantile(known, AT), len(known), known.std(), *within]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_figures_match_numpy_for_all_and_each_class(name, classes):
    """The figures are those of numpy for all and for each class."""
    values = CASES[name].copy()
    values[::7] = np.nan
    before, of_class = values.copy(), RANDOM.integers(0, classes, len(values)).astype(np.int16)
    found = figures(values, of_class, classes, AT, TARGETS)
    assert found[0] == pytest.approx(by_numpy(values), rel=1e-11, abs=1e-14, nan_ok=True)
    for c in range(classes):
        expected = by_numpy(values[of_class == c])
        assert found[1 + c] == pytest.approx(expected, rel=1e-11, abs=1e-14, nan_ok=True)
    assert np.array_equal(values, before, equal_nan=True)  # nothing is moved


def test_quantile_off_by_one_rank_is_noticed():
    """The comparison notices a quantile that is off by a neighbour."""
    values = CASES["spread over octaves"]
    assert np.sort(values)[len(values) // 2 + 1] != pytest.approx(by_numpy(values)[1], rel=1e-11)


def counted(values):
    counts = np.zeros(BINS, np.uint32)
    for value in values:
        counts[bin_of.py_func(np.float64(value))] += 1
    return counts


COUNTED = {
    "one constant": np.full(500, 0.5),
    "constants at the edges of bins": np.repeat([0.25, 0.5, 1.0, 2.0, 4.0], 100),
    "two far apart": np.array([1.0, 9.0]),
    "three": np.array([1.0, 2.0, 30.0]),
    "one": np.array([3.3]),
    "two alike": np.array([0.7, 0.7]),
    "three levels": np.repeat([1 / 3, 2 / 3, 1.0], [3, 3, 4]),
    "tie at the quantile": np.r_[np.full(9, 1.0), 1.001],
    "below a power of two": np.full(10, np.nextafter(2.0, 0)),
    "six orders": np.array([1e-3, 1.0, 1e3]),
    "hardly ever": np.r_[np.zeros(95), np.full(5, 7.0)],
    "minutes": np.repeat([1 / 60, 2 / 60, 30 / 60], [7, 11, 5]),
    "smooth": RANDOM.lognormal(0, 2, 10_000),
    "years": RANDOM.uniform(9_000, 90_000, 999),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_quantiles_keep_half_a_percent(name):
    at = (0.0, 0.5, 0.9, 0.95, 1.0)
    assert quantiles(counted(COUNTED[name]), at) == pytest.approx(np.quantile(COUNTED[name], at), rel=0.005)


def test_quantile_of_no_visits_is_unknown():
    assert np.isnan(quantiles(np.zeros(BINS, np.uint32), (0.5, 0.9))).all()
