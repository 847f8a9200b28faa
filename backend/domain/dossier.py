"""Checks on the papers of a consignment: evidence bundles, attached files, and whether certificates cover the goods.

A certificate of origin and an inspection report are required. Trade documents, and facts that several papers state, are
compared in ``trade_match``. The checks of bundles need more than values (a node, a database), so their callers create
the answers: ``bundle_verification``, ``adapters.node_client`` and ``services.verification``.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backend.domain.bundle import Bundle
from backend.domain.consignment import PlannedDrawdown
from backend.domain.errors import StorageUnavailable
from backend.domain.evidence import QUANTITY_STEPS
from backend.domain.fields import Document
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin
from backend.domain.kinds.declaration import Declaration
from backend.domain.kinds.inspection_report import InspectionReport
from backend.domain.kinds.invoice import Invoice
from backend.domain.kinds.phytosanitary_certificate import PhytosanitaryCertificate
from backend.domain.kinds.waybill import Waybill
from backend.domain.verdict import (
    REGISTER,
    ActionBy,
    Check,
    Outcome,
    Rank,
    RegisteredCheck,
    Scope,
    fails,
    leaves_open,
    notes,
    passes,
)

_MERCHANT = ActionBy.MERCHANT


@dataclass(frozen=True)
class Paper:
    """A record that a declaration relies on: its id and its document."""

    record: str
    document: Document


@dataclass(frozen=True)
class Dossier:
    """A declaration, its papers, and what earlier declarations take from the certificates among them.

    ``record`` is the id of the declaration's own record, for faults of the declaration itself.
    """

    declaration: Declaration
    papers: tuple[Paper, ...]
    drawn: tuple[PlannedDrawdown, ...] = ()
    record: str | None = None

    def of(self, *models: type[Document]) -> list[Paper]:
        """Return the papers of some kinds."""
        return [paper for paper in self.papers if isinstance(paper.document, models)]

    def stating(self, *names: str) -> Iterator[tuple[Paper, Any]]:
        """Yield the papers that state any of these fields (Python names), each with the first value that it states."""
        for paper in self.papers:
            # Asked first what the model has: of a name that it lacks pydantic makes an exception, which takes long.
            known = type(paper.document).model_fields
            stated = (getattr(paper.document, name) for name in names if name in known)
            if (found := next((value for value in stated if value is not None), None)) is not None:
                yield paper, found


def compared(
    check: RegisteredCheck[Any], same: bool, what: str, stated: object, declared: object, paper: Paper
) -> Check:
    """Return the answer ``WHAT-matches`` or ``WHAT-differs`` about a paper, with both values."""
    values = {"stated": stated, "declared": declared}
    return check.answer(f"{what}-matches" if same else f"{what}-differs", values, paper.record)


@REGISTER.check(
    "DOCUMENTS",
    "Papers complete",
    Rank.WARNING,
    Scope.MATCH,
    leaves_open("certificate-of-origin-missing", _MERCHANT, "The declaration names no certificate of origin."),
    leaves_open("inspection-report-missing", _MERCHANT, "The declaration names no inspection report."),
    leaves_open(
        "goods-without-certificate",
        _MERCHANT,
        "HS {declared} is declared, but no certificate of origin named here covers it.",
    ),
    leaves_open(
        "goods-without-report", _MERCHANT, "HS {declared} is declared, but no inspection report named here covers it."
    ),
    rule="every subheading declared has a certificate of origin and an inspection report; nothing is said where so",
    tolerance="none",
)
def documents(dossier: Dossier) -> Iterator[Check]:
    """Report missing papers; each subheading needs its own."""
    declared = {item.hs_code[:6] for item in dossier.declaration.items}
    for model, missing, uncovered in (
        (CertificateOfOrigin, "certificate-of-origin-missing", "goods-without-certificate"),
        (InspectionReport, "inspection-report-missing", "goods-without-report"),
    ):
        covered = {
            hs_code[:6] for _, hs_code in Dossier(dossier.declaration, tuple(dossier.of(model))).stating("hs_code")
        }
        # One answer where there is no such paper at all; one for each subheading would say it many times.
        if not covered:
            yield documents.answer(missing)
        for code in sorted(declared - covered) if covered else ():
            yield documents.answer(uncovered, {"declared": code})


@REGISTER.check(
    "MATCH_HS_CODE",
    "HS code agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("hs-code-matches", "HS {stated} is on the declaration."),
    fails(
        "hs-code-differs",
        _MERCHANT,
        "It covers HS {stated}; the declaration has {declared}. Correct the declaration or name the right paper.",
    ),
    rule="the subheading of each certificate, report and line of an invoice is declared",
    tolerance="digits beyond the six of the Harmonized System are national and are not compared",
)
def hs_code(dossier: Dossier) -> Iterator[Check]:
    """Check whether papers are about declared goods."""
    declared = sorted({item.hs_code[:6] for item in dossier.declaration.items})
    for paper, code in dossier.stating("hs_code"):
        yield compared(hs_code, code[:6] in declared, "hs-code", code[:6], ", ".join(declared), paper)
    # An invoice has codes on its lines only, which ``stating`` does not see.
    for paper in dossier.of(Invoice):
        codes = {line.hs_code[:6] for line in getattr(paper.document, "items", ()) if line.hs_code}
        for code in sorted(codes):
            yield compared(hs_code, code in declared, "hs-code", code, ", ".join(declared), paper)


@REGISTER.check(
    "MATCH_ORIGIN",
    "Origin agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("origin-matches", "Origin {stated} on both."),
    fails("origin-differs", _MERCHANT, "It certifies origin {stated}; the declaration says {declared}."),
    rule="the country of origin is that of the declared goods of the same subheading",
    tolerance="none",
)
def origin(dossier: Dossier) -> Iterator[Check]:
    """Compare the country of origin with the certificates."""
    for paper, country in dossier.stating("origin_country"):
        code = getattr(paper.document, "hs_code", "")[:6]
        origins = {item.origin_country for item in dossier.declaration.items if item.hs_code[:6] == code}
        # Where these goods are not declared at all, MATCH_HS_CODE says so.
        if origins:
            yield compared(origin, origins == {country}, "origin", country, ", ".join(sorted(origins)), paper)


@REGISTER.check(
    "MATCH_DESTINATION",
    "Destination agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("destination-matches", "Destination {stated} on both."),
    fails("destination-differs", _MERCHANT, "It is made out for {stated}; the declaration goes to {declared}."),
    fails("waybill-destination-differs", _MERCHANT, "The waybill goes to {stated}; the declaration says {declared}."),
    rule="papers that state a destination are for the country that the declaration goes to",
    tolerance="none",
)
def destination(dossier: Dossier) -> Iterator[Check]:
    """Check whether all papers go to one country."""
    declared = dossier.declaration.destination_country
    for paper, country in dossier.stating("import_country", "destination_country"):
        same = country == declared
        what = "waybill-destination" if isinstance(paper.document, Waybill) and not same else "destination"
        yield compared(destination, same, what, country, declared, paper)


@REGISTER.check(
    "MATCH_QUANTITY",
    "Quantity covered",
    Rank.FAIL,
    Scope.MATCH,
    passes("quantity-matches", "{declared} declared, {stated} certified."),
    fails(
        "quantity-differs",
        _MERCHANT,
        "{declared} declared, but only {stated} certified. Reduce the quantity or add a certificate.",
    ),
    fails(
        "quantity-already-declared",
        _MERCHANT,
        "{declared} declared, but earlier ones take {used} of the {stated} certified. Add another certificate.",
    ),
    leaves_open("quantity-already-declared", _MERCHANT),
    leaves_open(
        "units-differ", _MERCHANT, "{declared} declared in another unit than certified; use the certificate's unit."
    ),
    rule=(
        "the declared quantity of a subheading, with that of earlier declarations, is at most what its certificates of "
        "origin cover together; in the certificate's own unit, in which the ledger counts"
    ),
    tolerance="none",
)
def quantity(dossier: Dossier) -> Iterator[Check]:
    """Check whether the certified quantities cover the goods declared under each subheading."""
    covered: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    first: dict[str, Paper] = {}
    for certified in dossier.of(CertificateOfOrigin):
        certificate = certified.document
        assert isinstance(certificate, CertificateOfOrigin)
        covered[certificate.hs_code[:6], certificate.unit_code] += certificate.quantity
        first.setdefault(certificate.hs_code[:6], certified)
    declared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for item in dossier.declaration.items:
        declared[item.hs_code[:6], item.unit_code] += item.quantity
    for goods, amount in declared.items():
        if (paper := first.get(goods[0])) is not None:
            drawn = [one for one in dossier.drawn if (one.heading, one.unit_code) == goods]
            yield _covered(goods[1], amount, covered.get(goods), drawn, paper)


def _covered(
    unit: str, declared: Decimal, certified: Decimal | None, drawn: Sequence[PlannedDrawdown], paper: Paper
) -> Check:
    values = {"declared": f"{declared} {unit}"}
    if certified is None:
        return quantity.answer("units-differ", values, paper.record)
    values["stated"] = f"{certified} {unit}"
    used = Decimal(sum(drawdown.quantity for drawdown in drawn)) / QUANTITY_STEPS
    if declared > certified or declared + used <= certified:
        return quantity.answer(f"quantity-{'matches' if declared <= certified else 'differs'}", values, paper.record)
    values["used"] = f"{used.normalize():f} {unit}"
    # Where an earlier declaration had several certificates to draw from, this one may have been spared.
    outcome = Outcome.INDETERMINATE if any(drawdown.is_shared for drawdown in drawn) else Outcome.FAIL
    return quantity.answer("quantity-already-declared", values, paper.record, outcome)


@REGISTER.check(
    "CONFORMITY",
    "Inspection result",
    Rank.FAIL,
    Scope.MATCH,
    passes("conforms", "The goods conform to {specification}."),
    fails(
        "does-not-conform",
        _MERCHANT,
        "The goods do not conform to {specification}. They cannot be released on this report.",
    ),
    rule="every inspection report states that the goods conform",
    tolerance="the laboratory's own decision rule (ISO/IEC 17025:2017, 7.8.6)",
)
def conformity(dossier: Dossier) -> Iterator[Check]:
    """Report the results of the inspections."""
    for paper in dossier.of(InspectionReport):
        assert isinstance(paper.document, InspectionReport)
        reason = "conforms" if paper.document.conforms else "does-not-conform"
        yield conformity.answer(reason, {"specification": paper.document.specification}, paper.record)


_LABELLED = re.compile(r"(?:botanical|latin|scientific) name\s*[:=]\s*([^;|,\n]+)", re.IGNORECASE)


@REGISTER.check(
    "MATCH_BOTANICAL_NAME",
    "Botanical name agrees",
    Rank.FAIL,
    Scope.MATCH,
    passes("botanical-name-matches", "{stated} on both."),
    fails(
        "botanical-name-differs",
        _MERCHANT,
        "It certifies {stated}; the declaration says {declared}. Correct the declaration or name the right paper.",
    ),
    notes(
        "botanical-name-not-declared", "It certifies {stated}; the declaration gives no botanical name for these goods."
    ),
    rule=(
        "genus and species of a phytosanitary certificate stand in the description or the declaration elements of the "
        "goods of its subheading; they differ where the elements say `botanical name: …` otherwise"
    ),
    tolerance="case and what follows the species (ISPM 12, section 5, asks for the genus and preferably the species)",
)
def botanical_name(dossier: Dossier) -> Iterator[Check]:
    """Compare the certified plants with the declared ones."""
    for paper in dossier.of(PhytosanitaryCertificate):
        certificate = paper.document
        assert isinstance(certificate, PhytosanitaryCertificate)
        goods = [item for item in dossier.declaration.items if item.hs_code[:6] == certificate.hs_code[:6]]
        if not goods:
            continue  # told by MATCH_HS_CODE
        stated, texts = certificate.botanical_name, [f"{g.description}\n{g.declaration_elements or ''}" for g in goods]
        named = [name.strip() for text in texts for name in _LABELLED.findall(text)]
        species = " ".join(stated.casefold().split()[:2])
        values = {"stated": stated, "declared": ", ".join(named)}
        if any(species not in " ".join(name.casefold().split()) for name in named):
            yield botanical_name.answer("botanical-name-differs", values, paper.record)
        elif any(species in " ".join(text.casefold().split()) for text in texts):
            yield botanical_name.answer("botanical-name-matches", values, paper.record)
        else:
            yield botanical_name.answer("botanical-name-not-declared", values, paper.record)


_MERCHANT, _OPERATOR, _NOBODY = ActionBy.MERCHANT, ActionBy.OPERATOR, ActionBy.NOBODY
BUNDLE: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "BUNDLE",
        "File",
        Rank.WARNING,
        Scope.FILE,
        (
            leaves_open(
                "bundle-malformed",
                _NOBODY,
                "This file is not an evidence bundle, or it is damaged ({why}). Fetch the evidence anew.",
            ),
        ),
    )
)
SNAPSHOT: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "SNAPSHOT",
        "What the ledger held",
        Rank.WARNING,
        Scope.FILE,
        (
            passes("snapshot-trusted", "Stated by {name}, who read the ledger on {read_at} (block {block})."),
            leaves_open(
                "snapshot-missing",
                _OPERATOR,
                "The file carries no signed statement of what the ledger held. Ask the ledger, or fetch the evidence "
                "anew.",
            ),
            leaves_open(
                "snapshot-altered",
                _OPERATOR,
                "What the file says of the ledger was altered or damaged, or an older version wrote it ({why}). "
                "Fetch the evidence anew.",
            ),
            leaves_open(
                "snapshot-signer-untrusted",
                _NOBODY,
                "The ledger's state is stated by a key that your trust file does not name ({signer}). If you trust it, "
                "add it.",
            ),
            leaves_open(
                "snapshot-ledger-untrusted",
                _NOBODY,
                "Your trust file does not let this signer ({signer}) speak for this ledger.",
            ),
            leaves_open(
                "snapshot-too-new",
                _OPERATOR,
                "{name} read the ledger only on {read_at}, after the time you ask about; what it held before is not "
                "known.",
            ),
            leaves_open(
                "snapshot-too-old",
                _OPERATOR,
                "{name} read the ledger on {read_at}: longer ago than you allow. Fetch the evidence anew, or ask the "
                "ledger.",
            ),
        ),
    )
)
LEDGER: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "LEDGER",
        "Ledger asked",
        Rank.WARNING,
        Scope.FILE,
        (
            passes("ledger-consulted", "Asked {node}: block {block} of {block_time}."),
            leaves_open("ledger-unavailable", _OPERATOR),
            leaves_open(
                "ledger-unknown",
                _OPERATOR,
                "Neither your trust file nor the node names this ledger ({ledger}): anybody can put one up. Get its "
                "operator's trust file and give it here.",
            ),
            leaves_open(
                "ledger-untrusted",
                _OPERATOR,
                "Your trust file does not name this ledger ({ledger}), and anybody can put one up. Get its operator's "
                "trust file and give it here.",
            ),
            leaves_open(
                "multiple-ledgers",
                _NOBODY,
                "Its records stand on {count} ledgers, and a snapshot speaks of one. Sign a bundle of each record "
                "instead.",
            ),
            leaves_open(
                "chain-mismatch",
                _OPERATOR,
                "{node} carries another chain ({chain}) than the one that the record names.",
            ),
            leaves_open(
                "deployment-mismatch",
                _OPERATOR,
                "At this address {node} shows another ledger than the one that the record names: the chain was reset, "
                "or it is another chain.",
            ),
            leaves_open(
                "node-stale",
                _OPERATOR,
                "The newest block of {node} is of {block_time}: it lags behind, and what happened since cannot be "
                "told.",
            ),
            leaves_open(
                "chain-reorganised",
                _OPERATOR,
                "The chain was reorganised while {node} was asked. Try again in a minute.",
            ),
        ),
    )
)
NAMED_RECORD: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "NAMED_RECORD",
        "Paper named by the declaration",
        Rank.FAIL,
        Scope.NAMED,
        (
            passes("document-named", "It is the very paper that the declaration names."),
            passes(
                "document-confirmed",
                "The declaration names the merchant's statement; {issuer} has since confirmed and signed it.",
            ),
            fails("document-not-named", _MERCHANT, "It is not the paper that the declaration names."),
            leaves_open(
                "documents-withheld",
                _MERCHANT,
                "The declaration's list of papers is not shown, so it cannot be told whether these are the ones.",
            ),
            leaves_open(
                "documents-missing",
                _MERCHANT,
                "The declaration names {count} more paper(s) that are not in this file.",
            ),
            leaves_open("erased", _NOBODY),
        ),
    )
)


@dataclass(frozen=True)
class BoundFiles:
    """Names and digests of the files that a record binds, and a function that tells whether one is as signed.

    ``is_intact`` returns None for a file that is not here, and raises StorageUnavailable where that cannot be told.
    """

    files: tuple[tuple[str, str], ...]
    is_intact: Callable[[str], bool | None]
    is_needed: bool = True
    """Whether a missing file prevents VALID."""


@REGISTER.check(
    "ATTACHMENTS",
    "Attached files",
    Rank.FAIL,
    Scope.SERVER,
    passes("attachments-intact", "{count} attached file(s), as signed."),
    fails("attachment-altered", _OPERATOR, "The file {file} is not the one that was signed."),
    leaves_open(
        "attachment-missing",
        _OPERATOR,
        "The file {file} is not at hand here, so it cannot be compared with what was signed.",
    ),
    notes("attachment-missing", by=_OPERATOR),
)
def attachments(bound: BoundFiles) -> Check | None:
    """Check whether the files that the record binds are here and as they were signed."""
    compared = set[str]()
    for name, digest in bound.files:
        if digest in compared:
            continue  # a record may bind one file a thousand times, and reading it may take long
        compared.add(digest)
        try:
            is_intact = bound.is_intact(digest)
        except StorageUnavailable:
            # Whatever the file is needed for: it may be an altered one, so that nothing is told of it.
            return attachments.answer("attachment-missing", {"file": name}, outcome=Outcome.INDETERMINATE)
        if is_intact is None:
            outcome = Outcome.INDETERMINATE if bound.is_needed else Outcome.NOTE
            return attachments.answer("attachment-missing", {"file": name}, outcome=outcome)
        if not is_intact:
            return attachments.answer("attachment-altered", {"file": name})
    return attachments.answer("attachments-intact", {"count": len(bound.files)}) if bound.files else None
