"""Certificate, report and declaration must speak of the same goods."""

import pytest

from backend.domain.dossier import Paper
from backend.domain.kinds import KINDS, Kind
from backend.domain.records import document_of
from backend.domain.trade_match import match
from backend.domain.verdict import Conclusion, Verdict
from tests.helpers.builders import (
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
        "MATCH_DESCRIPTION": ("pass", "description-matches"),
    }


def test_each_check_names_its_document():
    of_both = ("MATCH_HS_CODE", "MATCH_EXPORTER", "MATCH_DESCRIPTION")
    by_paper = {check.code: check.record for check in matched() if check.code not in of_both}
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


# ---- plants


def plants(**changes):
    return goods_item(hsCode="080521", description="Fresh mandarins", quantity="1200", unitCode="KGM", **changes)


def plant_check(*items, **certified):
    example = {**KINDS[Kind.PHYTOSANITARY_CERTIFICATE].example, **certified}
    checks = matched(a_declaration(items=list(items)), [paper(Kind.PHYTOSANITARY_CERTIFICATE, example, "plants")])
    return found(checks, "MATCH_BOTANICAL_NAME")


@pytest.mark.parametrize(
    ("elements", "answer"),
    [
        ("Botanical name: Citrus reticulata; fresh", ("pass", "botanical-name-matches")),
        ("0|0|citrus  reticulata|fresh", ("pass", "botanical-name-matches")),
        ("Latin name: Malus domestica", ("fail", "botanical-name-differs")),
        ("Scientific name = Citrus sinensis, fresh", ("fail", "botanical-name-differs")),
        ("for eating", ("note", "botanical-name-not-declared")),
    ],
)
def test_botanical_name_is_held_against_declared_plants(elements, answer):
    assert plant_check(plants(declarationElements=elements)) == [answer]


def test_botanical_name_in_description_is_enough():
    other = goods_item(declarationElements="Botanical name: Malus domestica")
    assert plant_check(plants() | {"description": "Citrus reticulata, fresh"}, other) == [
        ("pass", "botanical-name-matches")
    ]


def test_plants_not_declared_at_all_are_told_once():
    checks = matched(papers=[paper(Kind.PHYTOSANITARY_CERTIFICATE, KINDS[Kind.PHYTOSANITARY_CERTIFICATE].example)])
    assert ("fail", "hs-code-differs") in found(checks, "MATCH_HS_CODE")
    assert found(checks, "MATCH_BOTANICAL_NAME") == []
