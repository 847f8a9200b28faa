"""Certificate, report and declaration must speak of the same goods."""

import pytest

from backend.domain.dossier import Paper, match, match_trade
from backend.domain.kinds import Kind
from backend.domain.records import document_of
from backend.domain.verdict import Conclusion, Verdict
from tests.helpers.builders import (
    FIELDS,
    NOON,
    certificate_fields,
    declaration_fields,
    goods_item,
    invoice_fields,
    outcomes,
    report_fields,
)


def paper(kind, fields, record="r"):
    return Paper(record, document_of(kind, fields))


def a_certificate(record="certificate", **changes):
    return paper(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(**changes), record)


def a_report(record="report", **changes):
    return paper(Kind.INSPECTION_REPORT, report_fields(**changes), record)


def a_declaration(**changes):
    return document_of(Kind.DECLARATION, declaration_fields(**changes))


def matched(declaration=None, papers=None):
    return match(declaration or a_declaration(), [a_certificate(), a_report()] if papers is None else papers)


def conclusion(checks):
    return Verdict.of(checks, NOON).conclusion


def found(checks, code):
    return [(check.outcome.value, check.reason) for check in checks if check.code == code]


def test_papers_that_fit_are_valid():
    checks = matched()
    assert conclusion(checks) is Conclusion.VALID
    assert outcomes(checks) == {
        "MATCH_HS_CODE": ("pass", "hs-code-matches"),
        "MATCH_ORIGIN": ("pass", "origin-matches"),
        "MATCH_DESTINATION": ("pass", "destination-matches"),
        "MATCH_EXPORTER": ("pass", "exporter-matches"),
        "MATCH_QUANTITY": ("pass", "quantity-matches"),
        "CONFORMITY": ("pass", "conforms"),
    }


def test_each_check_names_its_document():
    by_paper = {check.code: check.record for check in matched() if check.code != "MATCH_HS_CODE"}
    assert by_paper.pop("CONFORMITY") == "report"
    assert set(by_paper.values()) == {"certificate"}


@pytest.mark.parametrize(
    ("papers", "reasons"),
    [
        ([], ["certificate-of-origin-missing", "inspection-report-missing"]),
        ([a_certificate()], ["inspection-report-missing"]),
        ([a_report()], ["certificate-of-origin-missing"]),
        (
            [paper(Kind.INVOICE, invoice_fields())],
            ["certificate-of-origin-missing", "inspection-report-missing"],
        ),
    ],
)
def test_missing_papers_cannot_be_told(papers, reasons):
    checks = matched(papers=papers)
    assert conclusion(checks) is Conclusion.INDETERMINATE
    assert found(checks, "DOCUMENTS") == [("indeterminate", reason) for reason in reasons]


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"hsCode": "961700"}, "MATCH_HS_CODE", "hs-code-differs"),
        ({"originCountry": "VN"}, "MATCH_ORIGIN", "origin-differs"),
        ({"importCountry": "MY"}, "MATCH_DESTINATION", "destination-differs"),
        ({"exporter": {"name": "Evening Star Trading Co., Ltd."}}, "MATCH_EXPORTER", "exporter-differs"),
        ({"quantity": "199.999"}, "MATCH_QUANTITY", "quantity-differs"),
    ],
)
def test_a_certificate_of_other_goods_is_invalid(change, code, reason):
    checks = matched(papers=[a_certificate(**change), a_report()])
    assert conclusion(checks) is Conclusion.INVALID
    assert ("fail", reason) in found(checks, code)


def test_a_report_on_other_goods_is_invalid():
    checks = matched(papers=[a_certificate(), a_report(hsCode="961700")])
    assert conclusion(checks) is Conclusion.INVALID
    assert found(checks, "MATCH_HS_CODE") == [("pass", "hs-code-matches"), ("fail", "hs-code-differs")]


def test_goods_that_do_not_conform_are_invalid():
    checks = matched(papers=[a_certificate(), a_report(conforms=False)])
    assert conclusion(checks) is Conclusion.INVALID
    assert found(checks, "CONFORMITY") == [("fail", "does-not-conform")]


def test_good_report_does_not_outweigh_bad_one():
    checks = matched(papers=[a_certificate(), a_report("one"), a_report("two", conforms=False)])
    assert conclusion(checks) is Conclusion.INVALID


def test_quantities_are_added_up_on_both_sides():
    two_lines = a_declaration(items=[goods_item(quantity="300"), goods_item(quantity="200.001")])
    assert conclusion(matched(two_lines)) is Conclusion.INVALID
    both = [a_certificate("one"), a_certificate("two", quantity="0.001"), a_report()]
    assert conclusion(matched(two_lines, both)) is Conclusion.VALID


def test_exactly_the_certified_quantity_is_covered():
    assert conclusion(matched(a_declaration(items=[goods_item(quantity="500")]))) is Conclusion.VALID


def test_units_are_never_guessed():
    checks = matched(a_declaration(items=[goods_item(unitCode="DZN")]))
    assert conclusion(checks) is Conclusion.INDETERMINATE
    assert found(checks, "MATCH_QUANTITY") == [("indeterminate", "units-differ")]


def test_codes_agree_on_their_first_six_digits():
    assert conclusion(matched(a_declaration(items=[goods_item(hsCode="9405210090")]))) is Conclusion.VALID


def test_an_importers_name_is_not_the_exporters():
    checks = matched(a_declaration(direction="import"), [a_certificate(exporter={"name": "DemoUser"}), a_report()])
    assert not found(checks, "MATCH_EXPORTER")
    assert conclusion(checks) is Conclusion.VALID


@pytest.mark.parametrize("name", ["MORNING STAR TRADING CO., LTD.", "Morning  Star Trading Co., Ltd."])
def test_names_match_whatever_their_spacing_and_case(name):
    assert conclusion(matched(papers=[a_certificate(exporter={"name": name}), a_report()])) is Conclusion.VALID


def test_goods_that_no_certificate_covers_are_not_valid():
    """One line with a certificate must not carry another line through that has none."""
    smuggled = a_declaration(items=[goods_item(), goods_item(hsCode="930190", description="Something else")])
    assert conclusion(matched(smuggled)) is not Conclusion.VALID


def test_goods_that_no_report_covers_are_not_valid():
    two = a_declaration(items=[goods_item(), goods_item(hsCode="961700")])
    certificates = [a_certificate("one"), a_certificate("two", hsCode="961700")]
    assert conclusion(matched(two, [*certificates, a_report()])) is not Conclusion.VALID


# ---- the papers of the trade

SEVEN = tuple(kind for kind in Kind if kind is not Kind.DECLARATION)


def example(kind, **changes):
    return Paper(kind.name, document_of(kind, FIELDS[kind](**changes)))


def papers(**changes):
    """A whole dossier; ``changes`` of a paper go by its kind's name."""
    return [example(kind, **changes.get(kind.name.lower(), {})) for kind in SEVEN]


def trade_checks(named, **declared):
    return match_trade(document_of(Kind.DECLARATION, declaration_fields(**declared)), named)


def reasons(checks, outcome):
    return {(check.reason, check.record) for check in checks if check.outcome.value == outcome}


def test_a_whole_dossier_that_fits_is_valid():
    checks = trade_checks(papers(certificate_of_origin={"invoiceReference": "inv-1"}))
    assert Verdict.of(checks, NOON).conclusion is Conclusion.VALID
    assert {check.code for check in checks} == {
        "MATCH_ORDER",
        "MATCH_WAYBILL",
        "MATCH_PAYMENT",
        "MATCH_INVOICE",
        "MATCH_DESTINATION",
    }


def test_documents_not_handed_in_are_not_missed():
    assert trade_checks([]) == []
    assert trade_checks([example(Kind.CERTIFICATE_OF_ORIGIN), example(Kind.INSPECTION_REPORT)]) == []


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
    checks = trade_checks(papers(**{kind: change}))
    assert reasons(checks, "fail") == {(reason, kind.upper())}


@pytest.mark.parametrize("change", [{"amount": "1299.99"}, {"currency": "EUR"}])
def test_payment_of_another_amount_needs_a_person(change):
    checks = trade_checks(papers(payment_receipt=change))
    assert reasons(checks, "indeterminate") == {("payment-differs", "PAYMENT_RECEIPT")}
    assert not reasons(checks, "fail")


def test_payment_is_compared_with_own_order_only():
    checks = trade_checks([example(Kind.PAYMENT_RECEIPT, amount="5"), example(Kind.ORDER, orderReference="ORDER-2")])
    assert not [check for check in checks if check.code == "MATCH_PAYMENT"]


def test_numbers_match_whatever_their_spacing_and_case():
    assert not reasons(trade_checks(papers(order={"orderReference": "order -1"})), "fail")
