"""A consignment whose papers agree in every fact that is compared, and one planted error for each fact.

Two kinds of goods, counted and weighed; a part of the order; freight and insurance; every paper there is.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from backend.domain.dossier import Paper
from backend.domain.kinds import Kind
from backend.domain.kinds.declaration import Declaration
from backend.domain.records import document_as_signed
from backend.domain.trade_match import match
from backend.domain.verdict import Check

MERCHANT = {"name": "Morning Star Trading Co., Ltd.", "countryCode": "CN"}
BUYER = {"name": "Lim Household Supplies Pte. Ltd.", "countryCode": "SG"}
LAMPS = {"description": "LED desk lamp, lot L-26-014", "hsCode": "940521"}
FRUIT = {"description": "Fresh mandarins", "hsCode": "080521"}
PAPERS: dict[str, dict[str, Any]] = {
    "declaration": {
        "declarationReference": "MS-1",
        "customsOffice": "2925",
        "merchant": MERCHANT,
        "orderReference": "ORDER-1",
        "waybillReference": "AWB-1",
        "destinationCountry": "SG",
        "packageQuantity": 30,
        "grossWeightMeasure": "98",
        "netWeightMeasure": "90",
        "movementDate": "2026-03-31",
        "transportModeCode": "4",
        "transportMeans": "SQ 831",
        "voyageReference": "831",
        "freightAmount": "40",
        "freightCurrency": "USD",
        "insuranceAmount": "5",
        "insuranceCurrency": "USD",
        "items": [
            {
                **LAMPS,
                "quantity": "100",
                "unitCode": "H87",
                "unitPrice": "4.2",
                "totalPrice": "420",
                "currency": "USD",
                "originCountry": "CN",
            },
            {
                **FRUIT,
                "declarationElements": "Botanical name: Citrus reticulata; fresh",
                "quantity": "50",
                "unitCode": "KGM",
                "unitPrice": "1.6",
                "currency": "USD",
                "originCountry": "CN",
            },
        ],
    },
    "certificate-of-origin": {
        "exporter": MERCHANT,
        "consignee": BUYER,
        "originCountry": "CN",
        "importCountry": "SG",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "Desk lamps with LED",
        "quantity": "100",
        "unitCode": "H87",
        "grossWeightMeasure": "98",
        "packageQuantity": 30,
        "shippingMarks": "MS SG 1-30",
        "freeOnBoardAmount": "420",
        "currency": "USD",
        "invoiceReference": "INV-1",
        "invoiceDate": "2026-03-29",
        "transportMeans": "SQ831",
        "issueDate": "2026-03-30",
    },
    "inspection-report": {
        "customer": MERCHANT,
        "itemDescription": "LED lamp, model MS-L8",
        "itemIdentification": "LOT L-26-014",
        "hsCode": "940521",
        "relatesTo": "lot",
        "performedFrom": "2026-03-20",
        "performedTo": "2026-03-21",
        "method": "IEC 60598-2-4:2017",
        "results": [{"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7"}],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance",
        "conforms": True,
        "issueDate": "2026-03-28",
    },
    "phytosanitary-certificate": {
        "exporter": MERCHANT,
        "consignee": BUYER,
        "originCountry": "CN",
        "importCountry": "SG",
        "transportMeans": "SQ 831",
        "description": "Mandarins, fresh",
        "botanicalName": "Citrus reticulata Blanco",
        "hsCode": "080521",
        "quantity": "0.05",
        "unitCode": "TNE",
        "shippingMarks": "MS/SG/1-30",
        "inspectionDate": "2026-03-28",
        "issueDate": "2026-03-30",
    },
    "invoice": {
        "invoiceNumber": "INV-1",
        "seller": MERCHANT,
        "buyer": BUYER,
        "issueDate": "2026-03-29",
        "currency": "USD",
        "totalAmount": "545",
        "orderReference": "ORDER-1",
        "destinationCountry": "SG",
        "items": [
            {**LAMPS, "quantity": "100", "unitCode": "EA", "amount": "420"},
            {**FRUIT, "quantity": "50", "unitCode": "KGM", "amount": "80"},
        ],
    },
    "order": {
        "orderReference": "ORDER-1",
        "seller": MERCHANT,
        "buyer": BUYER,
        "orderDate": "2026-03-25",
        "currency": "USD",
        "totalAmount": "1005",
        "freightAmount": "40",
        "destinationCountry": "SG",
        "items": [
            {"description": "LED lamp", "hsCode": "940521", "quantity": "20", "unitCode": "DZN", "amount": "885"},
            {**FRUIT, "quantity": "50", "unitCode": "KGM", "amount": "80"},
        ],
    },
    "payment-receipt": {
        "receiptReference": "PAY-1",
        "orderReference": "ORDER-1",
        "payee": MERCHANT,
        "payer": BUYER,
        "amount": "1005",
        "currency": "USD",
        "paidDateTime": "2026-03-24T17:00:00Z",
    },
    "waybill": {
        "waybillReference": "AWB-1",
        "carrier": {"name": "Demo Air Cargo"},
        "consignor": MERCHANT,
        "consignee": BUYER,
        "orderReference": "ORDER-1",
        "transportModeCode": "4",
        "transportMeans": "SQ 831",
        "voyageReference": "831",
        "destinationCountry": "SG",
        "description": "Lamps, mandarins",
        "packageQuantity": 30,
        "grossWeightMeasure": "98.5",
        "issueDate": "2026-03-31",
    },
    "movement-event": {
        "eventReference": "MOVE-1",
        "eventType": "departed",
        "eventDateTime": "2026-03-31T06:05:00Z",
        "locationName": "Hangzhou Xiaoshan",
        "locationCountry": "CN",
        "waybillReference": "AWB-1",
        "orderReference": "ORDER-1",
        "transportMeans": "SQ 831",
        "packageQuantity": 20,
    },
}
STRANGER = {"name": "Somebody Else Ltd."}
PLANTED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # what is planted: (where and what), the check that must find it, its reason, the paper that is marked
    "seller": ({"invoice.seller": STRANGER}, "MATCH_EXPORTER", "exporter-differs", "invoice"),
    "payee": ({"payment-receipt.payee": STRANGER}, "MATCH_EXPORTER", "exporter-differs", "payment-receipt"),
    "consignor": ({"waybill.consignor": STRANGER}, "MATCH_EXPORTER", "exporter-differs", "waybill"),
    "buyer": ({"order.buyer": STRANGER}, "MATCH_BUYER", "buyer-differs", "order"),
    "consignee": ({"waybill.consignee": STRANGER}, "MATCH_BUYER", "buyer-differs", "waybill"),
    "payer": ({"payment-receipt.payer": STRANGER}, "MATCH_BUYER", "buyer-differs", "payment-receipt"),
    "goods": ({"waybill.description": "Spare tyres"}, "MATCH_DESCRIPTION", "description-differs", "waybill"),
    "plants": (
        {"phytosanitary-certificate.botanicalName": "Malus domestica"},
        "MATCH_BOTANICAL_NAME",
        "botanical-name-differs",
        "phytosanitary-certificate",
    ),
    "HS code": ({"invoice.items.0.hsCode": "961700"}, "MATCH_HS_CODE", "hs-code-differs", "invoice"),
    "quantity on the invoice": (
        {"invoice.items.0.quantity": "120"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-differs",
        "invoice",
    ),
    "quantity in dozens": (
        {"order.items.0.quantity": "8"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-exceeded",
        "order",
    ),
    "quantity in tonnes": (
        {"phytosanitary-certificate.quantity": "0.049"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-exceeded",
        "phytosanitary-certificate",
    ),
    "quantity in boxes": (
        {"invoice.items.0.unitCode": "BX"},
        "MATCH_GOODS_QUANTITY",
        "units-not-comparable",
        "invoice",
    ),
    "unit price": ({"declaration.items.0.unitPrice": "4"}, "MATCH_LINE_VALUE", "line-value-differs", "declaration"),
    "value of a line": (
        {"invoice.items.0.amount": "400", "invoice.items.1.amount": "100"},
        "MATCH_LINE_VALUE",
        "line-value-differs",
        "invoice",
    ),
    "value": (
        {"invoice.items.0.amount": "500", "invoice.totalAmount": "625"},
        "MATCH_VALUE",
        "value-differs",
        "invoice",
    ),
    "value of the order": (
        {"order.totalAmount": "480", "order.items.0.amount": "360"},
        "MATCH_VALUE",
        "value-exceeded",
        "order",
    ),
    "FOB value": (
        {"certificate-of-origin.freeOnBoardAmount": "500"},
        "MATCH_VALUE",
        "fob-value-differs",
        "certificate-of-origin",
    ),
    "total": ({"invoice.totalAmount": "560"}, "MATCH_TOTAL", "total-differs", "invoice"),
    "total of the order": ({"order.totalAmount": "1010"}, "MATCH_TOTAL", "total-differs", "order"),
    "currency": ({"invoice.currency": "EUR"}, "MATCH_CURRENCY", "currency-differs", "invoice"),
    "discount": (
        {
            "order.items.0.amount": "420",
            "order.items.0.quantity": "9",
            "order.totalAmount": "520",
            "invoice.totalAmount": "500",
        },
        "MATCH_DISCOUNT",
        "discount-differs",
        "invoice",
    ),
    "freight": (
        {"order.freightAmount": "50", "order.totalAmount": "1015"},
        "MATCH_FREIGHT",
        "freight-differs",
        "order",
    ),
    "payment": ({"payment-receipt.amount": "1000"}, "MATCH_PAYMENT", "payment-differs", "payment-receipt"),
    "gross weight": (
        {"waybill.grossWeightMeasure": "300"},
        "MATCH_GROSS_WEIGHT",
        "gross-weight-differs",
        "waybill",
    ),
    "gross weight certified": (
        {"certificate-of-origin.grossWeightMeasure": "90"},
        "MATCH_GROSS_WEIGHT",
        "gross-weight-differs",
        "certificate-of-origin",
    ),
    "net weight": ({"declaration.netWeightMeasure": "98.1"}, "MATCH_NET_WEIGHT", "net-above-gross", "declaration"),
    "goods heavier than all": (
        {"declaration.items.1.quantity": "120"},
        "MATCH_NET_WEIGHT",
        "net-above-gross",
        "declaration",
    ),
    "packages": ({"waybill.packageQuantity": 31}, "MATCH_PACKAGES", "packages-differ", "waybill"),
    "packages moved": ({"movement-event.packageQuantity": 31}, "MATCH_PACKAGES", "packages-differ", "movement-event"),
    "date of the invoice": (
        {"certificate-of-origin.invoiceDate": "2026-03-28"},
        "MATCH_DATES",
        "dates-differ",
        "certificate-of-origin",
    ),
    "invoice before order": (
        {"invoice.issueDate": "2026-03-24", "certificate-of-origin.invoiceDate": "2026-03-24"},
        "MATCH_DATES",
        "dates-out-of-order",
        "invoice",
    ),
    "inspection after departure": (
        {"phytosanitary-certificate.inspectionDate": "2026-04-01", "phytosanitary-certificate.issueDate": "2026-04-01"},
        "MATCH_DATES",
        "dates-out-of-order",
        "phytosanitary-certificate",
    ),
    "origin": (
        {"certificate-of-origin.originCountry": "VN"},
        "MATCH_ORIGIN",
        "origin-differs",
        "certificate-of-origin",
    ),
    "destination": ({"invoice.destinationCountry": "MY"}, "MATCH_DESTINATION", "destination-differs", "invoice"),
    "lot": ({"inspection-report.itemIdentification": "L-26-041"}, "MATCH_LOT", "lot-differs", "inspection-report"),
    "marks": (
        {"phytosanitary-certificate.shippingMarks": "MS SG 31-60"},
        "MATCH_LOT",
        "lot-differs",
        "phytosanitary-certificate",
    ),
    "vessel": ({"waybill.transportMeans": "SQ 838"}, "MATCH_TRANSPORT", "transport-differs", "waybill"),
    "order": ({"waybill.orderReference": "ORDER-2"}, "MATCH_ORDER", "order-differs", "waybill"),
    "waybill": ({"waybill.waybillReference": "AWB-2"}, "MATCH_WAYBILL", "waybill-differs", "waybill"),
    "certificate before its invoice": (
        {"certificate-of-origin.issueDate": "2026-03-28"},
        "MATCH_DATES",
        "dates-out-of-order",
        "certificate-of-origin",
    ),
    "departure before order": (
        {"certificate-of-origin.departureDate": "2026-03-24"},
        "MATCH_DATES",
        "dates-out-of-order",
        "certificate-of-origin",
    ),
    "movement before order": (
        {"movement-event.eventDateTime": "2026-03-20T06:05:00Z"},
        "MATCH_DATES",
        "dates-out-of-order",
        "movement-event",
    ),
    "tested after departure": (
        {
            "inspection-report.performedFrom": "2026-04-01",
            "inspection-report.performedTo": "2026-04-02",
            "inspection-report.issueDate": "2026-04-03",
        },
        "MATCH_DATES",
        "dates-out-of-order",
        "inspection-report",
    ),
    "legal quantity heavier than all": (
        {"declaration.items.0.firstLegalQuantity": "49000", "declaration.items.0.firstLegalUnitCode": "GRM"},
        "MATCH_NET_WEIGHT",
        "net-above-gross",
        "declaration",
    ),
    "goods heavier than net weight": (
        {"declaration.items.0.secondLegalQuantity": "41", "declaration.items.0.secondLegalUnitCode": "KGM"},
        "MATCH_NET_WEIGHT",
        "goods-above-net",
        "declaration",
    ),
    "certified goods heavier than all": (
        {"certificate-of-origin.quantity": "0.099", "certificate-of-origin.unitCode": "TNE"},
        "MATCH_NET_WEIGHT",
        "net-above-gross",
        "certificate-of-origin",
    ),
    "quantity in grams": (
        {"invoice.items.1.quantity": "49500", "invoice.items.1.unitCode": "GRM"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-differs",
        "invoice",
    ),
    "goods that were not ordered": (
        {"order.items.0.hsCode": "850440"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-exceeded",
        "order",
    ),
    "goods that are not charged": (
        {"invoice.items.1.hsCode": "940521"},
        "MATCH_GOODS_QUANTITY",
        "goods-quantity-differs",
        "invoice",
    ),
    "freight under FOB": (
        {"invoice.incotermsCode": "FOB"},
        "MATCH_TOTAL",
        "total-beyond-incoterm",
        "invoice",
    ),
    "insurance under CFR": (
        {"invoice.incotermsCode": "CFR"},
        "MATCH_TOTAL",
        "total-beyond-incoterm",
        "invoice",
    ),
    "lot on the invoice": (
        {"invoice.items.0.description": "LED desk lamp, Lot No. L-26-015"},
        "MATCH_LOT",
        "lot-differs",
        "invoice",
    ),
    "lot in Chinese": (
        {"declaration.items.0.description": "LED 台灯 批号：L-26-015", "invoice.items.0.description": "LED desk lamp"},
        "MATCH_LOT",
        "lot-differs",
        "inspection-report",
    ),
    "seller in another country": (
        {"invoice.seller": MERCHANT | {"countryCode": "VN"}},
        "MATCH_EXPORTER",
        "exporter-differs",
        "invoice",
    ),
    "buyer in another country": (
        {"waybill.consignee": BUYER | {"countryCode": "MY"}},
        "MATCH_BUYER",
        "buyer-differs",
        "waybill",
    ),
    "seller's name in another script": (
        {"invoice.seller": {"name": "晨星贸易有限公司"}},
        "MATCH_EXPORTER",
        "exporter-not-comparable",
        "invoice",
    ),
    "carrier": ({"declaration.carrierName": "Another Air Cargo"}, "MATCH_TRANSPORT", "transport-differs", "waybill"),
    "invoice": (
        {"certificate-of-origin.invoiceReference": "INV-2"},
        "MATCH_INVOICE",
        "invoice-differs",
        "certificate-of-origin",
    ),
}


def with_changes(changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The papers' fields where some say something else; a key is paper and field, with points between."""
    papers = deepcopy(PAPERS)
    for place, value in changes.items():
        *way, last = place.split(".")
        at: Any = papers
        for step in way:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = value
    return papers


def compared(**changes: Any) -> list[Check]:
    """What the match finds with these changes (``{"invoice.totalAmount": "1"}``); each check names a paper's slug."""
    papers = with_changes(changes)
    declaration = document_as_signed(Kind.DECLARATION, papers.pop("declaration"))
    assert isinstance(declaration, Declaration)
    return match(declaration, list(_papers(papers)), record="declaration")


def _papers(fields: Mapping[str, dict[str, Any]]) -> Iterator[Paper]:
    by_slug = {kind.slug: kind for kind in Kind}
    for slug, said in fields.items():
        yield Paper(slug, document_as_signed(by_slug[slug], said))
