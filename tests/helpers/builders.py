"""Builders for tests: everything is valid by default, so that a test names only what matters to it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from backend.domain import sd_jwt
from backend.domain.evidence import Anchor, Batch, Entry, Evidence, quantity_steps, seal
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accreditation, AnchoredBatch
from backend.domain.records import ProofState
from backend.domain.verdict import LedgerFacts
from backend.services import issuance, statements
from backend.services.ports import AppContext

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The moment at which most things happen in tests."""
YEAR = timedelta(days=365)
EVERY_KIND = sum({1 << stated.accreditation_bit for stated in KINDS.values()})
EVERY_CHAPTER = 1


@dataclass(frozen=True)
class Key:
    """A P-256 key that signs as an issuer does."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, str]:
        point = self.private.public_key().public_numbers()
        x, y = (sd_jwt.b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    @property
    def thumbprint(self) -> bytes:
        return sd_jwt.thumbprint(self.jwk)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


CHAMBER = Key()
"""The key of the chamber in most tests: a pair of keys costs more than a test should."""
SOMEBODY_ELSE = Key()


def salts() -> Any:
    """A source of salts that are all different and the same in every run."""
    numbers = iter(range(10_000))
    return lambda: next(numbers).to_bytes(32, "big")


# What papers say


def certificate_fields(**changes: Any) -> dict[str, Any]:
    return {
        "certificateNumber": "ZJ-26-000123",
        "exporter": {"name": "Morning Star Trading Co., Ltd."},
        "originCountry": "CN",
        "importCountry": "SG",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "LED desk lamp, 8 W",
        "quantity": "500",
        "unitCode": "H87",
        "issueDate": "2026-03-01",
    } | changes


def report_fields(**changes: Any) -> dict[str, Any]:
    return {
        "reportNumber": "QT-26-000777",
        "customer": {"name": "Morning Star Trading Co., Ltd."},
        "itemDescription": "LED desk lamp, 8 W",
        "itemIdentification": "LOT-01",
        "hsCode": "940521",
        "performedFrom": "2026-02-20",
        "performedTo": "2026-02-25",
        "method": "IEC 60598-2-4:2017",
        "results": [{"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7"}],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance, ILAC-G8:09/2019, 4.2.1",
        "conforms": True,
        "issueDate": "2026-03-01",
    } | changes


def goods_item(**changes: Any) -> dict[str, Any]:
    return {
        "hsCode": "940521",
        "description": "LED desk lamp",
        "quantity": "200",
        "unitCode": "H87",
        "unitPrice": "6.5",
        "currency": "USD",
        "originCountry": "CN",
    } | changes


def lodgement_fields(**changes: Any) -> dict[str, Any]:
    """A declaration as a merchant sends it: the merchant itself comes from who asks."""
    return {
        "declarationReference": "MS-2026-001",
        "customsOffice": "CNYIU",
        "orderReference": "ORDER-1",
        "waybillReference": "WAYBILL-1",
        "destinationCountry": "SG",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "items": [goods_item()],
    } | changes


def declaration_fields(**changes: Any) -> dict[str, Any]:
    return lodgement_fields() | {"merchant": {"name": "Morning Star Trading Co., Ltd."}} | changes


def invoice_fields(**changes: Any) -> dict[str, Any]:
    return {
        "invoiceNumber": "INV-1",
        "seller": {"name": "Morning Star Trading Co., Ltd."},
        "buyer": {"name": "Lim Household Supplies"},
        "issueDate": "2026-03-01",
        "currency": "USD",
        "totalAmount": "1300",
        "items": [{"description": "Lamp", "quantity": "200", "unitCode": "H87", "amount": "1300"}],
    } | changes


def order_fields(**changes: Any) -> dict[str, Any]:
    return {
        "orderReference": "ORDER-1",
        "seller": {"name": "Morning Star Trading Co., Ltd."},
        "buyer": {"name": "Lim Household Supplies"},
        "orderDate": "2026-02-28",
        "currency": "USD",
        "totalAmount": "1300",
        "items": [{"description": "Lamp", "quantity": "200", "unitCode": "H87", "amount": "1300"}],
    } | changes


def receipt_fields(**changes: Any) -> dict[str, Any]:
    return {
        "receiptReference": "PAY-1",
        "orderReference": "ORDER-1",
        "payee": {"name": "Morning Star Trading Co., Ltd."},
        "amount": "1300",
        "currency": "USD",
        "paidDateTime": "2026-02-28T09:00:00Z",
    } | changes


def waybill_fields(**changes: Any) -> dict[str, Any]:
    return {
        "waybillReference": "WAYBILL-1",
        "carrier": {"name": "Air Cargo"},
        "consignor": {"name": "Morning Star Trading Co., Ltd."},
        "destinationCountry": "SG",
        "description": "Lamps",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "issueDate": "2026-03-01",
    } | changes


def movement_fields(**changes: Any) -> dict[str, Any]:
    return {
        "eventReference": "MOVE-1",
        "eventType": "departed",
        "eventDateTime": "2026-03-01T22:00:00Z",
        "locationName": "Hangzhou Xiaoshan",
        "locationCode": "CNHGH",
        "locationCountry": "CN",
        "waybillReference": "WAYBILL-1",
    } | changes


OWN_FIELDS = {
    Kind.CERTIFICATE_OF_ORIGIN: certificate_fields,
    Kind.INSPECTION_REPORT: report_fields,
    Kind.DECLARATION: declaration_fields,
    Kind.INVOICE: invoice_fields,
    Kind.ORDER: order_fields,
    Kind.PAYMENT_RECEIPT: receipt_fields,
    Kind.WAYBILL: waybill_fields,
    Kind.MOVEMENT_EVENT: movement_fields,
}


def fields_of_kind(kind: Kind) -> Callable[..., dict[str, Any]]:
    """The builder of a kind; one that needs none of its own says what its example says."""
    return OWN_FIELDS.get(kind) or (lambda **changes: {**KINDS[kind].example, **changes})


FIELDS = {kind: fields_of_kind(kind) for kind in Kind}


# Signed records and their evidence


def a_record(
    kind: Kind = Kind.CERTIFICATE_OF_ORIGIN,
    fields: Mapping[str, Any] | None = None,
    key: Key = CHAMBER,
    issued_at: datetime = NOON - timedelta(hours=2),
    **claims: Any,
) -> sd_jwt.Record:
    """A signed record; a claim given as None is left out."""
    all_claims = {
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "id": "urn:uuid:00000000-0000-4000-8000-000000000001",
        "type": ["VerifiableCredential", KINDS[kind].credential_type],
        "issuer": {"id": "urn:x", "name": "Zhejiang Chamber"},
        "validFrom": issued_at.isoformat(timespec="seconds"),
        "assurance": "issued",
    } | claims
    kept = {name: value for name, value in all_claims.items() if value is not None}
    subject = FIELDS[kind]() if fields is None else fields
    unsigned = sd_jwt.draft(kept, subject, key.jwk, salts())
    return unsigned.signed(key.sign(unsigned.signing_input))


def signed_text(header: Any, payload: Any, key: Key = CHAMBER) -> str:
    """An issuer-signed JWT over any header and payload, also ones that our own code would never make."""

    signing_input = ".".join(sd_jwt.b64(json.dumps(part).encode()) for part in (header, payload))
    return f"{signing_input}.{sd_jwt.b64(key.sign(signing_input.encode()))}"


def header_of(key: Key = CHAMBER, **changes: Any) -> dict[str, Any]:
    return {"alg": "ES256", "typ": "vc+sd-jwt", "kid": sd_jwt.b64(key.thumbprint), "jwk": key.jwk} | changes


def an_entry(kind: Kind = Kind.INVOICE, name: str = "another record") -> Entry:
    return Entry.of(kind, None, name)


def sealed_with_others(entry: Entry) -> tuple[Batch, int]:
    """A batch with two entries in each lane, and the place of the given one."""
    others = [an_entry(kind, f"{kind.name} {number}") for kind in Kind for number in range(2)]
    entries = sorted([*others, entry], key=lambda one: KINDS[one.kind].segment)
    return seal(entries), entries.index(entry)


def an_anchor(root: bytes, **changes: Any) -> Anchor:
    anchor = Anchor(1337, "0x" + "ab" * 20, b"\x07" * 32, root, b"\x08" * 32, 7, NOON - timedelta(hours=1))
    return replace(anchor, **changes)


def evidence_for(
    record: sd_jwt.Record, kind: Kind = Kind.CERTIFICATE_OF_ORIGIN, quantity: int | None = None
) -> Evidence:
    """The evidence of a record that was sealed with others and anchored an hour ago."""
    if quantity is None:
        stated = record.subject.get("quantity") if kind is Kind.CERTIFICATE_OF_ORIGIN else None
        quantity = quantity_steps(Decimal(str(stated or 0)))
    entry = replace(Entry.of(kind, None, record.signed_jwt), quantity=quantity)
    batch, leaf_index = sealed_with_others(entry)
    return Evidence(record, kind, quantity, batch.proof(leaf_index), an_anchor(batch.root))


def an_accreditation(**changes: Any) -> Accreditation:
    held = Accreditation(EVERY_KIND, EVERY_CHAPTER, NOON - YEAR, NOON + YEAR)
    return replace(held, **changes)


def facts_for(evidence: Evidence, **changes: Any) -> LedgerFacts:
    """What a ledger says of that evidence when all is well."""
    assert evidence.anchor is not None
    batch, _ = sealed_with_others(evidence.entry)
    anchored = AnchoredBatch(NOON - timedelta(hours=1), 1, 1, batch.segments)
    facts = LedgerFacts(NOON, anchored, 0, an_accreditation(), state=ProofState.FINAL, anchor_block=None)
    held = changes.get("accreditation", facts.accreditation)
    # The ledger held the same all the time, unless told otherwise.
    return replace(facts, **{"accreditation_at_issue": held, "accreditation_at_anchoring": held, **changes})


def outcomes(checks: Sequence[Any]) -> dict[str, tuple[str, str]]:
    """Outcome and reason of each check, by its code."""
    return {check.code: (check.outcome.value, check.reason) for check in checks}


PDF = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>\nendobj\n"
    b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
    b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n186\n%%EOF\n"
)
"""The smallest PDF document with one page."""


_RESTS_ON_A_VERSION = re.compile(
    r"(?P<thing>/(?P<kind>declarations|records|issuers)/[^/]+)"
    r"/(decisions|withdrawal|revocation|replacement|erasure-request|erasure-consent|accreditation|suspension|reinstatement)"
)
_READERS = {"declarations": "officer", "issuers": "authority"}


def if_match(
    method: str, path: str, who: str | None, headers: Mapping[str, str], ask: Callable[[str, str | None], Any]
) -> dict[str, str]:
    """The If-Match of a change whose test does not care which version it rests on: the present one.

    ``ask`` is a GET, by somebody; its answer has ``headers``. Nothing where the call needs none, or has one.
    """
    found = _RESTS_ON_A_VERSION.fullmatch(path)
    if method != "POST" or found is None or "If-Match" in headers:
        return {}
    answer = ask(found["thing"], _READERS.get(found["kind"], who))
    return {"If-Match": answer.headers.get("ETag", '"1"')}


def laboratory_order_fields(**changes: Any) -> dict[str, Any]:
    """What a merchant orders from a laboratory."""
    return {
        "customer": {"name": "Yiwu Morning Star Trading Co., Ltd.", "countryCode": "CN"},
        "itemDescription": "LED desk lamp, 8 W, model MS-L8",
        "itemIdentification": "LOT-26-014",
        "hsCode": "940521",
        "testsWanted": "Leakage current",
        "specification": "EN IEC 60598-1:2021",
    } | changes


def laboratory_of(ctx: AppContext) -> str:
    """The id of the demonstration's laboratory."""
    with ctx.work(reading=True) as work:
        found = work.persons.find_by_email("laboratory@example.org")
    assert found is not None
    return found.organisation.id


class Api:
    """A program that talks to the interface as one of the demonstration's people, or as a rival who joined later."""

    def __init__(self, client: Any, people: Mapping[str, Any]) -> None:
        self._client = client
        self.bearers = {role: somebody.bearer for role, somebody in people.items()}

    def call(self, method: str, path: str, who: str | None = None, **request: Any) -> Any:
        headers = {**self.bearers.get(who or "", {}), **request.pop("headers", {})}
        headers |= if_match(method, path, who, headers, self.get)
        return self._client.open(f"/api/v1{path}", method=method, headers=headers, **request)

    def get(self, path: str, who: str | None = None, **request: Any) -> Any:
        return self.call("GET", path, who, **request)

    def post(self, path: str, who: str | None = None, body: Any = None, **request: Any) -> Any:
        return self.call("POST", path, who, **({"json": body} if body is not None else {}), **request)

    def fresh(self, stem: str) -> str:
        """A number that was not used before in this run."""
        return f"{stem}-{uuid4().hex[:12]}"

    def admit_rival(self, name: str = "Evening Star Trading Co., Ltd.") -> None:
        """Let a second merchant join."""
        body = {"role": "merchant", "name": name, "email": f"{self.fresh('rival')}@example.org"}
        joined = self.post("/organisations", "authority", body).get_json()
        self.bearers["rival"] = {"Authorization": f"Bearer {joined['token']}"}

    def kept_paper(self) -> str:
        """The id of a certificate that nobody may erase yet: a declaration that named it was withdrawn."""
        certificate = self.certificate()
        declaration = self.declaration([certificate])
        assert self.post(f"/declarations/{declaration['id']}/withdrawal", "merchant").status_code == 201
        return str(certificate["id"])

    def request_waiting(self, ctx: AppContext) -> str:
        """The id of a request of the merchant's that waits for the chamber."""
        with ctx.work(reading=True) as work:
            merchant, chamber = (work.persons.find_by_email(f"{who}@example.org") for who in ("merchant", "chamber"))
        assert merchant is not None
        assert chamber is not None
        kind, fields = Kind.CERTIFICATE_OF_ORIGIN, certificate_fields()
        stated = statements.issue_statement(ctx, merchant, kind, fields, chamber.organisation.id)
        with ctx.work(reading=True) as work:
            request = work.requests.find_about(stated.id)
        assert request is not None
        return request.id

    def request_sent_back(self, ctx: AppContext) -> str:
        """The id of a request of the merchant's that the chamber sent back."""
        with ctx.work(reading=True) as work:
            chamber = work.persons.find_by_email("chamber@example.org")
        assert chamber is not None
        return issuance.send_back(ctx, chamber, self.request_waiting(ctx), "The weight is missing.").id

    def certificate(self, **changes: Any) -> dict[str, Any]:
        name = self.get("/me", "merchant").get_json()["organisation"]
        fields = certificate_fields(certificateNumber=self.fresh("C"), exporter={"name": name})
        return self._made("/certificates-of-origin", "chamber", fields | changes)

    def report(self, **changes: Any) -> dict[str, Any]:
        name = self.get("/me", "merchant").get_json()["organisation"]
        fields = report_fields(reportNumber=self.fresh("R"), customer={"name": name})
        return self._made("/inspection-reports", "laboratory", fields | changes)

    def invoice(self, **changes: Any) -> dict[str, Any]:
        return self._made("/invoices", "merchant", invoice_fields(invoiceNumber=self.fresh("I")) | changes)

    def declaration(self, papers: Sequence[Mapping[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
        named = [self.certificate(), self.report()] if papers is None else papers
        fields = lodgement_fields(declarationReference=self.fresh("D"), records=[paper["id"] for paper in named])
        return self._made("/declarations", "merchant", fields | changes)

    def _made(self, path: str, who: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.post(path, who, fields)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        made: dict[str, Any] = answer.get_json()
        return made


class KeyedApi(Api):
    """A program that sends every request under an idempotency key of its own."""

    def call(self, method: str, path: str, who: str | None = None, **request: Any) -> Any:
        key = {"Idempotency-Key": self.fresh("k")} if method == "POST" else {}
        return super().call(method, path, who, **request | {"headers": {**key, **request.get("headers", {})}})
