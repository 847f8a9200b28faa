"""Conformity credentials of the United Nations Transparency Protocol (UNTP, UN/CEFACT): attested assessments."""

from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.draft import Draft
from backend.domain.interop.inspections import Results
from backend.domain.interop.reading import Severity, Unusable
from backend.domain.interop.traceability import SUBJECT, heed_issuer, take_issue_day, types_of


def fits(document: dict[str, Any]) -> bool:
    """Whether it is a conformity credential, or an attestation alone."""
    known = types_of(document) | types_of(document.get("credentialSubject"))
    return bool(known & {"DigitalConformityCredential", "ConformityAttestation"})


def fill_report(draft: Draft) -> None:
    """Take what an attestation says of one product; it names no method, decision rule or HS code."""
    base = SUBJECT if draft.source.value(SUBJECT) is not None else ""
    heed_issuer(draft)
    take_issue_day(draft)
    party = f"{base}/issuedToParty"
    draft.take("customer.name", f"{party}/name")
    draft.take("customer.identifier", f"{party}/registeredId")
    assessments = next(
        (f"{base}/{name}" for name in ("assessment", "assessments", "conformityAssessment")
         if draft.source.size(f"{base}/{name}")), f"{base}/assessment"
    )  # fmt: skip
    places = [f"{assessments}/{place}" for place in range(draft.source.size(assessments))]
    _products(draft, places)
    _standards(draft, places, base)
    _verdict(draft, places)
    _days(draft, places)
    results = Results(draft)
    for at in places:
        _measured(draft, results, at)
    results.close()


def _products(draft: Draft, places: list[str]) -> None:
    found: dict[tuple[Any, ...], str] = {}
    for at in places:
        for place in range(draft.source.size(f"{at}/assessedProduct")):
            product = f"{at}/assessedProduct/{place}/product"
            named = ("name", "registeredId", "batchNumber", "serialNumber")
            found.setdefault(tuple(str(draft.source.value(f"{product}/{name}")) for name in named), product)
    if len(found) > 1:
        draft.note(Severity.WRONG, "several-lots", next(iter(found.values())), count=len(found))
    if len(found) == 1:
        product = next(iter(found.values()))
        draft.first("itemDescription", f"{product}/description", f"{product}/name")
        draft.first("itemIdentification", *(f"{product}/{n}" for n in ("batchNumber", "serialNumber", "registeredId")))


def _standards(draft: Draft, places: list[str], base: str) -> None:
    names = [f"{at}/{kind}/name" for at in places for kind in ("referenceStandard", "referenceRegulation")]
    distinct = {draft.source.value(pointer): pointer for pointer in reversed(names)}
    distinct.pop(None, None)
    draft.joined("specification", list(reversed(distinct.values())), "; ")
    if "specification" not in draft.fields:
        draft.take("specification", f"{base}/scope/name")


def _verdict(draft: Draft, places: list[str]) -> None:
    said = {f"{at}/conformance": draft.source.value(f"{at}/conformance") for at in places}
    if said and all(isinstance(value, bool) for value in said.values()):
        pointer = next((at for at, value in said.items() if not value), next(iter(said)))
        draft.put("conforms", pointer, all(said.values()))
        for other in said:
            draft.source.use(other)


def _days(draft: Draft, places: list[str]) -> None:
    days: list[tuple[str, str]] = []
    for at in places:
        pointer = f"{at}/assessmentDate"
        try:
            days.append((conversions.day(draft.source.value(pointer))[0], pointer))
        except Unusable:
            return  # one that is not told may be the earliest or the latest
    if days:
        draft.put("performedFrom", min(days)[1], min(days)[0], "earliest", count=len(days))
        draft.put("performedTo", max(days)[1], max(days)[0], "latest", count=len(days))
        for _, pointer in days:
            draft.source.use(pointer)


def _measured(draft: Draft, results: Results, at: str) -> None:
    value = draft.source.value
    for place in range(draft.source.size(f"{at}/declaredValue")):
        metric = f"{at}/declaredValue/{place}"
        measured = value(f"{metric}/metricValue/value")
        if not results.add(metric, value(f"{metric}/metricName"), measured, value(f"{metric}/metricValue/unit")):
            results.add(metric, value(f"{metric}/metricName"), value(f"{metric}/score"))
