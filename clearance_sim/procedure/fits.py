"""Distributions fitted to published aggregates. No record of any consignment is needed."""

from dataclasses import dataclass
from math import exp, log

from scipy.optimize import brentq
from scipy.stats import norm

Z90 = float(norm.ppf(0.9))


@dataclass(frozen=True)
class LogNormal:
    """A log-normal distribution in hours, shifted by a floor."""

    mu: float
    sigma: float
    floor: float = 0.0

    @property
    def mean(self) -> float:
        """The mean in hours."""
        return self.floor + exp(self.mu + self.sigma**2 / 2)

    @property
    def median(self) -> float:
        """The median in hours."""
        return self.floor + exp(self.mu)

    def quantile(self, probability: float) -> float:
        """Return the hours below which this share of values lies."""
        return self.floor + exp(self.mu + self.sigma * float(norm.ppf(probability)))

    def share_below(self, hours: float) -> float:
        """Return the share of values below some hours."""
        return float(norm.cdf((log(hours - self.floor) - self.mu) / self.sigma)) if hours > self.floor else 0.0


def from_median_and_p90(median: float, p90: float) -> LogNormal:
    """Return the log-normal with this median and this 90th percentile, in hours.

    Raises:
        ValueError: The percentile does not lie above a positive median.
    """
    if not 0 < median < p90:
        raise ValueError(f"a ninth decile of {p90:g} does not lie above a positive median of {median:g}")
    return LogNormal(mu=log(median), sigma=log(p90 / median) / Z90)


def from_mean_and_shares(mean: float, share_below_mean: float, hours: float, share_below_hours: float) -> LogNormal:
    """Return the shifted log-normal with this mean, this share below the mean, and this share below some hours.

    For every log-normal the share below its own mean is Φ(σ/2), whatever the floor, which gives σ. The other share then
    gives the floor.

    Raises:
        ValueError: No such distribution exists.
    """
    if not 0.5 < share_below_mean < 1:
        raise ValueError("a right-skewed total has more than half of its values below its mean")
    sigma = 2 * float(norm.ppf(share_below_mean))

    def fitted(floor: float) -> LogNormal:
        return LogNormal(mu=log(mean - floor) - sigma**2 / 2, sigma=sigma, floor=floor)

    def gap(floor: float) -> float:
        return fitted(floor).share_below(hours) - share_below_hours

    highest = min(mean, hours) * (1 - 1e-9)
    if gap(0) < 0:
        raise ValueError(f"fewer than {share_below_hours:.0%} lie below {hours:g} h even without a floor")
    return fitted(float(brentq(gap, 0, highest)))


def scaled(fit: LogNormal, factor: float) -> LogNormal:
    """Return the distribution with all hours multiplied by a factor."""
    return LogNormal(mu=fit.mu + log(factor), sigma=fit.sigma, floor=fit.floor * factor)
