"""The papers of one consignment, in order unless a test says otherwise."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

_numbers = itertools.count(1)
TODAY = datetime.now(UTC).date()


def _number(prefix: str) -> str:
    return f"{prefix}-{next(_numbers):05d}-{datetime.now(UTC):%H%M%S%f}"


def a_certificate(exporter: str, **changes: Any) -> dict[str, Any]:
    """A certificate of origin for 1,000 desk lamps made in China, going to Singapore."""
    return {
        "certificateNumber": _number("CO"),
        "exporter": {"name": exporter, "countryCode": "CN"},
        "consignee": {"name": "Lim Household Supplies Pte. Ltd.", "countryCode": "SG"},
        "originCountry": "CN",
        "importCountry": "SG",
        "freeTradeAgreementName": "RCEP",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "LED desk lamp",
        "quantity": "1000",
        "unitCode": "H87",
        "issueDate": TODAY.isoformat(),
        "validUntil": (TODAY + timedelta(days=300)).isoformat(),
        **changes,
    }


def a_report(customer: str, **changes: Any) -> dict[str, Any]:
    """An inspection report on the same lamps: they conform."""
    day: date = TODAY - timedelta(days=3)
    return {
        "reportNumber": _number("IR"),
        "customer": {"name": customer, "countryCode": "CN"},
        "itemDescription": "LED desk lamp",
        "itemIdentification": "LOT-7",
        "hsCode": "940521",
        "performedFrom": day.isoformat(),
        "performedTo": day.isoformat(),
        "method": "IEC 60598-2-4:2017",
        "results": [{"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7"}],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance",
        "conforms": True,
        "accreditationNumber": "L0001",
        "issueDate": TODAY.isoformat(),
        **changes,
    }


def a_declaration(records: list[str], **changes: Any) -> dict[str, Any]:
    """A declaration of 400 of the lamps, which came two hours ago."""
    return {
        "declarationReference": _number("D"),
        "customsOffice": "2925",
        "orderReference": "ORDER-1",
        "waybillReference": "WAYBILL-1",
        "destinationCountry": "SG",
        "grossWeightMeasure": "180",
        "arrivalDateTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
        "items": [
            {
                "hsCode": "940521",
                "description": "LED desk lamp",
                "quantity": "400",
                "unitCode": "H87",
                "unitPrice": "6.50",
                "currency": "USD",
                "originCountry": "CN",
            }
        ],
        "records": records,
        **changes,
    }
