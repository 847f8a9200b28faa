"""The examples of the published description: one for each request body, and one for each parameter that needs one.

Ids in them stand for ids that a server gave; the tests call every operation with its example, with real ids instead.
They belong to the interface's description only: the schemas of records stay as they are published.
"""

from typing import Any

from pydantic import BaseModel

from backend.domain.bundle import FORMAT, VERSION
from backend.domain.documents import CertificateOfOrigin, InspectionReport
from backend.domain.trade_documents import Invoice, MovementEvent, Order, PaymentReceipt, Waybill
from backend.web.api import shapes
from backend.web.api.simulations import SimulationInput

MOMENT = "2026-03-31T06:05:00Z"
SIGNATURE = "hXkw0Zb5cYl8vGmQnT3rJ2uE7aLdPfS1oKxWzCtBiN9yRgMqVjUe4sDh6pAIwOFbHXkw0Zb5cYl8vGmQnT3rJw"
PARAMETERS: dict[str, str] = {
    "audience": "buyer",
    "declaration_id": "0d3f1c2a-7b64-4e0f-9a51-6c8e2b7d4f10",
    "name": "result.json",
    "organisation_id": "5b2e9d84-1f3a-4c67-8d20-e94b7a6c3f15",
    "record_id": "c41a7e60-92d5-4b3f-a8e7-2f5d6b9c0e33",
    "request_id": "8e6d3b12-4a5c-4f79-b1c0-7d2e9f8a6b54",
    "simulation_id": "f27b5c91-6e0d-4a38-9c4f-1b8d3e7a5c62",
    "thumbprint": "9f3c1e5a7b2d4f608c1a3e5b7d9f0a2c4e6b8d0f1a3c5e7b9d1f3a5c7e9b0d2f",
}

_MERCHANT = {
    "name": "Yiwu Morning Star Trading Co., Ltd.",
    "postalAddress": "88 Chouzhou North Road, Yiwu, Zhejiang",
    "countryCode": "CN",
}
_BUYER = {"name": "Lim Household Supplies Pte. Ltd.", "countryCode": "SG"}
_LINE = {"description": "LED desk lamp, 8 W", "quantity": "200", "unitCode": "H87", "amount": "1300"}
_CERTIFICATE = {
    "certificateNumber": "ZJ-26-004711",
    "exporter": _MERCHANT,
    "consignee": _BUYER,
    "originCountry": "CN",
    "importCountry": "SG",
    "freeTradeAgreementName": "RCEP",
    "originCriteria": "CTH",
    "hsCode": "940521",
    "description": "Table lamp with LED light source, 220-240 V, model MS-L8",
    "quantity": "500",
    "unitCode": "H87",
    "grossWeightMeasure": "240",
    "invoiceReference": "INV-2026-0815",
    "issueDate": "2026-03-31",
    "validUntil": "2027-03-30",
}
BODIES: dict[type[BaseModel], dict[str, Any]] = {
    CertificateOfOrigin: _CERTIFICATE,
    InspectionReport: {
        "reportNumber": "QT-26-004711",
        "customer": _MERCHANT,
        "itemDescription": "LED desk lamp, 8 W, model MS-L8",
        "itemIdentification": "LOT-26-014",
        "hsCode": "940521",
        "relatesTo": "lot",
        "performedFrom": "2026-03-23",
        "performedTo": "2026-03-27",
        "method": "IEC 60598-2-4:2017",
        "results": [
            {"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7", "meetsLimit": True}
        ],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance, ILAC-G8:09/2019, 4.2.1",
        "conforms": True,
        "issueDate": "2026-03-31",
    },
    Invoice: {
        "invoiceNumber": "INV-2026-0815",
        "issueDate": "2026-03-31",
        "seller": _MERCHANT,
        "buyer": _BUYER,
        "currency": "USD",
        "totalAmount": "1300",
        "orderReference": "ORDER-2026-0815",
        "items": [_LINE],
    },
    Order: {
        "orderReference": "ORDER-2026-0815",
        "orderDate": "2026-03-30",
        "seller": _MERCHANT,
        "buyer": _BUYER,
        "currency": "USD",
        "totalAmount": "1300",
        "items": [_LINE],
    },
    PaymentReceipt: {
        "receiptReference": "PAY-2026-0815",
        "orderReference": "ORDER-2026-0815",
        "payee": _MERCHANT,
        "amount": "1300",
        "currency": "USD",
        "paidDateTime": MOMENT,
    },
    Waybill: {
        "waybillReference": "AWB-2026-0815",
        "issueDate": "2026-03-31",
        "carrier": {"name": "Demo Air Cargo"},
        "consignor": _MERCHANT,
        "consignee": _BUYER,
        "orderReference": "ORDER-2026-0815",
        "transportModeCode": "4",
        "destinationCountry": "SG",
        "description": "LED desk lamps",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
    },
    MovementEvent: {
        "eventReference": "MOVE-2026-0815",
        "eventType": "departed",
        "eventDateTime": MOMENT,
        "locationName": "Hangzhou Xiaoshan",
        "locationCode": "CNHGH",
        "locationCountry": "CN",
        "waybillReference": "AWB-2026-0815",
    },
    shapes.DeclarationInput: {
        "declarationReference": "MS-2026-0815",
        "customsOffice": "2925",
        "previousProcedureTypeCode": "9610",
        "direction": "export",
        "destinationCountry": "SG",
        "orderReference": "ORDER-2026-0815",
        "waybillReference": "AWB-2026-0815",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "items": [
            {
                "hsCode": "940521",
                "description": "LED desk lamp, 8 W",
                "quantity": "200",
                "unitCode": "H87",
                "unitPrice": "6.5",
                "currency": "USD",
                "originCountry": "CN",
            }
        ],
        "records": [PARAMETERS["record_id"]],
    },
    shapes.DecisionInput: {"decision": "examine", "reason": "Weight and packages do not match: please open carton 3."},
    shapes.ReasonInput: {"reason": "The goods were made elsewhere."},
    shapes.ArrivalInput: {"arrivedAt": MOMENT},
    shapes.ErasureInput: {"confirm": "erase for good"},
    shapes.OrganisationInput: {
        "role": "laboratory",
        "name": "Ningbo Testing Laboratory",
        "localName": "宁波检测实验室",
        "email": "desk@ningbo-lab.example",
        "countryCode": "CN",
    },
    shapes.AccreditationInput: {"chapters": [84, 85, 94]},
    shapes.SuspensionInput: {"since": MOMENT},
    shapes.RotationInput: {},
    shapes.CompromiseInput: {"since": MOMENT},
    shapes.SigningRequestInput: {
        "act": "issue",
        "kind": "certificate-of-origin",
        "document": {**_CERTIFICATE, "certificateNumber": "ZJ-26-004712"},
    },
    shapes.SignatureInput: {"signature": SIGNATURE},
    SimulationInput: {"scenario": "office", "replications": 20, "seed": 1},
}
BY_SCHEMA = {f"#/components/schemas/{model.__name__}": example for model, example in BODIES.items()}
PDF = (
    "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>\nendobj\n"
    "xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
    "trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n186\n%%EOF\n"
)
BUNDLE = {
    "format": FORMAT,
    "version": VERSION,
    "records": [
        {
            "record": "eyJhbGciOiJFUzI1NiIs…",
            "entry": {"kind": 1, "quantity": "500000"},
            "proof": {"leafIndex": 3, "treeSize": 10, "inclusionPath": ["67fd4f46517bce4b…"]},
            "anchor": {
                "chainId": 1337,
                "ledger": "0x8f3a…",
                "instanceId": "4c1b…",
                "root": "d35a42853a339bd8…",
                "transaction": "08b2…",
                "block": 7,
                "blockTime": MOMENT,
            },
        }
    ],
    "superseded": [],
    "snapshot": "eyJhbGciOiJFUzI1NiIs…",
}
"""Cut short where it says …: a whole one is given out by GET /records/{record_id}/evidence."""
