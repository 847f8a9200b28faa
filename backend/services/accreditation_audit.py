"""The audit of accreditations: the changes that we asked for, and the versions of each key's terms on the ledger."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, groupby
from typing import NamedTuple

from backend.domain.ledger import Accredit, Accreditation, SuspendAccreditation
from backend.domain.outbox import AccreditationChange, TransactionState
from backend.domain.signature_terms import KeyHistory, Suspension, TermsVersion
from backend.services.accreditation import to_ledger
from backend.services.anchoring.requests import HAS_IT
from backend.services.ports import AppContext
from backend.store.unit_of_work import UnitOfWork

VERSIONS_AT_ONCE = 100
"""How many versions of a key's terms are read together."""
UNKNOWN = "accreditation-unknown-to-database"


class Difference(NamedTuple):
    """A difference between database and ledger: its name, and the key, version or change that it concerns."""

    name: str
    about: Mapping[str, object]


@dataclass(frozen=True)
class _KeyChange:
    """A change of ours as it concerns one key: its own, or the one that succeeds it; and when the ledger recorded it.

    The time is None where the ledger may hold it already, but we have not noted so.
    """

    change: AccreditationChange
    recorded_at: datetime | None
    is_successors: bool

    def leads_to(self, before: Accreditation | None, version: TermsVersion) -> bool:
        """Tell whether it makes a version out of the terms before; a successor's are those of the earlier key."""
        call = to_ledger(self.change)
        if isinstance(call, Accredit):
            after = replace(call.accreditation, suspended_since=before.suspended_since if before else None)
            return version.terms == after
        if before is None:
            return False
        if isinstance(call, SuspendAccreditation):
            return version.terms == replace(before, suspended_since=call.since)
        if self.is_successors:
            return version.terms == replace(before, valid_from=version.recorded_at, suspended_since=None)
        return version.terms == replace(before, valid_until=version.recorded_at)


@dataclass(frozen=True)
class _KeyChanges:
    """Our changes of one key: those that are final on the ledger, in its order, and those that it may hold already."""

    thumbprint: str
    noted: deque[_KeyChange]
    possible: list[_KeyChange]
    handed_on: Accreditation | None = None
    """The terms of the key that it succeeded, before it did."""

    def successor(self, changes: Iterable[_KeyChange]) -> str | None:
        """Return the key that replaces this one by some of these changes, or None."""
        ours = (one for one in changes if one.change.operation == "rotate" and not one.is_successors)
        return next((one.change.terms["successor"] for one in ours), None)

    def predecessor(self, changes: Iterable[_KeyChange]) -> str | None:
        """Return the key that this one replaces by some of these changes, or None."""
        return next((one.change.thumbprint for one in changes if one.is_successors), None)


def differences(ctx: AppContext, work: UnitOfWork) -> Iterator[Difference]:
    """Compare every version of every key's terms, its suspensions and its rotation with the changes that we asked for.

    One key is looked at at a time, and of its versions ``VERSIONS_AT_ONCE``. Contracts of earlier versions list none,
    so nothing is reported for them.
    """
    if not ctx.ledger.lists_terms:
        return
    # What is recorded later is the next audit's: the database was read before.
    until = ctx.ledger.head().block_time
    rotations = {change.terms["successor"]: change for change in work.accreditation_changes.rotations()}
    on_ledger = (key.hex() for key in ctx.ledger.accredited_keys())
    for thumbprint in dict.fromkeys((*on_ledger, *work.accreditation_changes.keys(), *rotations)):
        history = ctx.ledger.history(bytes.fromhex(thumbprint), 0, 1)
        changes = _changes_of(ctx, work, thumbprint, rotations.get(thumbprint))
        is_known = changes.noted or changes.possible or work.keys.find(thumbprint) is not None
        if history is not None and not is_known and history.versions[0].recorded_at <= until:
            yield Difference("key-unknown-to-database", {"key": thumbprint, "versions": history.count})
        elif is_known:
            yield from _of_rotation(work, changes, history)
            yield from _of_key_versions(ctx, changes, until)


def _changes_of(ctx: AppContext, work: UnitOfWork, thumbprint: str, into: AccreditationChange | None) -> _KeyChanges:
    changes = [_key_change(change, thumbprint) for change in work.accreditation_changes.of_key(thumbprint)]
    if into is not None:
        changes.append(_key_change(into, thumbprint))
    noted = [(one, one.change.transaction) for one in changes if one.recorded_at is not None]
    # Within one account the nonce tells the order in a block.
    noted.sort(key=lambda pair: (pair[1].block or 0, pair[1].nonce) if pair[1] else (0, 0))
    possible = [one for one in changes if one.recorded_at is None and _may_be_on_ledger(one.change)]
    handed_on = None if into is None else _handed_on(ctx, into)
    return _KeyChanges(thumbprint, deque(one for one, _ in noted), possible, handed_on)


def _key_change(change: AccreditationChange, thumbprint: str) -> _KeyChange:
    sent = change.transaction
    is_final = sent is not None and sent.state is TransactionState.FINAL
    return _KeyChange(change, sent.block_time if sent and is_final else None, change.thumbprint != thumbprint)


def _may_be_on_ledger(change: AccreditationChange) -> bool:
    """Tell whether a change is on its way, or was found done on the ledger by somebody else."""
    return change.ended == HAS_IT or (change.transaction is not None and change.transaction.is_open)


def _handed_on(ctx: AppContext, rotation: AccreditationChange) -> Accreditation | None:
    """Return the terms that a key had before it gave way to another one."""
    before = None
    for version in _versions(ctx, rotation.thumbprint):
        if before is not None and version.terms == replace(before, valid_until=version.recorded_at):
            return before
        before = version.terms
    return None


def _versions(ctx: AppContext, thumbprint: str) -> Iterator[TermsVersion]:
    for first in count(0, VERSIONS_AT_ONCE):
        history = ctx.ledger.history(bytes.fromhex(thumbprint), first, VERSIONS_AT_ONCE)
        if history is None or not history.versions:
            return
        yield from history.versions


def _of_key_versions(ctx: AppContext, changes: _KeyChanges, until: datetime) -> Iterator[Difference]:
    """Go through a key's versions on the ledger and our changes side by side, and note its suspensions on the way."""
    before, standing, suspensions = changes.handed_on, None, list[Suspension]()
    seen = (version for version in _versions(ctx, changes.thumbprint) if version.recorded_at <= until)
    for moment, together in groupby(seen, key=lambda version: version.recorded_at):
        while changes.noted and (earlier := changes.noted[0]).recorded_at is not None and earlier.recorded_at < moment:
            yield _not_on_ledger(changes, changes.noted.popleft())
        versions = list(together)
        # Within one second others' changes may stand between ours.
        others = len(versions) - sum(one.recorded_at == moment for one in changes.noted)
        for version in versions:
            found = _of_version(changes, before, version, others)
            if found is not None:
                yield found
                others -= found.name == UNKNOWN
            since = version.terms.suspended_since
            if standing is not None and since is None:
                suspensions.append(Suspension(standing, version.recorded_at))
            before, standing = version.terms, since
    for one in changes.noted:
        yield _not_on_ledger(changes, one)
    yield from _of_suspensions(ctx, changes, [*suspensions, *([Suspension(standing)] if standing else [])], until)


def _of_version(
    changes: _KeyChanges, before: Accreditation | None, version: TermsVersion, others: int
) -> Difference | None:
    about = {"key": changes.thumbprint, "version": version.number, "recordedAt": version.recorded_at.isoformat()}
    noted = changes.noted[0] if changes.noted and changes.noted[0].recorded_at == version.recorded_at else None
    if noted is not None and noted.leads_to(before, version):
        changes.noted.popleft()
        return None
    possible = next((one for one in changes.possible if one.leads_to(before, version)), None)
    if possible is not None:
        changes.possible.remove(possible)
        return None
    if noted is None or others > 0:
        return Difference(UNKNOWN, about)
    changes.noted.popleft()
    return Difference(
        "accreditation-differs", {**about, "change": noted.change.id, "operation": noted.change.operation}
    )


def _not_on_ledger(changes: _KeyChanges, one: _KeyChange) -> Difference:
    about = {"key": changes.thumbprint, "change": one.change.id, "operation": one.change.operation}
    return Difference("accreditation-not-on-ledger", about)


def _of_suspensions(
    ctx: AppContext, changes: _KeyChanges, expected: Sequence[Suspension], until: datetime
) -> Iterator[Difference]:
    """Compare the suspensions that the ledger lists with those that its versions tell of."""
    history = ctx.ledger.history(bytes.fromhex(changes.thumbprint), 0, 1)
    listed = () if history is None else history.suspensions
    for name, some, others in (
        ("suspension-unknown-to-database", listed, expected),
        ("suspension-not-on-ledger", expected, listed),
    ):
        for suspension in (Counter(some) - Counter(others)).elements():
            about = {"key": changes.thumbprint, "since": suspension.since.isoformat()}
            yield Difference(name, {**about, "lifted": suspension.lifted and suspension.lifted.isoformat()})


def _of_rotation(work: UnitOfWork, changes: _KeyChanges, history: KeyHistory | None) -> Iterator[Difference]:
    """Compare which key succeeds which: by the ledger, by our changes, and by the key's own row."""
    about, row = {"key": changes.thumbprint}, work.keys.find(changes.thumbprint)
    neighbours = (None, None) if history is None else (history.successor, history.predecessor)
    successor, predecessor = (None if key is None else key.hex() for key in neighbours)
    noted, possible = changes.successor(changes.noted), changes.successor(changes.possible)
    if successor != noted and (possible is None or successor not in (None, possible)):
        yield Difference("successor-differs", {**about, "stored": noted, "ledger": successor})
    elif successor is not None and row is not None and row.successor != successor:
        yield Difference("successor-differs", {**about, "stored": row.successor, "ledger": successor})
    noted, possible = changes.predecessor(changes.noted), changes.predecessor(changes.possible)
    if predecessor != noted and (possible is None or predecessor not in (None, possible)):
        yield Difference("predecessor-differs", {**about, "stored": noted, "ledger": predecessor})
