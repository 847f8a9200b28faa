import numpy as np
import pytest

from clearance_sim.analysis.quantiles import figures

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
