"""Names of roles and of records' fields, and display of field values, in the reader's language."""

from collections.abc import Callable
from typing import Any

from flask_babel import gettext as _

from backend.domain.kinds import own_words
from backend.domain.parties import Role
from backend.messages import fields
from backend.messages.catalogue import gettext
from backend.web.context import language
from backend.web.forms import choices
from backend.web.presentation.languages import day, moment_text, number


def field_name(name: str) -> str:
    """Return a field's label for its JSON name, or the JSON name itself if it has no label."""
    if (own := own_words(name)) is not None:
        return gettext(own.label, language())
    return _names().get(name, name)


def place_name(path: str) -> str:
    """Return the label of a place in a document, such as "Exporter · Name" for ``exporter.name``."""
    inside = {
        "name": _("Name"),
        "postalAddress": _("Address"),
        "countryCode": _("Country"),
        "identifier": _("Company number"),
        "characteristic": _("Characteristic"),
        "value": _("Result"),
        "unit": _("Unit"),
        "limit": _("Limit"),
        "meetsLimit": _("Within limit"),
    }
    first, *parts = path.split(".")
    labels = [str(int(part) + 1) if part.isdigit() else inside.get(part) or field_name(part) for part in parts]
    return " · ".join([field_name(first), *labels])


def in_words(fault: str) -> str:
    """Return a field's fault in the reader's language."""
    return fields.in_words(fault, language(), field_name)


def has_name(name: str) -> bool:
    """Tell whether a field has a label."""
    return own_words(name) is not None or name in _names()


def _names() -> dict[str, str]:
    return {
        "accreditationNumber": _("Accreditation number"),
        "accreditationScope": _("Accreditation scope"),
        "amount": _("Amount"),
        "arrivalDateTime": _("Goods arrived at customs"),
        "attachments": _("Attached files"),
        "authorisedBy": _("Authorised by"),
        "billOfLadingReference": _("Bill of lading number"),
        "buyer": _("Buyer"),
        "carrier": _("Carrier"),
        "carrierName": _("Carrier"),
        "certificateNumber": _("Certificate number"),
        "conforms": _("Do the goods conform?"),
        "consignee": _("Consignee"),
        "consignor": _("Consignor"),
        "currency": _("Currency"),
        "customer": _("Customer"),
        "customsOffice": _("Customs office"),
        "decisionRule": _("Decision rule"),
        "declarant": _("Declarant"),
        "declarationReference": _("Declaration number"),
        "departureCountry": _("Country of departure"),
        "departureDate": _("Date of departure"),
        "description": _("Description of the goods"),
        "destinationCountry": _("Destination"),
        "deviations": _("Deviations from the method"),
        "direction": _("Direction"),
        "dischargePort": _("Port of discharge"),
        "eventDateTime": _("When"),
        "eventReference": _("Event number"),
        "eventType": _("What happened"),
        "exporter": _("Exporter"),
        "forExhibition": _("For an exhibition"),
        "freeOnBoardAmount": _("FOB value"),
        "freeTradeAgreementName": _("Trade agreement"),
        "freightAmount": _("Freight"),
        "freightCurrency": _("Currency of the freight"),
        "goodsOwner": _("Owner of the goods"),
        "grossWeightMeasure": _("Gross weight, kg"),
        "gtin": _("GTIN (bar code)"),
        "handedOverBy": _("Handed over by"),
        "handedOverTo": _("Handed over to"),
        "hsCode": _("HS code"),
        "importCountry": _("Country of import"),
        "incotermsCode": _("Delivery terms (Incoterms)"),
        "insuranceAmount": _("Insurance"),
        "insuranceCurrency": _("Currency of the insurance"),
        "invoiceDate": _("Invoice date"),
        "invoiceNumber": _("Invoice number"),
        "invoiceReference": _("Invoice number"),
        "isMovementCertificate": _("Back-to-back certificate"),
        "issueDate": _("Date"),
        "issuedRetroactively": _("Issued retroactively"),
        "itemCondition": _("Condition of the item"),
        "itemDescription": _("Item tested"),
        "itemIdentification": _("Lot, batch or sample number"),
        "items": _("Goods"),
        "licenceReference": _("Licence number"),
        "listingReference": _("Your reference"),
        "locationCode": _("UN/LOCODE"),
        "locationCountry": _("Country"),
        "locationName": _("Where"),
        "merchant": _("Merchant"),
        "method": _("Method"),
        "movementDate": _("Day of export or import"),
        "netWeightMeasure": _("Net weight, kg"),
        "note": _("Note"),
        "orderDate": _("Date of the order"),
        "orderReference": _("Order number"),
        "originCountry": _("Country of origin"),
        "originCriteria": _("Origin criterion"),
        "packageQuantity": _("Packages"),
        "packageType": _("Kind of packages"),
        "paidDateTime": _("Paid at"),
        "payee": _("Paid to"),
        "payer": _("Paid by"),
        "paymentServiceName": _("Payment service"),
        "performedFrom": _("Tested from"),
        "performedTo": _("Tested to"),
        "placeOfActivity": _("Place of testing"),
        "platformName": _("Sales platform"),
        "portCode": _("Port of exit or entry"),
        "portOfDestination": _("Port of destination"),
        "previousProcedureTypeCode": _("Trade mode"),
        "producer": _("Producer"),
        "quantity": _("Quantity"),
        "receiptReference": _("Payment number"),
        "receivedDate": _("Item received on"),
        "records": _("Papers named"),
        "regionalValueContentPercent": _("Regional value content, %"),
        "relatesTo": _("Results hold for"),
        "reportNumber": _("Report number"),
        "results": _("Results"),
        "samplingDate": _("Sampled on"),
        "samplingPlan": _("Sampling plan"),
        "seller": _("Seller"),
        "sample": _("Samples"),
        "testsWanted": _("Tests wanted"),
        "feeNote": _("Fee"),
        "shippingMarks": _("Shipping marks"),
        "specification": _("Specification"),
        "supervisedPlaceCode": _("Supervised place"),
        "thirdPartyInvoicing": _("Invoiced by a third party"),
        "totalAmount": _("Total"),
        "transportMeans": _("Vessel, flight or vehicle"),
        "transportModeCode": _("Mode of transport"),
        "unitCode": _("Unit"),
        "validUntil": _("Valid until"),
        "voyageReference": _("Voyage number"),
        "waybillReference": _("Waybill number"),
    }


def role_name(role: Role) -> str:
    """Return a role's name in the reader's language."""
    return gettext(role.names, language())


def event_types() -> list[tuple[str, str]]:
    """List what may happen to goods on their way, as (code, name)."""
    return [
        ("departed", _("Departed")),
        ("arrived", _("Arrived")),
        ("loaded", _("Loaded")),
        ("unloaded", _("Unloaded")),
        ("gate-in", _("Entered the gate")),
        ("gate-out", _("Left the gate")),
        ("handed-over", _("Handed over")),
        ("delivered", _("Delivered")),
    ]


def transport_modes() -> list[tuple[str, str]]:
    """List the modes of transport of UN/ECE Recommendation 19, as (code, name)."""
    return [
        ("4", _("Air")),
        ("1", _("Sea")),
        ("2", _("Rail")),
        ("3", _("Road")),
        ("5", _("Post")),
        ("8", _("Inland water")),
    ]


def field_value(name: str, value: Any) -> str:
    """Write a field's value in one line."""
    if isinstance(value, dict):
        return str(value.get("name", ""))
    if isinstance(value, list):
        return _list_value(value)
    if isinstance(value, bool):
        return str(_("Yes") if value else _("No"))
    codes = {"eventType": event_types, "transportModeCode": transport_modes}
    if name in codes:
        return dict(codes[name]()).get(str(value), str(value))
    shown: dict[str, Callable[[str], str]] = {
        "hsCode": choices.hs,
        "unitCode": choices.unit,
        "originCriteria": choices.criterion,
        "freeTradeAgreementName": choices.agreement,
    }
    if name.endswith("DateTime"):
        return moment_text(str(value))
    if name.endswith(("Date", "validUntil", "performedFrom", "performedTo")):
        return day(str(value))
    if name.endswith(("Measure", "Amount", "Quantity", "amount", "quantity")):
        return number(str(value))
    plain: Callable[[str], str] = choices.country if name.endswith("Country") else str
    return shown.get(name, plain)(str(value))


def _list_value(value: list[Any]) -> str:
    named = (item.get("fileName") or item.get("description") or item.get("characteristic") or item for item in value)
    return gettext("; ", language()).join(str(item) for item in named)
