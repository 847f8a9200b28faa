"""Documents of generated consignments, and forgeries made from genuine bundles."""

import base64
import copy
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

OFFICE = "CNYIU"
"""The customs office of the demonstration, whose officer decides what the probe lodges."""


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
    """The facts of one generated consignment, from which all of its papers are made."""

    number: str
    goods: Goods
    destination: str
    certified: int
    declared: int
    arrived_hours_ago: float
    merchant: str

    @classmethod
    def drawn(cls, chance: random.Random, number: str, merchant: str) -> "Consignment":
        """Draw a consignment from a seeded stream. It declares at most what is certified."""
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
        """Return its certificate of origin, with changes."""
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
        """Return its inspection report, by which the goods conform, with changes."""
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
        """Return its declaration. ``changes`` apply to its one line of goods, or to the declaration's own fields."""
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
            "customsOffice": OFFICE,
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


def altered(bundle: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Return the name of an alteration and a bundle altered so, to the forger's advantage.

    In half of the cases the signed snapshot is left out, since it would reveal the forgery.
    """
    how = chance.choice(sorted(_ALTERATIONS))
    forged = copy.deepcopy(bundle)
    _ALTERATIONS[how](forged["records"][0], chance)
    if chance.random() < 0.5:
        forged["snapshot"] = None
    assert forged != bundle, f"the alteration {how} altered nothing"
    return how, forged


def _another_field(paper: dict[str, Any], chance: random.Random) -> None:
    """Change a disclosed field, such as the quantity. Its digest in the signed part stays."""
    jwt, *disclosures = paper["record"].split("~")
    place = next(p for p, text in enumerate(disclosures) if text and _name(text) == "quantity")
    salt, name, value = json.loads(_unb64(disclosures[place]))
    disclosures[place] = _b64(json.dumps([salt, name, f"{int(float(value)) * 10}"]).encode())
    paper["record"] = "~".join([jwt, *disclosures])


def _another_payload(paper: dict[str, Any], chance: random.Random) -> None:
    """Change the issuer's name in the signed part, under the old signature."""
    jwt, *disclosures = paper["record"].split("~")
    header, payload, signature = jwt.split(".")
    content = json.loads(_unb64(payload))
    content["issuer"]["name"] = f"Chamber {chance.randrange(1000)}"
    paper["record"] = "~".join([f"{header}.{_b64(json.dumps(content).encode())}.{signature}", *disclosures])


def _another_quantity(paper: dict[str, Any], chance: random.Random) -> None:
    """Raise the quantity in the batch's entry."""
    paper["entry"]["quantity"] = str(int(paper["entry"]["quantity"]) * 10)


def _another_leaf_index(paper: dict[str, Any], chance: random.Random) -> None:
    """Move the inclusion proof to another leaf of the batch."""
    paper["proof"]["leafIndex"] = int(paper["proof"]["leafIndex"]) + 1


def _another_root(paper: dict[str, Any], chance: random.Random) -> None:
    """Replace the anchor's root by one that was never anchored."""
    paper["anchor"]["root"] = sha256(chance.randbytes(32)).hexdigest()


_ALTERATIONS = {
    "field": _another_field,
    "signed-part": _another_payload,
    "quantity": _another_quantity,
    "leafIndex": _another_leaf_index,
    "root": _another_root,
}


def self_signed(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a certificate with the same content that its issuer did not sign.

    The forger's own key signs it and is named in it.
    """
    forged = copy.deepcopy(bundle)
    (paper,) = forged["records"]
    jwt, *disclosures = paper["record"].split("~")
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = _jwk(key.public_key())
    kid = _b64(sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())
    payload = json.loads(_unb64(jwt.split(".")[1]))
    payload["issuer"]["id"] = f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{kid}"
    header = {"alg": "ES256", "typ": "vc+sd-jwt", "kid": kid, "jwk": jwk}
    signed = ".".join(_b64(json.dumps(part, ensure_ascii=False).encode()) for part in (header, payload))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    paper["record"] = "~".join([f"{signed}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}", *disclosures])
    forged["snapshot"] = None
    return forged


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    point = key.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": _b64(point.x.to_bytes(32, "big")),
        "y": _b64(point.y.to_bytes(32, "big")),
    }


def _name(disclosure: str) -> str:
    return str(json.loads(_unb64(disclosure))[1])


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
