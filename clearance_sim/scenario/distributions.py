"""Distributions of durations, gaps and patience, each with the parameters by which people know it."""

import functools
import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from clearance_sim.messages import Message, _
from clearance_sim.scenario import refusal
from clearance_sim.scenario.quantity import Hours, Positive, Probability, Strict

Z90 = 1.2815515655446004  # the standard normal's 90 % point


class _Distribution(Strict):
    """What every distribution may add: a fixed lead time, and a share of cases that take no time at all."""

    shift_h: Hours = Hours(value=0.0)
    none_probability: Probability = Probability(value=0.0)
    source: str | None = None

    def own_mean_h(self) -> float:
        """Return the mean before lead time and share of nothing."""
        raise NotImplementedError

    @property
    def mean(self) -> float:
        """The mean in hours."""
        return (1.0 - self.none_probability.value) * (self.shift_h.value + self.own_mean_h())


class Deterministic(_Distribution):
    """Always the same."""

    distribution: Literal["deterministic"]
    value_h: Hours

    def own_mean_h(self) -> float:
        return self.value_h.value


class Exponential(_Distribution):
    """Memoryless; by its mean."""

    distribution: Literal["exponential"]
    mean_h: Positive

    def own_mean_h(self) -> float:
        return self.mean_h.value


class Uniform(_Distribution):
    """Anything between two bounds alike."""

    distribution: Literal["uniform"]
    low_h: Hours
    high_h: Hours

    @model_validator(mode="after")
    def _in_order(self) -> "Uniform":
        if self.low_h.value > self.high_h.value:
            raise refusal(_("low_h lies above high_h"), _("put the smaller bound in low_h"))
        return self

    def own_mean_h(self) -> float:
        return (self.low_h.value + self.high_h.value) / 2


class Triangular(_Distribution):
    """Least, most likely and most."""

    distribution: Literal["triangular"]
    low_h: Hours
    mode_h: Hours
    high_h: Hours

    @model_validator(mode="after")
    def _in_order(self) -> "Triangular":
        if not self.low_h.value <= self.mode_h.value <= self.high_h.value or self.low_h.value == self.high_h.value:
            raise refusal(_("low_h, mode_h and high_h are not in rising order"), _("give low_h <= mode_h <= high_h"))
        return self

    def own_mean_h(self) -> float:
        return (self.low_h.value + self.mode_h.value + self.high_h.value) / 3


class LogNormal(_Distribution):
    """Skewed, as human durations are: by median and 90th percentile, or by mean and coefficient of variation."""

    distribution: Literal["log-normal"]
    median_h: Positive | None = None
    p90_h: Positive | None = None
    mean_h: Positive | None = None
    cv: Positive | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> "LogNormal":
        pair(self, ("median_h", "p90_h"), ("mean_h", "cv"))
        if self.median_h and self.p90_h and self.p90_h.value < self.median_h.value:
            raise refusal(_("p90_h lies below median_h"), _("nine in ten cases end by p90_h, half of them by median_h"))
        return self

    def log_parameters(self) -> tuple[float, float]:
        """Return mean and standard deviation of the logarithm of hours."""
        if self.median_h and self.p90_h:
            return math.log(self.median_h.value), math.log(self.p90_h.value / self.median_h.value) / Z90
        assert self.mean_h is not None
        assert self.cv is not None
        variance = math.log1p(self.cv.value**2)
        return math.log(self.mean_h.value) - variance / 2, math.sqrt(variance)

    def own_mean_h(self) -> float:
        mu, sigma = self.log_parameters()
        return math.exp(mu + sigma * sigma / 2)


class Gamma(_Distribution):
    """By mean and coefficient of variation, or by mean and shape."""

    distribution: Literal["gamma"]
    mean_h: Positive
    cv: Positive | None = None
    shape: Positive | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "Gamma":
        pair(self, ("cv",), ("shape",))
        return self

    @property
    def k(self) -> float:
        """The shape."""
        if self.shape:
            return self.shape.value
        assert self.cv
        return 1.0 / self.cv.value**2

    def own_mean_h(self) -> float:
        return self.mean_h.value


class Erlang(_Distribution):
    """The sum of a number of equal memoryless phases."""

    distribution: Literal["erlang"]
    mean_h: Positive
    phases: int = Field(ge=1, le=10_000)

    def own_mean_h(self) -> float:
        return self.mean_h.value


class Weibull(_Distribution):
    """By shape, and scale or mean."""

    distribution: Literal["weibull"]
    shape: Positive
    scale_h: Positive | None = None
    mean_h: Positive | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "Weibull":
        pair(self, ("scale_h",), ("mean_h",))
        return self

    @property
    def scale(self) -> float:
        """The scale in hours."""
        if self.scale_h:
            return self.scale_h.value
        assert self.mean_h
        return self.mean_h.value / math.gamma(1.0 + 1.0 / self.shape.value)

    def own_mean_h(self) -> float:
        return self.scale * math.gamma(1.0 + 1.0 / self.shape.value)


class HyperExponential(_Distribution):
    """A mixture of exponential ones: by mean and cv above 1 (two branches, balanced means), or branch by branch."""

    distribution: Literal["hyper-exponential"]
    mean_h: Positive | None = None
    cv: Positive | None = None
    means_h: tuple[Positive, ...] | None = None
    probabilities: tuple[Probability, ...] | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> "HyperExponential":
        pair(self, ("mean_h", "cv"), ("means_h", "probabilities"))
        if self.cv and self.cv.value <= 1:
            raise refusal(
                _("a hyper-exponential distribution has a cv above 1"),
                _("use exponential, erlang or gamma for cv <= 1"),
            )
        if self.means_h and self.probabilities:
            same_length(self.means_h, self.probabilities, "means_h", "probabilities")
            sums_to_one([p.value for p in self.probabilities])
        return self

    def branches(self) -> list[tuple[float, float]]:
        """Return (probability, mean in hours) of each branch."""
        if self.means_h and self.probabilities:
            return [(p.value, m.value) for p, m in zip(self.probabilities, self.means_h, strict=True)]
        assert self.mean_h is not None
        assert self.cv is not None
        square, mean = self.cv.value**2, self.mean_h.value
        # Balanced means: each branch contributes half of the mean, which leaves one distribution for a mean and a cv.
        p = 0.5 * (1.0 + math.sqrt((square - 1.0) / (square + 1.0)))
        return [(p, mean / (2.0 * p)), (1.0 - p, mean / (2.0 * (1.0 - p)))]

    def own_mean_h(self) -> float:
        return sum(p * mean for p, mean in self.branches())


class Empirical(_Distribution):
    """One of the values seen, alike or by weight."""

    distribution: Literal["empirical"]
    values_h: tuple[float, ...] = Field(min_length=1)
    weights: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _sound(self) -> "Empirical":
        if min(self.values_h) < 0:
            raise refusal(_("a time of {n} h is negative"), _("give zero or more hours"), n=min(self.values_h))
        if self.weights is not None:
            same_length(self.values_h, self.weights, "values_h", "weights")
            if min(self.weights) < 0 or sum(self.weights) <= 0:
                raise refusal(_("weights must be zero or more, and not all zero"), _("fix the weights"))
        return self

    def shares(self) -> list[float]:
        """Return the probability of each value."""
        weights = self.weights or (1.0,) * len(self.values_h)
        return [weight / sum(weights) for weight in weights]

    def own_mean_h(self) -> float:
        return sum(share * value for share, value in zip(self.shares(), self.values_h, strict=True))


Distribution = Annotated[
    Deterministic
    | Exponential
    | Uniform
    | Triangular
    | LogNormal
    | Gamma
    | Erlang
    | Weibull
    | HyperExponential
    | Empirical,
    Field(discriminator="distribution"),
]


def pair(table: Strict, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Check that a table states exactly one of two sets of parameters, and that one in full.

    Raises:
        PydanticCustomError: It states neither, both, or a part.
    """
    given = {name for name in first + second if getattr(table, name) is not None}
    if given not in (set(first), set(second)):
        ways = {"first": joined(first), "second": joined(second)}
        if not given:
            raise refusal(_("needs {first}, or {second}; it has neither"), _("give exactly one of the two"), **ways)
        has = ", ".join(sorted(given))
        raise refusal(_("needs {first}, or {second}; it has {has}"), _("give exactly one of the two"), **ways, has=has)


def joined(names: tuple[str, ...]) -> Message:
    """Return names as an enumeration in words."""
    first, *rest = (Message("{name}", {"name": name}) for name in names)
    return functools.reduce(lambda one, other: _("{first} and {second}", first=one, second=other), rest, first)


def same_length(first: tuple[object, ...], second: tuple[object, ...], a: str, b: str) -> None:
    """Check that two lists have the same length.

    Raises:
        PydanticCustomError: They have not.
    """
    if len(first) != len(second):
        raise refusal(_("{a} and {b} have different lengths"), _("give one of {b} for each of {a}"), a=a, b=b)


def sums_to_one(probabilities: list[float]) -> None:
    """Check that probabilities add up to one.

    Raises:
        PydanticCustomError: They do not.
    """
    total = math.fsum(probabilities)
    if abs(total - 1.0) > 1e-9:
        raise refusal(_("the probabilities sum to {total}, not 1"), _("make them sum to 1"), total=round(total, 12))
