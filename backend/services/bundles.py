"""Make bundles: what a reader needs to verify a record, or a consignment's papers, without asking this server.

A holder may choose the fields of a record that a bundle shows (selective disclosure): it still proves those.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.domain import sd_jwt
from backend.domain.bundle import Bundle
from backend.domain.bundle_verification import key_named
from backend.domain.consignment import Consignment
from backend.domain.errors import Conflict, ForeignLedger, Invalid, LedgerUnavailable
from backend.domain.evidence import Evidence, LedgerName, ledger_of
from backend.domain.kinds import Audience
from backend.domain.ledger import Head
from backend.domain.parties import Person
from backend.domain.records import ProofState, RecordOnFile
from backend.domain.sd_jwt import issued_at
from backend.domain.selective_disclosure import always_shown, chosen, fields_for
from backend.domain.signature_terms import SignatureTerms
from backend.domain.snapshot import Reading, Snapshot
from backend.domain.trust import Trust, Trusted
from backend.services.ports import AppContext
from backend.services.records import visible_record
from backend.services.verification import evidence_of, revocation_of
from backend.store.unit_of_work import UnitOfWork


def bundle_of(ctx: AppContext, on_file: RecordOnFile, shown: Sequence[str] | None = None) -> Bundle:
    """Make the bundle of one record.

    ``shown`` names the fields to disclose in addition to those that are always shown. None discloses all.

    Raises:
        Conflict: The record was erased, or what is stored of it was altered.
    """
    found = _evidence(on_file)
    if shown is not None:
        found = replace(found, record=found.record.disclosing([*shown, *always_shown(found.kind)]))
    return Bundle((found,), (), _snapshot(ctx, [(on_file, found)]))


@dataclass(frozen=True)
class Choice:
    """A record, and for each of its fields whether it is shown."""

    record: RecordOnFile
    shown: dict[str, bool]


def choose(
    ctx: AppContext, actor: Person, record_id: str, audience: Audience | None, names: Sequence[str] = ()
) -> Choice:
    """Choose the fields to show: those that ``audience`` needs, or those in ``names``, with those always shown.

    Raises:
        NotFound: There is no such record, or the actor may not read it.
        Conflict: The record was erased, or what is stored of it was altered.
        Invalid: A name is no field of the record's kind.
    """
    with ctx.work(reading=True) as work:
        on_file = visible_record(ctx, work, actor, record_id)
    wanted = fields_for(audience, on_file.kind) if audience is not None else chosen(on_file.kind, names)
    shown = {*wanted, *always_shown(on_file.kind)}
    return Choice(on_file, {name: name in shown for name in _shown_fields_of(on_file)})


def _shown_fields_of(on_file: RecordOnFile) -> dict[str, Any]:
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is nothing left to show", erased_at=on_file.erased_at)
    try:
        return on_file.fields
    except Invalid as error:
        raise Conflict("what is kept of this record was tampered with", record=on_file.id) from error


def present(ctx: AppContext, choice: Choice) -> Bundle:
    """Make the bundle that discloses the chosen fields only."""
    return bundle_of(ctx, choice.record, sorted(name for name, is_shown in choice.shown.items() if is_shown))


def bundle_of_consignment(ctx: AppContext, work: UnitOfWork, consignment: Consignment) -> Bundle:
    """Make the bundle of a declaration with its papers, each in its latest version.

    An erased paper is left out, and the verdict on the bundle reports it as missing.

    Raises:
        Conflict: The declaration or a paper was altered in the database.
    """
    named = {paper["id"]: paper["sha256"] for paper in _evidence(consignment.record).record.subject.get("records", [])}
    followed = (work.records.latest_of(work.records.get(one)) for one in named)
    # By id: where a declaration names a statement and what replaced it, both lead to one record, which is in it once.
    papers = {newest.id: newest for newest in followed if newest.erased_at is None}
    kept = [(on_file, _evidence(on_file)) for on_file in (consignment.record, *papers.values())]
    line = [text for newest in papers.values() for text in _between(work, newest, set(named.values()))]
    return Bundle(tuple(found for _, found in kept), tuple(line), _snapshot(ctx, kept))


def _evidence(on_file: RecordOnFile) -> Evidence:
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is no evidence left", erased_at=on_file.erased_at)
    try:
        return evidence_of(on_file)
    except Invalid as error:
        raise Conflict("what is kept of this record was tampered with", record=on_file.id) from error


def _between(work: UnitOfWork, newest: RecordOnFile, named: set[str]) -> list[str]:
    """List the issuer-signed JWTs of the versions between the newest record and the one that the declaration names.

    A verifier follows their signed ``supersedes`` digests from one to the other.
    """
    between: list[str] = []
    current = newest
    while current.digest not in named and current.supersedes_id is not None:
        current = work.records.get(current.supersedes_id)
        if current.digest not in named and current.erased_at is None:
            between.append(current.signed_jwt)
    return between


def trust_of(ctx: AppContext, name: str) -> Trust:
    """Return the entries about this installation for a reader's trust file, under the name given.

    Raises:
        LedgerUnavailable: The ledger cannot be read.
        ForeignLedger: The ledger that answers is not the one of this installation.
    """
    head = ctx.ledger.head()
    return own_trust(ctx, name, head.ledger_name, head.accreditation_address.lower(), head.revocations_address)


def own_trust(
    ctx: AppContext, name: str, ledger: LedgerName, accreditation: str, revocations: str | None = None
) -> Trust:
    """Return the trust entries about the present ledger and about those that it replaced."""
    keys, confirmations = ctx.keys.operator.thumbprints(), ctx.ledger.confirmations
    former = ctx.keys.operator.former_ledgers()
    # What was signed for a lost ledger is anchored anew on this one.
    succeeds = tuple(one for one, _ in former)
    present = Trusted(name, ledger, accreditation, confirmations, keys, revocations and revocations.lower(), succeeds)
    return Trust((present, *(Trusted(name, one, accredited, confirmations, keys) for one, accredited in former)))


def _snapshot(ctx: AppContext, kept: Sequence[tuple[RecordOnFile, Evidence]]) -> str | None:
    """Sign what the ledger holds of these records. None where it cannot be asked or holds none of them yet."""
    try:
        head = ctx.ledger.head()
        readings = [reading for one in kept if (reading := _reading(ctx, head, *one)) is not None]
    # A bundle without a snapshot still proves signature and inclusion, and a node can be asked for the rest.
    except (LedgerUnavailable, ForeignLedger):
        return None
    if not readings:
        return None
    stated = Snapshot(
        ledger=head.ledger_name,
        accreditation=head.accreditation_address.lower(),
        block=head.number,
        block_time=head.block_time,
        read_at=ctx.now(),
        readings=tuple(readings),
    )
    return ctx.keys.operator.sign(stated)


def _reading(ctx: AppContext, head: Head, on_file: RecordOnFile, found: Evidence) -> Reading | None:
    anchor, proof, key = found.anchor, found.proof, key_named(found.record)
    if anchor is None or proof is None or key is None or ledger_of(anchor) != head.ledger_name:
        return None
    batch_key = ctx.ledger.batch_key(anchor.root)
    batch, receipt = ctx.ledger.batch(batch_key), ctx.ledger.receipt(anchor.transaction)
    if batch is None or receipt is None or not receipt.succeeded:
        return None
    is_final = head.number - receipt.block_number >= ctx.ledger.confirmations
    issued = issued_at(found.record)
    terms = SignatureTerms() if issued is None else ctx.ledger.terms_of_signature(key, issued, batch.anchored_at)
    return Reading(
        root=anchor.root,
        leaf_index=proof.leaf_index,
        transaction=anchor.transaction,
        block=receipt.block_number,
        state=ProofState.FINAL if is_final else ProofState.ANCHORED,
        segments=batch.segments,
        anchorer=batch.anchorer,
        block_time=batch.anchored_at,
        # A revocation that we know of and that the ledger shows only in its next block is stated already.
        status=ctx.ledger.status(batch_key, proof.leaf_index) or on_file.status,
        key=sd_jwt.b64(key),
        accreditation=ctx.ledger.accreditation(key),
        accreditation_at_issue=terms.signed_under,
        accreditation_at_anchoring=terms.anchored_under,
        revocation=revocation_of(ctx.ledger, found),
    )
