"""A signed statement of what the ledger held, which is part of a bundle and counts as far as its signer is trusted.

It is a JWS in compact form (RFC 7515) with ES256, signed by the operator of a ledger or by another reader, such as a
customs office. It states in which block the ledger was read, when, and what it held of each record: where the record's
batch is anchored, the record's status, what is published of its revocation elsewhere, and its issuer's accreditation
now, at the time of issue, and at the anchoring.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from backend.domain import sd_jwt, strict_json
from backend.domain.errors import Invalid, message_of
from backend.domain.evidence import LedgerName, Segments
from backend.domain.ledger import Accreditation, AnchoredBatch, DocumentStatus, Revocation
from backend.domain.records import ProofState
from backend.domain.strict_json import parse_timestamp

MEDIA_TYPE = "provenport-snapshot"
_DECLARED = frozenset({"chainId", "instanceId", "ledger", "accreditation", "block", "blockTime", "readAt", "records"})
_READ = frozenset(
    {"root", "leafIndex", "transaction", "block", "blockTime", "state", "segments", "status", "key", "accreditation"}
    | {"anchorer", "accreditationAtIssue", "accreditationAtAnchoring", "revocation"}
)
_STATES = (ProofState.ANCHORED, ProofState.FINAL)
_HASH = re.compile("[0-9a-f]{64}")
_ADDRESS = re.compile("0x[0-9a-f]{40}")
_REVOCATION = frozenset({"status", "since", "publishedAt"})
_TERMS = frozenset({"kinds", "chapters", "validFrom", "validUntil", "suspendedSince"})


class MalformedSnapshot(Invalid):
    """Raised for a text that is not a snapshot, or was altered after it was signed."""

    code = "malformed-snapshot"


@dataclass(frozen=True)
class Reading:
    """What the ledger held of one record: its anchoring, its status, its revocation, and its issuer's accreditation.

    ``state`` is ANCHORED or FINAL, ``anchorer`` the number of the agent that anchored its batch. ``accreditation`` is
    that of the block that was read, the other two are past ones (``domain/signature_terms.py``).
    """

    root: bytes
    leaf_index: int
    transaction: bytes
    block: int
    state: ProofState
    segments: Segments
    anchorer: int
    block_time: datetime
    status: int
    key: str
    accreditation: Accreditation | None
    accreditation_at_issue: Accreditation | None
    accreditation_at_anchoring: Accreditation | None
    revocation: Revocation | None = None

    @property
    def batch(self) -> AnchoredBatch:
        """The batch, with the fields that a verdict needs."""
        return AnchoredBatch(self.block_time, 0, self.anchorer, self.segments)


@dataclass(frozen=True)
class Snapshot:
    """What a ledger held of some records at one block, and when that was read."""

    ledger: LedgerName
    accreditation: str
    block: int
    block_time: datetime
    read_at: datetime
    readings: tuple[Reading, ...]

    def of(self, root: bytes, leaf_index: int) -> Reading | None:
        """Return what it states about one record, or None."""
        return next(
            (reading for reading in self.readings if (reading.root, reading.leaf_index) == (root, leaf_index)), None
        )


@dataclass(frozen=True)
class SignedSnapshot:
    """A snapshot with the thumbprint of the key that signed it, and the signed text."""

    snapshot: Snapshot
    signer: str
    text: str


def sign(snapshot: Snapshot, jwk: sd_jwt.Jwk, signature: Callable[[bytes], bytes]) -> str:
    """Return the signed text. ``signature`` returns the 64-byte ES256 signature (r ‖ s) of its argument."""
    header = {"alg": "ES256", "typ": MEDIA_TYPE, "jwk": dict(jwk)}
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, _written(snapshot)))
    signing_input = ".".join(sd_jwt.b64(part) for part in parts)
    return f"{signing_input}.{sd_jwt.b64(sd_jwt.with_lower_s(signature(signing_input.encode('ascii'))))}"


def read(text: str) -> SignedSnapshot:
    """Parse a snapshot and verify its signature by the key that it names.

    Whether that key is trusted is not decided here.

    Raises:
        MalformedSnapshot: if it is not a snapshot, or its signature is wrong.
    """
    try:
        header, payload, signature = text.split(".")
        jwk = _header(strict_json.loads(sd_jwt.unb64(header)))
        raw = sd_jwt.unb64(signature)
        if len(raw) != 64 or int.from_bytes(raw[32:], "big") > sd_jwt.HALF_ORDER:
            raise MalformedSnapshot("its signature has another form than ES256 with the lower s")
        if not sd_jwt.verify(jwk, f"{header}.{payload}".encode("ascii"), raw):
            raise MalformedSnapshot("its signature does not fit")
        return SignedSnapshot(_snapshot(strict_json.loads(sd_jwt.unb64(payload))), _name(jwk), text)
    except MalformedSnapshot:
        raise
    except (Invalid, ValueError, TypeError, KeyError, OverflowError) as error:
        raise MalformedSnapshot(message_of(error)) from error


def _name(jwk: sd_jwt.Jwk) -> str:
    return sd_jwt.b64(sd_jwt.thumbprint(jwk))


def _header(header: Any) -> sd_jwt.Jwk:
    # Exactly these members: others, such as crit or jku, could change how a general JWS library verifies it.
    if not isinstance(header, dict) or set(header) != {"alg", "typ", "jwk"}:
        raise MalformedSnapshot("its header has other members than alg, typ and jwk")
    jwk = header["jwk"]
    if (header["alg"], header["typ"]) != ("ES256", MEDIA_TYPE) or not isinstance(jwk, dict):
        raise MalformedSnapshot("it is no {media_type} signed with ES256", media_type=MEDIA_TYPE)
    # Exactly these: the signer's thumbprint (RFC 7638) covers no others.
    if set(jwk) != {"kty", "crv", "x", "y"} or not all(isinstance(value, str) for value in jwk.values()):
        raise MalformedSnapshot("its key is no public P-256 key")
    return jwk


# ---- as JSON


def _written(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "chainId": snapshot.ledger.chain_id,
        "instanceId": snapshot.ledger.instance_id.hex(),
        "ledger": snapshot.ledger.address,
        "accreditation": snapshot.accreditation,
        "block": snapshot.block,
        "blockTime": time_text(snapshot.block_time),
        "readAt": time_text(snapshot.read_at),
        "records": [_reading_written(reading) for reading in snapshot.readings],
    }


def _reading_written(reading: Reading) -> dict[str, Any]:
    segments = reading.segments
    return {
        "root": reading.root.hex(),
        "leafIndex": reading.leaf_index,
        "transaction": reading.transaction.hex(),
        "block": reading.block,
        "blockTime": time_text(reading.block_time),
        "state": reading.state.value,
        "segments": [segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size],
        "anchorer": reading.anchorer,
        "status": reading.status,
        "key": reading.key,
        "accreditation": _terms_written(reading.accreditation),
        "accreditationAtIssue": _terms_written(reading.accreditation_at_issue),
        "accreditationAtAnchoring": _terms_written(reading.accreditation_at_anchoring),
        "revocation": _revocation_written(reading.revocation),
    }


def _terms_written(terms: Accreditation | None) -> dict[str, Any] | None:
    if terms is None:
        return None
    return {
        "kinds": terms.kinds,
        # 128 bits: as a number most programs would round it.
        "chapters": f"{terms.chapters:x}",
        "validFrom": time_text(terms.valid_from),
        "validUntil": time_text(terms.valid_until),
        "suspendedSince": terms.suspended_since and time_text(terms.suspended_since),
    }


def _revocation_written(published: Revocation | None) -> dict[str, Any] | None:
    if published is None:
        return None
    times = {"since": time_text(published.since), "publishedAt": time_text(published.published_at)}
    return {"status": published.status, **times}


def _snapshot(fields: Any) -> Snapshot:
    _require(fields, _DECLARED)
    if not isinstance(fields["records"], list):
        raise MalformedSnapshot("records is a list")
    return Snapshot(
        ledger=LedgerName(natural(fields["chainId"]), bytes32(fields["instanceId"]), address(fields["ledger"])),
        accreditation=address(fields["accreditation"]),
        block=natural(fields["block"]),
        block_time=time_of(fields["blockTime"]),
        read_at=time_of(fields["readAt"]),
        readings=tuple(_reading(reading) for reading in fields["records"]),
    )


def _reading(fields: Any) -> Reading:
    _require(fields, _READ)
    segments = fields["segments"]
    if not isinstance(segments, list) or len(segments) != 4 or fields["state"] not in _STATES:
        raise MalformedSnapshot("segments are four numbers, state is anchored or final")
    if not isinstance(fields["key"], str):
        raise MalformedSnapshot("key is a thumbprint")
    return Reading(
        root=bytes32(fields["root"]),
        leaf_index=natural(fields["leafIndex"]),
        transaction=bytes32(fields["transaction"]),
        block=natural(fields["block"]),
        state=ProofState(fields["state"]),
        segments=Segments(*(natural(end) for end in segments)),
        anchorer=natural(fields["anchorer"]),
        block_time=time_of(fields["blockTime"]),
        status=natural(fields["status"]),
        key=fields["key"],
        accreditation=_terms(fields["accreditation"]),
        accreditation_at_issue=_terms(fields["accreditationAtIssue"]),
        accreditation_at_anchoring=_terms(fields["accreditationAtAnchoring"]),
        revocation=_revocation(fields["revocation"]),
    )


def _terms(fields: Any) -> Accreditation | None:
    if fields is None:
        return None
    _require(fields, _TERMS)
    if not isinstance(fields["chapters"], str) or not re.fullmatch("[0-9a-f]{1,32}", fields["chapters"]):
        raise MalformedSnapshot("chapters is a number of 128 bits in hex")
    terms = Accreditation(
        kinds=natural(fields["kinds"]),
        chapters=int(fields["chapters"], 16),
        valid_from=time_of(fields["validFrom"]),
        valid_until=time_of(fields["validUntil"]),
    )
    since = fields["suspendedSince"]
    return terms if since is None else replace(terms, suspended_since=time_of(since))


def _revocation(fields: Any) -> Revocation | None:
    if fields is None:
        return None
    _require(fields, _REVOCATION)
    if natural(fields["status"]) not in (DocumentStatus.REVOKED, DocumentStatus.SUPERSEDED):
        raise MalformedSnapshot("the status of a revocation is 2 or 3")
    return Revocation(fields["status"], time_of(fields["since"]), time_of(fields["publishedAt"]))


def _require(fields: Any, members: frozenset[str]) -> None:
    if not isinstance(fields, Mapping) or set(fields) != members:
        raise MalformedSnapshot("the members must be exactly {names}", names=", ".join(sorted(members)))


# ---- one spelling for each value


def time_text(moment: datetime) -> str:
    """Format a time as in bundles: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(text: Any) -> datetime:
    """Parse such a time.

    Raises:
        ValueError: if it has another form.
    """
    moment = parse_timestamp(text)
    if moment is None or len(text) != len("2026-03-02T12:00:00Z"):
        raise ValueError("a time is written as 2026-03-02T12:00:00Z")
    return moment


def natural(value: Any) -> int:
    """Return a non-negative integer. True and 1.0, other spellings of 1, are refused.

    Raises:
        ValueError: for any other value.
    """
    if type(value) is not int or value < 0:
        raise ValueError("expected a whole number")
    return value


def bytes32(text: Any) -> bytes:
    """Parse 32 bytes in lower-case hex.

    Raises:
        ValueError: if it has another form.
    """
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise ValueError("expected 64 lower-case hex digits")
    return bytes.fromhex(text)


def address(text: Any) -> str:
    """Return an address, which must be in lower case, so that it has one spelling.

    Raises:
        ValueError: if it has another form.
    """
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise ValueError("an address is 0x and 40 lower-case hex digits")
    return text
