"""The checks of one record: its signature, its place in a batch, and the ledger's facts about it and its issuer.

They are the same for pages, API and verifiers. They do no I/O: facts are passed in as values, and one that could not be
read is ``Unknown``, which never leads to INVALID.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from backend.domain import sd_jwt
from backend.domain.agreements import AGREEMENTS, Agreement
from backend.domain.evidence import ANCHORER_CLAIM, Evidence, LedgerName, ledger_of, steps_of
from backend.domain.kinds import KINDS, Kind, Segment
from backend.domain.kinds.certificate_of_origin import (
    PreferenceClaim,
    contradictions,
    is_in_other_letters,
    is_unconfirmed,
    last_day,
)
from backend.domain.ledger import Accreditation, AnchoredBatch, DeclarationStatus, DocumentStatus, has_ended
from backend.domain.records import ProofState, dates_ahead, faults_of_record
from backend.domain.sd_jwt import is_statement, issued_at, issuer_name
from backend.domain.strict_json import parse_timestamp
from backend.domain.verdict import (
    CLOCKS_MAY_DIFFER,
    REGISTER,
    ActionBy,
    Check,
    LedgerFacts,
    Outcome,
    Rank,
    Scope,
    Unknown,
    Verdict,
    fails,
    leaves_open,
    notes,
    passes,
)

MERCHANT, ISSUER, AUTHORITY = ActionBy.MERCHANT, ActionBy.ISSUER, ActionBy.AUTHORITY
OPERATOR, WAIT, NOBODY = ActionBy.OPERATOR, ActionBy.WAIT, ActionBy.NOBODY
_HS_CODE, _WRITTEN_DAY = re.compile("[0-9]{6,13}"), re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOT_READ = (
    leaves_open(
        "ledger-unavailable",
        OPERATOR,
        "The ledger could not be asked ({why}). Try again; this says nothing about the record.",
    ),
    leaves_open(
        "ledger-not-consulted",
        OPERATOR,
        "Not known here: it stands on the ledger, which was not asked, and nobody you trust has stated it.",
    ),
    leaves_open(
        "snapshot-record-mismatch",
        OPERATOR,
        "The signed statement of what the ledger held speaks of another record. Fetch the evidence anew.",
    ),
)
_ANCHOR_MISSING = leaves_open(
    "anchor-missing",
    OPERATOR,
    "The ledger does not show the record now, though it was recorded in block {why}: the chain was reorganised, or the "
    "node lags. Try again later.",
)
_NOT_ANCHORED = leaves_open("not-anchored", WAIT, "Not yet on the ledger; look again in a few seconds.")
_ACCREDITATION_REVOKED = (
    "The accreditation of {issuer} has been suspended since {since}. Ask another accredited issuer for a new record."
)


@dataclass(frozen=True)
class _Case:
    """A record, the ledger's facts, the moment (aware UTC), and whether the form of its kind is checked too."""

    evidence: Evidence
    facts: LedgerFacts
    moment: datetime
    is_held_to_form: bool = True


def evaluate(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """Return the verdict on one record at ``moment`` (aware UTC), including the form of its kind."""
    return Verdict.of(REGISTER.run(Scope.RECORD, _Case(evidence, facts, moment)), facts.as_of)


def evaluate_as_signed(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """Return the verdict without the form of its kind, which is what every verifier can determine."""
    case = _Case(evidence, facts, moment, is_held_to_form=False)
    return Verdict.of(REGISTER.run(Scope.RECORD, case), facts.as_of)


def evaluate_at(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """Return whether a record was valid at a past moment.

    ``facts.status`` and the accreditation are those of that moment. A record that was anchored later cannot be shown to
    have existed then, so its verdict is not VALID.
    """
    checks = REGISTER.run(Scope.RECORD, _Case(evidence, facts, moment))
    return Verdict.of([_then(check, facts, moment) for check in checks], facts.as_of, moment)


def _then(check: Check, facts: LedgerFacts, moment: datetime) -> Check:
    is_anchored = check.code == anchor.code and check.outcome is Outcome.PASS and isinstance(facts.batch, AnchoredBatch)
    if is_anchored and check.values["anchored_at"] > moment:
        return anchor.answer("anchored-after-moment", check.values)
    return check


@REGISTER.check(
    "SIGNATURE",
    "Signature",
    Rank.FAIL,
    Scope.RECORD,
    passes("signature-valid", "Signed by {issuer}; not a letter has been changed since."),
    fails(
        "signature-invalid",
        ISSUER,
        "The signature does not fit the text: it was altered, or never signed by this issuer. Ask for the original.",
    ),
    fails(
        "signature-not-canonical",
        ISSUER,
        "It carries another form of the signature than its issuer's system writes (the higher of two that fit): a copy "
        "that somebody changed. Ask for the original.",
    ),
    fails("record-altered", ISSUER, "The record is damaged or altered ({why}). Ask the issuer for the original."),
    # What nobody signed says nothing: later checks would judge a stranger's words.
    is_decisive=True,
)
def signature(case: _Case) -> Check:
    """Check that the key named in the record signed it."""
    record = case.evidence.record
    if not sd_jwt.is_signed_by_its_key(record):
        return signature.answer("signature-invalid")
    # Records of before name no anchorer, and may have either form. The ledger knows a record by the digest of its text,
    # so that a second form would be a second record: anchored, drawn down and in force by itself.
    if ANCHORER_CLAIM in record.payload and not sd_jwt.has_lower_s(record.signed_jwt):
        return signature.answer("signature-not-canonical")
    return signature.answer("signature-valid", {"issuer": issuer_name(record)})


@REGISTER.check(
    "CONTENT",
    "Content",
    Rank.FAIL,
    Scope.RECORD,
    passes("content-complete", "All that was signed is shown."),
    notes("fields-withheld", "{count} fields are not shown by the holder."),
    fails(
        "fields-invalid",
        ISSUER,
        "What was signed is not a complete document of this kind. Ask the issuer for a new one.",
    ),
    fails("entry-kind-mismatch", ISSUER, "It is presented as another kind of document than the one that was signed."),
    fails("entry-quantity-mismatch", ISSUER, "It is presented with another quantity than the one that was signed."),
    leaves_open(
        "quantity-withheld",
        MERCHANT,
        "The quantity is not shown, so it cannot be told whether the one stated beside the record was signed. Ask the "
        "holder to show it.",
    ),
    leaves_open(
        "fields-missing",
        OPERATOR,
        "{count} of the fields that were signed are missing from this server's database, though nobody erased them. "
        "Restore them from a copy.",
    ),
    leaves_open(
        "erased",
        NOBODY,
        "The holder erased it on {erased_at}: what it said is gone for good; only its place on the ledger is left.",
    ),
    # Later checks take it that kind and time of issue can be read.
    is_decisive=True,
)
def content(case: _Case) -> Check:
    """Check that the record's entry states what the record states."""
    found = _as_entered(case.evidence)
    if case.is_held_to_form and found.outcome is not Outcome.FAIL and faults_of_form(case.evidence):
        return content.answer("fields-invalid")
    return found


def _as_entered(evidence: Evidence) -> Check:
    record, kind = evidence.record, evidence.kind
    types = record.payload.get("type")
    if not isinstance(types, list) or KINDS[kind].credential_type not in types or issued_at(record) is None:
        return content.answer("entry-kind-mismatch")
    # Of a certificate of origin the entry repeats the signed quantity, for the ledger's count; of others it has none.
    is_shown = kind is Kind.CERTIFICATE_OF_ORIGIN and "quantity" in record.subject
    signed = steps_of(record.subject["quantity"]) if is_shown else 0
    if kind is Kind.CERTIFICATE_OF_ORIGIN and not is_shown and record.withheld:
        return content.answer("quantity-withheld")
    if signed != evidence.quantity:
        return content.answer("entry-quantity-mismatch")
    if record.withheld:
        return content.answer("fields-withheld", {"count": record.withheld})
    return content.answer("content-complete")


def faults_of_form(evidence: Evidence) -> list[tuple[str, str]]:
    """Return (where, what) for each fault against the form of its kind; none where fields are withheld."""
    return [] if evidence.record.withheld else faults_of_record(evidence.kind, evidence.record)


@REGISTER.check(
    "INCLUSION",
    "Sealed with the others",
    Rank.FAIL,
    Scope.RECORD,
    passes("included", "Sealed together with {size} records; its place is proven."),
    fails(
        "not-included",
        ISSUER,
        "The proof does not lead from this record to the ledger: it was altered or belongs to another record.",
    ),
    leaves_open("not-sealed", WAIT, "Stored; it will be sealed within seconds."),
)
def inclusion(case: _Case) -> Check:
    """Check that the proof leads from the record's entry to the anchored root."""
    evidence = case.evidence
    if evidence.proof is None or evidence.anchor is None:
        return inclusion.answer("not-sealed")
    if evidence.proof.leads_from(evidence.leaf, evidence.anchor.root):
        return inclusion.answer("included", {"size": evidence.proof.size})
    return inclusion.answer("not-included")


@REGISTER.check(
    "ANCHOR",
    "Recorded on the ledger",
    Rank.FAIL,
    Scope.RECORD,
    passes("anchor-final", "On the ledger since {anchored_at}, final."),
    fails("root-not-on-ledger", ISSUER, "The ledger knows nothing of this record: it was never recorded there."),
    fails("wrong-segment", ISSUER, "On the ledger this place belongs to another kind of record."),
    fails(
        "other-anchorer",
        ISSUER,
        "Somebody else has recorded this copy than its issuer signed it for: it has no standing. Ask for the original, "
        "with the evidence of its own place.",
    ),
    leaves_open(
        "other-ledger",
        OPERATOR,
        "Its issuer signed it for another ledger, and nobody you trust has said that this one is in its place.",
    ),
    _NOT_ANCHORED,
    leaves_open("not-final", WAIT, "On the ledger, waiting to become final."),
    leaves_open(
        "anchor-mismatch", OPERATOR, "It names another block or time than the ledger shows. Fetch the evidence anew."
    ),
    _ANCHOR_MISSING,
    leaves_open("ledger-mismatch", NOBODY, "It is recorded on another ledger than the one that is read here."),
    leaves_open(
        "anchored-after-moment",
        NOBODY,
        "It was recorded on the ledger only on {anchored_at}: that it existed before then cannot be shown.",
    ),
    *_NOT_READ,
)
def anchor(case: _Case) -> Check:
    """Check that the ledger holds the root finally, with the record in the segment of its kind."""
    evidence, facts = case.evidence, case.facts
    if evidence.anchor is None or evidence.proof is None:
        state = ProofState.STORED if evidence.proof is None else ProofState.SEALED
        return anchor.answer("not-anchored", {"state": state})
    if isinstance(facts.batch, Unknown):
        return anchor.not_read(facts.batch)
    # Our own record may have been in a block that left the chain: it is sent again.
    if facts.batch is None and facts.is_on_its_way:
        return anchor.answer("not-anchored", {"state": ProofState.SUBMITTED})
    if facts.batch is None:
        return anchor.answer("root-not-on-ledger")
    is_in_segment = _segment_at(facts.batch, evidence.proof.leaf_index) == KINDS[evidence.kind].segment
    # The leaf index decides which rules the ledger applies, so a record outside its segment would escape those of its
    # kind.
    if facts.batch.segments.size != evidence.proof.size or not is_in_segment:
        return anchor.answer("wrong-segment")
    if (refused := _not_as_signed(evidence, facts.batch, facts.succeeds)) is not None:
        return refused
    named, read = (evidence.anchor.block, evidence.anchor.block_time), (facts.anchor_block, facts.batch.anchored_at)
    # INDETERMINATE, not INVALID: after a reorganisation the genuine record may be in another block than its bundle
    # names.
    if facts.anchor_block is not None and named != read:
        return anchor.answer("anchor-mismatch")
    values = {"anchored_at": facts.batch.anchored_at, "state": facts.state, "block": evidence.anchor.block}
    return anchor.answer("anchor-final" if facts.state is ProofState.FINAL else "not-final", values)


def _not_as_signed(evidence: Evidence, batch: AnchoredBatch, succeeds: Sequence[LedgerName]) -> Check | None:
    """Return the answer on a record that stands where its issuer did not sign it to be anchored, or None.

    Records of before name nobody, and may stand anywhere.
    """
    if ANCHORER_CLAIM not in evidence.record.payload or evidence.anchor is None:
        return None
    named = evidence.named_anchorer
    if named is not None and named.ledger not in (ledger_of(evidence.anchor), *succeeds):
        return anchor.answer("other-ledger")
    # A ledger that replaces a lost one gives its server's anchorer the same number.
    return None if named is not None and named.agent == batch.anchorer else anchor.answer("other-anchorer")


def _segment_at(batch: AnchoredBatch, leaf_index: int) -> Segment:
    ends = (batch.segments.origin_end, batch.segments.inspection_end, batch.segments.declaration_end)
    return next((Segment(segment) for segment, end in enumerate(ends) if leaf_index < end), Segment.OTHER)


_STANDING = {DocumentStatus.SUSPENDED: "suspended", DocumentStatus.REVOKED: "revoked"}


@REGISTER.check(
    "STATUS",
    "In force",
    Rank.FAIL,
    Scope.RECORD,
    passes("in-force", "In force: neither suspended nor revoked."),
    passes("declaration-in-force", "The declaration stands."),
    fails("suspended", ISSUER, "Suspended by the issuer. Ask {issuer} why."),
    fails("revoked", ISSUER, "Revoked. Ask {issuer} for a new one."),
    fails("superseded", ISSUER, "Replaced by a newer record; use that one."),
    fails(
        "revoked-elsewhere",
        ISSUER,
        "Revoked where it was recorded on {since}; recorded once more, it is no better. Ask {issuer} for a new one.",
    ),
    fails(
        "superseded-elsewhere",
        ISSUER,
        "Replaced by a newer record where it was recorded on {since}; recorded once more, it is no better.",
    ),
    fails("withdrawn", MERCHANT, "The merchant withdrew the declaration."),
    leaves_open("status-unknown", OPERATOR, "The ledger shows a status ({status}) that is not known here."),
    _NOT_ANCHORED,
    _ANCHOR_MISSING,
    *_NOT_READ,
)
def status(case: _Case) -> Check:
    """Check that the record's status on the ledger lets it count."""
    evidence, held = case.evidence, case.facts.status
    if evidence.anchor is None:
        return status.answer("not-anchored")
    if isinstance(held, Unknown):
        return status.not_read(held)
    is_declaration = KINDS[evidence.kind].segment is Segment.DECLARATION
    try:
        standing = DeclarationStatus(held) if is_declaration else DocumentStatus(held)
    except ValueError:
        return status.answer("status-unknown", {"status": held})
    if isinstance(standing, DeclarationStatus):
        if standing is DeclarationStatus.WITHDRAWN:
            return status.answer("withdrawn")
        return status.answer("declaration-in-force", {"status": standing.name})
    if standing is DocumentStatus.ACTIVE:
        return _wherever_it_stands(case)
    return status.answer(_STANDING.get(standing, "superseded"), {"issuer": issuer_name(evidence.record)})


def _wherever_it_stands(case: _Case) -> Check:
    """Return the answer on a document that is in force at its own place: a copy of it may have ended at another."""
    published, batch = case.facts.revocation, case.facts.batch
    if isinstance(published, Unknown):
        return status.not_read(published)
    if published is None or not isinstance(batch, AnchoredBatch) or not published.covers(batch.anchored_at):
        return status.answer("in-force")
    reason = "superseded-elsewhere" if published.status == DocumentStatus.SUPERSEDED else "revoked-elsewhere"
    return status.answer(reason, {"issuer": issuer_name(case.evidence.record), "since": published.since})


@REGISTER.check(
    "ISSUER_ACCREDITED",
    "Issuer accredited",
    Rank.FAIL,
    Scope.RECORD,
    passes("accredited", "{issuer} was accredited for this when it signed."),
    fails("never-accredited", AUTHORITY, "{issuer} was never accredited. Ask for a record by an accredited issuer."),
    fails("kind-not-covered", AUTHORITY, "{issuer} was not accredited for this kind of record when it signed."),
    fails(
        "chapter-not-covered",
        AUTHORITY,
        "{issuer} was not accredited for goods of HS chapter {chapter} when it signed.",
    ),
    fails("fields-invalid", ISSUER),
    fails("issued-after-anchoring", ISSUER, "It is dated later ({issued_at}) than it can have been signed."),
    fails("accreditation-revoked", AUTHORITY, _ACCREDITATION_REVOKED),
    fails(
        "signed-while-suspended",
        ISSUER,
        "{issuer}'s accreditation was suspended from {since} on when it signed this, and lifting that made it no "
        "better. Ask {issuer} for a new record.",
    ),
    fails("not-accredited-at-issue", AUTHORITY, "{issuer} was not accredited when it signed this ({issued_at})."),
    leaves_open(
        "self-attested",
        ISSUER,
        "This is {issuer}'s own statement. It counts once the issuer named in it has confirmed and signed it.",
    ),
    leaves_open(
        "hs-code-withheld",
        MERCHANT,
        "The HS code is not shown, so it cannot be told whether the issuer was accredited for these goods.",
    ),
    leaves_open(
        "anchored-after-expiry",
        ISSUER,
        "It was recorded only after {issuer}'s accreditation had ended ({until}); when it was signed cannot be told.",
    ),
    leaves_open(
        "anchored-after-change",
        ISSUER,
        "It was recorded only after {issuer}'s accreditation had been narrowed or suspended; when it was signed "
        "cannot be told. Ask {issuer} for a new record.",
    ),
    *_NOT_READ,
)
def issuer_accredited(case: _Case) -> Check:
    """Check that the issuer's key was accredited for the kind and the goods when it signed."""
    record = case.evidence.record
    values: dict[str, Any] = {"issuer": issuer_name(record)}
    held = case.facts.accreditation
    if is_statement(record):
        return issuer_accredited.answer("self-attested", values)
    if isinstance(held, Unknown):
        return issuer_accredited.not_read(held)
    if held is None or held.kinds == 0:
        return issuer_accredited.answer("never-accredited", values)
    for then in (case.facts.accreditation_at_issue, case.facts.accreditation_at_anchoring):
        if isinstance(then, Unknown):
            return issuer_accredited.not_read(then)
    return _accredited_at_issue(case, held, values)


def _accredited_at_issue(case: _Case, now: Accreditation, values: Mapping[str, Any]) -> Check:
    """Judge a record by the terms at its time of issue (``domain/signature_terms.py``)."""
    issued = issued_at(case.evidence.record)
    assert issued is not None  # CONTENT refused the record otherwise
    values = {**values, "issued_at": issued}
    held, late = case.facts.accreditation_at_issue, case.facts.accreditation_at_anchoring
    if not isinstance(held, Accreditation) or not isinstance(late, Accreditation):
        return issuer_accredited.answer("not-accredited-at-issue", values)  # nothing was recorded in time
    if not held.covers_kind(KINDS[case.evidence.kind].accreditation_bit):
        return issuer_accredited.answer("kind-not-covered", values)
    if KINDS[case.evidence.kind].is_bound_to_chapters and (found := _about_chapter(case, held, values)) is not None:
        return found
    anchored_at = case.facts.batch.anchored_at if isinstance(case.facts.batch, AnchoredBatch) else None
    if anchored_at is not None and issued - anchored_at > CLOCKS_MAY_DIFFER:
        return issuer_accredited.answer("issued-after-anchoring", values)
    seen = issued if anchored_at is None else max(issued, anchored_at)
    if now.suspended_since is not None and now.suspended_since <= seen:
        return issuer_accredited.answer("accreditation-revoked", {**values, "since": now.suspended_since})
    if held.suspended_since is not None and held.suspended_since <= issued:
        return issuer_accredited.answer("signed-while-suspended", {**values, "since": held.suspended_since})
    if not held.held_at(issued):
        return issuer_accredited.answer("not-accredited-at-issue", values)
    if has_ended(late, seen):
        return issuer_accredited.answer("anchored-after-expiry", {**values, "until": late.valid_until})
    if not _still_covered(case, late, issued, seen):
        return issuer_accredited.answer("anchored-after-change", values)
    return issuer_accredited.answer("accredited", values)


def _still_covered(case: _Case, late: Accreditation, issued: datetime, seen: datetime) -> bool:
    """Tell whether the terms at the anchoring cover the record too: their key may have dated it back otherwise."""
    kind = KINDS[case.evidence.kind]
    if late.valid_from > issued or (late.suspended_since is not None and late.suspended_since <= seen):
        return False
    if not kind.is_bound_to_chapters:
        return late.covers_kind(kind.accreditation_bit)
    hs_code = case.evidence.record.subject.get("hsCode")
    return late.covers_kind(kind.accreditation_bit) and late.covers_chapter(int(hs_code[:2]) if hs_code else 0)


def _about_chapter(case: _Case, held: Accreditation, values: Mapping[str, Any]) -> Check | None:
    """Return the answer against the HS chapter of the goods, or None where it is covered."""
    hs_code = case.evidence.record.subject.get("hsCode")
    if hs_code is None:
        return None if held.covers_chapter(0) else issuer_accredited.answer("hs-code-withheld", values)
    # ``evaluate_as_signed`` does not look at forms, so the code may still be anything that JSON holds.
    if not (isinstance(hs_code, str) and _HS_CODE.fullmatch(hs_code)):
        return issuer_accredited.answer("fields-invalid", values)
    if held.covers_chapter(int(hs_code[:2])):
        return None
    return issuer_accredited.answer("chapter-not-covered", {**values, "chapter": hs_code[:2]})


@REGISTER.check(
    "ISSUER_STANDING",
    "Issuer in good standing",
    Rank.FAIL,
    Scope.RECORD,
    passes("good-standing", "{issuer} is still accredited."),
    fails("accreditation-revoked", ISSUER),
    notes("accreditation-expired", "{issuer}'s accreditation ended on {until}; what it signed before stays good."),
)
def issuer_standing(case: _Case) -> Check | None:
    """Check that the issuer is still accredited.

    The question does not arise for statements and unknown accreditations.
    """
    held = case.facts.accreditation
    if is_statement(case.evidence.record) or not isinstance(held, Accreditation) or held.kinds == 0:
        return None
    values: dict[str, Any] = {"issuer": issuer_name(case.evidence.record)}
    if held.suspended_since is not None and held.suspended_since <= case.moment:
        return issuer_standing.answer("accreditation-revoked", {**values, "since": held.suspended_since})
    if held.valid_until <= case.moment:
        return issuer_standing.answer("accreditation-expired", {**values, "until": held.valid_until})
    return issuer_standing.answer("good-standing", values)


@REGISTER.check(
    "VALIDITY",
    "Dates",
    Rank.FAIL,
    Scope.RECORD,
    passes("within-validity", "Within its dates."),
    fails("fields-invalid", ISSUER),
    fails("not-yet-issued", NOBODY, "It was not issued yet: it is dated {issued_at}."),
    fails("dated-ahead", ISSUER, "It tells of {dated}, which had not come yet. Ask the issuer for one that is right."),
    fails("expired", ISSUER, "It expired on {until}. Ask the issuer for a new one."),
    fails(
        "term-ended",
        ISSUER,
        "It expired on {until}: a certificate under {agreement} holds {months} months. Ask the issuer for a new one.",
    ),
)
def validity(case: _Case) -> Check:
    """Check that the moment is within the record's own dates and the term of its agreement."""
    record = case.evidence.record
    try:
        until = parse_timestamp(record.payload.get("validUntil"))
    except ValueError:
        return validity.answer("fields-invalid")
    issued = issued_at(record)
    if issued is not None and issued - case.moment > CLOCKS_MAY_DIFFER:
        return validity.answer("not-yet-issued", {"issued_at": issued})
    if ahead := dates_ahead(case.evidence.kind, record.subject, case.moment):
        return validity.answer("dated-ahead", {"dated": ahead[0][1]})
    if until is not None and until <= case.moment:
        return validity.answer("expired", {"until": until})
    agreement, day = _agreement_of(case.evidence), _day(record.subject.get("issueDate"))
    if isinstance(agreement, Agreement) and agreement.term_months is not None and day is not None:
        last = datetime.combine(last_day(day, agreement.term_months), time.min, UTC)
        # The last day counts whole. Subtracted, not added to: ``last_day`` may be the last day of the calendar.
        if case.moment - last >= timedelta(days=1):
            named = {"agreement": agreement.code, "months": agreement.term_months}
            return validity.answer("term-ended", {**named, "until": last + timedelta(days=1)})
    return validity.answer("within-validity")


def _agreement_of(evidence: Evidence) -> Agreement | str | None:
    """Return the agreement that a certificate of origin names, its name where unknown, or None for none."""
    named = evidence.record.subject.get("freeTradeAgreementName")
    if evidence.kind is not Kind.CERTIFICATE_OF_ORIGIN or not isinstance(named, str) or named == "NONE":
        return None
    return AGREEMENTS.get(named, named)


def _day(stated: Any) -> date | None:
    # date.fromisoformat also reads 20260302 and 2026-W10-1, which the verifiers in other languages do not.
    if not isinstance(stated, str) or not _WRITTEN_DAY.fullmatch(stated):
        return None
    try:
        return date.fromisoformat(stated)
    except ValueError:
        return None


@REGISTER.check(
    "AGREEMENT",
    "Trade agreement",
    Rank.FAIL,
    Scope.RECORD,
    passes("agreement-fits", "Its countries and its origin criterion are those of {agreement}."),
    fails("agreement-party", ISSUER, "{country} is no party to {agreement}: it gives no preference there."),
    fails("agreement-domestic", ISSUER, "{agreement} gives no preference to goods of {country} in {country} itself."),
    fails("agreement-criterion", ISSUER, "{criterion} is no origin criterion of {agreement}, which has {known}."),
    fails("agreement-not-granted", ISSUER, "{country} grants no preference under {agreement} to goods of {origin}."),
    fails("agreement-not-in-force", ISSUER, "When it was made out, {agreement} was not in force for {country} yet."),
    fails(
        "agreement-retroactive",
        ISSUER,
        "It was issued too long after shipment: {agreement} allows {days} days, and {months} months with the mark of "
        "one that is issued retroactively.",
    ),
    leaves_open(
        "agreement-language",
        ISSUER,
        "It describes the goods in no language of {agreement}'s certificates. Ask the issuer for one that does.",
    ),
    leaves_open(
        "agreement-unconfirmed",
        OPERATOR,
        "Whether {agreement} gives goods of {origin} a preference in {country} is not confirmed here: look it up.",
    ),
    leaves_open(
        "agreement-withheld",
        MERCHANT,
        "It names {agreement}, and not all is shown that decides whether it may. Ask the holder to show it.",
    ),
    leaves_open(
        "agreement-unknown",
        OPERATOR,
        "It names {agreement}, an agreement whose terms are not known here: look them up, or update this program.",
    ),
)
def trade_agreement(case: _Case) -> Check | None:
    """Check that the claimed preference is possible. The question does not arise where none is claimed or shown."""
    agreement, record = _agreement_of(case.evidence), case.evidence.record
    if not isinstance(agreement, Agreement):
        return None if agreement is None else trade_agreement.answer("agreement-unknown", {"agreement": agreement})
    claim = _claim(record)
    for _, reason, values in contradictions(agreement, claim):
        return trade_agreement.answer(reason, values)
    values = {"agreement": agreement.code}
    if is_in_other_letters(agreement, claim):
        return trade_agreement.answer("agreement-language", values)
    if record.withheld and not all(name in record.subject for name in _DECIDING):
        return trade_agreement.answer("agreement-withheld", values)
    if is_unconfirmed(agreement, claim):
        countries = {"origin": claim.origin, "country": claim.importing}
        return trade_agreement.answer("agreement-unconfirmed", {**values, **countries})
    return trade_agreement.answer("agreement-fits", values)


def _claim(record: sd_jwt.Record) -> PreferenceClaim:
    subject = record.subject
    exporter = subject.get("exporter")
    origin, importing, criterion, description, exporting = (
        text if isinstance(text, str) else None
        for text in (
            *map(subject.get, ("originCountry", "importCountry", "originCriteria", "description")),
            exporter.get("countryCode") if isinstance(exporter, dict) else None,
        )
    )
    mark = subject.get("issuedRetroactively")
    return PreferenceClaim(
        origin=origin,
        importing=importing,
        exporting=exporting,
        criterion=criterion,
        issued=_day(subject.get("issueDate")),
        departed=_day(subject.get("departureDate")),
        is_marked=None if record.withheld and mark is None else mark is True,
        description=description,
    )


_DECIDING = ("exporter", "originCountry", "importCountry", "originCriteria", "issueDate")
