"""Order, payment receipt, waybill and invoice must belong to the declaration that names them."""

import pytest

from backend.domain.dossier import Paper
from backend.domain.kinds import Kind
from backend.domain.records import document_of
from backend.domain.trade_match import match
from backend.domain.verdict import Conclusion, Verdict
from tests.helpers.builders import FIELDS, NOON, declaration_fields

CERTIFIED = {"DOCUMENTS", "MATCH_HS_CODE", "MATCH_ORIGIN", "MATCH_QUANTITY", "MATCH_EXPORTER", "CONFORMITY"}
"""Checks of what issuers certified (test_dossier)."""
SEVEN = tuple(kind for kind in Kind if kind is not Kind.DECLARATION)


def paper(kind, **changes):
    return Paper(kind.name, document_of(kind, FIELDS[kind](**changes)))


def papers(**changes):
    """A whole dossier; ``changes`` of a paper go by its kind's name."""
    return [paper(kind, **changes.get(kind.name.lower(), {})) for kind in SEVEN]


def checked(named, **declared):
    checks = match(document_of(Kind.DECLARATION, declaration_fields(**declared)), named)
    return [check for check in checks if check.code not in CERTIFIED]


def reasons(checks, outcome):
    return {(check.reason, check.record) for check in checks if check.outcome.value == outcome}


def test_a_whole_dossier_that_fits_is_valid():
    checks = checked(papers(certificate_of_origin={"invoiceReference": "inv-1"}))
    assert Verdict.of(checks, NOON).conclusion is Conclusion.VALID
    assert {check.code for check in checks} == {
        "MATCH_ORDER",
        "MATCH_WAYBILL",
        "MATCH_PAYMENT",
        "MATCH_INVOICE",
        "MATCH_DESTINATION",
    }


def test_documents_not_handed_in_are_not_missed():
    assert checked([]) == []
    certified = checked([paper(Kind.CERTIFICATE_OF_ORIGIN), paper(Kind.INSPECTION_REPORT)])
    assert {check.code for check in certified} == {"MATCH_DESTINATION"}


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("order", {"orderReference": "ORDER-2"}, "order-differs"),
        ("payment_receipt", {"orderReference": "ORDER-2"}, "order-differs"),
        ("invoice", {"orderReference": "ORDER-2"}, "order-differs"),
        ("waybill", {"orderReference": "ORDER-2"}, "order-differs"),
        ("waybill", {"waybillReference": "WAYBILL-2"}, "waybill-differs"),
        ("waybill", {"destinationCountry": "MY"}, "waybill-destination-differs"),
        ("movement_event", {"waybillReference": "WAYBILL-2"}, "waybill-differs"),
        ("certificate_of_origin", {"invoiceReference": "INV-2"}, "invoice-differs"),
    ],
)
def test_a_paper_of_another_sale_is_invalid(kind, change, reason):
    checks = checked(papers(**{kind: change}))
    assert reasons(checks, "fail") == {(reason, kind.upper())}


@pytest.mark.parametrize("change", [{"amount": "1299.99"}, {"currency": "EUR"}])
def test_payment_of_another_amount_needs_a_person(change):
    checks = checked(papers(payment_receipt=change))
    assert reasons(checks, "indeterminate") == {("payment-differs", "PAYMENT_RECEIPT")}
    assert not reasons(checks, "fail")


def test_payment_is_compared_with_own_order_only():
    checks = checked([paper(Kind.PAYMENT_RECEIPT, amount="5"), paper(Kind.ORDER, orderReference="ORDER-2")])
    assert not [check for check in checks if check.code == "MATCH_PAYMENT"]


def test_numbers_match_whatever_their_spacing_and_case():
    assert not reasons(checked(papers(order={"orderReference": "order -1"})), "fail")
