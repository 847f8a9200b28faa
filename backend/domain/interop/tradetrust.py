"""Maps TradeTrust certificates of origin (OpenAttestation): plain, wrapped, or as a credential."""

import re
from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import Severity, Unusable

_SALTED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:(string|number|boolean|null|undefined):(.*)", re.S)
_BASES = ("", "/data", "/credentialSubject")


def unsalted(node: Any) -> Any:
    """Return a wrapped document's values without OpenAttestation's salts (``<uuid>:<type>:<value>``)."""
    if isinstance(node, dict):
        return {name: unsalted(member) for name, member in node.items()}
    if isinstance(node, list):
        return [unsalted(member) for member in node]
    found = _SALTED.fullmatch(node) if isinstance(node, str) else None
    if found is None:
        return node
    kind, value = found.groups()
    if kind == "boolean":
        return value == "true"
    return None if kind in ("null", "undefined") else value


def base_of(document: Any) -> str | None:
    """Return the pointer to the certificate, or None where the document is something else."""
    for base in _BASES:
        node = document.get(base[1:]) if base else document
        if isinstance(node, dict) and isinstance(node.get("supplyChainConsignment"), dict):
            return base
    return None


def fill_certificate(draft: Draft) -> None:
    """Map a TradeTrust certificate of origin."""
    base = base_of(draft.source.value(""))
    assert base is not None
    for vocabulary in ("name", "$template", "links", "renderMethod", "openAttestationMetadata", "version", "schema"):
        draft.source.use(f"{base}/{vocabulary}")
        draft.source.use(f"/{vocabulary}")
    consignment = f"{base}/supplyChainConsignment"
    draft.take("certificateNumber", f"{base}/iD")
    _party(draft, "exporter", f"{consignment}/exporter")
    _party(draft, "consignee", f"{consignment}/importer")
    draft.take("importCountry", f"{consignment}/importCountry/code", conversions.country)
    draft.take("issueDate", f"{base}/issueDateTime", conversions.day)
    _agreement(draft, base)
    _goods(draft, f"{consignment}/includedConsignmentItems")
    if draft.source.value(f"{base}/issuer/name") is not None:
        draft.note(
            Severity.WARNING, "original-issuer", f"{base}/issuer/name", value=draft.source.value(f"{base}/issuer/name")
        )
        draft.source.use(f"{base}/issuer")


def _party(draft: Draft, field: str, pointer: str) -> None:
    draft.take(f"{field}.name", f"{pointer}/name")
    if field not in draft.fields:
        return
    address = f"{pointer}/postalAddress"
    parts = ("line1", "line2", "cityName", "postcode", "countrySubDivisionName")
    draft.joined(f"{field}.postalAddress", [f"{address}/{part}" for part in parts])
    draft.take(f"{field}.countryCode", f"{address}/countryCode", conversions.country)
    draft.take(f"{field}.identifier", f"{pointer}/iD")


def _agreement(draft: Draft, base: str) -> None:
    pointer, preferential = f"{base}/freeTradeAgreement", f"{base}/isPreferential"
    draft.take("freeTradeAgreementName", pointer, conversions.agreement)
    claimed = _yes_or_no(draft, preferential)
    named = draft.fields.get("freeTradeAgreementName")
    if named == "NONE" and claimed is True:
        draft.unusable("freeTradeAgreementName", preferential, Unusable("preference-without-agreement"))
    elif named not in (None, "NONE") and claimed is False:
        why = Unusable("agreement-without-preference", value=named)
        draft.unusable("freeTradeAgreementName", preferential, why)
    # An agreement that could not be read must not be passed over for what the other member says.
    if draft.source.value(pointer) is not None:
        return
    if claimed is True:
        draft.unusable("freeTradeAgreementName", preferential, Unusable("preference-without-agreement"))
    elif claimed is False:
        draft.put("freeTradeAgreementName", preferential, "NONE", "not-preferential")


def _yes_or_no(draft: Draft, pointer: str) -> bool | None:
    """Read a switch, also as a number or a word; None where there is none, or what it says is not known."""
    raw = draft.source.value(pointer)
    if raw is None:
        return None
    draft.source.use(pointer)
    said = {True: True, False: False, "true": True, "yes": True, "false": False, "no": False, "1": True, "0": False}
    key = raw.strip().casefold() if isinstance(raw, str) else raw
    if not isinstance(key, bool | int | str) or key not in said:
        draft.note(Severity.WRONG, "unusable-cell", pointer, why=Unusable("no-switch", value=raw))
        return None
    return said[key]


def _goods(draft: Draft, items: str) -> None:
    source = draft.source
    lines = [
        (f"{items}/{i}", f"{items}/{i}/tradeLineItems/{j}")
        for i in range(source.size(items))
        for j in range(source.size(f"{items}/{i}/tradeLineItems"))
    ]
    if len(lines) > 1:
        draft.refuse("several-goods", items, count=len(lines))
    if len(lines) != 1:
        return
    item, line = lines[0]
    product = f"{line}/tradeProduct"
    draft.take("originCriteria", f"{item}/crossBorderRegulatoryProcedure/originCriteriaText", conversions.criterion)
    draft.take("hsCode", f"{product}/harmonisedTariffCode/classCode", conversions.hs_code)
    draft.first("description", f"{product}/description", f"{item}/information")
    draft.take("originCountry", f"{product}/originCountry/code", conversions.country)
    draft.take("invoiceReference", f"{line}/invoiceReference/iD")
    if source.size(f"{line}/transportPackages") == 1:
        _gross_weight(draft, f"{line}/transportPackages/0/grossWeight")


def _gross_weight(draft: Draft, pointer: str) -> None:
    """Take a weight, which TradeTrust writes as one text, such as "96.5 KGM"."""
    raw = draft.source.value(pointer)
    if raw is None:
        return
    found = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]+)", str(raw).strip())
    try:
        if found is None:
            raise Unusable("no-mass", value=raw)
        kilograms, how, factor = conversions.kilograms(*found.groups())
    except Unusable as error:
        draft.unusable("grossWeightMeasure", pointer, error)
    else:
        draft.put("grossWeightMeasure", pointer, kilograms, how, raw=raw, factor=factor)
