"""What a holder shows to whom: no more than each needs. Every field that is not named stays a salted digest.

A choice of fields shows the record's kind, its issuer and its dates besides, and of a certificate of origin the
quantity, which the ledger counts.
"""

from collections.abc import Sequence
from enum import StrEnum

from backend.domain import documents
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.domain.message import Message


class Audience(StrEnum):
    """For whom fields are chosen."""

    PUBLIC_LABEL = "public-label"
    BUYER = "buyer"
    BANK = "bank"
    CUSTOMS = "customs"


_GOODS_ORIGIN = ("originCountry", "description", "hsCode", "issueDate", "validUntil")
_GOODS_TESTED = (
    "itemDescription",
    "hsCode",
    "conforms",
    "specification",
    "performedFrom",
    "performedTo",
    "issueDate",
)
_PREFERENCE = (
    "certificateNumber",
    "exporter",
    "importCountry",
    "freeTradeAgreementName",
    "originCriteria",
    "quantity",
    "unitCode",
)
_VALUE = ("consignee", "invoiceReference", "invoiceDate", "freeOnBoardAmount", "currency")
_TRANSPORT = ("departureDate", "transportMeans", "dischargePort", "packageQuantity", "grossWeightMeasure")
_TEST = (
    "reportNumber",
    "itemIdentification",
    "method",
    "results",
    "relatesTo",
    "decisionRule",
    "accreditationNumber",
    "authorisedBy",
)
_MOVEMENT = ("eventType", "eventDateTime", "locationName", "locationCode", "locationCountry")
_PAYMENT = ("receiptReference", "orderReference", "amount", "currency", "paidDateTime", "payee")
_ORDER = ("orderReference", "orderDate", "currency", "totalAmount", "seller", "buyer", "destinationCountry")
_WAYBILL = (
    "waybillReference",
    "carrier",
    "transportModeCode",
    "transportMeans",
    "departureCountry",
    "destinationCountry",
    "packageQuantity",
    "issueDate",
)
_DECLARED = ("declarationReference", "merchant", "orderReference", "waybillReference", "destinationCountry")

_FIELDS: dict[Audience, dict[Kind, tuple[str, ...]]] = {
    Audience.PUBLIC_LABEL: {
        Kind.CERTIFICATE_OF_ORIGIN: _GOODS_ORIGIN,
        Kind.INSPECTION_REPORT: _GOODS_TESTED,
        Kind.MOVEMENT_EVENT: _MOVEMENT,
    },
    Audience.BUYER: {
        Kind.CERTIFICATE_OF_ORIGIN: _GOODS_ORIGIN + _PREFERENCE,
        Kind.INSPECTION_REPORT: _GOODS_TESTED + _TEST,
        Kind.MOVEMENT_EVENT: (*_MOVEMENT, "eventReference", "waybillReference", "orderReference", "transportMeans"),
        Kind.PAYMENT_RECEIPT: _PAYMENT,
        Kind.ORDER: (*_ORDER, "items"),
        Kind.INVOICE: ("invoiceNumber", "seller", "buyer", "issueDate", "currency", "totalAmount", "items"),
        Kind.WAYBILL: _WAYBILL,
    },
    Audience.BANK: {
        Kind.CERTIFICATE_OF_ORIGIN: _GOODS_ORIGIN + _PREFERENCE + _VALUE + _TRANSPORT,
        Kind.INSPECTION_REPORT: (*_GOODS_TESTED, "reportNumber", "itemIdentification", "customer"),
        Kind.PAYMENT_RECEIPT: (*_PAYMENT, "payer", "paymentServiceName"),
        Kind.ORDER: _ORDER,
        Kind.INVOICE: (
            "invoiceNumber",
            "seller",
            "buyer",
            "issueDate",
            "currency",
            "totalAmount",
            "incotermsCode",
            "destinationCountry",
        ),
        Kind.WAYBILL: (*_WAYBILL, "consignor", "consignee", "grossWeightMeasure", "voyageReference"),
        Kind.DECLARATION: _DECLARED,
    },
}


def fields_for(audience: Audience, kind: Kind) -> tuple[str, ...]:
    """The names of the fields to show; customs need all of them, and whom a kind does not concern gets none."""
    if audience is Audience.CUSTOMS:
        return every_field(kind)
    return _FIELDS[audience].get(kind, ())


def every_field(kind: Kind) -> tuple[str, ...]:
    """The names of all fields that a kind of record may have, in their order."""
    return tuple(field.alias or name for name, field in documents.MODELS[kind].model_fields.items())


def chosen(kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    """The names that somebody chose; raises Invalid where one is no field of the kind."""
    known = every_field(kind)
    for name in names:
        if name not in known:
            raise Invalid(
                "no such field",
                [("fields", Message("{name} is no field of a {kind}", name=name, kind=documents.SLUGS[kind]))],
            )
    return tuple(dict.fromkeys(names))
