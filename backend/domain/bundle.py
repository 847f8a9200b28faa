"""Evidence bundles: a record, or a consignment's papers, with proofs, anchors and a signed snapshot, in one file.

Every member is required, no other is accepted, and each value has exactly one spelling, so that no value in a file can
be changed unnoticed. White space and the order of members do not matter.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from backend.domain import sd_jwt, strict_json
from backend.domain.errors import Invalid, Message, message_of
from backend.domain.evidence import Anchor, Evidence, InclusionProof
from backend.domain.kinds import Kind
from backend.domain.snapshot import address, bytes32, natural, time_of, time_text

FORMAT = "provenport-evidence"
VERSION = 1
LARGEST = 16 * 1024 * 1024
"""Maximum size of a file in bytes; a larger one is not parsed."""
MOST_RECORDS = 500
# A path has a node a level at most: this suffices for 2^64 entries.
LONGEST_PATH = 64


class MalformedBundle(Invalid):
    """Raised for a file that is not a bundle, with what is wrong in it."""

    code = "malformed-bundle"


@dataclass(frozen=True)
class Bundle:
    """The content of a bundle: the record that it is about comes first, then the papers that it names.

    ``superseded`` holds the issuer-signed JWTs of records that a paper replaced, where the declaration still names
    those. ``snapshot`` is the signed text as it is in the file.
    """

    records: tuple[Evidence, ...]
    superseded: tuple[str, ...] = ()
    snapshot: str | None = None

    def replaced(self, digest: str) -> sd_jwt.Record | None:
        """Return the superseded record with this digest (hex), if its own key signed it, else None."""
        return self._replaced.get(digest)

    @cached_property
    def _replaced(self) -> dict[str, sd_jwt.Record | None]:
        """The superseded records by digest. Each text is parsed once, however many papers refer to it."""
        return {sha256(text.encode("ascii")).hexdigest(): _signed(text) for text in dict.fromkeys(self.superseded)}


def _signed(text: str) -> sd_jwt.Record | None:
    try:
        record = sd_jwt.parse(text)
    except (sd_jwt.MalformedRecord, strict_json.HostileJson):
        return None
    # Whether that key was accredited is not asked: the link only leads from a paper to the one that the declaration
    # names.
    return record if sd_jwt.is_signed_by_its_key(record) else None


def text(bundle: Bundle) -> str:
    """Return the file's text: JSON on one line, without spaces."""
    return json.dumps(write(bundle), separators=(",", ":"))


def write(bundle: Bundle) -> dict[str, Any]:
    """Return the bundle as JSON values."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "records": [_written(one) for one in bundle.records],
        "superseded": list(bundle.superseded),
        "snapshot": bundle.snapshot,
    }


def _written(one: Evidence) -> dict[str, Any]:
    proof, anchor = one.proof, one.anchor
    return {
        "record": one.record.compact,
        # A text: programs keep integers up to 2^53 - 1 only (RFC 7493, section 2.2), and a quantity has 128 bits.
        "entry": {"kind": int(one.kind), "quantity": str(one.quantity)},
        "proof": proof
        and {
            "leafIndex": proof.leaf_index,
            "treeSize": proof.size,
            "inclusionPath": [node.hex() for node in proof.path],
        },
        "anchor": anchor
        and {
            "chainId": anchor.chain_id,
            # Nodes write addresses with a checksum in the case of their letters (EIP-55): two spellings of one address.
            "ledger": anchor.ledger.lower(),
            "instanceId": anchor.instance_id.hex(),
            "root": anchor.root.hex(),
            "transaction": anchor.transaction.hex(),
            "block": anchor.block,
            "blockTime": time_text(anchor.block_time),
        },
    }


def read(content: Any) -> Bundle:
    """Parse a bundle from JSON values. Nothing in it is verified yet.

    Raises:
        MalformedBundle: if the values are not a bundle.
        MalformedRecord: if a record in it is not an SD-JWT of ours.
        HostileJson: if a record contains JSON that programs would read differently.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise MalformedBundle(
            "not a bundle: the member format must read {format}", [("format", "is not a bundle's")], format=FORMAT
        )
    # Compared by type: in Python True == 1 and 1.0 == 1, which would be further spellings of the version.
    if type(content.get("version")) is not int or content["version"] != VERSION:
        raise MalformedBundle(
            "this version of bundle is not known here", [("version", Message("must be {version}", version=VERSION))]
        )
    _require(content, {"format", "version", "records", "superseded", "snapshot"}, "bundle")
    records, superseded, snapshot = content["records"], content["superseded"], content["snapshot"]
    if not isinstance(records, list) or not 1 <= len(records) <= MOST_RECORDS:
        raise _damaged("records", f"must be a list of 1 to {MOST_RECORDS}")
    # Their digests are looked up over ASCII: another letter has to be refused here, not met as an error there.
    if not isinstance(superseded, list) or len(superseded) > MOST_RECORDS or not all(map(_is_ascii, superseded)):
        raise _damaged("superseded", "must be a list of signed JWTs")
    if snapshot is not None and not isinstance(snapshot, str):
        raise _damaged("snapshot", "must be a signed text, or null")
    found = [_checked(one) for one in records]
    # Only a declaration's signature binds other records together.
    if len(found) > 1 and found[0][1] is not Kind.DECLARATION:
        raise _damaged("records", "several records need the declaration that names them, as the first")
    return Bundle(tuple(_evidence(one) for one in found), tuple(superseded), snapshot)


_Checked = tuple[str, Kind, int, InclusionProof | None, Anchor | None]


def _checked(fields: Any) -> _Checked:
    """Check the form of one record's members. The record itself is parsed only when all members are well-formed."""
    _require(fields, {"record", "entry", "proof", "anchor"}, "records")
    if not isinstance(fields["record"], str):
        raise _damaged("record", "must be a text")
    entry, proof, anchor = fields["entry"], fields["proof"], fields["anchor"]
    _require(entry, {"kind", "quantity"}, "entry")
    where = "entry"
    try:
        kind, quantity = Kind(natural(entry["kind"])), _quantity(entry["quantity"])
        where = "proof"
        proven = None if proof is None else _proof(proof)
        where = "anchor"
        anchored = None if anchor is None else _anchor(anchor)
    except (ValueError, TypeError, OverflowError) as error:
        raise _damaged(where, message_of(error)) from error
    return fields["record"], kind, quantity, proven, anchored


def _evidence(checked: _Checked) -> Evidence:
    record, kind, quantity, proof, anchor = checked
    return Evidence(sd_jwt.parse(record), kind, quantity, proof, anchor)


def _proof(fields: Any) -> InclusionProof:
    _require(fields, {"leafIndex", "treeSize", "inclusionPath"}, "proof")
    path = fields["inclusionPath"]
    if not isinstance(path, list) or len(path) > LONGEST_PATH:
        raise ValueError(Message("an inclusion path is a list of at most {most} hashes", most=LONGEST_PATH))
    return InclusionProof(
        natural(fields["leafIndex"]), natural(fields["treeSize"]), tuple(bytes32(node) for node in path)
    )


def _anchor(fields: Any) -> Anchor:
    _require(fields, {"chainId", "ledger", "instanceId", "root", "transaction", "block", "blockTime"}, "anchor")
    return Anchor(
        chain_id=natural(fields["chainId"]),
        ledger=address(fields["ledger"]),
        instance_id=bytes32(fields["instanceId"]),
        root=bytes32(fields["root"]),
        transaction=bytes32(fields["transaction"]),
        block=natural(fields["block"]),
        block_time=time_of(fields["blockTime"]),
    )


def _quantity(text: Any) -> int:
    # No leading zero, no sign: one spelling. 128 bits are what an entry holds.
    if not isinstance(text, str) or not re.fullmatch("0|[1-9][0-9]{0,38}", text) or int(text) >= 2**128:
        raise ValueError("quantity must be a whole number below 2^128, as a text")
    return int(text)


def _require(fields: Any, members: set[str], where: str) -> None:
    if not isinstance(fields, Mapping) or set(fields) != members:
        raise _damaged(where, f"must have exactly the members {', '.join(sorted(members))}")


def _is_ascii(one: Any) -> bool:
    return isinstance(one, str) and one.isascii()


def _damaged(where: str, why: str) -> MalformedBundle:
    return MalformedBundle("the bundle is damaged in {place}: {why}", [(where, why)], place=where, why=why)
