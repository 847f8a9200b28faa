"""The verdict: VALID, INVALID or INDETERMINATE, from a record, its proof and what the ledger says.

One function for the pages, the programming interface, and whoever verifies. It asks nobody: facts come in as values,
and a fact that could not be read comes in as ``Unknown``, which never turns into INVALID.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from backend.domain import sd_jwt
from backend.domain.errors import Invalid
from backend.domain.evidence import Evidence
from backend.domain.kinds import KINDS, Kind, Segment
from backend.domain.ledger import Accreditation, AnchoredBatch, DeclarationStatus, DocumentStatus
from backend.domain.records import ProofState, document_as_signed
from backend.domain.strict_json import parse_timestamp

CLOCKS_MAY_DIFFER = timedelta(minutes=5)
Terms = TypeVar("Terms")


class Conclusion(StrEnum):
    """The three values of a verdict (ETSI EN 319 102-1 calls the third one so)."""

    VALID = "VALID"
    INVALID = "INVALID"
    INDETERMINATE = "INDETERMINATE"


class Outcome(StrEnum):
    """What became of one check. A ``note`` tells something and weighs nothing."""

    PASS = "pass"
    FAIL = "fail"
    INDETERMINATE = "indeterminate"
    NOTE = "note"


class ActionBy(StrEnum):
    """Who can fix what a check found; ``wait``: nobody needs to, it is on its way to the ledger."""

    MERCHANT = "merchant"
    ISSUER = "issuer"
    AUTHORITY = "authority"
    OPERATOR = "operator"
    WAIT = "wait"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be read, and why; ``reason`` names the sentence that tells so."""

    why: str
    reason: str = "ledger-unavailable"


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger said about one record, and when it was asked.

    ``accreditation`` is what the ledger holds of the issuer's key now, ``accreditation_at_issue`` and
    ``accreditation_at_anchoring`` what it held then (see ``terms_then``). ``anchor_block`` is the block that its
    anchoring stands in, None where that was not looked up. ``is_on_its_way``: we keep the record ourselves and its
    anchoring is not final, so an absent root is no forgery.
    """

    as_of: datetime
    batch: AnchoredBatch | Unknown | None
    status: int | Unknown
    accreditation: Accreditation | Unknown | None
    state: ProofState = ProofState.ANCHORED
    anchor_block: int | None = None
    accreditation_at_issue: Accreditation | Unknown | None = None
    accreditation_at_anchoring: Accreditation | Unknown | None = None
    is_on_its_way: bool = False


@dataclass(frozen=True)
class Check:
    """One question and its answer; ``reason`` names the sentence to show (messages/verdict.py), ``values`` fill it."""

    code: str
    outcome: Outcome
    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)
    action_by: ActionBy | None = None
    record: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The conclusion and every check that led to it."""

    conclusion: Conclusion
    checks: tuple[Check, ...]
    as_of: datetime
    at: datetime | None = None

    @classmethod
    def of(cls, checks: Iterable[Check], as_of: datetime, at: datetime | None = None) -> "Verdict":
        """INVALID where any check failed; else INDETERMINATE where any could not be made; else VALID.

        ``as_of`` is when the ledger was asked; ``at`` is the past moment that was asked about, if one was.
        """
        checks = tuple(checks)
        outcomes = {check.outcome for check in checks}
        if Outcome.FAIL in outcomes:
            return cls(Conclusion.INVALID, checks, as_of, at)
        if Outcome.INDETERMINATE in outcomes or not checks:
            return cls(Conclusion.INDETERMINATE, checks, as_of, at)
        return cls(Conclusion.VALID, checks, as_of, at)

    @property
    def proof_state(self) -> ProofState | None:
        """How far all of its records have come: the least of their states, None where one of them is not known."""
        states = {check.values.get("state") for check in self.checks if check.code == "ANCHOR"}
        return None if None in states else next((state for state in ProofState if state in states), None)

    @property
    def deciding(self) -> Check | None:
        """The first check that kept the verdict from being VALID."""
        for outcome in (Outcome.FAIL, Outcome.INDETERMINATE):
            for check in self.checks:
                if check.outcome is outcome:
                    return check
        return None


def evaluate(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """The verdict on one record at ``moment`` (aware UTC), held to the form of its kind as well."""
    return Verdict.of(_checks(evidence, facts, moment), facts.as_of)


def evaluate_as_signed(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """The verdict on what was signed, whatever papers of its kind should say: what every verifier can find out."""
    return Verdict.of(_checks(evidence, facts, moment, is_held_to_form=False), facts.as_of)


def evaluate_at(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> Verdict:
    """Whether a record was valid at a past moment; ``facts.status`` and the accreditation are those of that moment.

    What was anchored later cannot be shown to have existed then, so that is no VALID.
    """
    checks = [_then(check, facts, moment) for check in _checks(evidence, facts, moment)]
    return Verdict.of(checks, facts.as_of, moment)


def _then(check: Check, facts: LedgerFacts, moment: datetime) -> Check:
    is_anchored = check.code == "ANCHOR" and check.outcome is Outcome.PASS and isinstance(facts.batch, AnchoredBatch)
    if is_anchored and check.values["anchored_at"] > moment:
        return replace(check, outcome=Outcome.INDETERMINATE, reason="anchored-after-moment", action_by=ActionBy.NOBODY)
    return check


def accreditation_at(then: Accreditation | None, now: Accreditation | None) -> Accreditation | None:
    """What counts of a key at a past moment: the terms that the ledger held then, and every suspension since known.

    A key that turned out to be stolen was no better before anybody knew; a suspension that was lifted later still
    stood then.
    """
    terms = then or now
    if terms is None:
        return None
    if then is not None and now is not None:
        return replace(terms, suspended_since=_first(then.suspended_since, now.suspended_since))
    return terms


def terms_then(ask: Callable[[datetime], Terms], issued: datetime, anchored: datetime | None) -> tuple[Terms, Terms]:
    """What the ledger held of a key when a record was signed, and when the record was anchored.

    ``ask`` tells what the ledger held at a time, None where it held nothing yet; it is asked once where both times are
    the same. Of the anchoring the time is less what clocks may differ by, so that a change which passes a record on
    its way to the ledger does not touch it; where the ledger held nothing yet then, the anchoring itself counts.
    """
    late = issued if anchored is None else max(issued, anchored - CLOCKS_MAY_DIFFER)
    at_issue = ask(issued)
    at_anchoring = at_issue if late == issued else ask(late)
    if at_anchoring is None and anchored is not None and anchored > late:
        at_anchoring = ask(anchored)
    return at_issue, at_anchoring


def _checks(evidence: Evidence, facts: LedgerFacts, moment: datetime, *, is_held_to_form: bool = True) -> list[Check]:
    signature = _signature(evidence)
    if signature.outcome is Outcome.FAIL:
        return [signature]
    content = _content(evidence)
    if is_held_to_form and content.outcome is not Outcome.FAIL and faults_of_form(evidence):
        content = Check("CONTENT", Outcome.FAIL, "fields-invalid", action_by=ActionBy.ISSUER)
    if content.outcome is Outcome.FAIL:
        return [signature, content]
    return [
        signature,
        content,
        _included(evidence),
        _anchored(evidence, facts),
        _status(evidence, facts),
        *_issuer(evidence, facts, moment),
        _dates(evidence, moment),
    ]


def _signature(evidence: Evidence) -> Check:
    if sd_jwt.is_signed_by_its_key(evidence.record):
        return Check("SIGNATURE", Outcome.PASS, "signature-valid", {"issuer": issuer_name(evidence.record)})
    return Check("SIGNATURE", Outcome.FAIL, "signature-invalid", action_by=ActionBy.ISSUER)


def _content(evidence: Evidence) -> Check:
    """The entry must say of the record what the record says of itself."""
    record, kind = evidence.record, evidence.kind
    types = record.payload.get("type")
    if not isinstance(types, list) or KINDS[kind].credential_type not in types or issued_at(record) is None:
        return Check("CONTENT", Outcome.FAIL, "entry-kind-mismatch", action_by=ActionBy.ISSUER)
    stated = record.subject.get("quantity") if kind is Kind.CERTIFICATE_OF_ORIGIN else None
    if kind is not Kind.CERTIFICATE_OF_ORIGIN and evidence.quantity != 0:
        return Check("CONTENT", Outcome.FAIL, "entry-quantity-mismatch", action_by=ActionBy.ISSUER)
    if stated is not None and _steps(stated) != evidence.quantity:
        return Check("CONTENT", Outcome.FAIL, "entry-quantity-mismatch", action_by=ActionBy.ISSUER)
    if record.withheld:
        return Check("CONTENT", Outcome.NOTE, "fields-withheld", {"count": record.withheld})
    return Check("CONTENT", Outcome.PASS, "content-complete")


def faults_of_form(evidence: Evidence) -> list[tuple[str, str]]:
    """(where, what) a record falls short of the form of its kind; nothing where fields are withheld."""
    if evidence.record.withheld:
        return []
    try:
        document_as_signed(evidence.kind, evidence.record.subject)
    except Invalid as error:
        return error.problems
    return []


def _steps(stated: Any) -> int | None:
    """A stated quantity in thousandths. One spelling, so that every language reads the same number."""
    if not isinstance(stated, str) or not re.fullmatch(r"[0-9]{1,36}(\.[0-9]{1,3})?", stated):
        return None
    whole, _, decimals = stated.partition(".")
    steps = int(whole + decimals.ljust(3, "0"))
    return steps if steps < 2**128 else None


def _included(evidence: Evidence) -> Check:
    if evidence.proof is None or evidence.anchor is None:
        return Check("INCLUSION", Outcome.INDETERMINATE, "not-sealed", action_by=ActionBy.WAIT)
    if evidence.proof.proves(evidence.entry.encode(), evidence.anchor.root):
        return Check("INCLUSION", Outcome.PASS, "included", {"size": evidence.proof.size})
    return Check("INCLUSION", Outcome.FAIL, "not-included", action_by=ActionBy.ISSUER)


def _anchored(evidence: Evidence, facts: LedgerFacts) -> Check:
    if evidence.anchor is None or evidence.proof is None:
        state = ProofState.STORED if evidence.proof is None else ProofState.SEALED
        return Check("ANCHOR", Outcome.INDETERMINATE, "not-anchored", {"state": state}, ActionBy.WAIT)
    if isinstance(facts.batch, Unknown):
        return _not_read("ANCHOR", facts.batch)
    if facts.batch is None and facts.is_on_its_way:
        values: dict[str, Any] = {"state": ProofState.SUBMITTED}
        return Check("ANCHOR", Outcome.INDETERMINATE, "not-anchored", values, ActionBy.WAIT)
    if facts.batch is None:
        return Check("ANCHOR", Outcome.FAIL, "root-not-on-ledger", action_by=ActionBy.ISSUER)
    if (
        facts.batch.segments.size != evidence.proof.size
        or _segment_at(facts.batch, evidence.proof.leaf_index) != KINDS[evidence.kind].segment
    ):
        return Check("ANCHOR", Outcome.FAIL, "wrong-segment", action_by=ActionBy.ISSUER)
    anchor = evidence.anchor
    if facts.anchor_block is not None and (anchor.block, anchor.block_time) != (
        facts.anchor_block,
        facts.batch.anchored_at,
    ):
        return Check("ANCHOR", Outcome.INDETERMINATE, "anchor-mismatch", action_by=ActionBy.OPERATOR)
    values = {"anchored_at": facts.batch.anchored_at, "state": facts.state, "block": anchor.block}
    if facts.state is not ProofState.FINAL:
        return Check("ANCHOR", Outcome.INDETERMINATE, "not-final", values, ActionBy.WAIT)
    return Check("ANCHOR", Outcome.PASS, "anchor-final", values)


def _not_read(code: str, fact: Unknown) -> Check:
    return Check(code, Outcome.INDETERMINATE, fact.reason, {"why": fact.why}, ActionBy.OPERATOR)


def _segment_at(batch: AnchoredBatch, leaf_index: int) -> Segment:
    ends = (batch.segments.origin_end, batch.segments.inspection_end, batch.segments.declaration_end)
    return next((Segment(segment) for segment, end in enumerate(ends) if leaf_index < end), Segment.OTHER)


def _status(evidence: Evidence, facts: LedgerFacts) -> Check:
    if evidence.anchor is None:
        return Check("STATUS", Outcome.INDETERMINATE, "not-anchored", action_by=ActionBy.WAIT)
    if isinstance(facts.status, Unknown):
        return _not_read("STATUS", facts.status)
    if KINDS[evidence.kind].segment is Segment.DECLARATION:
        return _declaration_status(facts.status)
    try:
        status = DocumentStatus(facts.status)
    except ValueError:
        return Check("STATUS", Outcome.INDETERMINATE, "status-unknown", {"status": facts.status}, ActionBy.OPERATOR)
    if status is DocumentStatus.ACTIVE:
        return Check("STATUS", Outcome.PASS, "in-force")
    reason = {1: "suspended", 2: "revoked", 3: "superseded"}[status]
    return Check("STATUS", Outcome.FAIL, reason, {"issuer": issuer_name(evidence.record)}, ActionBy.ISSUER)


def _declaration_status(value: int) -> Check:
    try:
        status = DeclarationStatus(value)
    except ValueError:
        return Check("STATUS", Outcome.INDETERMINATE, "status-unknown", {"status": value}, ActionBy.OPERATOR)
    if status is DeclarationStatus.WITHDRAWN:
        return Check("STATUS", Outcome.FAIL, "withdrawn", action_by=ActionBy.MERCHANT)
    return Check("STATUS", Outcome.PASS, "declaration-in-force", {"status": status.name})


def _issuer(evidence: Evidence, facts: LedgerFacts, moment: datetime) -> list[Check]:
    record = evidence.record
    values = {"issuer": issuer_name(record)}
    if is_statement(record):
        return [Check("ISSUER_ACCREDITED", Outcome.INDETERMINATE, "self-attested", values, ActionBy.ISSUER)]
    held = facts.accreditation
    if isinstance(held, Unknown):
        return [_not_read("ISSUER_ACCREDITED", held)]
    if held is None or held.kinds == 0:
        return [Check("ISSUER_ACCREDITED", Outcome.FAIL, "never-accredited", values, ActionBy.AUTHORITY)]
    standing = _good_standing(held, values, moment)
    at_issue, at_anchoring = facts.accreditation_at_issue, facts.accreditation_at_anchoring
    for then in (at_issue, at_anchoring):
        if isinstance(then, Unknown):
            return [_not_read("ISSUER_ACCREDITED", then), standing]
    assert not isinstance(at_issue, Unknown)
    assert not isinstance(at_anchoring, Unknown)
    # A key that the ledger did not know yet when it signed is judged by the first terms that are known of it: the
    # authority may accredit from an earlier moment on, and a ledger that was set up anew has no older history.
    signed_under = at_issue or at_anchoring or held
    return [_accredited_at_issue(evidence, facts, held, signed_under, at_anchoring or signed_under), standing]


def _accredited_at_issue(
    evidence: Evidence, facts: LedgerFacts, now: Accreditation, then: Accreditation, late: Accreditation
) -> Check:
    """By the terms of the time of issue, whatever became of them since; only a suspension reaches back.

    ``late`` are those of the anchoring: who no longer held them then may have dated the record back.
    """
    record = evidence.record
    issued = issued_at(record)
    assert issued is not None  # _content refused the record otherwise
    values = {"issuer": issuer_name(record), "issued_at": issued}
    failed = "ISSUER_ACCREDITED", Outcome.FAIL
    held = accreditation_at(then, now) or then
    if not held.covers_kind(KINDS[evidence.kind].accreditation_bit):
        return Check(*failed, "kind-not-covered", values, ActionBy.AUTHORITY)
    hs_code = record.subject.get("hsCode")
    if KINDS[evidence.kind].is_bound_to_chapters:
        if hs_code is None and not held.covers_chapter(0):
            return Check("ISSUER_ACCREDITED", Outcome.INDETERMINATE, "hs-code-withheld", values, ActionBy.MERCHANT)
        if hs_code is not None and not (isinstance(hs_code, str) and re.fullmatch("[0-9]{6,13}", hs_code)):
            return Check(*failed, "fields-invalid", values, ActionBy.ISSUER)
        if hs_code is not None and not held.covers_chapter(int(hs_code[:2])):
            return Check(*failed, "chapter-not-covered", {**values, "chapter": hs_code[:2]}, ActionBy.AUTHORITY)
    # The issuer writes the time of issue itself; the anchor bounds it from above, so a suspended key cannot backdate.
    if isinstance(facts.batch, AnchoredBatch):
        if issued - facts.batch.anchored_at > CLOCKS_MAY_DIFFER:
            return Check(*failed, "issued-after-anchoring", values, ActionBy.ISSUER)
        latest = facts.batch.anchored_at
        if held.suspended_since is not None and held.suspended_since <= latest:
            return Check(
                *failed, "accreditation-revoked", {**values, "since": held.suspended_since}, ActionBy.AUTHORITY
            )
    if not held.held_at(issued):
        return Check(*failed, "not-accredited-at-issue", values, ActionBy.AUTHORITY)
    if isinstance(facts.batch, AnchoredBatch):
        anchored = facts.batch.anchored_at
        if anchored - late.valid_until >= CLOCKS_MAY_DIFFER:
            values = {**values, "until": late.valid_until}
            return Check("ISSUER_ACCREDITED", Outcome.INDETERMINATE, "anchored-after-expiry", values, ActionBy.ISSUER)
        if not _still_covered(evidence, late, anchored):
            return Check("ISSUER_ACCREDITED", Outcome.INDETERMINATE, "anchored-after-change", values, ActionBy.ISSUER)
    return Check("ISSUER_ACCREDITED", Outcome.PASS, "accredited", values)


def _still_covered(evidence: Evidence, late: Accreditation, anchored: datetime) -> bool:
    """Whether the terms of the anchoring cover the record too; from when on they run does not matter any more."""
    if late.suspended_since is not None and late.suspended_since <= anchored:
        return False
    if not KINDS[evidence.kind].is_bound_to_chapters:
        return late.covers_kind(KINDS[evidence.kind].accreditation_bit)
    hs_code = evidence.record.subject.get("hsCode")
    chapter = 0 if hs_code is None else int(hs_code[:2])
    return late.covers_kind(KINDS[evidence.kind].accreditation_bit) and late.covers_chapter(chapter)


def _first(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one is not None and other is not None else one or other


def _good_standing(held: Accreditation, values: Mapping[str, Any], moment: datetime) -> Check:
    if held.suspended_since is not None and held.suspended_since <= moment:
        values = {**values, "since": held.suspended_since}
        return Check("ISSUER_STANDING", Outcome.FAIL, "accreditation-revoked", values, ActionBy.ISSUER)
    if held.valid_until <= moment:
        return Check("ISSUER_STANDING", Outcome.NOTE, "accreditation-expired", {**values, "until": held.valid_until})
    return Check("ISSUER_STANDING", Outcome.PASS, "good-standing", values)


def _dates(evidence: Evidence, moment: datetime) -> Check:
    try:
        until = parse_timestamp(evidence.record.payload.get("validUntil"))
    except ValueError:
        return Check("VALIDITY", Outcome.FAIL, "fields-invalid", action_by=ActionBy.ISSUER)
    issued = issued_at(evidence.record)
    if issued is not None and issued - moment > CLOCKS_MAY_DIFFER:
        return Check("VALIDITY", Outcome.FAIL, "not-yet-issued", {"issued_at": issued}, ActionBy.NOBODY)
    if until is not None and until <= moment:
        return Check("VALIDITY", Outcome.FAIL, "expired", {"until": until}, ActionBy.ISSUER)
    return Check("VALIDITY", Outcome.PASS, "within-validity")


def issued_at(record: sd_jwt.Record) -> datetime | None:
    """The time of issue that the record states, or None where it states none that can be read."""
    try:
        return parse_timestamp(record.payload.get("validFrom"))
    except ValueError:
        return None


def issuer_name(record: sd_jwt.Record) -> str:
    """Who says to have issued the record."""
    issuer = record.payload.get("issuer")
    return str(issuer.get("name", "")) if isinstance(issuer, dict) else ""


def is_statement(record: sd_jwt.Record) -> bool:
    """Whether a merchant states this, and no issuer has confirmed it."""
    return record.payload.get("assurance") == "stated"


def about(record_id: str, checks: Iterable[Check]) -> list[Check]:
    """The same checks, marked with the record they are about."""
    return [replace(check, record=record_id) for check in checks]
