"""Certifications of origin under the agreement of the United States, Mexico and Canada (W3C CCG traceability)."""

from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.conversions import Converted
from backend.domain.interop.draft import Draft
from backend.domain.interop.reading import Unusable
from backend.domain.interop.traceability import SUBJECT, heed_issuer, take_issue_day, take_party, take_quantity

_CRITERIA = {"A": "WO", "B": "PSR", "C": "PE"}
"""USMCA, Annex 5-A, data element 8, and Article 4.2: (a) to (c). Criterion D, unassembled goods, has none of ours."""


def fill_certificate(draft: Draft) -> None:
    """Take what a USMCACertificationOfOrigin says, of either edition: ``goods``, or ``items`` with products."""
    heed_issuer(draft)
    take_issue_day(draft)
    draft.take("validUntil", f"{SUBJECT}/blanketPeriodTo", conversions.day)
    draft.source.use(f"{SUBJECT}/blanketPeriodFrom")
    take_party(draft, "exporter", f"{SUBJECT}/exporterDetails")
    take_party(draft, "producer", f"{SUBJECT}/producerDetails")
    draft.take("invoiceReference", f"{SUBJECT}/invoiceNumber")
    _importer(draft)
    draft.take("freeTradeAgreementName", "/type", lambda _: conversions.agreement("USMCA"))
    goods = f"{SUBJECT}/goods" if draft.source.size(f"{SUBJECT}/goods") else f"{SUBJECT}/items"
    count = draft.source.size(goods)
    if count > 1:
        draft.refuse("several-goods", goods, count=count)
    if count == 1:
        _goods(draft, f"{goods}/0")


def _importer(draft: Draft) -> None:
    importers = f"{SUBJECT}/importerDetails"
    count = draft.source.size(importers)
    if count > 1:
        return  # any of them may be meant: the merchant names the one
    importer = f"{importers}/0" if count else importers
    take_party(draft, "consignee", importer)
    if "consignee" in draft.fields and (country := draft.fields["consignee"].get("countryCode")):
        draft.put("importCountry", importer, country, "importers-country", raw=draft.fields["consignee"]["name"])


def _goods(draft: Draft, item: str) -> None:
    for base in (item, f"{item}/product/commodity"):
        if "hsCode" not in draft.fields:
            draft.take("hsCode", f"{base}/commodityCode", conversions.hs_code)
            draft.source.use(f"{base}/commodityCodeType")
    draft.first("description", f"{item}/description", f"{item}/product/description", f"{item}/product/name")
    draft.take("originCriteria", f"{item}/originCriterion", _criterion)
    draft.take("originCountry", f"{item}/countryOfOrigin", conversions.country)
    take_quantity(draft, item, "quantity", "unitCode")


def _criterion(value: Any) -> Converted:
    given = str(conversions.text(value)[0]).upper()
    if given not in _CRITERIA:
        raise Unusable("no-criterion", value=given, known=", ".join(_CRITERIA))
    return _CRITERIA[given], "usmca-criterion"
