"""Papers of generated consignments: certificate of origin, inspection report, declaration; in order unless changed."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Goods:
    """A kind of goods that the probe trades in."""

    hs_code: str
    description: str
    method: str
    specification: str
    unit_price: str


CATALOGUE = (
    Goods("940521", "LED desk lamp, 8 W", "IEC 60598-2-4:2017", "EN IEC 60598-1:2021", "6.50"),
    Goods("961700", "Vacuum flask, 500 ml", "GB/T 29606-2013", "GB 4806.9-2016", "4.20"),
    Goods("610910", "T-shirt, knitted, cotton", "ISO 105-C06:2010", "GB 18401-2010, class B", "2.80"),
    Goods("850440", "USB charger, 20 W", "IEC 62368-1:2018", "EN IEC 62368-1:2020", "3.10"),
)
DESTINATIONS = ("SG", "MY", "TH", "VN", "JP", "KR")


@dataclass(frozen=True)
class Consignment:
    """What one generated consignment is about; every paper is drawn up from it."""

    number: str
    goods: Goods
    destination: str
    certified: int
    declared: int
    arrived_hours_ago: float
    merchant: str

    @classmethod
    def drawn(cls, chance: random.Random, number: str, merchant: str) -> "Consignment":
        """A consignment from a seeded stream; it declares at most what is certified."""
        certified = chance.randrange(200, 2000)
        return cls(
            number=number,
            goods=chance.choice(CATALOGUE),
            destination=chance.choice(DESTINATIONS),
            certified=certified,
            declared=chance.randrange(100, certified + 1),
            arrived_hours_ago=round(chance.uniform(0.5, 30), 2),
            merchant=merchant,
        )

    def certificate(self, **changes: Any) -> dict[str, Any]:
        """Its certificate of origin."""
        today = _today()
        return {
            "certificateNumber": f"PROBE-CO-{self.number}",
            "exporter": {"name": self.merchant, "countryCode": "CN"},
            "originCountry": "CN",
            "importCountry": self.destination,
            "freeTradeAgreementName": "RCEP",
            "originCriteria": "CTH",
            "hsCode": self.goods.hs_code,
            "description": self.goods.description,
            "quantity": str(self.certified),
            "unitCode": "H87",
            "issueDate": f"{today:%Y-%m-%d}",
            "validUntil": f"{today + timedelta(days=300):%Y-%m-%d}",
            **changes,
        }

    def report(self, **changes: Any) -> dict[str, Any]:
        """Its inspection report: the goods conform."""
        today = _today()
        return {
            "reportNumber": f"PROBE-IR-{self.number}",
            "customer": {"name": self.merchant, "countryCode": "CN"},
            "itemDescription": self.goods.description,
            "itemIdentification": f"LOT-{self.number}",
            "hsCode": self.goods.hs_code,
            "performedFrom": f"{today - timedelta(days=2):%Y-%m-%d}",
            "performedTo": f"{today - timedelta(days=1):%Y-%m-%d}",
            "method": self.goods.method,
            "results": [{"characteristic": "Marking", "value": "legible", "limit": "legible"}],
            "specification": self.goods.specification,
            "decisionRule": "Simple acceptance",
            "conforms": True,
            "issueDate": f"{today:%Y-%m-%d}",
            **changes,
        }

    def declaration(self, records: list[str], suffix: str = "", **changes: Any) -> dict[str, Any]:
        """Its declaration; ``changes`` go to the one line of goods, except those of the declaration itself."""
        item = {
            "hsCode": self.goods.hs_code,
            "description": self.goods.description,
            "quantity": str(self.declared),
            "unitCode": "H87",
            "unitPrice": self.goods.unit_price,
            "currency": "USD",
            "originCountry": "CN",
        }
        return {
            "declarationReference": f"PROBE-D-{self.number}{suffix}",
            "customsOffice": "PROBE",
            "orderReference": f"PROBE-O-{self.number}",
            "waybillReference": f"PROBE-W-{self.number}",
            "destinationCountry": changes.pop("destinationCountry", self.destination),
            "grossWeightMeasure": "180",
            "arrivalDateTime": (datetime.now(UTC) - timedelta(hours=self.arrived_hours_ago)).isoformat(),
            "items": [item | changes],
            "records": records,
        }


def _today() -> datetime:
    return datetime.now(UTC)
