"""A consignment's papers together: do certificate, report and declaration speak of the same goods?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backend.domain.documents import CertificateOfOrigin, Declaration, InspectionReport, Invoice
from backend.domain.verdict import Check, Mender, Outcome

Named = CertificateOfOrigin | InspectionReport | Invoice


@dataclass(frozen=True)
class Paper:
    """A record that a declaration relies on: its id, and what it says."""

    record: str
    document: Named


def match(declaration: Declaration, papers: Sequence[Paper]) -> list[Check]:
    """Checks across documents, each about the paper that it compares with the declaration."""
    certificates = [p for p in papers if isinstance(p.document, CertificateOfOrigin)]
    reports = [p for p in papers if isinstance(p.document, InspectionReport)]
    return [
        *([] if certificates else [_lacking("certificate-of-origin")]),
        *([] if reports else [_lacking("inspection-report")]),
        *(check for paper in certificates for check in _certificate(declaration, paper)),
        *_quantities(declaration, certificates),
        *(check for paper in reports for check in _report(declaration, paper)),
        *_uncovered(declaration, certificates, "goods-without-certificate"),
        *_uncovered(declaration, reports, "goods-without-report"),
    ]


def _uncovered(declaration: Declaration, papers: Sequence[Paper], reason: str) -> list[Check]:
    """Goods declared beside those that the papers are about: one paper does not carry the others through."""
    if not papers:
        return []  # told already
    covered = {paper.document.hs_code[:6] for paper in papers if not isinstance(paper.document, Invoice)}
    bare = sorted({item.hs_code[:6] for item in declaration.items} - covered)
    return [Check("DOCUMENTS", Outcome.CANNOT_TELL, reason, {"declared": code}, Mender.MERCHANT) for code in bare]


def _lacking(kind: str) -> Check:
    return Check("DOCUMENTS", Outcome.CANNOT_TELL, f"no-{kind}", mender=Mender.MERCHANT)


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
        None if report.conforms else Mender.MERCHANT,
        paper.record,
    )
    return [_goods(declaration, report.hs_code, paper), conforms]


def _goods(declaration: Declaration, hs_code: str, paper: Paper) -> Check:
    declared = sorted({item.hs_code[:6] for item in declaration.items})
    values = {"stated": hs_code[:6], "declared": ", ".join(declared)}
    return _match("MATCH_HS_CODE", hs_code[:6] in declared, "hs-code", values, paper)


def _quantities(declaration: Declaration, certificates: Sequence[Paper]) -> list[Check]:
    """Goods declared under a certificate's heading may not exceed what the certificates cover."""
    covered: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    first: dict[str, Paper] = {}
    for paper in certificates:
        assert isinstance(paper.document, CertificateOfOrigin)
        covered[paper.document.hs_code[:6], paper.document.unit_code] += paper.document.quantity
        first.setdefault(paper.document.hs_code[:6], paper)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    checks = []
    for (heading, unit), quantity in declared.items():
        if heading not in first:
            continue
        if (heading, unit) not in covered:
            values = {"declared": f"{quantity} {unit}"}
            checks.append(
                Check(
                    "MATCH_QUANTITY",
                    Outcome.CANNOT_TELL,
                    "units-differ",
                    values,
                    Mender.MERCHANT,
                    first[heading].record,
                )
            )
            continue
        values = {"stated": f"{covered[heading, unit]} {unit}", "declared": f"{quantity} {unit}"}
        checks.append(_match("MATCH_QUANTITY", quantity <= covered[heading, unit], "quantity", values, first[heading]))
    return checks


def _match(code: str, same: bool, what: str, values: Mapping[str, Any], paper: Paper) -> Check:
    if same:
        return Check(code, Outcome.PASS, f"{what}-matches", values, None, paper.record)
    return Check(code, Outcome.FAIL, f"{what}-differs", values, Mender.MERCHANT, paper.record)


def _same_name(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
