"""The meaning of each field, with an example, for a merchant who must add what a document lacks.

The English texts are keys in the catalogue.
"""

import re
from dataclasses import dataclass
from typing import TypeGuard, get_args, get_origin

from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind, own_words


@dataclass(frozen=True)
class Meaning:
    """A field's meaning in plain words."""

    text: str
    example: str


_PARTY_NAME = {
    "exporter.name": Meaning("the exporter's name", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "consignee.name": Meaning("the consignee's name", "'Lion City Imports Pte Ltd'"),
    "customer.name": Meaning("who ordered the inspection", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "seller.name": Meaning("the seller's name: yours", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "buyer.name": Meaning("the buyer's name", "'Lion City Imports Pte Ltd'"),
}
MEANINGS: dict[str, Meaning] = {
    **_PARTY_NAME,
    "originCountry": Meaning("where the goods originate (ISO 3166, two letters)", "CN"),
    "importCountry": Meaning("where the goods go (ISO 3166, two letters)", "SG"),
    "originCriteria": Meaning(
        "how the goods earned their origin: WO, PE, CC, CTH, CTSH, RVC, CR, PSR, or NP where no preference is claimed",
        "NP",
    ),
    "freeTradeAgreementName": Meaning("the trade agreement under which a preference is claimed, or NONE", "RCEP"),
    "hsCode": Meaning("the goods' HS code, 6 to 13 digits", "940521"),
    "description": Meaning("what the goods are", "'LED desk lamp, 8 W'"),
    "quantity": Meaning("how much it covers, counted in unitCode", "200"),
    "unitCode": Meaning("the quantity's unit: H87 piece, KGM kilogram…", "H87"),
    "issueDate": Meaning("the day on which it was made out", "2026-03-01"),
    "itemDescription": Meaning("what was inspected", "'Avocados, boxes of 4'"),
    "itemIdentification": Meaning("the lot, batch or sample number", "LOT-7"),
    "performedFrom": Meaning("the first day of the inspection", "2026-03-01"),
    "performedTo": Meaning("the last day of the inspection", "2026-03-02"),
    "method": Meaning("the standard or method that was used", "'GB/T 29606-2013'"),
    "specification": Meaning("what conformity is stated with", "'GB 4806.9-2016'"),
    "decisionRule": Meaning(
        "how uncertainty was taken into account (ISO/IEC 17025:2017, 7.8.6)",
        "'simple acceptance'",
    ),
    "conforms": Meaning("whether it conforms: true or false", "true"),
    "results.#.characteristic": Meaning("what was measured", "'Lead migration'"),
    "results.#.value": Meaning("the value that was found", "'< 0.01'"),
    "invoiceNumber": Meaning("the invoice's number", "INV-1"),
    "currency": Meaning("the currency (ISO 4217)", "USD"),
    "totalAmount": Meaning("the invoice's total", "1300"),
    "items.#.description": Meaning("what the line is about", "'LED desk lamp, 8 W'"),
    "items.#.quantity": Meaning("how many, counted in unitCode", "200"),
    "items.#.unitCode": Meaning("the quantity's unit: H87 piece, KGM kilogram…", "H87"),
    "items.#.amount": Meaning("the line's amount", "1300"),
    "items.#.hsCode": Meaning("the goods' HS code, 6 to 13 digits", "9405210090"),
    "items.#.unitPrice": Meaning("the price of one unit", "6.50"),
    "items.#.currency": Meaning("the currency of the price (ISO 4217)", "USD"),
    "items.#.originCountry": Meaning("where the goods originate (ISO 3166)", "CN"),
    "declarationReference": Meaning("your own number of the declaration", "MS-2026-0001"),
    "customsOffice": Meaning("the code of the customs office", "2925"),
    "orderReference": Meaning("the order's number on the platform", "ORDER-1001"),
    "waybillReference": Meaning("the waybill's number", "WAYBILL-1001"),
    "destinationCountry": Meaning("where the goods go (ISO 3166)", "SG"),
    "packageQuantity": Meaning("how many packages there are", "10"),
    "grossWeightMeasure": Meaning("the gross weight in kilograms", "96.5"),
}


def needed_for(kind: Kind, field: str) -> tuple[str, ...]:
    """Return the plain fields that must be given where this one is missing."""
    info = next((i for i in KINDS[kind].model.model_fields.values() if i.alias == field), None)
    element = info and next((one for one in get_args(info.annotation) or (info.annotation,) if _is_group(one)), None)
    if info is None or element is None:
        return (field,)
    path = f"{field}.0" if get_origin(info.annotation) is tuple else field
    return tuple(f"{path}.{one.alias}" for one in element.model_fields.values() if one.is_required())


def _is_group(annotation: object) -> TypeGuard[type[Document]]:
    return isinstance(annotation, type) and issubclass(annotation, Document)


def meaning_of(field: str) -> Meaning:
    """Return a field's meaning; a field without an entry is described by its name."""
    if (own := own_words(field)) is not None:
        return Meaning(own.meaning, own.example)
    return MEANINGS.get(re.sub(r"(?<=\.)[0-9]+", "#", field), Meaning(field, "…"))
