"""Maps credentials of the W3C CCG traceability vocabulary: certifications of origin and commercial invoices."""

from typing import Any

from backend.domain.interop import conversions
from backend.domain.interop.conversions import Converted
from backend.domain.interop.draft import Draft
from backend.domain.interop.envelope import take_beginning
from backend.domain.interop.reading import Severity, Unusable
from backend.domain.kinds import Kind

SUBJECT = "/credentialSubject"
_ADDRESS = ("streetAddress", "addressLocality", "addressRegion", "postalCode")
_USMCA_CRITERIA = {"A": "WO", "B": "PSR", "C": "PE"}
"""USMCA, Annex 5-A, data element 8, and Article 4.2: (a) to (c). Criterion D, unassembled goods, has none of ours."""


def types_of(document: Any) -> set[str]:
    """Return the types of a credential or of a plain object of the vocabulary."""
    found = document.get("type") if isinstance(document, dict) else None
    if isinstance(found, str):
        return {found}
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def take_party(draft: Draft, field: str, pointer: str) -> None:
    """Take an Organization's name, address, country and tax number, unless it has no name."""
    if draft.source.value(f"{pointer}/name") is None:
        return
    at_place = f"{pointer}/location/address"
    address = at_place if draft.source.value(at_place) is not None else f"{pointer}/address"
    draft.take(f"{field}.name", f"{pointer}/name")
    draft.joined(f"{field}.postalAddress", [f"{address}/{part}" for part in _ADDRESS])
    draft.take(f"{field}.countryCode", f"{address}/addressCountry", conversions.country)
    draft.take(f"{field}.identifier", f"{pointer}/taxId")


def heed_issuer(draft: Draft) -> None:
    """Report who issued the original.

    Here the issuer is the merchant, or the one whom the merchant names.
    """
    name = draft.source.value("/issuer/name")
    if name is not None:
        draft.source.use("/issuer")
        code = "original-maker" if draft.kind is Kind.INVOICE else "original-issuer"
        draft.note(Severity.WARNING, code, "/issuer/name", value=name)


def take_issue_day(draft: Draft) -> None:
    """Take when a credential begins to hold as the day of issue; version 1 of the data model says issuanceDate."""
    draft.take("issueDate", "/validFrom", conversions.day, "valid-from")
    if "issueDate" not in draft.fields:
        draft.take("issueDate", "/issuanceDate", conversions.day, "issuance-date")


def fill_certificate(draft: Draft) -> None:
    """Map a CertificationOfOrigin, which states neither exporter nor importing country."""
    heed_issuer(draft)
    take_issue_day(draft)
    count = draft.source.size(f"{SUBJECT}/items")
    if count > 1:
        draft.refuse("several-goods", f"{SUBJECT}/items", count=count)
    if count == 1:
        _certified_goods(draft, f"{SUBJECT}/items/0")
    if "originCountry" not in draft.fields:
        draft.take("originCountry", f"{SUBJECT}/manufacturingCountry", conversions.country, "manufactured-in")


def _certified_goods(draft: Draft, item: str) -> None:
    draft.take("hsCode", f"{item}/product/commodity/commodityCode", conversions.hs_code)
    draft.source.use(f"{item}/product/commodity/commodityCodeType")
    draft.first("description", f"{item}/description", f"{item}/product/description", f"{item}/name")
    for pointer in (f"{item}/countryOfOrigin", f"{item}/product/countryOfOrigin"):
        if "originCountry" not in draft.fields:
            draft.take("originCountry", pointer, conversions.country)
    draft.take("freeTradeAgreementName", f"{item}/freeTradeAgreement", conversions.agreement)
    take_quantity(draft, item, "quantity", "unitCode")
    draft.mass("grossWeightMeasure", f"{item}/grossWeight")


def take_quantity(draft: Draft, item: str, quantity: str, unit: str) -> None:
    """Take a line's count of items, or else its net weight. A gross weight is no quantity."""
    if draft.source.value(f"{item}/itemCount") is not None:
        draft.take(quantity, f"{item}/itemCount", conversions.number)
        draft.put(unit, f"{item}/itemCount", "H87", "counted")
        return
    before = draft.fields
    draft.mass(quantity, f"{item}/netWeight")
    if draft.fields is not before:
        draft.put(unit, f"{item}/netWeight", "KGM", "weighed")


def fill_invoice(draft: Draft) -> None:
    """Map a CommercialInvoiceCredential."""
    heed_issuer(draft)
    draft.take("invoiceNumber", f"{SUBJECT}/invoiceNumber")
    take_party(draft, "seller", f"{SUBJECT}/seller")
    take_party(draft, "buyer", f"{SUBJECT}/buyer")
    draft.take("issueDate", f"{SUBJECT}/invoiceDate", conversions.day)
    draft.take("totalAmount", f"{SUBJECT}/totalPaymentDue/price", conversions.number)
    draft.take("currency", f"{SUBJECT}/totalPaymentDue/priceCurrency", conversions.currency)
    draft.take("destinationCountry", f"{SUBJECT}/destinationCountry", conversions.country)
    lines = draft.source.size(f"{SUBJECT}/itemsShipped")
    if lines:
        draft.fields = {**draft.fields, "items": [{} for _ in range(lines)]}
    for place in range(lines):
        _invoice_line(draft, f"items.{place}", f"{SUBJECT}/itemsShipped/{place}")


def _invoice_line(draft: Draft, field: str, line: str) -> None:
    draft.first(f"{field}.description", f"{line}/description", f"{line}/product/description", f"{line}/name")
    take_quantity(draft, line, f"{field}.quantity", f"{field}.unitCode")
    draft.take(f"{field}.hsCode", f"{line}/product/commodity/commodityCode", conversions.hs_code)
    draft.source.use(f"{line}/product/commodity/commodityCodeType")
    price = f"{line}/lineItemTotalPrice"
    currency = draft.source.value(f"{price}/priceCurrency")
    if currency is not None and currency != draft.fields.get("currency"):
        total = draft.fields.get("currency", "…")
        draft.unusable(f"{field}.amount", f"{price}/price", Unusable("other-currency", value=currency, total=total))
    else:
        draft.take(f"{field}.amount", f"{price}/price", conversions.number)
    draft.source.use(f"{price}/priceCurrency")


def fill_usmca_certification(draft: Draft) -> None:
    """Take what a USMCACertificationOfOrigin says, of either edition: ``goods``, or ``items`` with products."""
    heed_issuer(draft)
    take_issue_day(draft)
    draft.take("validUntil", f"{SUBJECT}/blanketPeriodTo", conversions.day)
    take_beginning(draft, f"{SUBJECT}/blanketPeriodFrom")
    take_party(draft, "exporter", f"{SUBJECT}/exporterDetails")
    take_party(draft, "producer", f"{SUBJECT}/producerDetails")
    draft.take("invoiceReference", f"{SUBJECT}/invoiceNumber")
    _usmca_importer(draft)
    draft.take("freeTradeAgreementName", "/type", lambda _: conversions.agreement("USMCA"))
    goods = f"{SUBJECT}/goods" if draft.source.size(f"{SUBJECT}/goods") else f"{SUBJECT}/items"
    count = draft.source.size(goods)
    if count > 1:
        draft.refuse("several-goods", goods, count=count)
    if count == 1:
        _usmca_goods(draft, f"{goods}/0")


def _usmca_importer(draft: Draft) -> None:
    importers = f"{SUBJECT}/importerDetails"
    count = draft.source.size(importers)
    if count > 1:
        return  # any of them may be meant: the merchant names the one
    importer = f"{importers}/0" if count else importers
    take_party(draft, "consignee", importer)
    if "consignee" in draft.fields and (country := draft.fields["consignee"].get("countryCode")):
        draft.put("importCountry", importer, country, "importers-country", raw=draft.fields["consignee"]["name"])


def _usmca_goods(draft: Draft, item: str) -> None:
    for base in (item, f"{item}/product/commodity"):
        if "hsCode" not in draft.fields:
            draft.take("hsCode", f"{base}/commodityCode", conversions.hs_code)
            draft.source.use(f"{base}/commodityCodeType")
    draft.first("description", f"{item}/description", f"{item}/product/description", f"{item}/product/name")
    draft.take("originCriteria", f"{item}/originCriterion", _usmca_criterion)
    draft.take("originCountry", f"{item}/countryOfOrigin", conversions.country)
    take_quantity(draft, item, "quantity", "unitCode")


def _usmca_criterion(value: Any) -> Converted:
    given = str(conversions.text(value)[0]).upper()
    if given not in _USMCA_CRITERIA:
        raise Unusable("no-criterion", value=given, known=", ".join(_USMCA_CRITERIA))
    return _USMCA_CRITERIA[given], "usmca-criterion"
