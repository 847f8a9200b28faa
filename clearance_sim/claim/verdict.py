"""The verdict on a claim as a sentence that is built from results, in English and Chinese.

Three readings of "shared verified records bring 72 hours to 8" are judged apart: the ledger alone, the ledger with the
paperless processing it comes with, and the whole programme of reforms. The headline is the second; it never speaks of
a mean where only a median reaches the target, and says that it cannot tell where an interval straddles the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from clearance_sim.analysis.estimate import Interval


class Outcome(StrEnum):
    """What may be said of a target."""

    HOLDS = "holds"
    AS_MEDIAN = "holds as median"
    NOT = "does not hold"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True)
class Text:
    """The same statement in both languages."""

    en: str
    zh: str

    def to_json(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}


@dataclass(frozen=True)
class Reading:
    """One arm's clock: mean, median and ninth decile."""

    mean: Interval
    median: Interval
    p90: Interval


@dataclass(frozen=True)
class Evidence:
    """What a verdict is built from."""

    setting: Text
    clock: Text
    baseline: Reading
    ledger_alone: Reading
    paperless_with_ledger: Reading
    paperless_without_ledger: Reading
    everything: Reading
    everything_but_the_ledger: Reading
    ledger_direct_percent: Interval
    ledger_enabled_percent: Interval
    credited: Text
    smallest_set: str | None
    """The smallest set whose mean reaches the target; empty when none is needed, None when none does."""
    from_hours: float = 72.0
    to_hours: float = 8.0


@dataclass(frozen=True)
class Verdict:
    """The outcome for each reading of the claim, and the sentences that say it."""

    outcome: Outcome
    alone: Outcome
    programme: Outcome
    parts: tuple[Text, ...]

    @property
    def sentence(self) -> Text:
        return Text(" ".join(part.en for part in self.parts), "".join(part.zh for part in self.parts))

    def to_json(self) -> dict[str, object]:
        return {
            "outcome": self.outcome,
            "outcome_ledger_alone": self.alone,
            "outcome_whole_programme": self.programme,
            "parts": [part.to_json() for part in self.parts],
            **self.sentence.to_json(),
        }


def outcome_of(reading: Reading, hours: float) -> Outcome:
    """Whether a target is reached as a mean, only as a median, not at all, or cannot be told."""
    if reading.mean.lies_below(hours):
        return Outcome.HOLDS
    if not reading.mean.lies_above(hours):
        return Outcome.INDETERMINATE
    if reading.median.lies_below(hours):
        return Outcome.AS_MEDIAN
    return Outcome.NOT if reading.median.lies_above(hours) else Outcome.INDETERMINATE


def judge(evidence: Evidence) -> Verdict:
    """Say what the results allow to be said."""
    target = evidence.to_hours
    technology = outcome_of(evidence.paperless_with_ledger, target)
    alone = outcome_of(evidence.ledger_alone, target)
    programme = outcome_of(evidence.everything, target)
    parts = (
        _setting(evidence),
        _technology(evidence, technology),
        _alone(evidence, alone),
        _programme(evidence, programme),
        _attribution(evidence),
    )
    return Verdict(outcome=technology, alone=alone, programme=programme, parts=parts)


_EN = {
    Outcome.HOLDS: "{h:g} h is reached as a mean",
    Outcome.AS_MEDIAN: "{h:g} h is reached as a median only, not as a mean",
    Outcome.NOT: "{h:g} h is not reached, neither as a mean nor as a median",
    Outcome.INDETERMINATE: "whether {h:g} h is reached cannot be told, since an interval straddles it",
}
_ZH = {
    Outcome.HOLDS: "平均值达到 {h:g} 小时",
    Outcome.AS_MEDIAN: "仅中位数达到 {h:g} 小时，平均值未达到",
    Outcome.NOT: "平均值和中位数均未达到 {h:g} 小时",
    Outcome.INDETERMINATE: "置信区间跨越 {h:g} 小时，无法判断是否达到",
}


def _says(outcome: Outcome, hours: float) -> Text:
    return Text(_EN[outcome].format(h=hours), _ZH[outcome].format(h=hours))


def _setting(evidence: Evidence) -> Text:
    base, hours = evidence.baseline.mean, evidence.from_hours
    is_the_claimed = base.low <= hours <= base.high or abs(base.value - hours) <= 0.03 * hours
    en = "" if is_the_claimed else f", not {hours:g} h"
    zh = "" if is_the_claimed else f"，而非 {hours:g} 小时"
    return Text(
        f"{evidence.setting.en}, clock {evidence.clock.en}: on paper the mean is {base.hours()}{en}.",
        f"{evidence.setting.zh}，计时口径“{evidence.clock.zh}”：纸面办理平均 {base.hours('zh')}{zh}。",
    )


def _technology(evidence: Evidence, outcome: Outcome) -> Text:
    reading, other = evidence.paperless_with_ledger, evidence.paperless_without_ledger
    says = _says(outcome, evidence.to_hours)
    return Text(
        f"With shared verified records and paperless processing the mean is {reading.mean.hours()}, "
        f"the median {reading.median.hours()}, the ninth decile {reading.p90.hours()}: {says.en}. "
        f"Paperless processing without a ledger gives a mean of {other.mean.hours()}.",
        f"采用共享可验凭证并实行无纸化后，平均 {reading.mean.hours('zh')}，中位数 {reading.median.hours('zh')}，"
        f"P90 {reading.p90.hours('zh')}：{says.zh}。不用账本、仅实行无纸化，平均 {other.mean.hours('zh')}。",
    )


def _alone(evidence: Evidence, outcome: Outcome) -> Text:
    says = _says(outcome, evidence.to_hours)
    return Text(
        f"The ledger alone gives a mean of {evidence.ledger_alone.mean.hours()}: {says.en}.",
        f"仅凭账本，平均 {evidence.ledger_alone.mean.hours('zh')}：{says.zh}。",
    )


def _programme(evidence: Evidence, outcome: Outcome) -> Text:
    says = _says(outcome, evidence.to_hours)
    reading, without = evidence.everything, evidence.everything_but_the_ledger
    fewest_en = f"The smallest set of levers with a mean within {evidence.to_hours:g} h is {evidence.smallest_set}."
    fewest_zh = f"使平均值不超过 {evidence.to_hours:g} 小时的最小措施组合为 {evidence.smallest_set}。"
    if evidence.smallest_set == "":
        fewest_en = f"The mean is within {evidence.to_hours:g} h without any lever."
        fewest_zh = f"不采取任何措施，平均值已不超过 {evidence.to_hours:g} 小时。"
    if evidence.smallest_set is None:
        fewest_en = f"No set of levers brings the mean within {evidence.to_hours:g} h."
        fewest_zh = f"没有任何措施组合能使平均值不超过 {evidence.to_hours:g} 小时。"
    return Text(
        f"With every lever the mean is {reading.mean.hours()} and the ninth decile {reading.p90.hours()}: {says.en}; "
        f"without the ledger among them the mean is {without.mean.hours()}. {fewest_en}",
        f"全部措施并用，平均 {reading.mean.hours('zh')}，P90 {reading.p90.hours('zh')}：{says.zh}；"
        f"其中去掉账本，平均 {without.mean.hours('zh')}。{fewest_zh}",
    )


def _attribution(evidence: Evidence) -> Text:
    direct, enabled = evidence.ledger_direct_percent, evidence.ledger_enabled_percent
    if not isfinite(direct.value):
        return Text("No hours are saved that could be shared out.", "没有可供分摊的节省时间。")
    rest, low, high = 100 - direct.value, 100 - direct.high, 100 - direct.low
    return Text(
        f"Of the hours saved, {rest:.1f} % ({low:.1f} to {high:.1f}) are not due to the ledger itself; if it "
        f"is credited with {evidence.credited.en} (an assumption, not a finding), {100 - enabled.value:.1f} % are not.",
        f"所节省的时间中，{rest:.1f}%（{low:.1f}% 至 {high:.1f}%）并非由账本本身带来；若把{evidence.credited.zh}"
        f"也归功于账本（这是假设而非结论），则仍有 {100 - enabled.value:.1f}% 与账本无关。",
    )


LOGISTICS_DAYS = 5.7
FULFILMENT_WORKING_DAYS = (3, 5)

Remark = dict[str, object]


def remarks(from_h: float, to_h: float, saved_by_ledger_arm_h: float) -> list[Remark]:
    """A door-to-door time of 5.7 days beside a clearance of 72 h or 8 h inside it, and beside what is saved here."""
    return [_room(from_h, to_h), _cut(from_h - to_h, saved_by_ledger_arm_h), _fulfilment()]


def _room(from_h: float, to_h: float) -> Remark:
    door = 24 * LOGISTICS_DAYS
    before, after = (door - from_h) / 24, (door - to_h) / 24
    part_before, part_after = f"{100 * from_h / door:.0f}", f"{100 * to_h / door:.0f}"
    en = (
        f"{from_h:g} h of clearance would be {part_before} % of {LOGISTICS_DAYS} logistics days and leave {before:.1f} "
        f"days for everything else; {to_h:g} h would be {part_after} % and leave {after:.1f} days. {LOGISTICS_DAYS} "
        "days agree with either, each time only if the rest of the way takes that long."
    )
    zh = (
        f"若通关需 {from_h:g} 小时，将占 {LOGISTICS_DAYS} 天物流时间的 {part_before}%，其余环节只剩 {before:.1f} 天；"
        f"若为 {to_h:g} 小时，则占 {part_after}%，其余环节 {after:.1f} 天。"
        f"{LOGISTICS_DAYS} 天与两者都不矛盾，但前提是其余环节确需如此之久。"
    )
    return {"en": en, "zh": zh, "values": {"door_days": LOGISTICS_DAYS, "rest_before": before, "rest_after": after}}


def _cut(cut_h: float, saved_h: float) -> Remark:
    days, saved = cut_h / 24, saved_h / 24
    en = (
        f"If clearance falls by {cut_h:g} h, door to door falls by at most {days:.1f} days; the paperless arm with a "
        f"ledger saves {saved_h:.1f} h on average here, which is {saved:.1f} days."
    )
    zh = (
        f"通关缩短 {cut_h:g} 小时，门到门最多缩短 {days:.1f} 天；"
        f"本研究中无纸化加账本平均节省 {saved_h:.1f} 小时，即 {saved:.1f} 天。"
    )
    return {"en": en, "zh": zh, "values": {"cut_days": days, "saved_days": saved}}


def _fulfilment() -> Remark:
    least, most = FULFILMENT_WORKING_DAYS
    fits = most + 2 >= LOGISTICS_DAYS
    end_en = "only at its slow end" if fits else "not at all"
    end_zh = "仅其上限容得下" if fits else "容不下"
    en = (
        f"A fulfilment of {least} to {most} working days spans {least} to {most + 2} calendar days with a weekend: it "
        f"holds {LOGISTICS_DAYS} logistics days {end_en}."
    )
    zh = (
        f"{least} 至 {most} 个工作日的履约期，遇周末为 {least} 至 {most + 2} 个日历日："
        f"{end_zh} {LOGISTICS_DAYS} 天物流时间。"
    )
    return {"en": en, "zh": zh, "values": {"calendar_days": [least, most + 2]}}
