"""Maps inspections of the W3C CCG traceability vocabulary: food grades, mill tests, general inspection reports."""

from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import Severity, Unusable
from backend.domain.interop.traceability import SUBJECT, heed_issuer, take_issue_day, take_party, types_of

_DEFECTS = {
    "averageDefects": ("defects, average", "%"),
    "damage": ("damage", "%"),
    "seriousDamage": ("serious damage", "items of the sample"),
    "verySeriousDamage": ("very serious damage", "items of the sample"),
}
"""What these members count, by the vocabulary."""


class Results:
    """Collects the results of an inspection."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._count = 0

    def add(self, pointer: str, characteristic: Any, value: Any, unit: Any = None) -> bool:
        """Take one result and report it. Return False, leaving it unused, where it has no name or value."""
        if not isinstance(characteristic, str) or isinstance(value, bool) or not isinstance(value, str | int | float):
            return False
        result = {"characteristic": characteristic, "value": str(value)}
        if isinstance(unit, str):
            result["unit"] = unit
        told = " ".join([f"{characteristic}:", *list(result.values())[1:]])
        self._draft.put(f"results.{self._count}", pointer, result, told=told)
        self._count += 1
        return True

    def close(self) -> None:
        """Refuse a report that states nothing but passed or failed."""
        if not self._count:
            self._draft.note(Severity.WRONG, "bare-verdict", field="results")


def fill_food_grade(draft: Draft) -> None:
    """Map a FoodGradeInspectionCredential about one lot."""
    heed_issuer(draft)
    common = f"{SUBJECT}/commonInfo"
    take_party(draft, "customer", f"{common}/applicant")
    draft.take("performedFrom", f"{common}/inspectionStarted", conversions.day)
    draft.take("performedTo", f"{common}/inspectionEnded", conversions.day)
    take_issue_day(draft)
    lots = f"{SUBJECT}/lots"
    if draft.source.size(lots) > 1:
        draft.refuse("several-lots", lots, count=draft.source.size(lots))
        return
    lot = f"{lots}/0"
    product = f"{lot}/agricultureProduct/product"
    draft.first("itemDescription", f"{product}/description", f"{product}/name")
    draft.take("itemIdentification", f"{lot}/lotIdentifier")
    draft.take("specification", f"{lot}/grade/gradeInspected")
    met = draft.source.value(f"{lot}/grade/requirementsMet")
    if isinstance(met, bool):
        draft.put("conforms", f"{lot}/grade/requirementsMet", met)
    _graded(draft, lot)


def _graded(draft: Draft, lot: str) -> None:
    results, value = Results(draft), draft.source.value
    for i in range(draft.source.size(f"{lot}/samples")):
        for j in range(draft.source.size(f"{lot}/samples/{i}/sampleProperties")):
            at = f"{lot}/samples/{i}/sampleProperties/{j}"
            results.add(at, value(f"{at}/propertyName"), value(f"{at}/propertyValue"))
    for i in range(draft.source.size(f"{lot}/defects")):
        at = f"{lot}/defects/{i}"
        name = value(f"{at}/offsizeDefect")
        for member, (words, unit) in _DEFECTS.items():
            said = f"{name}: {words}" if isinstance(name, str) else None
            if results.add(f"{at}/{member}", said, value(f"{at}/{member}"), unit):
                draft.source.use(f"{at}/offsizeDefect")
    for member, words in (("minTemperature", "lowest temperature"), ("maxTemperature", "highest temperature")):
        at = f"{lot}/{member}"
        results.add(at, words, value(f"{at}/value"), value(f"{at}/unitCode"))
    results.close()


def fill_mill_test(draft: Draft) -> None:
    """Map a MillTestReportCredential about one product."""
    heed_issuer(draft)
    draft.take("reportNumber", f"{SUBJECT}/certificateNumber")
    take_party(draft, "customer", f"{SUBJECT}/customer")
    product = f"{SUBJECT}/productSpecification"
    draft.take("itemDescription", f"{product}/productDescription")
    draft.joined("specification", [f"{product}/standard", f"{product}/grade"], " ")
    take_issue_day(draft)
    inspections = f"{SUBJECT}/inspections"
    if draft.source.size(inspections) > 1:
        draft.refuse("several-lots", inspections, count=draft.source.size(inspections))
        return
    at = f"{inspections}/0"
    draft.first("itemIdentification", f"{at}/productIdentifier", f"{at}/heatNumber")
    results, value = Results(draft), draft.source.value
    for member, content in _members(draft, f"{at}/chemicalComposition"):
        if member != "type":
            results.add(f"{at}/chemicalComposition/{member}", f"chemical composition: {member}", content)
    for member, _ in _members(draft, f"{at}/mechanicalProperties"):
        place = f"{at}/mechanicalProperties/{member}"
        results.add(place, f"mechanical: {member}", value(f"{place}/value"), value(f"{place}/unitCode"))
    results.close()


def _members(draft: Draft, pointer: str) -> list[tuple[str, Any]]:
    found = draft.source.value(pointer)
    return list(found.items()) if isinstance(found, dict) else []


def fill_inspection_report(draft: Draft) -> None:
    """Map an InspectionReport of the vocabulary, alone or as a credential's subject."""
    base = SUBJECT if draft.source.value(SUBJECT) is not None else ""
    heed_issuer(draft)
    take_issue_day(draft)
    results, value = Results(draft), draft.source.value
    days: list[tuple[str, str]] = []
    for kind in ("chemicalObservation", "mechanicalObservation"):
        for place in range(draft.source.size(f"{base}/{kind}")):
            at = f"{base}/{kind}/{place}"
            name, standard = value(f"{at}/property/name"), value(f"{at}/property/identifier")
            measured, unit = value(f"{at}/measurement/value"), value(f"{at}/measurement/unitCode")
            if isinstance(name, str) and isinstance(standard, str):
                name = f"{name} ({standard})"
            if not results.add(f"{at}/measurement", name, measured, unit):
                continue
            for member in ("property/name", "property/identifier", "date"):
                draft.source.use(f"{at}/{member}")
            try:
                days.append((conversions.day(value(f"{at}/date"))[0], f"{at}/date"))
            except Unusable:
                days.append(("", f"{at}/date"))
    if days and all(day for day, _ in days):
        draft.put("performedFrom", min(days)[1], min(days)[0], "earliest", count=len(days))
        draft.put("performedTo", max(days)[1], max(days)[0], "latest", count=len(days))
    results.close()


def is_conformity_credential(document: dict[str, Any]) -> bool:
    """Whether it is a conformity credential, or an attestation alone."""
    known = types_of(document) | types_of(document.get("credentialSubject"))
    return bool(known & {"DigitalConformityCredential", "ConformityAttestation"})


def fill_conformity_report(draft: Draft) -> None:
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
    # From the end, so that of equal names the first place is kept.
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
