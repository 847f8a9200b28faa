"""Order, payment receipt, waybill and invoice must belong to the declaration that names them."""

import pytest

from backend.domain.dossier import Paper
from backend.domain.kinds import Kind
from backend.domain.records import document_of
from backend.domain.trade_match import match
from backend.domain.verdict import REGISTER, Conclusion, Outcome, Scope, Verdict
from tests.helpers.builders import FIELDS, NOON, declaration_fields
from tests.helpers.consignments import PLANTED, compared

CERTIFIED = {
    "DOCUMENTS",
    "MATCH_BOTANICAL_NAME",
    "MATCH_HS_CODE",
    "MATCH_ORIGIN",
    "MATCH_QUANTITY",
    "MATCH_EXPORTER",
    "CONFORMITY",
}
"""Checks of what issuers certified (test_dossier)."""
SEVEN = tuple(kind for kind in Kind if kind is not Kind.DECLARATION)


def paper(kind, **changes):
    return Paper(kind.name, document_of(kind, FIELDS[kind](**changes)))


def papers(**changes):
    """A whole dossier; ``changes`` of a paper go by its kind's name."""
    same_buyer = {"phytosanitary_certificate": {"consignee": {"name": "Lim Household Supplies"}}} | changes
    return [paper(kind, **same_buyer.get(kind.name.lower(), {})) for kind in SEVEN]


def checked(named, **declared):
    checks = match(document_of(Kind.DECLARATION, declaration_fields(**declared)), named)
    return [check for check in checks if check.code not in CERTIFIED]


def reasons(checks, outcome):
    return {(check.reason, check.record) for check in checks if check.outcome.value == outcome}


def test_a_whole_dossier_that_fits_is_valid():
    checks = checked(papers(certificate_of_origin={"invoiceReference": "inv-1"}))
    assert Verdict.of(checks, NOON).conclusion is Conclusion.VALID
    assert {"MATCH_ORDER", "MATCH_WAYBILL", "MATCH_PAYMENT", "MATCH_INVOICE", "MATCH_VALUE"} < {c.code for c in checks}


def test_documents_not_handed_in_are_not_missed():
    assert checked([]) == []
    certified = checked([paper(Kind.CERTIFICATE_OF_ORIGIN), paper(Kind.INSPECTION_REPORT)])
    assert {check.code for check in certified} == {"MATCH_DESTINATION", "MATCH_DESCRIPTION"}


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


# ---- facts that several papers state


def differing(checks):
    """What a match found that does not agree: (check, reason, paper)."""
    return [(c.code, c.reason, c.record) for c in checks if c.outcome is not Outcome.PASS]


def test_papers_that_agree_in_all_have_no_difference():
    # One certificate and one report for two kinds of goods: that is told by DOCUMENTS, and by nothing else.
    assert [one for one in differing(compared()) if one[0] != "DOCUMENTS"] == []
    exercised = {check.code for check in compared()}
    assert {check.code for check in REGISTER.of(Scope.MATCH)} - exercised == {"MATCH_DISCOUNT"}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_error_is_found_and_marked(planted):
    changes, code, reason, paper = PLANTED[planted]
    assert (code, reason, paper) in differing(compared(**changes))


def test_every_comparison_has_a_planted_error():
    compared_codes = {check.code for check in REGISTER.of(Scope.MATCH)} - {"DOCUMENTS", "MATCH_QUANTITY", "CONFORMITY"}
    assert {code for _, code, _, _ in PLANTED.values()} == compared_codes


def test_every_comparison_states_rule_and_tolerance():
    assert [check.code for check in REGISTER.of(Scope.MATCH) if not (check.rule and check.tolerance)] == []


def test_parties_are_known_by_number_before_name():
    numbered = {"name": "Morning Star Trading", "identifier": "91330782MA2XXXXX1A"}
    other_name = numbered | {"name": "Star of the Morning"}
    assert not differing_in("MATCH_EXPORTER", {"declaration.merchant": numbered, "invoice.seller": other_name})
    other_number = {"name": "Morning Star Trading Co., Ltd.", "identifier": "2"}
    assert differing_in("MATCH_EXPORTER", {"declaration.merchant": numbered, "invoice.seller": other_number})


def differing_in(code, changes):
    return [one for one in differing(compared(**changes)) if one[0] == code and one[2] in ("invoice", "declaration")]


@pytest.mark.parametrize("text", ["Tischlampen", "台灯"])
def test_other_words_for_goods_weigh_nothing(text):
    checks = compared(**{"waybill.description": text})
    assert Outcome.FAIL not in {check.outcome for check in checks}
    assert not [c for c in checks if c.code == "MATCH_DESCRIPTION" and c.outcome is Outcome.INDETERMINATE]


def test_receipt_without_its_order_is_compared_with_invoice():
    papers = [paper(Kind.PAYMENT_RECEIPT, amount="1200"), paper(Kind.INVOICE, orderReference="ORDER-1")]
    assert reasons(checked(papers), "indeterminate") == {("payment-differs", "PAYMENT_RECEIPT")}
