"""How long papers are kept: each rule has its source, the latest end wins, and no day is missing."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from backend.domain.agreements import AGREEMENTS
from backend.domain.kinds import Kind
from backend.domain.kinds.declaration import Declaration
from backend.domain.retention import (
    RULES,
    WITHOUT_RULE_YEARS,
    country_of,
    kept_by_its_agreement,
    kept_until,
)
from tests.helpers.builders import NOON

PROCEDURES = get_args(Declaration.model_fields["previous_procedure_type_code"].annotation)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_rule_says_source_and_when_checked():
    for rule in RULES:
        assert rule.years >= 3
        assert any(character.isdigit() for character in rule.source), rule
        assert "://" not in rule.source
        assert rule.checked_on.year >= 2026


def test_rule_names_known_procedures_and_agreements():
    assert {code for rule in RULES for code in rule.procedures} <= set(PROCEDURES)
    assert {code for rule in RULES for code in rule.agreements} <= set(AGREEMENTS)


@pytest.mark.parametrize("procedure", PROCEDURES)
@pytest.mark.parametrize("office", ["2925", "CNYIU"])
def test_each_procedure_of_china_has_a_rule(procedure, office):
    """Three years from release, and to the end of the last day in every time zone."""
    assert kept_until(office, procedure, NOON, NOON + timedelta(days=9)) == day("2029-03-13")


@pytest.mark.parametrize(
    ("lodged", "closed", "until"),
    [
        ("2026-03-02", None, "2029-03-04"),
        ("2026-03-02", "2026-04-01", "2029-04-03"),
        # Law counts from release; a clock that was set back must not let it end earlier than from lodgement.
        ("2026-03-02", "2026-03-01", "2029-03-04"),
        ("2028-02-29", None, "2031-03-03"),
        ("2027-02-28", None, "2030-03-02"),
        ("2029-02-28", None, "2032-03-01"),
    ],
)
def test_years_count_from_lodgement_or_later_closure(lodged, closed, until):
    assert kept_until("CNYIU", "9610", day(lodged), closed and day(closed)) == day(until)


def test_year_after_a_leap_day_is_whole():
    """From 29 February on, three years end with 28 February at the earliest: that day still counts."""
    for hour in range(24):
        start = day("2028-02-29") + timedelta(hours=hour)
        assert kept_until("CNYIU", "9610", start) > day("2031-03-01")


@pytest.mark.parametrize(
    ("office", "until"),
    [("NL000396", "2030-01-02"), ("DEHAM", "2030-01-02"), ("USLAX", "2031-03-04"), ("KEMBA", "2031-03-04")],
)
def test_law_of_the_offices_country_counts(office, until):
    """In the European Union from the end of the year; where no rule is known, as long as anywhere."""
    assert kept_until(office, "9610", NOON) == day(until)


def test_european_new_year_counts_with_its_own_year():
    assert kept_until("FIHEL", "9610", day("2026-12-31") + timedelta(hours=22, minutes=30)) == day("2031-01-02")
    assert kept_until("FIHEL", "9610", day("2026-12-31") + timedelta(hours=21)) == day("2030-01-02")


@pytest.mark.parametrize("procedure", [None, "4711"])
def test_unknown_procedure_never_shortens_the_time(procedure):
    known = max(kept_until("CNYIU", one, NOON) for one in PROCEDURES)
    assert kept_until("CNYIU", procedure, NOON) >= known


def test_country_is_read_off_the_offices_code():
    assert [country_of(code) for code in ("2925", "CNYIU", "NL000396")] == ["CN", "CN", "NL"]
    assert max(rule.years for rule in RULES) == WITHOUT_RULE_YEARS


def test_certificate_with_preference_is_kept_from_its_issue():
    late = day("2026-09-01")
    of = [(Kind.CERTIFICATE_OF_ORIGIN, {"freeTradeAgreementName": name}, late) for name in ("RCEP", "NONE")]
    assert kept_by_its_agreement(of) == day("2029-09-03")
    assert kept_by_its_agreement(of[1:]) is None
    assert kept_by_its_agreement([(Kind.INVOICE, {"freeTradeAgreementName": "RCEP"}, late)]) is None
