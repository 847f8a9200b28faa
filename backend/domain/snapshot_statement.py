"""What somebody who has just read a ledger may state of a bundle's records: what was shown, and nothing else.

A customs office, or anybody with a node of its own, signs it, where readers are to believe that one rather than the
operator. What the ledger holds against a record is stated like what it holds for it.
"""

from datetime import datetime

from backend.domain import sd_jwt
from backend.domain.bundle import Bundle
from backend.domain.bundle_verification import FactSource, key_named, ledger_of
from backend.domain.errors import Invalid
from backend.domain.evidence import Evidence
from backend.domain.ledger import Accreditation, AnchoredBatch
from backend.domain.snapshot import Reading, Snapshot
from backend.domain.trust import Trusted
from backend.domain.verdict import ActionBy, Check, LedgerFacts, Outcome, Verdict

_MUST_STAND = frozenset({"BUNDLE", "SNAPSHOT", "LEDGER", "SIGNATURE", "CONTENT", "INCLUSION", "ANCHOR"})
"""Checks of the file itself, and of whether the right ledger was read and holds these very records for good."""


class NothingToSign(Invalid):
    """The ledger was not read, or holds no such record."""

    code = "nothing-to-sign"


def blockers(bundle: Bundle | None, verdict: Verdict) -> tuple[Check, ...]:
    """For what nothing may be stated; ``bundle`` is None where the file held none.

    A revoked record, a suspended key or a paper that is not in the file hinders nothing: readers are told of it.
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
        return [Check("LEDGER", Outcome.INDETERMINATE, "multiple-ledgers", {"count": len(ledgers)}, ActionBy.NOBODY)]
    return []


def _blocks(check: Check) -> bool:
    if check.outcome is Outcome.INDETERMINATE:
        return check.code in _MUST_STAND or check.code == "STATUS"  # a status that nobody knows
    return check.outcome is Outcome.FAIL and (check.code in _MUST_STAND or check.code == "NAMED_RECORD")


def statement_of(
    bundle: Bundle, source: FactSource, ledger: Trusted, block: int, block_time: datetime, read_at: datetime
) -> Snapshot:
    """The snapshot of what was read of every record in the bundle; raises NothingToSign."""
    return Snapshot(
        ledger=ledger.ledger,
        accreditation=ledger.accreditation,
        block=block,
        block_time=block_time,
        read_at=read_at,
        readings=tuple(_reading(one, source.facts(one)) for one in bundle.records),
    )


def _reading(one: Evidence, facts: LedgerFacts) -> Reading:
    anchor, proof, key, held = one.anchor, one.proof, key_named(one.record), facts.accreditation
    if anchor is None or proof is None or key is None or facts.anchor_block is None:
        raise NothingToSign("a record is not on the ledger, or names no key")
    if not isinstance(facts.batch, AnchoredBatch) or not isinstance(facts.status, int):
        raise NothingToSign("the ledger did not show a record")
    if held is not None and not isinstance(held, Accreditation):
        raise NothingToSign("the ledger did not show what an issuer's key may sign")
    return Reading(
        root=anchor.root,
        leaf_index=proof.leaf_index,
        transaction=anchor.transaction,
        block=facts.anchor_block,
        state=facts.state,
        segments=facts.batch.segments,
        block_time=facts.batch.anchored_at,
        status=facts.status,
        key=sd_jwt.b64(key),
        accreditation=held,
    )
