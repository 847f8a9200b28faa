"""Verdicts on records on file, on a consignment's papers together, and on bundles that are uploaded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

from backend.domain import bundle as bundles
from backend.domain import bundle_verification, sd_jwt, strict_json
from backend.domain.consignment import Consignment, PlannedDrawdown
from backend.domain.dossier import NAMED_RECORD, BoundFiles, Paper, attachments
from backend.domain.drawdowns import drawdown_checks
from backend.domain.errors import ForeignLedger, Invalid, LedgerUnavailable, Message
from backend.domain.evidence import Anchor, Evidence, LedgerName, ledger_of
from backend.domain.kinds.declaration import Declaration
from backend.domain.ledger import Accreditation, AnchoredBatch, Head, Revocation, accreditation_at, earliest
from backend.domain.record_checks import anchor, content, evaluate, evaluate_at, signature
from backend.domain.records import ProofState, RecordOnFile, SealedBatch
from backend.domain.sd_jwt import issued_at
from backend.domain.signature_terms import SignatureTerms
from backend.domain.trade_match import agrees, found_to_agree, match
from backend.domain.verdict import Check, Conclusion, LedgerFacts, Outcome, Unknown, Verdict, about
from backend.services.drawdowns import drawn_elsewhere, shares
from backend.services.ports import AppContext, Ledger
from backend.store.unit_of_work import UnitOfWork

Fact = TypeVar("Fact")
_WAITING = Unknown("not sealed yet")
MOST_RECORDS = 64
"""The largest number of records in a bundle that is verified here. A declaration names at most 50."""
MOST_SUPERSEDED = 200


class TooMuchWork(Invalid):
    """The bundle holds more records than the server verifies for a request that anybody may send."""

    code = "too-much-work"


@dataclass(frozen=True)
class RecordVerdict:
    """A record with its verdict, for a page or an answer."""

    record: RecordOnFile
    verdict: Verdict


def evaluated(ctx: AppContext, records: Iterable[RecordOnFile]) -> list[RecordVerdict]:
    """Return the records of a list, each with the same verdict that the record's own page shows."""
    with ctx.ledger.at_one_block():
        return [RecordVerdict(on_file, verdict_on(ctx, on_file)) for on_file in records]


def evidence_of(on_file: RecordOnFile) -> Evidence:
    """Return the evidence stored for a record, with proof and anchor as far as they exist.

    Raises:
        MalformedRecord: What is stored was altered.
    """
    batch = on_file.batch
    anchored = None
    if batch is not None and batch.state in (ProofState.ANCHORED, ProofState.FINAL):
        anchored = Anchor(
            chain_id=batch.chain_id or 0,
            ledger=batch.ledger_address or "",
            instance_id=batch.instance_id or bytes(32),
            root=batch.root,
            transaction=batch.transaction_hash or bytes(32),
            block=batch.block or 0,
            block_time=batch.anchored_at or batch.sealed_at,
        )
    return Evidence(on_file.sd_jwt, on_file.kind, on_file.quantity, on_file.proof, anchored)


def verdict_on(
    ctx: AppContext, on_file: RecordOnFile, then: datetime | None = None, *, for_everybody: bool = False
) -> Verdict:
    """Return the verdict on one record on file, now or at a past moment (``then``).

    The stated reason of a revocation is left out if ``for_everybody``, since it is free text and may name people.

    Raises:
        Invalid: ``then`` lies in the future.
    """
    _check_past(ctx, then)
    if on_file.erased_at is not None:
        return _erased(ctx, on_file)
    try:
        found = evidence_of(on_file)
    except Invalid as error:
        return _altered(error.message, ctx.now())
    kept = _Kept(on_file.status, on_file.batch)
    verdict = _evaluate(ctx, found, kept) if then is None else _evaluate_at(ctx, found, on_file, then)
    checks = [_whole_on_file(_as_far_as_sent(check, on_file)) for check in verdict.checks]
    checks = checks if for_everybody else [_explained(check, on_file) for check in checks]
    return Verdict.of([*checks, *_attachments(ctx, found.record, are_needed=True)], verdict.as_of, verdict.at)


def _as_far_as_sent(check: Check, on_file: RecordOnFile) -> Check:
    """Replace the state "sealed" by the state on file: the evidence alone cannot tell that the batch was sent."""
    is_waiting = check.code == "ANCHOR" and check.values.get("state") is ProofState.SEALED
    return replace(check, values={**check.values, "state": on_file.proof_state}) if is_waiting else check


def _whole_on_file(check: Check) -> Check:
    """Answer for fields that are not shown: what is on file was stored whole, and nobody chose what it shows."""
    return content.answer("fields-missing", check.values) if check.reason == "fields-withheld" else check


def _explained(check: Check, on_file: RecordOnFile) -> Check:
    """Add to the status check what only this server knows: why it was revoked, and what replaced it."""
    if check.code != "STATUS" or check.outcome is not Outcome.FAIL:
        return check
    if check.reason in ("revoked", "suspended") and on_file.status_reason:
        return replace(check, values={**check.values, "why": on_file.status_reason})
    if check.reason == "superseded" and on_file.superseded_by_id:
        return replace(check, values={**check.values, "by": on_file.superseded_by_id})
    return check


def _check_past(ctx: AppContext, then: datetime | None) -> None:
    if then is not None and then > ctx.now():
        raise Invalid("a moment in the future", [("at", "lies in the future: nobody knows yet")])


def _erased(ctx: AppContext, on_file: RecordOnFile) -> Verdict:
    check = content.answer("erased", {"erased_at": on_file.erased_at})
    return Verdict.of([check], ctx.now())


def verdict_on_bundle(ctx: AppContext, bundle: Any, then: datetime | None = None) -> Verdict:
    """Return the verdict on an uploaded bundle, now or at a past moment (``then``).

    The ledger is asked directly, so the snapshot in the bundle need not be trusted here. It must not be altered,
    though.

    Raises:
        MalformedBundle: It is not a bundle at all.
        TooMuchWork: It holds more records than are verified here.
        Invalid: ``then`` lies in the future.
    """
    _check_past(ctx, then)
    _check_work(bundle)
    try:
        read = bundles.read(bundle)
    except (sd_jwt.MalformedRecord, strict_json.HostileJson) as error:
        return _altered(error.message, ctx.now())
    checks = list(bundle_verification.integrity(read))
    for number, found in enumerate(read.records, 1):
        verdict = _brought(ctx, found, then)
        checks += about(str(number), verdict.checks) if len(read.records) > 1 else verdict.checks
    return Verdict.of([*checks, *bundle_verification.named(read)], ctx.now(), then)


def _check_work(bundle: Any) -> None:
    """Refuse large bundles before they are read: each record costs signature checks and questions to the ledger."""
    for name, most in (("records", MOST_RECORDS), ("superseded", MOST_SUPERSEDED)):
        listed = bundle.get(name) if isinstance(bundle, Mapping) else None
        if isinstance(listed, list) and len(listed) > most:
            raise TooMuchWork(
                "the bundle holds {count} {name}, and at most {most} are verified here: verify it with "
                "provenport verify, or on the page /verify-offline",
                [(name, Message("has more than {most} entries", most=most))],
                count=len(listed),
                name=name,
                most=most,
            )


def _brought(ctx: AppContext, found: Evidence, then: datetime | None) -> Verdict:
    """Return the verdict on one record of an uploaded bundle."""
    if then is None:
        verdict = _evaluate(ctx, found, _Kept())
    else:
        with ctx.work(reading=True) as work:
            on_file = work.records.find_by_digest(found.entry.digest.hex())
        verdict = _evaluate_at(ctx, found, on_file, then)
    if verdict.conclusion is Conclusion.INVALID:
        return verdict
    return Verdict.of([*verdict.checks, *_attachments(ctx, found.record, are_needed=False)], verdict.as_of, verdict.at)


@dataclass(frozen=True)
class _Kept:
    """What we know of a record on file that the ledger may show only a block later."""

    status: int = 0
    batch: SealedBatch | None = None


def _attachments(ctx: AppContext, record: sd_jwt.Record, *, are_needed: bool) -> list[Check]:
    """Check whether the files that the record binds are stored here with the bytes that were signed."""
    bound = record.subject.get("attachments")
    if not isinstance(bound, list) or not bound:
        return []
    # Anybody may upload a bundle, so the list can hold anything.
    files = [one if isinstance(one, dict) else {} for one in bound]
    named = tuple((str(one.get("fileName", "")), str(one.get("sha256", ""))) for one in files)
    return attachments(BoundFiles(named, ctx.files.is_intact, are_needed))


def _altered(why: str, now: datetime) -> Verdict:
    return Verdict.of([signature.answer("record-altered", {"why": why})], now)


def _evaluate(ctx: AppContext, found: Evidence, kept: _Kept) -> Verdict:
    now = ctx.now()
    head = _ask(ctx.ledger.head)
    # A record anchored on another ledger: what ours holds says nothing about it.
    if found.anchor is not None and isinstance(head, Head) and ledger_of(found.anchor) != head.ledger_name:
        elsewhere = anchor.answer("ledger-mismatch")
        facts = LedgerFacts(now, _WAITING, _WAITING, _WAITING)
        checks = [c for c in evaluate(found, facts, now).checks if c.reason != "ledger-unavailable"]
        return Verdict.of([*checks, elsewhere], now)
    return evaluate(found, _facts(ctx, found, head, now, kept), now)


def _evaluate_at(ctx: AppContext, found: Evidence, on_file: RecordOnFile | None, then: datetime) -> Verdict:
    """Return the verdict at a past moment, from what the ledger holds now and held then."""
    now = ctx.now()
    head = _ask(ctx.ledger.head)
    if found.anchor is not None and isinstance(head, Head) and ledger_of(found.anchor) != head.ledger_name:
        here = _evaluate(ctx, found, _Kept())
        return Verdict.of(here.checks, here.as_of, then)
    facts = _facts(ctx, found, head, now, _Kept())
    key = _key_named(found.record)
    if key is not None and isinstance(facts.accreditation, Accreditation):
        earlier = _ask(lambda: ctx.ledger.terms_of_signature(key, then, then).signed_under)
        held = earlier if isinstance(earlier, Unknown) else accreditation_at(earlier, facts.accreditation)
        facts = replace(facts, accreditation=held)
    if isinstance(facts.revocation, Revocation) and facts.revocation.published_at > then:
        facts = replace(facts, revocation=None)
    status = facts.status if isinstance(facts.status, Unknown) else _status_then(ctx, facts.status, on_file, then)
    return evaluate_at(found, replace(facts, status=status), then)


def _status_then(ctx: AppContext, on_ledger: int, on_file: RecordOnFile | None, then: datetime) -> int | Unknown:
    """Return the status at a past moment.

    The ledger keeps the present status only. When it changed is taken from the blocks of our own transactions, and only
    if these lead to the status that the ledger shows now. Otherwise it is unknown.
    """
    if on_file is None:
        return Unknown("when its status changed is known to its issuer's server only")
    with ctx.work(reading=True) as work:
        changes = work.status_changes.of_record(on_file.id)
    mined = [
        (change.transaction.block_time, change.new_status)
        for change in changes
        if change.transaction is not None
        and change.transaction.block_time is not None
        and change.transaction.refusal is None
    ]
    # Another server's change, or one that was never sent, leaves a gap in what our own transactions tell.
    if (mined[-1][1] if mined else 0) != on_ledger or any(change.settled for change in changes):
        return Unknown("when its status changed is not known here")
    return next((status for moment, status in reversed(mined) if moment <= then), 0)


def _may_be_reorganised(ctx: AppContext, batch: SealedBatch, head: Head | Unknown) -> bool:
    """Tell whether the root may be missing for a while, since its block can still leave the chain and come back."""
    if batch.state is not ProofState.FINAL or isinstance(head, Unknown):
        return True
    return head.number < (batch.block or 0) + ctx.ledger.confirmations


def _facts(ctx: AppContext, found: Evidence, head: Head | Unknown, now: datetime, kept: _Kept) -> LedgerFacts:
    is_on_its_way = kept.batch is not None and _may_be_reorganised(ctx, kept.batch, head)
    if isinstance(head, Unknown):
        return LedgerFacts(now, head, head, head, is_on_its_way=is_on_its_way)
    key = _key_named(found.record)
    accreditation = _ask(lambda: ctx.ledger.accreditation(key)) if key else None
    anchor, proof = found.anchor, found.proof
    batch_key: bytes | Unknown = _WAITING
    if anchor is not None and proof is not None:
        batch_key = _ask(lambda: ctx.ledger.batch_key(anchor.root, anchor.transaction))
    batch = _of(batch_key, ctx.ledger.batch)
    terms = SignatureTerms() if key is None else _terms_of_signature(ctx, key, found.record, batch)
    signed, anchored = (terms, terms) if isinstance(terms, Unknown) else (terms.signed_under, terms.anchored_under)
    if anchor is None or proof is None:
        return LedgerFacts(
            as_of=now,
            batch=batch,
            status=_WAITING,
            accreditation=accreditation,
            accreditation_at_issue=signed,
            accreditation_at_anchoring=anchored,
            is_on_its_way=is_on_its_way,
        )
    state, anchor_block = _finality(ctx, anchor, head)
    status = _of(batch_key, lambda key: ctx.ledger.status(key, proof.leaf_index))
    return LedgerFacts(
        as_of=now,
        batch=batch,
        # A status that was decided here counts at once, so that a revoked record is not VALID until the next block.
        status=status or kept.status,
        accreditation=accreditation,
        state=state,
        anchor_block=anchor_block,
        accreditation_at_issue=signed,
        accreditation_at_anchoring=anchored,
        revocation=_ask(lambda: revocation_of(ctx.ledger, found)),
        succeeds=_succeeded(ctx, found),
        is_on_its_way=is_on_its_way,
    )


def revocation_of(ledger: Ledger, found: Evidence) -> Revocation | None:
    """Return what is published of a record: by the anchorer that it names, or where it names none by any."""
    named = found.named_anchorer
    if named is not None:
        # Of others' batches the verdict believes nothing, so what they publish of copies must not end the original.
        return ledger.revocation(found.leaf, named.agent)
    return earliest(map(ledger.revocation, found.leaves))


def _succeeded(ctx: AppContext, found: Evidence) -> tuple[LedgerName, ...]:
    """Return the lost ledgers in whose place ours is, where a record was signed for another than it stands on."""
    named = found.named_anchorer
    if named is None or found.anchor is None or named.ledger == ledger_of(found.anchor):
        return ()
    return tuple(ledger for ledger, _ in ctx.keys.operator.former_ledgers())


def _terms_of_signature(
    ctx: AppContext, key: bytes, record: sd_jwt.Record, batch: AnchoredBatch | Unknown | None
) -> SignatureTerms | Unknown:
    """Return what the ledger held of a key when a record was signed and when it was anchored (decision 0019)."""
    issued = issued_at(record)
    if issued is None:
        return SignatureTerms()
    anchored = batch.anchored_at if isinstance(batch, AnchoredBatch) else None
    return _ask(lambda: ctx.ledger.terms_of_signature(key, issued, anchored))


def _key_named(record: sd_jwt.Record) -> bytes | None:
    try:
        key = sd_jwt.unb64(str(record.header.get("kid", "")))
    except (sd_jwt.MalformedRecord, UnicodeEncodeError):
        return None
    return key if len(key) == 32 else None


def _finality(ctx: AppContext, anchor: Anchor, head: Head) -> tuple[ProofState, int | None]:
    """Return how final the anchoring is, and its block: from the ledger's receipt, not from what the bundle states."""
    receipt = _ask(lambda: ctx.ledger.receipt(anchor.transaction))
    if receipt is None or isinstance(receipt, Unknown) or not receipt.succeeded:
        return ProofState.ANCHORED, None
    is_final = head.number - receipt.block_number >= ctx.ledger.confirmations
    return ProofState.FINAL if is_final else ProofState.ANCHORED, receipt.block_number


def _of(batch_key: bytes | Unknown, question: Callable[[bytes], Fact]) -> Fact | Unknown:
    """Ask about a batch, if its key could be told."""
    return batch_key if isinstance(batch_key, Unknown) else _ask(lambda: question(batch_key))


def _ask(question: Callable[[], Fact]) -> Fact | Unknown:
    try:
        return question()
    except (LedgerUnavailable, ForeignLedger) as error:
        return Unknown(error.message)


# A consignment's papers


@dataclass(frozen=True)
class DossierVerdict:
    """The verdict on a declaration and everything it relies on, together and for each paper."""

    verdict: Verdict
    declaration: RecordVerdict
    papers: tuple[RecordVerdict, ...]


def verdicts_on_consignments(
    ctx: AppContext, work: UnitOfWork, consignments: Iterable[Consignment], *, in_brief: bool = False
) -> list[DossierVerdict]:
    """Return the verdicts on the declarations of a list, each the same as that on its own page.

    With ``in_brief`` they may lack those checks across papers that let them pass: a list shows the conclusion and what
    decided it, and papers that were found to agree are not compared again until one of them is another text.
    """
    listed = list(consignments)
    planned = work.consignments.drawn_before(listed)
    drawn = work.drawdowns.drawn_by_others([one.id for one in listed if one.status.is_open])
    with ctx.ledger.at_one_block():
        return [
            _verdict_on_consignment(ctx, work, one, planned.get(one.id, ()), drawn.get(one.id, {}), in_brief)
            for one in listed
        ]


def verdict_on_consignment(ctx: AppContext, work: UnitOfWork, consignment: Consignment) -> DossierVerdict:
    """Return the verdict on a declaration with its papers, each in its latest version."""
    return verdicts_on_consignments(ctx, work, [consignment])[0]


def _verdict_on_consignment(
    ctx: AppContext,
    work: UnitOfWork,
    consignment: Consignment,
    earlier: Sequence[PlannedDrawdown],
    drawn: Mapping[str, int],
    in_brief: bool,
) -> DossierVerdict:
    declaration = RecordVerdict(consignment.record, verdict_on(ctx, consignment.record))
    wanted = consignment.planned_drawdowns if consignment.status.is_open else None
    named = {paper["id"]: paper["sha256"] for paper in consignment.record.readable_fields.get("records", [])}
    found = verdict_on_papers(ctx, work, Declared(consignment.record, named, wanted, earlier, drawn), in_brief=in_brief)
    checks = [*about(consignment.record.id, declaration.verdict.checks), *found.verdict.checks]
    if wanted is None:
        checks += _drawn(work, consignment)
    return DossierVerdict(Verdict.of(checks, ctx.now()), declaration, found.papers)


@dataclass(frozen=True)
class Declared:
    """What a declaration says, lodged or about to be, and what others take from its certificates.

    ``named`` are the digests of the papers by their ids, ``wanted`` what it takes from certificates, None once it is
    decided. ``earlier`` is what declarations before it take, ``drawn`` what is drawn for others, in thousandths by the
    id of a certificate's first version.
    """

    declaration: RecordOnFile | Declaration
    named: Mapping[str, str]
    wanted: Sequence[PlannedDrawdown] | None
    earlier: Sequence[PlannedDrawdown]
    drawn: Mapping[str, int]


@dataclass(frozen=True)
class PapersVerdict:
    """The verdict on the papers of a declaration: what each is by itself, and how they fit it and each other."""

    verdict: Verdict
    papers: tuple[RecordVerdict, ...]


def verdict_on_papers(
    ctx: AppContext, work: UnitOfWork, declared: Declared, *, in_brief: bool = False
) -> PapersVerdict:
    """Return the verdict on a declaration's papers, each in its latest version, for the merchant's desk and customs.

    What ``in_brief`` leaves out is told at ``verdicts_on_consignments``.
    """
    checks: list[Check] = []
    papers: list[RecordVerdict] = []
    for named_id, digest in declared.named.items():
        on_file = work.records.latest_of(work.records.get(named_id))
        verdict = verdict_on(ctx, on_file)
        papers.append(RecordVerdict(on_file, verdict))
        checks += about(on_file.id, [_is_the_named(work, named_id, digest, on_file), *verdict.checks])
    compared = _compared(declared, [one.record for one in papers], in_brief)
    if compared is not None:
        checks += compared
        if (wanted := declared.wanted) is not None:
            checks += shares(ctx, work, wanted, declared.drawn, drawn_elsewhere(ctx, work, wanted)).checks
    return PapersVerdict(Verdict.of(checks, ctx.now()), tuple(papers))


def _compared(declared: Declared, papers: Sequence[RecordOnFile], in_brief: bool) -> list[Check] | None:
    """Return the checks across papers, or None where the declaration was altered."""
    declaration = declared.declaration
    record, question, found = None, None, list[bool]()
    if isinstance(declaration, RecordOnFile):
        record, question = declaration.id, _question((declaration, *papers), declared.earlier)
        found = [] if question is None else found_to_agree(question)
        if in_brief and found:
            return []
        declaration = _document(declaration)
        if declaration is None:
            return None
    documents = [(paper.id, _document(paper)) for paper in papers]
    named = [Paper(*one) for one in documents if one[1] is not None]
    checks = match(declaration, named, declared.earlier, record)
    if question is not None and not found and agrees(checks) and len(named) == len(documents):
        found.append(True)
    return checks


def _question(records: Iterable[RecordOnFile], planned: Iterable[PlannedDrawdown]) -> bytes | None:
    """Return a digest of all on which a comparison of papers rests, or None where one of them was altered."""
    try:
        texts = [bytes([one.kind]) + one.sd_jwt.text_digest for one in records]
    except Invalid:
        return None
    drawn = [(one.heading, one.unit_code, one.quantity, one.is_shared) for one in planned]
    return sha256(b"".join(texts) + repr(drawn).encode()).digest()


def _document(on_file: RecordOnFile) -> Any:
    """Return the record's document, or None if it was altered, which the record's own verdict reports."""
    try:
        return on_file.document
    except Invalid:
        return None


def _is_the_named(work: UnitOfWork, named_id: str, named_digest: str, on_file: RecordOnFile) -> Check:
    """Check that a record is the one whose digest the declaration signs, or supersedes it by signed digests."""
    values = {"issuer": on_file.issuer.in_sentences}
    # The ids in the database are not signed, so only digests count.
    link, current = on_file.digest, on_file
    while link != named_digest and current.supersedes_id is not None:
        if current.erased_at is not None:
            gone = {"erased_at": current.erased_at}
            return NAMED_RECORD.answer("erased", gone)
        try:
            link = str(current.sd_jwt.payload.get("supersedes"))
        except Invalid:
            break
        current = work.records.get(current.supersedes_id)
        if link != current.digest:
            break
    if link != named_digest:
        return NAMED_RECORD.answer("document-not-named", values)
    if on_file.id == named_id:
        return NAMED_RECORD.answer("document-named", values)
    return NAMED_RECORD.answer("document-confirmed", values)


def snapshot(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as plain JSON values, to be kept with a decision."""
    return {
        "verdict": verdict.conclusion.value,
        "asOf": verdict.as_of.isoformat(),
        "checks": [
            {
                "code": check.code,
                "outcome": check.outcome.value,
                "reason": check.reason,
                "record": check.record,
                "values": {name: str(value) for name, value in check.values.items()},
            }
            for check in verdict.checks
        ],
    }


def _drawn(work: UnitOfWork, consignment: Consignment) -> list[Check]:
    """Report what a decided declaration has drawn."""
    standing = [drawdown for drawdown in work.drawdowns.of_declaration(consignment.id) if drawdown.is_standing]
    certificates = [(one.certificate_id, work.records.get(one.certificate_id)) for one in standing]
    units = {named: str(certificate.readable_fields.get("unitCode", "")) for named, certificate in certificates}
    return drawdown_checks(standing, units)
