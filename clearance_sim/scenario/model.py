"""The model of a scenario file: stations, classes, arrivals, calendars and clocks of a queueing network.

Times are hours since the scenario's start. The engine turns this model into flat tables.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from clearance_sim.messages import LANGUAGES, _
from clearance_sim.scenario import refusal
from clearance_sim.scenario.distributions import Distribution
from clearance_sim.scenario.quantity import Count, Hours, NotNegative, Positive, Probability, Strict

EXIT = "exit"


def _by_language(given: Any) -> Any:
    return dict.fromkeys(LANGUAGES, given) if isinstance(given, str) else given


Text = Annotated[
    dict[str, str],
    Field(min_length=1),
    BeforeValidator(_by_language),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}]}),
]
"""A text for readers by language code; one string stands for all languages."""


def _as_tuple(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


EndOfShift = Literal["drain", "crew", "pre-empt-resume", "finish-before-close"]


class Branch(Strict):
    """One way to go from a station."""

    to: str
    probability: Probability = Probability(value=1.0)
    becomes: str | None = None
    """The class that the declaration takes on this way."""
    frailty: float = 0.0
    """How the chance of this way moves, on the logit scale, with one standard deviation of frailty."""


_BRANCH_KEYS: dict[str, object] = {key: {} for key in Branch.model_fields}


def _branches(given: Any) -> Any:
    if isinstance(given, str):
        return [{"to": given}]
    if isinstance(given, dict) and "to" not in given:
        return [{"to": to, "probability": probability} for to, probability in given.items()]
    return [given] if isinstance(given, dict) else given


Ways = Annotated[
    tuple[Branch, ...],
    BeforeValidator(_branches),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "description": "a station, or exit"},
                {"type": "object", "description": "station or exit -> probability"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["to"],
                        "properties": _BRANCH_KEYS,
                    },
                },
            ]
        }
    ),
]


class Station(Strict):
    """Where declarations are served: by officers, bays or machines, or by as many as come (`unlimited`)."""

    title: Text | None = None
    party: str | None = None
    """Whose time this is: customs, trader, port, agency, bank, system."""
    service: Distribution
    since: str | None = None
    """For `unlimited` servers: the service runs from this point of the declaration's way, not from the entry, so that
    one leaves at max(entry, time of the point + service). `arrive`, `enter:X`, `start:X`, `leave:X`, or `due:X`."""
    service_by_class: dict[str, Distribution] = Field(default={})
    servers: Count | Literal["unlimited"] | None = None
    """How many are on duty; a shift may say otherwise for its own hours."""
    calendar: str | None = None
    end_of_shift: EndOfShift = "drain"
    pre_emptive: bool = False
    """Whether a higher priority interrupts a lower one in service, which resumes later where it stopped."""
    waiting_room: int | None = Field(default=None, ge=0)
    """How many may wait; who finds it full is lost, or goes to `overflow_to`, also who would interrupt."""
    overflow_to: str | None = None
    patience: Distribution | None = None
    """How long one waits for service to begin before giving up (and leaving, or going `abandon_to`)."""
    abandon_to: str | None = None
    frailty: float = 0.0
    """Durations here are multiplied by exp(frailty·z − frailty²/2), z being the declaration's frailty."""
    stream: str | None = None
    """The name that random draws here are keyed by; stations of two scenarios that share it share draws."""
    next: Ways
    next_by_class: dict[str, Ways] = Field(default={})


class Class(Strict):
    """A kind of declaration."""

    priority: int = 0
    """Lower is served earlier."""


class Window(Strict):
    """A stretch of the week with its own arrival rate."""

    days: str = "daily"
    from_: str = Field(alias="from")
    to: str
    rate_per_h: NotNegative | None = None
    factor: NotNegative | None = None

    @model_validator(mode="after")
    def _rate_or_factor(self) -> Self:
        if (self.rate_per_h is None) == (self.factor is None):
            raise refusal(_("a window needs either rate_per_h or factor"), _("give one of the two"))
        return self


class Peak(Strict):
    """A stretch of time, once, in which arrivals are multiplied (a promotion; 0 stands for a closed gate)."""

    from_h: Hours
    to_h: Hours
    factor: NotNegative


class Sinusoid(Strict):
    """A rate that swings: rate(t) = rate_per_h · (1 + amplitude · sin(2π (t − phase_h) / period_h))."""

    amplitude: Probability
    period_h: Positive
    phase_h: float = 0.0


class Batch(Strict):
    """How many declarations come together: a fixed size, sizes by weight, or a geometric size of this mean."""

    size: int | None = Field(default=None, ge=1)
    sizes: tuple[int, ...] | None = None
    weights: tuple[float, ...] | None = None
    geometric_mean: Positive | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.size, self.sizes, self.geometric_mean)) != 1:
            raise refusal(_("a batch needs one of size, sizes, geometric_mean"), _("give exactly one of them"))
        if self.sizes is not None and (not self.sizes or min(self.sizes) < 1):
            raise refusal(_("batch sizes are whole numbers from 1"), _("fix sizes"))
        if self.weights is not None:
            if self.sizes is None or len(self.sizes) != len(self.weights):
                raise refusal(_("weights go with sizes, one for each"), _("give one weight for each size"))
            if min(self.weights) < 0 or sum(self.weights) <= 0:
                raise refusal(_("weights must be zero or more, and not all zero"), _("fix the weights"))
        if self.geometric_mean is not None and self.geometric_mean.value < 1:
            raise refusal(_("a batch holds at least one declaration"), _("give a geometric_mean of 1 or more"))
        return self

    @property
    def mean(self) -> float:
        """The mean size."""
        if self.size is not None:
            return float(self.size)
        if self.geometric_mean is not None:
            return self.geometric_mean.value
        assert self.sizes
        weights = self.weights or (1.0,) * len(self.sizes)
        return sum(s * w for s, w in zip(self.sizes, weights, strict=True)) / sum(weights)


class Arrivals(Strict):
    """A source of declarations: Poisson at `rate_per_h`, or with gaps of any kind; steady, weekly or sinusoidal."""

    rate_per_h: NotNegative | None = None
    gap: Distribution | None = None
    profile: tuple[Window, ...] = ()
    peaks: tuple[Peak, ...] = ()
    sinusoid: Sinusoid | None = None
    batch: Batch | None = None
    classes: dict[str, Probability] = Field(default={})
    to: Ways
    stream: str | None = None

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.gap is not None and (self.rate_per_h is not None or any(w.rate_per_h for w in self.profile)):
            raise refusal(
                _("arrivals have both gap and rate_per_h"), _("give one; windows of gap arrivals take factor")
            )
        if self.gap is not None and self.gap.mean <= 0:
            raise refusal(_("gaps of no length would never let time pass"), _("give gap a mean above zero"))
        if self.gap is None and self.rate_per_h is None and not any(w.rate_per_h for w in self.profile):
            raise refusal(_("arrivals have no rate"), _("give rate_per_h, gap, or a profile with rate_per_h"))
        if self.sinusoid is not None and (self.profile or self.peaks):
            raise refusal(_("a sinusoid cannot be combined with profile or peaks"), _("give one of the two"))
        return self


class Shift(Strict):
    """Hours on duty: by weekday and clock time, or by hour of the calendar's cycle."""

    days: str = "daily"
    from_: str | None = Field(default=None, alias="from")
    to: str | None = None
    from_h: Hours | None = None
    to_h: Hours | None = None
    servers: Count | None = None
    overtime: bool = False
    """Whether these hours are worked as overtime (counted apart)."""


class Holidays(Strict):
    """Public holidays of a country (ISO 3166 code); China's make-up working days too, unless told otherwise."""

    country: str
    subdivision: str | None = None
    make_up_days: bool = True


class Calendar(Strict):
    """When a station is staffed: weekly shifts on wall-clock time, or a cycle of so many hours."""

    shifts: tuple[Shift, ...]
    cycle_h: Positive | None = None
    holidays: Holidays | None = None
    closed: tuple[date, ...] = ()
    """Days without any shift."""
    open: tuple[date, ...] = ()
    """Days worked as a Monday, whatever the week or the holidays say."""


class Clock(Strict):
    """A time that is reported: from the first occurrence of one point to the last of another.

    Points: `arrive`, `enter:STATION`, `start:STATION`, `leave:STATION`, `exit`, and `due:STATION`: the moment at which
    a station with `since` is due to let go, whether or not one had to wait for it. Of several in `from` the latest
    counts; the time may be negative. A declaration that never reaches a point has no time on the clock.
    """

    from_: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        alias="from", default=("arrive",), min_length=1
    )
    to: str = EXIT
    target_h: tuple[float, ...] = ()
    """Within how many hours: the share that makes it is reported."""
    title: Text | None = None


class Frailty(Strict):
    """One standard normal number per declaration, or per trader, that makes one's stages slow or swift together."""

    of: Literal["declaration", "trader"] = "declaration"
    traders: int = Field(default=1000, ge=1)


class Observe(Strict):
    """Moments at which the numbers waiting, in service and on duty are noted: once, or in every cycle."""

    at_h: tuple[Hours, ...]
    every_h: Positive | None = None


class Run(Strict):
    """How long one replication is, and what of it is counted."""

    declarations: int | None = Field(default=None, ge=1)
    horizon_h: Positive | None = None
    cut_at_horizon: bool = False
    """Whether the run stops at the horizon, or only arrivals do and who is inside is followed to the exit."""
    warm_up_declarations: int | None = Field(default=None, ge=0)
    warm_up_h: Hours | None = None
    warm_up: Literal["mser-5"] | None = None
    replications: int = Field(default=20, ge=1)
    seed: int = Field(default=1, ge=0, lt=2**63)
    allow_overload: bool = False
    """Accept an offered load of 1 or more; only with a finite `horizon_h`."""

    @model_validator(mode="after")
    def _one_warm_up(self) -> Self:
        if sum(w is not None for w in (self.warm_up, self.warm_up_h, self.warm_up_declarations)) > 1:
            raise refusal(_("more than one kind of warm-up"), _("give one of warm_up_h, warm_up_declarations, warm_up"))
        return self


class Scenario(Strict):
    """A whole scenario file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$")
    title: Text | None = None
    description: Text | None = None
    source: str | None = None
    zone: str = "UTC"
    """The time zone of the place, for those who read the event log; clocks are not moved for summer time."""
    start: datetime = datetime(2026, 1, 5)
    """Hour 0, in the wall-clock time of the place (default: Monday 5 January 2026, 00:00)."""
    stations: dict[str, Station] = Field(min_length=1)
    classes: dict[str, Class] = Field(default={})
    arrivals: dict[str, Arrivals] = Field(min_length=1)
    calendars: dict[str, Calendar] = Field(default={})
    clocks: dict[str, Clock] = Field(default={})
    frailty: Frailty | None = None
    observe: Observe | None = None
    run: Run = Run()
