"""How long the papers that a lodged declaration relies on must be kept, as data: one rule for each legal source.

All rules that apply count, and the latest end wins. Where law counts from release and a case ended otherwise (rejected,
returned, seized, withdrawn), it counts from that end; never from before the lodgement (decision 0022).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from backend.domain.kinds.base import Kind


class CountedFrom(StrEnum):
    """The moment from which a rule counts its years."""

    CLOSURE = "closure"
    """Release, or how else the case ended; the lodgement while it has not ended."""
    END_OF_YEAR = "end-of-year"
    """The end of the calendar year of that moment."""
    ISSUE = "issue"
    """The issue of the paper."""


@dataclass(frozen=True)
class RetentionRule:
    """How many years papers are kept, from when, and where that is written.

    ``countries`` are those of the customs office (ISO 3166-1), ``procedures`` trade modes, ``agreements`` codes of
    trade agreements, for certificates of origin only. Where one of them is empty it limits nothing. ``checked_on`` is
    when somebody last compared the rule with its source.
    """

    years: int
    counted_from: CountedFrom
    source: str
    checked_on: date
    countries: frozenset[str] = frozenset()
    procedures: frozenset[str] = frozenset()
    agreements: frozenset[str] = frozenset()

    def end(self, start: datetime) -> datetime:
        """Return when the period is over that begins at ``start`` (aware), in UTC."""
        start = start.astimezone(UTC)
        if self.counted_from is CountedFrom.END_OF_YEAR:
            start = (start + _EAST).replace(month=12, day=31)
        return _whole_days(_years_after(start, self.years))


_EAST = timedelta(hours=2)
"""How far ahead of UTC the easternmost countries are whose law counts from the end of a year, in winter."""
_CHECKED = date(2026, 11, 29)
_EU_CODES = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
_EU = frozenset(_EU_CODES.split())
_CHINA = frozenset({"CN"})
RULES: tuple[RetentionRule, ...] = (
    RetentionRule(
        years=3,
        counted_from=CountedFrom.CLOSURE,
        source=(
            "China: Customs Law, article 45; Regulations on Customs Inspection (State Council Order 209 of 1997, as "
            "amended by Order 670 of 2016), articles 2 and 7: three years from the release of the goods"
        ),
        checked_on=_CHECKED,
        countries=_CHINA,
        procedures=frozenset({"9610", "9710", "9810"}),
    ),
    RetentionRule(
        years=3,
        counted_from=CountedFrom.CLOSURE,
        source=(
            "China: E-Commerce Law (2018), article 31: orders and payments of retail sales through platforms, three "
            "years from the completion of the transaction, which the export precedes or follows by days"
        ),
        checked_on=_CHECKED,
        countries=_CHINA,
        procedures=frozenset({"9610"}),
    ),
    RetentionRule(
        years=3,
        counted_from=CountedFrom.END_OF_YEAR,
        source=(
            "European Union: Regulation (EU) No 952/2013 (Union Customs Code), article 51: three years from the end of "
            "the year in which the declaration was accepted"
        ),
        checked_on=_CHECKED,
        countries=_EU,
    ),
    RetentionRule(
        years=5,
        counted_from=CountedFrom.CLOSURE,
        source="United States: 19 CFR 163.4 (a): five years from entry",
        checked_on=_CHECKED,
        countries=frozenset({"US"}),
    ),
    RetentionRule(
        years=3,
        counted_from=CountedFrom.ISSUE,
        source="RCEP Agreement, article 3.27: at least three years from the issue of the proof of origin",
        checked_on=_CHECKED,
        agreements=frozenset({"RCEP"}),
    ),
)
"""Bonded goods (1210) and general trade cannot be declared here. China's rule for bonded goods counts from the end of
supervision, so that they need a rule of their own when they can be."""

WITHOUT_RULE_YEARS = max(rule.years for rule in RULES)
"""For offices of countries of which no rule is known here: that no law is known does not mean that there is none."""


def country_of(office: str) -> str:
    """Return the country (ISO 3166-1) of a customs office's code; a code of digits alone is one of China's."""
    return "CN" if office[:1].isdigit() else office[:2]


def kept_until(office: str, procedure: str | None, lodged_at: datetime, closed_at: datetime | None = None) -> datetime:
    """Return until when the papers of a declaration are kept, in UTC.

    ``procedure`` is its trade mode, or None where that cannot be read: then the rules of every trade mode apply.
    ``closed_at`` is when the case ended, None while it is open.
    """
    country, start = country_of(office), max(lodged_at, closed_at or lodged_at)
    applying = [
        rule
        for rule in RULES
        if not rule.agreements
        and (not rule.countries or country in rule.countries)
        and (not rule.procedures or procedure is None or procedure in rule.procedures)
    ]
    if not applying:
        return _whole_days(_years_after(start.astimezone(UTC), WITHOUT_RULE_YEARS))
    return max(rule.end(start) for rule in applying)


def kept_by_its_agreement(papers: Iterable[tuple[Kind, Mapping[str, Any], datetime]]) -> datetime | None:
    """Return until when trade agreements keep these (kind, fields, time of issue), or None where none does."""
    ends = [
        rule.end(issued_at)
        for kind, fields, issued_at in papers
        if kind is Kind.CERTIFICATE_OF_ORIGIN
        for rule in RULES
        if fields.get("freeTradeAgreementName") in rule.agreements
    ]
    return max(ends, default=None)


def _years_after(moment: datetime, years: int) -> datetime:
    """Return the same moment years later; 1 March where there is no 29 February, so that no day is missing."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, month=3, day=1)


def _whole_days(end: datetime) -> datetime:
    """Return the second midnight (UTC) after a moment: by then its day is over in every time zone."""
    return end.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
