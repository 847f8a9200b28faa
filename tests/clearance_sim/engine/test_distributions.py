import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from clearance_sim.engine.distributions import distribution_row
from clearance_sim.engine.replication import drawing
from clearance_sim.scenario.distributions import Distribution

Z90 = stats.norm.ppf(0.9)
DISTRIBUTIONS = [
    ({"distribution": "exponential", "mean_h": 2}, stats.expon(scale=2)),
    ({"distribution": "uniform", "low_h": 1, "high_h": 4}, stats.uniform(1, 3)),
    ({"distribution": "triangular", "low_h": 1, "mode_h": 2, "high_h": 5}, stats.triang(0.25, 1, 4)),
    ({"distribution": "log-normal", "median_h": 3, "p90_h": 8}, stats.lognorm(np.log(8 / 3) / Z90, scale=3)),
    ({"distribution": "log-normal", "mean_h": 3, "cv": 2}, stats.lognorm(np.sqrt(np.log(5)), scale=3 / np.sqrt(5))),
    ({"distribution": "gamma", "mean_h": 3, "cv": 0.5}, stats.gamma(4, scale=0.75)),
    ({"distribution": "gamma", "mean_h": 3, "shape": 0.3}, stats.gamma(0.3, scale=10)),
    ({"distribution": "erlang", "mean_h": 3, "phases": 200}, stats.gamma(200, scale=3 / 200)),
    ({"distribution": "weibull", "shape": 0.7, "scale_h": 2}, stats.weibull_min(0.7, scale=2)),
    ({"distribution": "exponential", "mean_h": 2, "shift_h": 1.5}, stats.expon(1.5, 2)),
]
SHARES = np.concatenate([[1e-9, 1e-4], np.linspace(0.01, 0.99, 50), [0.9999, 1 - 1e-9]])


def quantile(values):
    table: list[tuple[float, float]] = []
    distribution = TypeAdapter(Distribution).validate_python(values)
    row = np.array(distribution_row(distribution, table))
    return distribution, lambda u: drawing()[0](row, np.array(table, float).reshape(-1, 2), u)


@pytest.mark.parametrize(("values", "theory"), DISTRIBUTIONS)
def test_distribution_has_quantiles_and_mean_of_theory(values, theory):
    """A distribution has the quantiles and the mean of theory."""
    distribution, of = quantile(values)
    assert [of(u) for u in SHARES] == pytest.approx(theory.ppf(SHARES), rel=1e-7)
    assert distribution.mean == pytest.approx(theory.mean(), rel=1e-9)


def test_hyper_exponential_has_its_given_mean_and_cv():
    """A hyper exponential distribution has the mean and the cv that it is given."""
    distribution, of = quantile({"distribution": "hyper-exponential", "mean_h": 2, "cv": 3})
    values = np.array([of(u) for u in (np.arange(400_000) + 0.5) / 400_000])
    assert distribution.mean == pytest.approx(2)
    assert values.mean() == pytest.approx(2, rel=1e-3)
    assert values.std() / values.mean() == pytest.approx(3, rel=5e-3)


def test_empirical_gives_only_its_values_by_weight():
    """An empirical distribution gives its values by weight and nothing else."""
    distribution, of = quantile({"distribution": "empirical", "values_h": [8, 16, 24], "weights": [1, 2, 1]})
    assert [of(u) for u in (0.0001, 0.2499, 0.2501, 0.7499, 0.7501, 0.9999)] == [8, 8, 16, 16, 24, 24]
    assert distribution.mean == 16


def test_share_of_nothing_takes_no_time():
    """A share of nothing takes no time and leaves the rest as it was."""
    distribution, of = quantile({"distribution": "exponential", "mean_h": 2, "none_probability": 0.25})
    assert of(0.2) == 0
    assert of(0.25 + 0.75 * 0.5) == pytest.approx(2 * np.log(2))
    assert distribution.mean == 1.5
