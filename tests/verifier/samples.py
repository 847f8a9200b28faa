"""Bundles to verify: records of every kind in batches of any size, with a snapshot that a trusted operator signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from backend.domain import bundle, bundle_verification, sd_jwt, snapshot
from backend.domain.bundle import Bundle
from backend.domain.evidence import Batch, Entry, Evidence, quantity_steps, seal
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accreditation
from backend.domain.records import ProofState
from backend.domain.snapshot import Reading, Snapshot
from backend.domain.trust import Trust, Trusted
from tests.helpers.builders import (
    NOON,
    Key,
    a_record,
    an_accreditation,
    an_anchor,
    an_entry,
    certificate_fields,
    declaration_fields,
)
from tests.verifier.verifiers import Question

OPERATOR = Key()
STRANGER = Key()
ACCREDITATION = "0x" + "cd" * 20
SAME = object()
READ_AT = NOON - timedelta(minutes=10)


def holding(
    now: Accreditation | None, at_issue: Any = SAME, at_anchoring: Any = SAME
) -> dict[str, Accreditation | None]:
    """What a ledger held of a key, in the words of a reading: all the time the same, unless told otherwise."""
    then = now if at_issue is SAME else at_issue
    late = then if at_anchoring is SAME else at_anchoring
    return {"accreditation": now, "accreditation_at_issue": then, "accreditation_at_anchoring": late}


def entry_of(record: sd_jwt.Record, kind: Kind) -> Entry:
    """What stands for a record in its batch."""
    stated = record.subject.get("quantity") if kind is Kind.CERTIFICATE_OF_ORIGIN else None
    return Entry(kind, quantity_steps(Decimal(str(stated or 0))), sha256(record.signed_jwt.encode()).digest())


def sealed(records: Sequence[tuple[sd_jwt.Record, Kind]], size: int) -> tuple[Batch, list[int]]:
    """A batch of this size with these records in it, and their places."""
    own = [entry_of(*one) for one in records]
    fillers = [an_entry(list(Kind)[number % 4], f"filler {number}") for number in range(size - len(own))]
    entries = sorted([*fillers, *own], key=lambda one: KINDS[one.kind].segment)
    return seal(entries), [entries.index(one) for one in own]


@dataclass(frozen=True)
class Sample:
    """A bundle as its parts, so that a test may change one of them and put it together again."""

    bundle: Bundle
    stated: Snapshot
    signer: Key = OPERATOR
    trust: Trust = field(default_factory=Trust)

    def question(self, **changes: Any) -> Question:
        """The question whether it is valid."""
        return replace(Question(self.content, self.trust, NOON), **changes)

    @property
    def content(self) -> bytes:
        """The file."""
        return bundle.text(self.bundle).encode()

    def stating(self, stated: Snapshot, signer: Key | None = None) -> "Sample":
        """The same with another snapshot, properly signed."""
        text = snapshot.sign(stated, (signer or self.signer).jwk, (signer or self.signer).sign)
        return replace(self, bundle=replace(self.bundle, snapshot=text), stated=stated)

    def reading(self, number: int = 0, **changes: Any) -> "Sample":
        """The same where the ledger held something else of one record."""
        readings = list(self.stated.readings)
        readings[number] = replace(readings[number], **changes)
        return self.stating(replace(self.stated, readings=tuple(readings)))


def a_sample(
    records: Sequence[tuple[sd_jwt.Record, Kind]] | None = None,
    size: int = 10,
    shown: Sequence[str] | None = None,
    superseded: Sequence[str] = (),
    held: Accreditation | None = None,
) -> Sample:
    """A valid bundle; by default of one certificate of origin."""
    records = records or [(a_record(), Kind.CERTIFICATE_OF_ORIGIN)]
    batch, places = sealed(records, size)
    anchor = an_anchor(batch.root)
    evidence, readings = [], []
    for (record, kind), leaf_index in zip(records, places, strict=True):
        proof, entry = batch.proof(leaf_index), entry_of(record, kind)
        disclosed = record if shown is None else record.disclosing(shown)
        evidence.append(Evidence(disclosed, kind, entry.quantity, proof, anchor))
        readings.append(
            Reading(
                root=anchor.root,
                leaf_index=leaf_index,
                transaction=anchor.transaction,
                block=anchor.block,
                state=ProofState.FINAL,
                segments=batch.segments,
                anchorer=1,
                block_time=anchor.block_time,
                status=0,
                key=str(record.header["kid"]),
                **holding(held or an_accreditation()),
            )
        )
    ledger = bundle_verification.ledger_of(anchor)
    stated = Snapshot(ledger, ACCREDITATION, 9, NOON - timedelta(minutes=30), READ_AT, tuple(readings))
    trusted = Trusted("Operator", ledger, ACCREDITATION, 0, (sd_jwt.b64(OPERATOR.thumbprint),))
    text = snapshot.sign(stated, OPERATOR.jwk, OPERATOR.sign)
    return Sample(Bundle(tuple(evidence), tuple(superseded), text), stated, trust=Trust((trusted,)))


def digest_of(record: sd_jwt.Record) -> str:
    """By what a declaration names a record."""
    return sha256(record.signed_jwt.encode("ascii")).hexdigest()


def a_dossier(replacements: int = 0, size: int = 12) -> Sample:
    """A declaration with its certificate and report; the certificate replaced the named one so many times."""
    named = a_record(fields=certificate_fields(certificateNumber="FIRST"))
    report = a_record(Kind.INSPECTION_REPORT)
    newest, line = named, []
    for number in range(replacements):
        if number:
            line.append(newest.signed_jwt)
        fields = certificate_fields(certificateNumber=f"C-{number}")
        newest = a_record(fields=fields, supersedes=digest_of(newest))
    papers = [
        {"id": f"00000000-0000-4000-8000-00000000000{number}", "kind": kind, "sha256": digest_of(one)}
        for number, (kind, one) in enumerate({"certificate-of-origin": named, "inspection-report": report}.items())
    ]
    lodged = a_record(Kind.DECLARATION, declaration_fields(records=papers))
    records = [
        (lodged, Kind.DECLARATION),
        (newest, Kind.CERTIFICATE_OF_ORIGIN),
        (report, Kind.INSPECTION_REPORT),
    ]
    return a_sample(records, size, superseded=list(reversed(line)))


def the_samples() -> dict[str, Sample]:
    """Valid bundles of many shapes."""
    kinds = {kind.name.lower(): a_sample([(a_record(kind), kind)]) for kind in Kind}
    return kinds | {
        "alone in its batch": a_sample(size=1),
        "odd batch": a_sample(size=7),
        "batch of 10,000": a_sample(size=10_000),
        "some fields": a_sample(shown=["hsCode", "originCountry", "quantity"]),
        "one field": a_sample(shown=["quantity"]),
        "no field of a report": a_sample([(a_record(Kind.INSPECTION_REPORT), Kind.INSPECTION_REPORT)], shown=[]),
        "dossier": a_dossier(),
        "dossier with a replaced paper": a_dossier(1),
        "dossier with a line of papers": a_dossier(3),
    }
