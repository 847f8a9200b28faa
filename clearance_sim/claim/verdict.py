"""The verdict on a claim in sentences built from results, and checks of the claim's own figures.

Three readings of "shared verified records bring 72 hours to 8" are judged separately: the ledger alone, the ledger with
the paperless processing that it comes with, and the whole programme of reforms. The headline is the second. It never
speaks of a mean where only a median reaches the target, and is indeterminate where an interval contains the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any

from clearance_sim.analysis.estimate import Interval
from clearance_sim.messages import Message, _, sentences


class Outcome(StrEnum):
    """What can be said about a target."""

    HOLDS = "holds"
    AS_MEDIAN = "holds as median"
    NOT = "does not hold"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True)
class Reading:
    """Mean, median and 90th percentile of one arm's clock."""

    mean: Interval
    median: Interval
    p90: Interval


@dataclass(frozen=True)
class Evidence:
    """The results from which a verdict is built."""

    context: Mapping[str, str]
    """Its title by language."""
    clock: Message
    baseline: Reading
    ledger_alone: Reading
    paperless_with_ledger: Reading
    paperless_without_ledger: Reading
    everything: Reading
    everything_but_the_ledger: Reading
    ledger_direct_percent: Interval
    ledger_enabled_percent: Interval
    credited: Message
    smallest_set: str | None
    """The smallest set of levers whose mean reaches the target. Empty if none is needed, None if none reaches it."""
    from_hours: float = 72.0
    to_hours: float = 8.0


@dataclass(frozen=True)
class Verdict:
    """The outcome of each reading of the claim, and the sentences that state it."""

    outcome: Outcome
    alone: Outcome
    programme: Outcome
    parts: tuple[Message, ...]

    @property
    def sentence(self) -> Message:
        """All sentences as one text."""
        return sentences(self.parts)

    def to_json(self) -> dict[str, object]:
        return {
            "outcome": self.outcome,
            "outcome_ledger_alone": self.alone,
            "outcome_whole_programme": self.programme,
            "parts": [part.in_all_languages() for part in self.parts],
            **self.sentence.in_all_languages(),
        }


def outcome_of(reading: Reading, hours: float) -> Outcome:
    """Tell whether a target (hours) is reached as a mean, only as a median, not at all, or cannot be told."""
    if reading.mean.lies_below(hours):
        return Outcome.HOLDS
    if not reading.mean.lies_above(hours):
        return Outcome.INDETERMINATE
    if reading.median.lies_below(hours):
        return Outcome.AS_MEDIAN
    return Outcome.NOT if reading.median.lies_above(hours) else Outcome.INDETERMINATE


def judge(evidence: Evidence) -> Verdict:
    """Build the verdict that the results support."""
    target = evidence.to_hours
    technology = outcome_of(evidence.paperless_with_ledger, target)
    alone = outcome_of(evidence.ledger_alone, target)
    programme = outcome_of(evidence.everything, target)
    parts = (
        _context(evidence),
        _technology(evidence, technology),
        _alone(evidence, alone),
        _programme(evidence, programme),
        _attribution(evidence),
    )
    return Verdict(outcome=technology, alone=alone, programme=programme, parts=parts)


_OUTCOMES = {
    Outcome.HOLDS: _("{hours:g} h is reached as a mean"),
    Outcome.AS_MEDIAN: _("{hours:g} h is reached as a median only, not as a mean"),
    Outcome.NOT: _("{hours:g} h is not reached, neither as a mean nor as a median"),
    Outcome.INDETERMINATE: _("whether {hours:g} h is reached cannot be told, since an interval straddles it"),
}


def _outcome(outcome: Outcome, hours: float) -> Message:
    return replace(_OUTCOMES[outcome], values={"hours": hours})


def _context(evidence: Evidence) -> Message:
    base, hours = evidence.baseline.mean, evidence.from_hours
    values: dict[str, Any] = {"context": evidence.context, "clock": evidence.clock, "mean": base.hours()}
    if base.low <= hours <= base.high or abs(base.value - hours) <= 0.03 * hours:
        return _("{context}, clock {clock}: on paper the mean is {mean}.", **values)
    return _("{context}, clock {clock}: on paper the mean is {mean}, not {claimed:g} h.", **values, claimed=hours)


def _technology(evidence: Evidence, outcome: Outcome) -> Message:
    reading, other = evidence.paperless_with_ledger, evidence.paperless_without_ledger
    return _(
        "With shared verified records and paperless processing the mean is {mean}, the median {median}, the ninth "
        "decile {p90}: {outcome}. Paperless processing without a ledger gives a mean of {without}.",
        mean=reading.mean.hours(),
        median=reading.median.hours(),
        p90=reading.p90.hours(),
        outcome=_outcome(outcome, evidence.to_hours),
        without=other.mean.hours(),
    )


def _alone(evidence: Evidence, outcome: Outcome) -> Message:
    return _(
        "The ledger alone gives a mean of {mean}: {outcome}.",
        mean=evidence.ledger_alone.mean.hours(),
        outcome=_outcome(outcome, evidence.to_hours),
    )


def _programme(evidence: Evidence, outcome: Outcome) -> Message:
    reading, without = evidence.everything, evidence.everything_but_the_ledger
    return _(
        "With every lever the mean is {mean} and the ninth decile {p90}: {outcome}; without the ledger among them the "
        "mean is {without}. {fewest}",
        mean=reading.mean.hours(),
        p90=reading.p90.hours(),
        outcome=_outcome(outcome, evidence.to_hours),
        without=without.mean.hours(),
        fewest=_fewest(evidence),
    )


def _fewest(evidence: Evidence) -> Message:
    if evidence.smallest_set == "":
        return _("The mean is within {hours:g} h without any lever.", hours=evidence.to_hours)
    if evidence.smallest_set is None:
        return _("No set of levers brings the mean within {hours:g} h.", hours=evidence.to_hours)
    return _(
        "The smallest set of levers with a mean within {hours:g} h is {letters}.",
        hours=evidence.to_hours,
        letters=evidence.smallest_set,
    )


def _attribution(evidence: Evidence) -> Message:
    direct, enabled = evidence.ledger_direct_percent, evidence.ledger_enabled_percent
    if not isfinite(direct.value):
        return _("No hours are saved that could be shared out.")
    return _(
        "Of the hours saved, {rest:.1f} % ({low:.1f} to {high:.1f}) are not due to the ledger itself; if it is "
        "credited with {credited} (an assumption, not a finding), {others:.1f} % are not.",
        rest=100 - direct.value,
        low=100 - direct.high,
        high=100 - direct.low,
        credited=evidence.credited,
        others=100 - enabled.value,
    )


LOGISTICS_DAYS = 5.7
FULFILMENT_WORKING_DAYS = (3, 5)

Remark = dict[str, object]


def remarks(from_h: float, to_h: float, saved_by_ledger_arm_h: float) -> list[Remark]:
    """Compare a door-to-door time of 5.7 days with the clearance times claimed within it, and with the hours saved."""
    return [_room(from_h, to_h), _saving(from_h - to_h, saved_by_ledger_arm_h), _fulfilment()]


def _room(from_h: float, to_h: float) -> Remark:
    door = 24 * LOGISTICS_DAYS
    before, after = (door - from_h) / 24, (door - to_h) / 24
    says = _(
        "{start:g} h of clearance would be {start_part:.0f} % of {door} logistics days and leave {before:.1f} days for "
        "everything else; {end:g} h would be {end_part:.0f} % and leave {after:.1f} days. {door} days agree with "
        "either, each time only if the rest of the way takes that long.",
        start=from_h,
        start_part=100 * from_h / door,
        end=to_h,
        end_part=100 * to_h / door,
        door=LOGISTICS_DAYS,
        before=before,
        after=after,
    )
    return {
        **says.in_all_languages(),
        "values": {"door_days": LOGISTICS_DAYS, "rest_before": before, "rest_after": after},
    }


def _saving(cut_h: float, saved_h: float) -> Remark:
    days, saved = cut_h / 24, saved_h / 24
    says = _(
        "If clearance falls by {cut:g} h, door to door falls by at most {days:.1f} days; the paperless arm with a "
        "ledger saves {saved_h:.1f} h on average here, which is {saved:.1f} days.",
        cut=cut_h,
        days=days,
        saved_h=saved_h,
        saved=saved,
    )
    return {**says.in_all_languages(), "values": {"cut_days": days, "saved_days": saved}}


def _fulfilment() -> Remark:
    least, most = FULFILMENT_WORKING_DAYS
    span: dict[str, Any] = {"least": least, "most": most, "longest": most + 2, "door": LOGISTICS_DAYS}
    says = (
        _(
            "A fulfilment of {least} to {most} working days spans {least} to {longest} calendar days with a weekend: "
            "it holds {door} logistics days only at its slow end.",
            **span,
        )
        if most + 2 >= LOGISTICS_DAYS
        else _(
            "A fulfilment of {least} to {most} working days spans {least} to {longest} calendar days with a weekend: "
            "it holds {door} logistics days not at all.",
            **span,
        )
    )
    return {**says.in_all_languages(), "values": {"calendar_days": [least, most + 2]}}
