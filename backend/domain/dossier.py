"""A consignment's papers together: do certificate, report and declaration speak of the same goods?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backend.domain.batch import QUANTITY_STEPS
from backend.domain.consignment import PlannedDrawdown
from backend.domain.fields import Document
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.inspection_report import InspectionReport
from backend.domain.verdict import ActionBy, Check, Outcome


@dataclass(frozen=True)
class Paper:
    """A record that a declaration relies on: its id, and what it says."""

    record: str
    document: Document


def match(declaration: Declaration, papers: Sequence[Paper], drawn: Sequence[PlannedDrawdown] = ()) -> list[Check]:
    """Checks across documents, each about the paper that it compares with the declaration.

    ``drawn`` is what earlier declarations take from the certificates among the papers.
    """
    certificates = [p for p in papers if isinstance(p.document, CertificateOfOrigin)]
    reports = [p for p in papers if isinstance(p.document, InspectionReport)]
    return [
        *([] if certificates else [_lacking("certificate-of-origin")]),
        *([] if reports else [_lacking("inspection-report")]),
        *(check for paper in certificates for check in _certificate(declaration, paper)),
        *_quantities(declaration, certificates, drawn),
        *(check for paper in reports for check in _report(declaration, paper)),
        *_uncovered(declaration, certificates, "goods-without-certificate"),
        *_uncovered(declaration, reports, "goods-without-report"),
    ]


def _uncovered(declaration: Declaration, papers: Sequence[Paper], reason: str) -> list[Check]:
    """Goods declared beside those that the papers are about: one paper does not carry the others through."""
    if not papers:
        return []  # told already
    about_goods = [p.document for p in papers if isinstance(p.document, CertificateOfOrigin | InspectionReport)]
    covered = {document.hs_code[:6] for document in about_goods}
    bare = sorted({item.hs_code[:6] for item in declaration.items} - covered)
    return [Check("DOCUMENTS", Outcome.INDETERMINATE, reason, {"declared": code}, ActionBy.MERCHANT) for code in bare]


def _lacking(kind: str) -> Check:
    return Check("DOCUMENTS", Outcome.INDETERMINATE, f"{kind}-missing", action_by=ActionBy.MERCHANT)


def _certificate(declaration: Declaration, paper: Paper) -> list[Check]:
    certificate = paper.document
    assert isinstance(certificate, CertificateOfOrigin)
    covered = [item for item in declaration.items if item.hs_code[:6] == certificate.hs_code[:6]]
    checks = [_goods(declaration, certificate.hs_code, paper)]
    origins = {item.origin_country for item in covered}
    if covered:
        same = origins == {certificate.origin_country}
        values = {"stated": certificate.origin_country, "declared": ", ".join(sorted(origins))}
        checks.append(_match("MATCH_ORIGIN", same, "origin", values, paper))
    values = {"stated": certificate.import_country, "declared": declaration.destination_country}
    checks.append(
        _match(
            "MATCH_DESTINATION",
            certificate.import_country == declaration.destination_country,
            "destination",
            values,
            paper,
        )
    )
    if declaration.direction == "export":
        values = {"stated": certificate.exporter.name, "declared": declaration.merchant.name}
        same = _same_name(certificate.exporter.name, declaration.merchant.name)
        checks.append(_match("MATCH_EXPORTER", same, "exporter", values, paper))
    return checks


def _report(declaration: Declaration, paper: Paper) -> list[Check]:
    report = paper.document
    assert isinstance(report, InspectionReport)
    conforms = Check(
        "CONFORMITY",
        Outcome.PASS if report.conforms else Outcome.FAIL,
        "conforms" if report.conforms else "does-not-conform",
        {"specification": report.specification},
        None if report.conforms else ActionBy.MERCHANT,
        paper.record,
    )
    return [_goods(declaration, report.hs_code, paper), conforms]


def _goods(declaration: Declaration, hs_code: str, paper: Paper) -> Check:
    declared = sorted({item.hs_code[:6] for item in declaration.items})
    values = {"stated": hs_code[:6], "declared": ", ".join(declared)}
    return _match("MATCH_HS_CODE", hs_code[:6] in declared, "hs-code", values, paper)


def _quantities(
    declaration: Declaration, certificates: Sequence[Paper], drawn: Sequence[PlannedDrawdown]
) -> list[Check]:
    """Goods declared under a heading, those of earlier declarations included, may not exceed what is certified."""
    covered: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    first: dict[str, Paper] = {}
    for certified in certificates:
        certificate = certified.document
        assert isinstance(certificate, CertificateOfOrigin)
        covered[certificate.hs_code[:6], certificate.unit_code] += certificate.quantity
        first.setdefault(certificate.hs_code[:6], certified)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    return [
        _quantity(goods, quantity, covered.get(goods), [d for d in drawn if (d.heading, d.unit_code) == goods], paper)
        for goods, quantity in declared.items()
        if (paper := first.get(goods[0])) is not None
    ]


def _quantity(
    goods: tuple[str, str], quantity: Decimal, certified: Decimal | None, drawn: Sequence[PlannedDrawdown], paper: Paper
) -> Check:
    unit = goods[1]
    values = {"declared": f"{quantity} {unit}"}
    if certified is None:
        outcome = Outcome.INDETERMINATE
        return Check("MATCH_QUANTITY", outcome, "units-differ", values, ActionBy.MERCHANT, paper.record)
    values["stated"] = f"{certified} {unit}"
    used = Decimal(sum(drawdown.quantity for drawdown in drawn)) / QUANTITY_STEPS
    if quantity > certified or quantity + used <= certified:
        return _match("MATCH_QUANTITY", quantity <= certified, "quantity", values, paper)
    # Where an earlier declaration had several certificates to draw from, this one may have been spared.
    outcome = Outcome.INDETERMINATE if any(drawdown.is_shared for drawdown in drawn) else Outcome.FAIL
    values["used"] = f"{used.normalize():f} {unit}"
    return Check("MATCH_QUANTITY", outcome, "quantity-already-declared", values, ActionBy.MERCHANT, paper.record)


def _match(code: str, same: bool, what: str, values: Mapping[str, Any], paper: Paper) -> Check:
    if same:
        return Check(code, Outcome.PASS, f"{what}-matches", values, None, paper.record)
    return Check(code, Outcome.FAIL, f"{what}-differs", values, ActionBy.MERCHANT, paper.record)


def _same_name(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
