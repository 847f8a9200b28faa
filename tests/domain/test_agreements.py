"""What papers may say against the clock, and certificates of origin under a trade agreement."""

import json
import re
import runpy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from backend.domain.agreements import AGREEMENTS, Agreement
from backend.domain.errors import Invalid
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.interop import conversions
from backend.domain.interop.reading import Unusable
from backend.domain.kinds import KINDS, Kind
from backend.domain.kinds.certificate_of_origin import last_day, with_term
from backend.domain.record_checks import evaluate
from backend.domain.records import dates_ahead, document_as_signed, document_of
from backend.domain.verdict import Conclusion
from backend.messages import fields as words
from backend.messages.catalogue import languages
from backend.web.forms import choices
from tests.helpers.builders import FIELDS, NOON, a_record, certificate_fields, evidence_for, facts_for
from verifier import FOLDER

CERTIFICATE = Kind.CERTIFICATE_OF_ORIGIN
AHEAD = {
    (Kind.CERTIFICATE_OF_ORIGIN, "validUntil"): "the last day",
    (Kind.CERTIFICATE_OF_ORIGIN, "departureDate"): "certificates are issued before the ship sails",
    (Kind.DECLARATION, "movementDate"): "goods are declared before they come",
    (Kind.LISTING, "listedFrom"): "a badge may be made before the offer begins",
    (Kind.LISTING, "listedUntil"): "the last day",
}
"""Dates that may lie ahead, and why."""


def claim(agreement="RCEP", **changes):
    return certificate_fields(freeTradeAgreementName=agreement, **changes)


def faults(fields):
    try:
        document_of(CERTIFICATE, fields)
    except Invalid as error:
        return dict(error.problems)
    return {}


def verdict(fields, moment=NOON, kind=CERTIFICATE, **claims):
    evidence = evidence_for(a_record(kind, fields, **claims), kind)
    return evaluate(evidence, facts_for(evidence), moment)


def answer(fields, code="AGREEMENT", **more):
    found = verdict(fields, **more)
    return found.conclusion, next((check.reason for check in found.checks if check.code == code), None)


TERRITORIES = ("HK", "MO", "TW", "IN", "TL")
"""Near parties of RCEP, and none themselves."""
VIETNAMESE = {
    "exporter": {"name": "Lamps of Vietnam", "countryCode": "VN"},
    "originCountry": "VN",
    "importCountry": "AU",
    "originCriteria": "PSR",
}
MEXICAN = {
    "exporter": {"name": "Lamparas", "countryCode": "MX"},
    "originCountry": "MX",
    "importCountry": "US",
    "originCriteria": "PSR",
}
CONTRADICTIONS = [
    ("RCEP", {"importCountry": "US"}, "freeTradeAgreementName", "agreement-party"),
    ("RCEP", {"originCountry": "TW"}, "freeTradeAgreementName", "agreement-party"),
    ("RCEP", {"exporter": {"name": "X", "countryCode": "HK"}}, "freeTradeAgreementName", "agreement-party"),
    ("ACFTA", {"importCountry": "JP"}, "freeTradeAgreementName", "agreement-party"),
    ("CHAFTA", {"importCountry": "NZ", "originCriteria": "WO"}, "freeTradeAgreementName", "agreement-party"),
    ("CHAFTA", {"importCountry": "CN", "originCriteria": "WO"}, "freeTradeAgreementName", "agreement-domestic"),
    ("RCEP", {"originCriteria": "NP"}, "originCriteria", "agreement-criterion"),
    ("ACFTA", {"originCriteria": "NP"}, "originCriteria", "agreement-criterion"),
    ("CHAFTA", {"importCountry": "AU", "originCriteria": "NP"}, "originCriteria", "agreement-criterion"),
    ("RCEP", {"importCountry": "ID", "issueDate": "2023-01-01"}, "issueDate", "agreement-not-in-force"),
    *(("RCEP", {"importCountry": territory}, "freeTradeAgreementName", "agreement-party") for territory in TERRITORIES),
    ("CPTPP", {"originCriteria": "WO"}, "freeTradeAgreementName", "agreement-party"),
    ("CPTPP", {**VIETNAMESE, "importCountry": "US"}, "freeTradeAgreementName", "agreement-party"),
    ("CPTPP", {**VIETNAMESE, "originCriteria": "CTH"}, "originCriteria", "agreement-criterion"),
    ("CPTPP", {**VIETNAMESE, "importCountry": "GB", "issueDate": "2024-12-14"}, "issueDate", "agreement-not-in-force"),
    ("USMCA", {"importCountry": "US", "originCriteria": "PSR"}, "freeTradeAgreementName", "agreement-party"),
    ("USMCA", {**MEXICAN, "originCriteria": "RVC"}, "originCriteria", "agreement-criterion"),
    ("USMCA", {**MEXICAN, "importCountry": "MX"}, "freeTradeAgreementName", "agreement-domestic"),
    ("USMCA", {**MEXICAN, "issueDate": "2020-06-30"}, "issueDate", "agreement-not-in-force"),
    *(
        ("GSP", {"importCountry": country, "originCriteria": "WO"}, "freeTradeAgreementName", "agreement-not-granted")
        for country in ("CA", "DE", "JP", "KZ", "TR", "US")
    ),
    ("GSP", {"importCountry": "NO"}, "originCriteria", "agreement-criterion"),
    ("ACFTA", {"departureDate": "2026-02-24", "issueDate": "2026-02-28"}, "issueDate", "agreement-retroactive"),
    (
        "ACFTA",
        {"departureDate": "2025-02-24", "issueDate": "2026-02-25", "issuedRetroactively": True},
        "issueDate",
        "agreement-retroactive",
    ),
]


@pytest.mark.parametrize(("agreement", "changes", "field", "reason"), CONTRADICTIONS)
def test_contradiction_is_refused_and_invalid(agreement, changes, field, reason):
    """By form, interface and import, which all read documents so, and in verification where it was signed anyway."""
    fields = claim(agreement, **changes)
    assert set(faults(fields)) == {field}
    document_as_signed(CERTIFICATE, fields)
    assert answer(fields) == (Conclusion.INVALID, reason)


@pytest.mark.parametrize(
    ("agreement", "changes"),
    [
        ("RCEP", {}),
        ("RCEP", {"importCountry": "ID", "issueDate": "2026-01-02"}),
        ("ACFTA", {"importCountry": "VN"}),
        ("CHAFTA", {"importCountry": "AU", "originCriteria": "PSR"}),
        ("ACFTA", {"departureDate": "2026-02-24", "issueDate": "2026-02-27"}),
        ("ACFTA", {"departureDate": "2025-03-02", "issueDate": "2026-03-02", "issuedRetroactively": True}),
        ("RCEP", {"departureDate": "2025-09-24", "issueDate": "2026-02-27"}),
        ("RCEP", {"description": "台灯 desk lamp"}),
        ("RCEP", {"description": "220-240 V"}),
        ("CPTPP", VIETNAMESE),
        ("USMCA", MEXICAN),
        ("USMCA", {**MEXICAN, "issueDate": "2022-03-03"}),
        ("NONE", {"importCountry": "US", "originCriteria": "NP"}),
        ("NONE", {"description": "台灯"}),
        ("NONE", {"importCountry": "US", "originCriteria": "CTH"}),
    ],
)
def test_what_agrees_is_taken_and_valid(agreement, changes):
    assert faults(claim(agreement, **changes)) == {}
    assert verdict(claim(agreement, **changes)).conclusion is Conclusion.VALID


@pytest.mark.parametrize(
    ("agreement", "changes", "refused", "reason"),
    [
        ("RCEP", {"description": "台灯，8 瓦"}, {"description"}, "agreement-language"),
        ("GSP", {"importCountry": "AU", "originCriteria": "PSR"}, set(), "agreement-unconfirmed"),
        ("GSP", {**VIETNAMESE, "importCountry": "DE"}, set(), "agreement-unconfirmed"),
        ("CPTPP", {**VIETNAMESE, "originCountry": "GB", "importCountry": "CA"}, set(), "agreement-unconfirmed"),
        ("CPTPP", {**VIETNAMESE, "originCountry": "MX", "importCountry": "GB"}, set(), "agreement-unconfirmed"),
    ],
)
def test_what_is_not_confirmed_is_left_open(agreement, changes, refused, reason):
    assert set(faults(claim(agreement, **changes))) == refused
    assert answer(claim(agreement, **changes)) == (Conclusion.INDETERMINATE, reason)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("rcep", "RCEP"),
        ("ＲＣＥＰ", "RCEP"),
        ("区域全面经济伙伴关系协定", "RCEP"),
        ("Form E", "ACFTA"),
        ("ＦＯＲＭ Ｅ", "ACFTA"),
        ("ChAFTA", "CHAFTA"),
        ("CUSMA", "USMCA"),
        ("Form A", "GSP"),
    ],
)
def test_agreement_is_known_by_its_names(given, code):
    assert conversions.agreement(given)[0] == code


def test_usmca_holds_four_years():
    fields = claim("USMCA", **MEXICAN, issueDate="2022-03-02")
    assert answer(fields, "VALIDITY") == (Conclusion.VALID, "within-validity")
    assert answer(fields, "VALIDITY", moment=NOON + timedelta(days=1)) == (Conclusion.INVALID, "term-ended")


@pytest.mark.parametrize("language", languages())
def test_contradictions_are_told_in_every_language(language):
    told = [
        words.in_words(what, language)
        for fields in CONTRADICTIONS
        for what in faults(claim(*fields[:1], **fields[1])).values()
    ]
    assert len(told) == len(CONTRADICTIONS)
    for message in told:
        assert (re.search("[\u4e00-\u9fff]", message) is not None) == (language == "zh")
        assert "{" not in message


@pytest.mark.parametrize(
    ("issued", "last"),
    [
        ("2025-03-01", "2026-03-01"),
        ("2024-02-29", "2025-02-28"),
        ("2023-12-31", "2024-12-31"),
        ("9999-01-01", "9999-12-31"),
    ],
)
def test_term_ends_on_the_same_day(issued, last):
    assert last_day(date.fromisoformat(issued), 12) == date.fromisoformat(last)


def test_term_may_be_other_than_a_year():
    assert last_day(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert last_day(date(2026, 1, 31), 24) == date(2028, 1, 31)


@pytest.mark.parametrize("claims", [{}, {"validUntil": "2099-01-01T00:00:00Z"}])
def test_certificate_expires_with_its_agreement(claims):
    """Also where it states no end, or a later one."""
    fields, last = claim(issueDate="2025-03-02"), datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
    assert answer(fields, "VALIDITY", moment=last, **claims) == (Conclusion.VALID, "within-validity")
    after = last + timedelta(minutes=1)
    assert answer(fields, "VALIDITY", moment=after, **claims) == (Conclusion.INVALID, "term-ended")
    no_claim = claim("NONE", issueDate="2025-03-02")
    assert answer(no_claim, "VALIDITY", moment=after, **claims) == (Conclusion.VALID, "within-validity")


def test_certificate_of_800_days_is_invalid():
    assert answer(claim(issueDate="2023-12-23"), "VALIDITY") == (Conclusion.INVALID, "term-ended")


def test_end_beyond_the_term_is_refused():
    assert faults(claim(issueDate="2026-03-01", validUntil="2027-03-01")) == {}
    assert set(faults(claim(issueDate="2026-03-01", validUntil="2027-03-02"))) == {"validUntil"}
    assert faults(claim("NONE", issueDate="2026-03-01", validUntil="2029-03-02")) == {}


def test_term_fills_only_an_absent_end():
    def end(fields):
        return getattr(with_term(document_of(CERTIFICATE, fields)), "valid_until")  # noqa: B009

    assert end(claim(issueDate="2026-03-01")) == date(2027, 3, 1)
    assert end(claim(issueDate="2026-03-01", validUntil="2026-06-01")) == date(2026, 6, 1)
    assert end(claim("NONE")) is None


# The clock


def test_every_date_may_lie_ahead_or_not():
    """A date of a kind that is in neither list was forgotten; so was one that no longer is a date."""
    dates = {
        (kind, name)
        for kind, stated in KINDS.items()
        for name, about in stated.model.model_json_schema(by_alias=True)["properties"].items()
        if any(one.get("format", "").startswith("date") for one in about.get("anyOf", [about]))
    }
    past = {(kind, name) for kind, stated in KINDS.items() for name in stated.dates_of_the_past}
    assert past | AHEAD.keys() == dates
    assert not past & AHEAD.keys()
    assert len(past) > len(KINDS)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, name) for k, stated in KINDS.items() for name in stated.dates_of_the_past]
)
def test_date_counts_as_ahead_beyond_a_day(kind, name):
    told = {
        "today": NOON.date(),
        "tomorrow": date(2026, 3, 3),
        "later": date(2026, 3, 4),
        "in 400 days": date(2027, 4, 6),
    }
    for when, day in told.items():
        stated = f"{day}T00:00:00Z" if "Time" in name else f"{day}"
        expected = [name] if when in ("later", "in 400 days") else []
        assert [field for field, _ in dates_ahead(kind, {name: stated}, NOON)] == expected


def test_what_is_no_date_lies_nowhere():
    for odd in (None, 5, True, "soon", "2027-02-30", ["2027-04-06"], "2027-04-06T10:00", "٢٠٢٧-04-06"):
        assert dates_ahead(CERTIFICATE, {"issueDate": odd}, NOON) == []


def test_paper_dated_ahead_is_invalid_until_then():
    fields = certificate_fields(issueDate="2027-04-06")
    assert answer(fields, "VALIDITY") == (Conclusion.INVALID, "dated-ahead")
    at = datetime(2027, 4, 5, 0, 0, tzinfo=UTC)
    assert answer(fields, "VALIDITY", moment=at - timedelta(minutes=1))[1] == "dated-ahead"
    assert answer(fields, "VALIDITY", moment=at) == (Conclusion.VALID, "within-validity")


# The data


def test_agreements_are_whole():
    for code, agreement in AGREEMENTS.items():
        assert code == agreement.code
        assert set(agreement.criteria) <= ORIGIN_CRITERIA.keys()
        assert ("NP" in agreement.criteria) == (not agreement.parties)
        assert agreement.source
        assert agreement.looked_up
        assert set(agreement.languages) <= {"en", "es", "fr"}  # is_in_other_letters counts on Latin letters
        assert bool(agreement.languages) == bool(agreement.parties)
    assert {"RCEP", "ACFTA", "CHAFTA", "CPTPP", "USMCA", "GSP", "NONE"} <= AGREEMENTS.keys()


def test_adding_an_agreement_takes_one_entry(monkeypatch, app):
    """One in the shape of CPTPP: another set of parties, joined one by one, without a form of its own."""
    added = Agreement(
        code="LATER",
        name="LATER",
        parties={"JP": date(2018, 12, 30), "VN": date(2019, 1, 14), "GB": date(2024, 12, 15)},
        criteria=("WO", "PE", "PSR"),
        term_months=12,
        languages=("en", "es", "fr"),
        source="made up for this test",
        looked_up=date(2026, 3, 2),
    )
    fields = claim("LATER", originCountry="VN", importCountry="GB", originCriteria="PSR")
    assert set(faults(fields)) == {"freeTradeAgreementName"}
    assert answer(fields) == (Conclusion.INDETERMINATE, "agreement-unknown")
    with pytest.raises(Unusable):
        conversions.agreement("later")
    monkeypatch.setitem(AGREEMENTS, "LATER", added)
    with app.test_request_context():
        assert ("LATER", "LATER") in choices.agreement_choices()
    assert conversions.agreement("later") == ("LATER", None)
    assert faults(fields) == {}
    assert answer(fields) == (Conclusion.VALID, "agreement-fits")
    assert set(faults(fields | {"importCountry": "CN"})) == {"freeTradeAgreementName"}
    assert set(faults(fields | {"originCriteria": "RVC"})) == {"originCriteria"}
    monkeypatch.setitem(AGREEMENTS, "LATER", replace(added, term_months=None))
    assert answer(fields, "VALIDITY", moment=NOON + timedelta(days=2000))[1] == "within-validity"


def what_else(agreement):
    """An agreement's further terms, as the verifiers write them."""
    late, granted = agreement.retroactive, agreement.beneficiaries
    return (
        ({"late": [late.unmarked_days, late.months]} if late else {})
        | ({"from": sorted(granted)} if granted else {})
        | ({"unconfirmed": sorted(map(" ".join, agreement.unconfirmed))} if agreement.unconfirmed else {})
    )


def in_the_page():
    """The tables of the verifier of one HTML file, in the shape of the program's."""
    text = (FOLDER / "verifier.html").read_text(encoding="utf-8")
    table = text.partition("const AGREEMENTS = new Map([")[2].partition("].map(")[0]
    rows = json.loads(f"[{table.partition(chr(10))[2].strip().rstrip(',')}]")
    agreements = {
        code: (months, criteria, {country: day for day, some in since.items() for country in some.split()}, more)
        for code, (months, criteria, since, more) in rows
    }
    dates = text.partition("const DATES_OF_THE_PAST = {")[2].partition("};")[0]
    return agreements, {int(kind): names for kind, names in re.findall(r'(\d+): "([^"]*)"', dates)}


def test_verifiers_hold_the_same_tables():
    program = runpy.run_path(str(FOLDER / "verify.py"))
    wanted = {
        code: (
            one.term_months,
            " ".join(one.criteria),
            {country: day.isoformat() for country, day in one.parties.items()},
            what_else(one),
        )
        for code, one in AGREEMENTS.items()
        if one.parties
    }
    dates = {int(kind): " ".join(stated.dates_of_the_past) for kind, stated in KINDS.items()}
    assert (program["AGREEMENTS"], program["DATES_OF_THE_PAST"]) == (wanted, dates)
    assert in_the_page() == (wanted, dates)


def test_builders_papers_are_not_ahead():
    """Else other tests would fail for another reason than they say."""
    for kind in Kind:
        assert dates_ahead(kind, FIELDS[kind](), NOON) == []
