"""Values and files in other people's writing: what has one meaning is taken, everything else is told."""

import json

import pytest

from backend.domain.interop.conversions import (
    country,
    day,
    kilograms,
    number,
)
from backend.domain.interop.formats import NAMES, read_document, read_file
from backend.domain.interop.reading import UnknownFormat, Unusable
from backend.domain.strict_json import HostileJson
from backend.messages.imports import clear

# Values


@pytest.mark.parametrize(
    ("written", "code"),
    [("CN", "CN"), ("cn", "CN"), ("CHN", "CN"), ("Viet Nam", "VN"), ("Vietnam", "VN"), ("mexico", "MX"), ("USA", "US")],
)
def test_country_is_known_by_codes_and_exact_names(written, code):
    assert country(written)[0] == code


@pytest.mark.parametrize("written", ["U.S.", "142", "Cote d'Ivoire", "Chin", "XX", "China (mainland)", ""])
def test_inexact_country_is_not_guessed(written):
    with pytest.raises(Unusable):
        country(written)


@pytest.mark.parametrize(
    "written", ["12/11/2019", "12 Jan", "2026-02-30", "20260301", "2026-03-01T25:00Z", "1 March 2026"]
)
def test_ambiguous_or_impossible_date_is_not_guessed(written):
    with pytest.raises(Unusable):
        day(written)


@pytest.mark.parametrize(
    "written", ["1,000", "1 000", "NaN", "Infinity", "1e3", "-5", "１２", "1_0", "=1+1", ".5", "5.", True]
)
def test_number_in_other_writing_is_not_guessed(written):
    with pytest.raises(Unusable):
        number(written)


def test_one_unit_of_mass_becomes_another_exactly():
    assert kilograms("82500", "lbs") == ("37421.371", "mass-rounded", "0.45359237")
    assert kilograms("1000", "LBR") == ("453.592", "mass-rounded", "0.45359237")
    assert kilograms("100000", "LBR")[1] == "mass"
    assert kilograms("2", "TNE") == ("2000.000", "mass", "1000")
    assert kilograms("1.5", "KGM") == ("1.5", None, "1")
    with pytest.raises(Unusable):
        kilograms("6960", "hg/ha")


# Hostile and unknown files


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', "[" * 70 + "]" * 70, '{"a": "\\ud800"}', "{", '{"a": 1e400}'],
)
def test_json_that_programs_would_read_differently_is_refused(text):
    with pytest.raises(HostileJson):
        read_document(text.encode(), {})


def test_unknown_document_is_told_with_known_ones():
    with pytest.raises(UnknownFormat) as refusal:
        read_document(b'{"type": ["VerifiableCredential", "BillOfLadingCredential"]}', {})
    assert "BillOfLadingCredential" in refusal.value.values["seen"]
    assert all(name in refusal.value.values["known"] for name in NAMES.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04xlsx", "spreadsheet"),
        (b"%PDF-1.7", "pdf"),
        (b"<?xml version='1.0'?><CEB603Message/>", "xml"),
        (b"  \n", "empty"),
        (b"[1]", "not-an-object"),
        (b'{"kind": "will", "document": {}}', "unknown-kind"),
        (b'{"kind": "invoice", "document": []}', "unknown-kind"),
        (b'{"kind": "order", "document": {}}', "unknown-kind"),
        (b"hello", "no-columns"),
    ],
)
def test_strange_file_is_told_by_its_first_bytes(content, reason):
    with pytest.raises(UnknownFormat) as refusal:
        read_file(content, {})
    assert refusal.value.reason == reason


def test_a_byte_order_mark_before_json_is_harmless():
    document = {"kind": "invoice", "document": {"invoiceNumber": "INV-1"}}
    assert read_file(b"\xef\xbb\xbf" + json.dumps(document).encode(), {}).fields == document["document"]


def test_shown_text_cannot_move_the_cursor():
    assert clear("a\x1b[2J\nb\u202e") == "a\\u001b[2J\\u000ab\\u202e"
