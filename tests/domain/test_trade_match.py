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


def everywhere(party):
    """The same seller on every paper but the declaration."""
    places = {
        "certificate-of-origin": "exporter",
        "inspection-report": "customer",
        "phytosanitary-certificate": "exporter",
        "invoice": "seller",
        "order": "seller",
        "payment-receipt": "payee",
        "waybill": "consignor",
    }
    return {f"{paper}.{name}": party for paper, name in places.items()}


LAWFUL = {
    "name in capitals": {"invoice.seller": {"name": "MORNING STAR TRADING CO LTD"}},
    "name in full": {"invoice.seller": {"name": "The Morning Star Trading Company, Limited"}},
    "name in full width": {"invoice.seller": {"name": "Ｍｏｒｎｉｎｇ Ｓｔａｒ Ｔｒａｄｉｎｇ Ｃｏ．， Ｌｔｄ．"}},
    "private limited": {"waybill.consignee": {"name": "Lim Household Supplies Private Limited"}},
    "accents": {"payment-receipt.payer": {"name": "Lím Household Supplies PTE LTD"}},
    "names in two scripts with one number": {
        "declaration.merchant": {"name": "晨星贸易有限公司", "identifier": "91330782MA28D1234X"},
        **everywhere({"name": "Morning Star Trading", "identifier": "91330782 ma28d1234x"}),
    },
    "order number in full width": {"waybill.orderReference": "ＯＲＤＥＲ－1"},
    "order number with another dash": {"waybill.orderReference": "Order\u20131"},
    "HS code of ten digits": {"declaration.items.0.hsCode": "9405210090", "invoice.items.0.hsCode": "94052100"},
    "weight in pounds": {"invoice.items.1.quantity": "110.2", "invoice.items.1.unitCode": "LBR"},
    "weight in grams": {"invoice.items.1.quantity": "50000", "invoice.items.1.unitCode": "GRM"},
    "weight in tonnes": {"invoice.items.1.quantity": "0.05", "invoice.items.1.unitCode": "TNE"},
    "one kind of goods on two lines": {
        "invoice.items": [
            {
                "description": "Lamp, lot L-26-014",
                "hsCode": "940521",
                "quantity": "5",
                "unitCode": "DZN",
                "amount": "252",
            },
            {"description": "Blue lamp", "hsCode": "940521", "quantity": "40", "unitCode": "EA", "amount": "168"},
            {"description": "Mandarins", "hsCode": "080521", "quantity": "50", "unitCode": "KGM", "amount": "80"},
        ]
    },
    "lines without subheadings": {
        "invoice.items": [
            {"description": "LED lamp", "quantity": "100", "unitCode": "EA", "amount": "420"},
            {"description": "Mandarins", "quantity": "50", "unitCode": "KGM", "amount": "80"},
        ]
    },
    "larger order": {"order.items.0.quantity": "30"},
    "larger certificate": {"certificate-of-origin.quantity": "1000", "certificate-of-origin.freeOnBoardAmount": "4200"},
    "FOB without freight": {"invoice.incotermsCode": "FOB", "invoice.totalAmount": "500"},
    "CFR with freight": {"invoice.incotermsCode": "CFR", "invoice.totalAmount": "540"},
    "CIF with both": {"invoice.incotermsCode": "CIF"},
    "DAP with both": {"invoice.incotermsCode": "DAP"},
    "legal quantity in kilograms": {
        "declaration.items.0.firstLegalQuantity": "40",
        "declaration.items.0.firstLegalUnitCode": "KGM",
    },
    "net weight as gross": {"declaration.netWeightMeasure": "98"},
    "one lot of two": {"invoice.items.0.description": "LED desk lamp, lot L-26-015, lot L-26-014"},
    "lot in small letters": {"inspection-report.itemIdentification": "lot l-26-014"},
    "part of the packages moved": {"movement-event.packageQuantity": 5},
    "tested on the day of departure": {
        "inspection-report.performedFrom": "2026-03-31",
        "inspection-report.performedTo": "2026-03-31",
        "inspection-report.issueDate": "2026-03-31",
    },
    "certificate on the invoice's day": {"certificate-of-origin.issueDate": "2026-03-29"},
    "carrier written otherwise": {"declaration.carrierName": "DEMO AIR-CARGO"},
    "ship sails later": {"certificate-of-origin.departureDate": "2026-04-02", "waybill.issueDate": "2026-04-02"},
    "unit price rounded": {
        "declaration.items.0.unitPrice": "33.3333",
        "declaration.items.0.totalPrice": "100",
        "declaration.items.0.quantity": "3",
        "invoice.items.0.quantity": "3",
        "invoice.items.0.amount": "100",
        "invoice.totalAmount": "225",
    },
}


@pytest.mark.parametrize("lawful", LAWFUL)
def test_lawful_difference_is_not_flagged(lawful):
    flagged = [one for one in compared(**LAWFUL[lawful]) if one.outcome in (Outcome.FAIL, Outcome.INDETERMINATE)]
    assert [one for one in flagged if one.code != "DOCUMENTS"] == []
