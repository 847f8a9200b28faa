"""Maps inspections of the W3C CCG traceability vocabulary: food grades, mill tests, general inspection reports."""

from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import Severity, Unusable
from backend.domain.interop.traceability import SUBJECT, heed_issuer, take_issue_day, take_party

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
