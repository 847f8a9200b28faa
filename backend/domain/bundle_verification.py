"""The verdict on a bundle, by the snapshot in it and the reader's trust file, or by a ledger that was just read.

Without the ledger, its facts count only if a signer whom the reader trusts has signed them, and only for as long as the
reader allows. Facts that are unknown make the verdict INDETERMINATE, never INVALID or VALID.

A reader of the ledger (the operator, a customs office, anybody with a node) may sign a snapshot of exactly what the
ledger showed. It states what speaks against a record as well as what speaks for it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from backend.domain import bundle as bundles
from backend.domain import sd_jwt, snapshot, strict_json
from backend.domain.bundle import Bundle, MalformedBundle
from backend.domain.dossier import BUNDLE, LEDGER, NAMED_RECORD, SNAPSHOT
from backend.domain.errors import Invalid
from backend.domain.evidence import Evidence, ledger_of
from backend.domain.kinds import Kind
from backend.domain.ledger import Accreditation, AnchoredBatch
from backend.domain.record_checks import evaluate_as_signed, faults_of_form, signature
from backend.domain.sd_jwt import issuer_name
from backend.domain.snapshot import MalformedSnapshot, Reading, SignedSnapshot, Snapshot
from backend.domain.trust import Trust, Trusted
from backend.domain.verdict import CLOCKS_MAY_DIFFER, Check, LedgerFacts, Outcome, Unknown, Verdict, about

NOT_SEALED = Unknown("not sealed yet")
NOT_AT_HAND = Unknown("nobody trusted has said what it holds", "ledger-not-consulted")


@dataclass(frozen=True)
class FactSource:
    """Where the ledger's facts about each record come from.

    ``checks`` report on the source, ``facts`` returns the facts of a record, and ``as_of`` is when they were read.
    """

    checks: tuple[Check, ...]
    facts: Callable[[Evidence], LedgerFacts]
    as_of: datetime


def read(content: bytes, moment: datetime) -> Bundle | Verdict:
    """Return the bundle in a file, or the verdict where it holds none or where a record in it was altered."""
    try:
        if len(content) > bundles.LARGEST:
            raise MalformedBundle("longer than {most} bytes", most=bundles.LARGEST)
        return _read(strict_json.loads(content), moment)
    except (MalformedBundle, strict_json.HostileJson) as error:
        check = BUNDLE.answer("bundle-malformed", {"why": error.message})
        return Verdict.of([check], moment)


def _read(values: object, moment: datetime) -> Bundle | Verdict:
    try:
        return bundles.read(values)
    except (sd_jwt.MalformedRecord, strict_json.HostileJson) as error:
        check = signature.answer("record-altered", {"why": error.message})
        return Verdict.of([check], moment)


def verdict_on(bundle: Bundle, source: FactSource, moment: datetime) -> Verdict:
    """Return the verdict on every record in a bundle, and on whether they are those that the declaration names.

    The forms of documents are not checked, because verifier/verify.py and the HTML verifier do not know them and must
    reach the same verdict.
    """
    checks = list(source.checks)
    for number, one in enumerate(bundle.records, 1):
        checks += about(str(number), evaluate_as_signed(one, source.facts(one), moment).checks)
    return Verdict.of([*checks, *named(bundle)], source.as_of)


@dataclass(frozen=True)
class Remark:
    """How a fully disclosed record fails the form of its kind. It is shown below the verdict and is not part of it."""

    record: str
    faults: tuple[tuple[str, str], ...]


def remarks(bundle: Bundle, verdict: Verdict) -> list[Remark]:
    """Return remarks on the records whose content passed as signed."""
    whole = {check.record for check in verdict.checks if check.reason == "content-complete"}
    found = [(str(number), faults_of_form(one)) for number, one in enumerate(bundle.records, 1)]
    return [Remark(number, tuple(faults)) for number, faults in found if faults and number in whole]


# ---- by the snapshot


def snapshot_facts(bundle: Bundle, trust: Trust, moment: datetime, max_age: timedelta) -> FactSource:
    """Return the ledger's facts from the snapshot, where the reader's trust file and ``max_age`` allow it."""
    signed = _signed(bundle)
    check = signed if isinstance(signed, Check) else _trusted(signed, trust, moment, max_age)
    if check.outcome is not Outcome.PASS or not isinstance(signed, SignedSnapshot):
        return FactSource((check,), lambda _: LedgerFacts(moment, NOT_AT_HAND, NOT_AT_HAND, NOT_AT_HAND), moment)
    succeeds = _speaking(signed, trust)[0].succeeds
    return FactSource((check,), lambda one: replace(_facts(one, signed), succeeds=succeeds), signed.snapshot.read_at)


def integrity(bundle: Bundle) -> tuple[Check, ...]:
    """Return a check that reports an altered snapshot. Where the ledger itself is read, it need not be trusted."""
    signed = _signed(bundle)
    is_altered = isinstance(signed, Check) and signed.reason == "snapshot-altered"
    return (signed,) if is_altered and isinstance(signed, Check) else ()


def _signed(bundle: Bundle) -> SignedSnapshot | Check:
    if bundle.snapshot is None:
        return SNAPSHOT.answer("snapshot-missing")
    try:
        return snapshot.read(bundle.snapshot)
    except MalformedSnapshot as error:
        return SNAPSHOT.answer("snapshot-altered", {"why": error.message})


def _trusted(signed: SignedSnapshot, trust: Trust, moment: datetime, max_age: timedelta) -> Check:
    stated = signed.snapshot
    values = {"signer": signed.signer, "read_at": stated.read_at}
    if not trust.knows(signed.signer):
        return SNAPSHOT.answer("snapshot-signer-untrusted", values)
    entries = _speaking(signed, trust)
    if not entries:
        return SNAPSHOT.answer("snapshot-ledger-untrusted", values)
    values["name"] = entries[0].name
    # A snapshot read after the moment asked about would show later changes as if they were known then.
    if stated.read_at - moment > CLOCKS_MAY_DIFFER:
        return SNAPSHOT.answer("snapshot-too-new", values)
    if moment - stated.read_at > max_age:
        return SNAPSHOT.answer("snapshot-too-old", values)
    return SNAPSHOT.answer("snapshot-trusted", {**values, "block": stated.block})


def _speaking(signed: SignedSnapshot, trust: Trust) -> list[Trusted]:
    """Return the entries that let a snapshot's signer speak for its ledger."""
    stated = signed.snapshot
    return [e for e in trust.of(stated.ledger) if signed.signer in e.keys and e.accreditation == stated.accreditation]


def key_named(record: sd_jwt.Record) -> bytes | None:
    """Return the thumbprint (32 bytes) that a record names as its key, or None where it is not one."""
    try:
        key = sd_jwt.unb64(str(record.header.get("kid", "")))
    except sd_jwt.MalformedRecord:
        return None
    return key if len(key) == 32 else None


def _facts(one: Evidence, signed: SignedSnapshot) -> LedgerFacts:
    stated, anchor, proof = signed.snapshot, one.anchor, one.proof
    if anchor is None or proof is None:
        return LedgerFacts(stated.read_at, NOT_SEALED, NOT_SEALED, NOT_AT_HAND)
    reading = stated.of(anchor.root, proof.leaf_index)
    kept = one.record.header.get("kid")
    if (
        reading is None
        # All of it must match, or a snapshot about one record could be attached to another.
        or stated.ledger != ledger_of(anchor)
        or (reading.transaction, reading.key) != (anchor.transaction, kept)
    ):
        unknown = Unknown("the snapshot speaks of another record", "snapshot-record-mismatch")
        return LedgerFacts(stated.read_at, unknown, unknown, unknown)
    return LedgerFacts(
        as_of=stated.read_at,
        batch=reading.batch,
        status=reading.status,
        accreditation=reading.accreditation,
        accreditation_at_issue=reading.accreditation_at_issue,
        accreditation_at_anchoring=reading.accreditation_at_anchoring,
        revocation=reading.revocation,
        state=reading.state,
        anchor_block=reading.block,
    )


# ---- a consignment's papers


def named(bundle: Bundle) -> list[Check]:
    """Check whether the papers are those that the declaration's signature binds, or replace them by signed links."""
    used: list[str] = []
    checks = list(_named(bundle, used))
    # Nothing may be in a bundle that no check uses: it could be exchanged unnoticed.
    if used != list(bundle.superseded):
        why = "its superseded records are others than are needed, or in another order"
        checks.append(BUNDLE.answer("bundle-malformed", {"why": why}))
    return checks


def _out_of_order() -> Check:
    why = "its papers stand in another order than the declaration names them in"
    return BUNDLE.answer("bundle-malformed", {"why": why})


def _named(bundle: Bundle, used: list[str]) -> Iterator[Check]:
    declaration, *papers = bundle.records
    if not papers:
        return
    subject = declaration.record.subject
    if "records" not in subject and declaration.record.withheld:
        yield NAMED_RECORD.answer("documents-withheld", {}, "1")
        return
    listed = _listed(subject.get("records"))
    found = list[str]()
    for number, paper in enumerate(papers, 2):
        values = {"issuer": issuer_name(paper.record)}
        digest, is_direct = _leads_to(bundle, paper, listed, used)
        if digest is None:
            yield NAMED_RECORD.answer("document-not-named", values, str(number))
            continue
        found.append(digest)
        reason = "document-named" if is_direct else "document-confirmed"
        yield NAMED_RECORD.answer(reason, values, str(number))
    positions = [listed[digest].position for digest in found]
    # A set, so that a paper which stands there twice is refused as well.
    if positions != sorted(set(positions)):
        yield _out_of_order()
    if missing := set(listed) - set(found):
        yield NAMED_RECORD.answer("documents-missing", {"count": len(missing)}, "1")


@dataclass(frozen=True)
class _Named:
    """The first position at which a declaration names a record, and as what kind."""

    position: int
    kind: object

    def may_be(self, kind: Kind) -> bool:
        """Tell whether a paper of this kind may stand for it. A reference without a kind allows any."""
        return not isinstance(self.kind, str) or self.kind == kind.slug


def _listed(records: object) -> dict[str, _Named]:
    """Return the records that a declaration names, by digest."""
    named: dict[str, _Named] = {}
    for position, one in enumerate(records if isinstance(records, list) else []):
        if isinstance(one, dict) and isinstance(one.get("sha256"), str):
            named.setdefault(one["sha256"], _Named(position, one.get("kind")))
    return named


def _leads_to(
    bundle: Bundle, paper: Evidence, listed: Mapping[str, _Named], used: list[str]
) -> tuple[str | None, bool]:
    """Return the named digest that a paper has or replaces, and whether it is that very paper.

    The superseded texts that led there are appended to ``used``.
    """
    digest = sha256(paper.record.signed_jwt.encode()).hexdigest()
    if digest in listed:
        return digest, True
    current: sd_jwt.Record | None = paper.record
    # Bounded, so that links in a circle cannot loop for ever.
    for _ in range(len(bundle.superseded) + 1):
        link = current.payload.get("supersedes") if current is not None else None
        # The end of the chain without a named record: the paper has nothing to do with this declaration.
        if not isinstance(link, str):
            return None, False
        if link in listed:
            return (link if listed[link].may_be(paper.kind) else None), False
        current = bundle.replaced(link)
        if current is not None:
            used.append(current.signed_jwt)
    return None, False


_MUST_STAND = frozenset({"BUNDLE", "SNAPSHOT", "LEDGER", "SIGNATURE", "CONTENT", "INCLUSION", "ANCHOR"})
"""Checks of the file itself, and of whether the right ledger was read and holds exactly these records finally."""


class NothingToSign(Invalid):
    """Raised when the ledger was not read, or holds no such record."""

    code = "nothing-to-sign"


def blockers(bundle: Bundle | None, verdict: Verdict) -> tuple[Check, ...]:
    """Return the checks because of which no snapshot may be signed; ``bundle`` is None where the file held none.

    A revoked record, a suspended key or a missing paper is no obstacle, because the snapshot reports it.
    """
    found = [*_of_form(bundle), *(check for check in verdict.checks if _blocks(check))]
    if any(check.code == "LEDGER" for check in found):  # what follows from it, record by record, need not be told
        found = [check for check in found if check.reason != "ledger-not-consulted"]
    return tuple(found)


def _of_form(bundle: Bundle | None) -> list[Check]:
    if bundle is None:
        return []
    ledgers = {ledger_of(one.anchor) for one in bundle.records if one.anchor is not None}
    if len(ledgers) > 1:
        return [LEDGER.answer("multiple-ledgers", {"count": len(ledgers)})]
    return []


def _blocks(check: Check) -> bool:
    if check.reason == "quantity-withheld":  # what the ledger holds of the record is the same whoever shows how much
        return False
    if check.outcome is Outcome.INDETERMINATE:
        return check.code in _MUST_STAND or check.code == "STATUS"  # a status that nobody knows
    return check.outcome is Outcome.FAIL and (check.code in _MUST_STAND or check.code == "NAMED_RECORD")


def statement_of(
    bundle: Bundle, source: FactSource, ledger: Trusted, block: int, block_time: datetime, read_at: datetime
) -> Snapshot:
    """Return the snapshot of what was read about every record in the bundle.

    Raises:
        NothingToSign: if the ledger did not show one of them.
    """
    return Snapshot(
        ledger=ledger.ledger,
        accreditation=ledger.accreditation,
        block=block,
        block_time=block_time,
        read_at=read_at,
        readings=tuple(_reading(one, source.facts(one)) for one in bundle.records),
    )


def _reading(one: Evidence, facts: LedgerFacts) -> Reading:
    anchor, proof, key = one.anchor, one.proof, key_named(one.record)
    if anchor is None or proof is None or key is None or facts.anchor_block is None:
        raise NothingToSign("a record is not on the ledger, or names no key")
    published = facts.revocation
    if (
        not isinstance(facts.batch, AnchoredBatch)
        or isinstance(facts.status, Unknown)
        or isinstance(published, Unknown)
    ):
        raise NothingToSign("the ledger did not show a record")
    now, at_issue, at_anchoring = (
        _shown(held) for held in (facts.accreditation, facts.accreditation_at_issue, facts.accreditation_at_anchoring)
    )
    return Reading(
        root=anchor.root,
        leaf_index=proof.leaf_index,
        transaction=anchor.transaction,
        block=facts.anchor_block,
        state=facts.state,
        segments=facts.batch.segments,
        anchorer=facts.batch.anchorer,
        block_time=facts.batch.anchored_at,
        status=facts.status,
        key=sd_jwt.b64(key),
        accreditation=now,
        accreditation_at_issue=at_issue,
        accreditation_at_anchoring=at_anchoring,
        revocation=published,
    )


def _shown(held: Accreditation | Unknown | None) -> Accreditation | None:
    if isinstance(held, Unknown):
        raise NothingToSign("the ledger did not show what an issuer's key may sign")
    return held
