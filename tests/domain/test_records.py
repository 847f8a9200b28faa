"""What papers must say, and what they may not."""

from decimal import Decimal

import pytest

from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.domain.records import document_as_signed, document_of, fields_of, quantity_of
from tests.helpers.builders import (
    FIELDS,
    certificate_fields,
    declaration_fields,
    goods_item,
    invoice_fields,
    report_fields,
)

CERTIFICATE, REPORT, DECLARATION, INVOICE, *TRADE = Kind


def problems(kind, fields):
    with pytest.raises(Invalid) as refusal:
        document_of(kind, fields)
    return dict(refusal.value.problems)


@pytest.mark.parametrize("kind", Kind)
def test_complete_document_is_written_back_as_read(kind):
    document = document_of(kind, FIELDS[kind]())
    written = fields_of(document)
    assert FIELDS[kind]().items() <= written.items() or kind is Kind.DECLARATION
    assert document_of(kind, written) == document


REQUIRED = [
    *((CERTIFICATE, name) for name in ("exporter", "originCountry", "importCountry", "originCriteria", "hsCode")),
    *((CERTIFICATE, name) for name in ("description", "quantity", "unitCode", "issueDate")),
    *((REPORT, name) for name in ("customer", "itemDescription", "itemIdentification", "hsCode", "performedFrom")),
    *((REPORT, name) for name in ("performedTo", "method", "results", "specification", "decisionRule", "conforms")),
    (REPORT, "issueDate"),
    *((DECLARATION, name) for name in ("declarationReference", "customsOffice", "merchant", "orderReference")),
    *((DECLARATION, name) for name in ("waybillReference", "destinationCountry", "grossWeightMeasure", "items")),
    *((INVOICE, name) for name in ("invoiceNumber", "seller", "buyer", "issueDate", "currency", "totalAmount")),
    (INVOICE, "items"),
]


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_missing_required_field_is_named(kind, name):
    fields = FIELDS[kind]()
    del fields[name]
    assert problems(kind, fields) == {name: "is missing"}
    assert name in problems(kind, FIELDS[kind](**{name: None}))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", ["status", "owner", "issuer", "recordedAt", "digest", "batchId", "x", ""])
def test_a_field_that_no_document_has_is_refused(kind, name):
    assert problems(kind, FIELDS[kind](**{name: "x"})) == {name: "is not a field of this document"}


def test_unknown_fields_are_refused_at_every_depth():
    where = problems(DECLARATION, declaration_fields(items=[goods_item(status="x")]))
    assert where["items.0.status"] == "is not a field of this document"
    assert "exporter.role" in problems(CERTIFICATE, certificate_fields(exporter={"name": "A", "role": "officer"}))


def test_every_fault_is_told_at_once():
    where = problems(CERTIFICATE, certificate_fields(hsCode="1", quantity="-1", originCountry="XX", unitCode="?"))
    assert set(where) == {"hsCode", "quantity", "originCountry", "unitCode"}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("fields", [None, [], "text", 5, True, [{}]], ids=str)
def test_what_is_no_object_is_refused(kind, fields):
    assert problems(kind, fields)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("940521", "940521"), ("9405.21", "940521"), ("9405 21 00", "94052100"), ("0101210000", "0101210000"),
     ("9405210000123", "9405210000123")],
)  # fmt: skip
def test_hs_codes_are_read_however_they_are_dotted(given, kept):
    assert document_of(CERTIFICATE, certificate_fields(hsCode=given)).hs_code == kept


@pytest.mark.parametrize(
    "code",
    ["", "9405", "94052", "9405211", "94052100001", "94052100001234", "000101", "770101", "980101", "990101",
     "94052X", "-94052", "９４０５２１", "٩٤٠٥٢١", 940521, ["940521"]],
)  # fmt: skip
def test_hs_codes_that_are_none_are_refused(code):
    assert set(problems(CERTIFICATE, certificate_fields(hsCode=code))) == {"hsCode"}


@pytest.mark.parametrize("code", ["cn", "CHN", "XX", "EU", "ZZ", "", "C", "156", "CN\u200b", 5])
def test_countries_are_two_capital_letters_of_iso_3166(code):
    assert set(problems(CERTIFICATE, certificate_fields(originCountry=code))) == {"originCountry"}


@pytest.mark.parametrize("code", ["usd", "RMB", "XYZ", "", "US", "840", 5])
def test_currencies_are_those_of_iso_4217(code):
    assert set(problems(INVOICE, invoice_fields(currency=code))) == {"currency"}


@pytest.mark.parametrize("code", ["kgm", "KG", "PCS", "", "XX", 5])
def test_units_are_those_in_use(code):
    assert set(problems(CERTIFICATE, certificate_fields(unitCode=code))) == {"unitCode"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [("500", "500"), ("12.500", "12.5"), (7, "7"), (6.5, "6.5"), (0.1, "0.1"), ("0.001", "0.001"),
     ("999999999999999.999", "999999999999999.999")],
)  # fmt: skip
def test_quantities_keep_their_digits(given, kept):
    document = document_of(CERTIFICATE, certificate_fields(quantity=given))
    assert fields_of(document)["quantity"] == kept
    assert document.quantity == Decimal(kept)


@pytest.mark.parametrize(
    "quantity",
    ["0", "-1", "0.0001", "1.2345", "NaN", "Infinity", "-Infinity", "1e400", "", "five", "1,000", "0x10",
     "1e3", "1_000", "1234567890123456789", "1e18", None, [], {}, float("inf"), float("nan"), 0.1 + 0.2],
)  # fmt: skip
def test_malformed_or_too_fine_quantities_are_refused(quantity):
    assert set(problems(CERTIFICATE, certificate_fields(quantity=quantity))) == {"quantity"}


@pytest.mark.parametrize(
    "date", ["2026-02-30", "01.03.2026", "2026-13-01", "", "yesterday", "2026-03-01T10:00:00Z", {}]
)
def test_dates_that_are_none_are_refused(date):
    assert set(problems(CERTIFICATE, certificate_fields(issueDate=date))) == {"issueDate"}


def test_certificate_dated_before_its_inspection_is_refused():
    kind, dates = Kind.PHYTOSANITARY_CERTIFICATE, {"inspectionDate": "2026-03-02", "issueDate": "2026-03-01"}
    assert problems(kind, FIELDS[kind](**dates)) == {"issueDate": "must not lie before inspectionDate"}
    document_of(kind, FIELDS[kind](**dates | {"issueDate": "2026-03-02"}))


def test_a_certificate_cannot_end_before_it_begins():
    assert problems(CERTIFICATE, certificate_fields(issueDate="2026-03-02", validUntil="2026-03-01"))
    document_of(CERTIFICATE, certificate_fields(issueDate="2026-03-02", validUntil="2026-03-02"))


@pytest.mark.parametrize(
    "changes",
    [
        {"performedFrom": "2026-02-26"},
        {"performedTo": "2026-03-02"},
        {"issueDate": "2026-02-24"},
    ],
    ids=str,
)
def test_an_inspection_follows_the_calendar(changes):
    assert "follow one another" in " ".join(problems(REPORT, report_fields(**changes)).values())


def test_a_bare_pass_or_fail_is_no_report():
    bare = {"conforms": True, "issueDate": "2026-03-01", "hsCode": "940521"}
    assert {"method", "results", "specification", "decisionRule"} <= set(problems(REPORT, bare))
    assert set(problems(REPORT, report_fields(results=[]))) == {"results"}


@pytest.mark.parametrize(
    "character",
    ["\u200b", "\u202e", "\u202a", "\ufeff", "\u00ad", "\u2060", "\u200e", "\x00", "\x07", "\x1b", "\x7f", "\ue000"],
    ids=lambda character: f"U+{ord(character):04X}",
)
def test_characters_that_cannot_be_seen_are_refused(character):
    for where, fields in {
        "description": certificate_fields(description=f"LED{character}lamp"),
        "certificateNumber": certificate_fields(certificateNumber=f"ZJ{character}1"),
        "exporter.name": certificate_fields(exporter={"name": f"A{character}B"}),
    }.items():
        assert set(problems(CERTIFICATE, fields)) == {where}


def test_text_is_normalised_and_trimmed():
    document = document_of(CERTIFICATE, certificate_fields(description="  cafe\u0301 灯 \n"))
    assert document.description == "caf\u00e9 灯"


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "'; DROP TABLE record; --", "=1+1", "{issuer} %s \\", "🧵"]
)
def test_text_that_looks_like_code_stays_text(text):
    document = document_of(CERTIFICATE, certificate_fields(description=text))
    assert fields_of(document)["description"] == text


@pytest.mark.parametrize("length", [0, 201, 10_000])
def test_names_are_neither_empty_nor_endless(length):
    assert set(problems(CERTIFICATE, certificate_fields(exporter={"name": "x" * length}))) == {"exporter.name"}
    assert set(problems(CERTIFICATE, certificate_fields(exporter={"name": " " * length}))) == {"exporter.name"}


def test_lists_have_their_limits():
    assert "items" in problems(DECLARATION, declaration_fields(items=[]))
    assert "items" in problems(DECLARATION, declaration_fields(items=[goods_item()] * 201))
    named = [{"id": "x", "kind": "invoice", "sha256": "0" * 64}] * 51
    assert "records" in problems(DECLARATION, declaration_fields(records=named))


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "F" * 64, "g" * 64, "../../etc/passwd"])
def test_attachments_are_bound_by_their_digest(sha256):
    attachment = {"fileName": "a.pdf", "size": 5, "sha256": sha256}
    assert "attachments.0.sha256" in problems(CERTIFICATE, certificate_fields(attachments=[attachment]))


@pytest.mark.parametrize("change", [{"mediaType": "text/html"}, {"size": 0}, {"size": -1}, {"fileName": ""}], ids=str)
def test_attachments_are_pdfs_with_name_and_size(change):
    attachment = {"fileName": "a.pdf", "size": 5, "sha256": "0" * 64} | change
    where = problems(CERTIFICATE, certificate_fields(attachments=[attachment]))
    assert set(where) == {f"attachments.0.{name}" for name in change}


def test_an_arrival_needs_its_time_zone():
    where = problems(DECLARATION, declaration_fields(arrivalDateTime="2026-03-01T10:00:00"))
    assert set(where) == {"arrivalDateTime"}


def test_only_certificates_of_origin_have_ledger_quantity():
    quantities = [quantity_of(document_of(kind, FIELDS[kind]())) for kind in Kind]
    assert quantities == [Decimal(500), *[None] * (len(Kind) - 1)]


@pytest.mark.parametrize(
    ("quantity", "unit", "gross", "is_refused"),
    [
        ("500", "KGM", "100", True),
        ("0.5", "TNE", "100", True),
        ("100", "KGM", "100", False),
        ("500", "H87", "1", False),
    ],
)
def test_certified_mass_is_within_gross_weight(quantity, unit, gross, is_refused):
    fields = certificate_fields(quantity=quantity, unitCode=unit, grossWeightMeasure=gross)
    if not is_refused:
        document_of(Kind.CERTIFICATE_OF_ORIGIN, fields)
        return
    with pytest.raises(Invalid) as refused:
        document_of(Kind.CERTIFICATE_OF_ORIGIN, fields)
    assert "less than the quantity" in refused.value.problems[0][1]
    assert document_as_signed(Kind.CERTIFICATE_OF_ORIGIN, fields)  # what was signed before stays readable


def test_conforming_report_beyond_its_limit_is_refused():
    result = {"characteristic": "Lead", "value": "9", "unit": "mg/kg", "limit": "≤ 1", "meetsLimit": False}
    with pytest.raises(Invalid) as refused:
        document_of(Kind.INSPECTION_REPORT, report_fields(results=[result], conforms=True))
    assert "one of the two is wrong" in refused.value.problems[0][1]
    assert document_of(Kind.INSPECTION_REPORT, report_fields(results=[result], conforms=False))
    assert document_as_signed(Kind.INSPECTION_REPORT, report_fields(results=[result], conforms=True))
