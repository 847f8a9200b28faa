"""The bundle: one JSON file with a record, its place in a batch, and where that batch is anchored.

Version 1. Bytes are lower-case hex, times are RFC 3339 in UTC. ``proof`` and ``anchor`` are null while the record
waits for its batch. ``snapshot`` tells what the server read from the ledger when it made the bundle: a reader who
trusts nobody asks the ledger again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from backend.domain import sd_jwt
from backend.domain.batch import Entry
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind
from backend.domain.merkle import InclusionProof
from backend.domain.message import Message, message_of
from backend.domain.rfc3339 import moment_of

FORMAT = "provenport-evidence"
VERSION = 1


class MalformedBundle(Invalid):
    """A file that is no bundle, with what is wrong in it."""

    code = "malformed-bundle"


@dataclass(frozen=True)
class Anchor:
    """Where a root was written."""

    chain_id: int
    ledger: str
    instance_id: bytes
    root: bytes
    transaction: bytes
    block: int
    block_time: datetime


@dataclass(frozen=True)
class Evidence:
    """A record with its proof and anchor, as far as they exist yet."""

    record: sd_jwt.Record
    kind: Kind
    quantity: int
    proof: InclusionProof | None = None
    anchor: Anchor | None = None

    @property
    def entry(self) -> Entry:
        """The entry that the proof must lead from."""
        return Entry(self.kind, self.quantity, sha256(self.record.signed_jwt.encode()).digest())


def write(evidence: Evidence, snapshot: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The bundle as JSON values."""
    proof, anchor = evidence.proof, evidence.anchor
    return {
        "format": FORMAT,
        "version": VERSION,
        "record": evidence.record.compact,
        "entry": {"kind": int(evidence.kind), "quantity": str(evidence.quantity)},
        "proof": proof and {"place": proof.place, "size": proof.size, "path": [node.hex() for node in proof.path]},
        "anchor": anchor
        and {
            "chainId": anchor.chain_id,
            "ledger": anchor.ledger,
            "instanceId": anchor.instance_id.hex(),
            "root": anchor.root.hex(),
            "transaction": anchor.transaction.hex(),
            "block": anchor.block,
            "blockTime": anchor.block_time.astimezone(UTC).isoformat(),
        },
        "snapshot": dict(snapshot) if snapshot else None,
    }


def read(bundle: Any) -> Evidence:
    """The evidence in a bundle; raises MalformedBundle or MalformedRecord. Believes nothing of it yet."""
    if not isinstance(bundle, Mapping) or bundle.get("format") != FORMAT:
        raise MalformedBundle(
            "not a bundle: the member format must read {format}", [("format", "is not a bundle's")], format=FORMAT
        )
    if type(bundle.get("version")) is not int or bundle["version"] != VERSION:
        raise MalformedBundle(
            "this version of bundle is not known here", [("version", Message("must be {version}", version=VERSION))]
        )
    record = sd_jwt.parse(_member(bundle, "record", str))
    where = "entry"
    try:
        entry = _member(bundle, "entry", Mapping)
        kind, quantity = Kind(_natural(entry, "kind")), _whole_number(_member(entry, "quantity", str))
        where = "proof"
        proof = _proof(_member(bundle, "proof", Mapping)) if bundle.get("proof") is not None else None
        where = "anchor"
        anchor = _anchor(_member(bundle, "anchor", Mapping)) if bundle.get("anchor") is not None else None
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise MalformedBundle(
            "the bundle is damaged in {place}: {error}",
            [(where, message_of(error))],
            place=where,
            error=message_of(error),
        ) from error
    return Evidence(record, kind, quantity, proof, anchor)


def _proof(fields: Mapping[str, Any]) -> InclusionProof:
    path = _member(fields, "path", list)
    if len(path) > 64:
        raise ValueError("path is too long")
    return InclusionProof(_natural(fields, "place"), _natural(fields, "size"), tuple(_bytes32(node) for node in path))


def _anchor(fields: Mapping[str, Any]) -> Anchor:
    return Anchor(
        chain_id=_natural(fields, "chainId"),
        ledger=_member(fields, "ledger", str),
        instance_id=_bytes32(fields["instanceId"]),
        root=_bytes32(fields["root"]),
        transaction=_bytes32(fields["transaction"]),
        block=_natural(fields, "block"),
        block_time=_moment(_member(fields, "blockTime", str)),
    )


def _moment(text: str) -> datetime:
    moment = moment_of(text)
    assert moment is not None  # a text is given
    return moment


def _whole_number(text: str) -> int:
    """One number has one spelling: no signs, spaces, leading zeros or other scripts' digits."""
    if not re.fullmatch("0|[1-9][0-9]{0,38}", text) or int(text) >= 2**128:
        raise ValueError("quantity must be a whole number below 2^128")
    return int(text)


def _member(fields: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = fields.get(name)
    if not isinstance(value, kind):
        raise MalformedBundle(
            "{name} is missing or of the wrong type", [(name, "is missing or of the wrong type")], name=name
        )
    return value


def _natural(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not int or value < 0:  # True and 1.0 are other spellings of 1
        raise ValueError(Message("{name} must be a whole number", name=name))
    return value


def _bytes32(text: Any) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != 32 or data.hex() != text:
        raise ValueError("expected 64 lower-case hex digits")
    return data
