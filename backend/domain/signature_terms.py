"""The history of a key's terms, and by which of them a signature is judged: the rules of ``Accreditation.sol``.

The ledger answers it itself (``termsOfSignature``). Here it is stated a second time, for contracts of earlier versions,
which keep the terms of every time but neither lifted suspensions nor this answer, and so that tests can hold the
contract against it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from backend.domain.ledger import GRACE, Accreditation

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How much later than a signature the key's very first terms may be recorded.

Blocks and signers have clocks of their own, and what is signed as soon as the block is seen may bear a time before it.
"""


@dataclass(frozen=True)
class Suspension:
    """A time for which the authority did not stand behind a key; ``lifted`` is None where it stands."""

    since: datetime
    lifted: datetime | None = None

    def touches(self, first: datetime, last: datetime) -> bool:
        """Tell whether it held at any moment of a span, both ends included."""
        return self.since <= last and (self.lifted is None or first < self.lifted)


class KeyEvent(StrEnum):
    """What was done when a version of a key's terms was recorded."""

    ACCREDITED = "accredited"
    SUSPENDED = "suspended"
    REINSTATED = "reinstated"
    ROTATED = "rotated"
    """The key gave way to another one."""
    SUCCEEDED = "succeeded"
    """The key took the place of another one."""


@dataclass(frozen=True)
class TermsVersion:
    """One version of a key's terms, and when the ledger recorded it; the first is number 0."""

    number: int
    terms: Accreditation
    recorded_at: datetime


@dataclass(frozen=True)
class KeyHistory:
    """What the ledger has recorded of a key: some of its versions in order, and every suspension.

    ``count`` is the number of all versions. ``before`` is the version before the first one here, None where that is the
    very first. Suspensions are those that were lifted, in the order of lifting, then the one that stands.
    """

    count: int
    versions: tuple[TermsVersion, ...]
    before: TermsVersion | None = None
    suspensions: tuple[Suspension, ...] = ()
    predecessor: bytes | None = None
    successor: bytes | None = None

    def events(self) -> tuple[KeyEvent, ...]:
        """Return what was done with each of these versions."""
        earlier = (self.before, *self.versions)
        return tuple(self._event(before, version) for before, version in zip(earlier, self.versions, strict=False))

    def _event(self, before: TermsVersion | None, version: TermsVersion) -> KeyEvent:
        if before is None:
            return KeyEvent.ACCREDITED if self.predecessor is None else KeyEvent.SUCCEEDED
        earlier, terms = before.terms, version.terms
        if terms.suspended_since != earlier.suspended_since:
            return KeyEvent.REINSTATED if terms.suspended_since is None else KeyEvent.SUSPENDED
        gave_way = self.successor is not None and terms.valid_until == version.recorded_at
        return (
            KeyEvent.ROTATED
            if gave_way and replace(earlier, valid_until=terms.valid_until) == terms
            else KeyEvent.ACCREDITED
        )


@dataclass(frozen=True)
class SignatureTerms:
    """The terms by which a signature is judged, and those of the anchoring that must bear them out.

    ``signed_under`` is suspended where the key was when it signed, ``anchored_under`` where it was at any time until
    the anchoring, also where that was lifted since. Both are None where no terms were recorded in time.
    """

    signed_under: Accreditation | None = None
    anchored_under: Accreditation | None = None


def terms_of_signature(
    recorded_by: Callable[[datetime], Accreditation | None],
    issued: datetime,
    anchored: datetime | None,
    suspensions: Iterable[Suspension] = (),
    taken_over_until: datetime | None = None,
) -> SignatureTerms:
    """Return the terms that count for a signature of this moment, which was anchored at the other.

    ``recorded_by`` returns the terms that the ledger held at a time. ``taken_over_until`` is until when the ledger took
    over another's history: what it recorded until then holds of earlier signatures too.
    """
    seen = issued if anchored is None else max(issued, anchored)
    signed = recorded_by(issued) or recorded_by(_a_little_after(issued))
    if signed is None and taken_over_until is not None:
        signed = recorded_by(min(seen, taken_over_until)) or recorded_by(taken_over_until)
    if signed is None:
        return SignatureTerms()
    late = signed if seen - issued <= GRACE else recorded_by(seen - GRACE) or signed
    since = [suspension.since for suspension in suspensions if suspension.touches(issued, seen)]
    # Contracts of earlier versions tell of a suspension that was lifted by the terms of its time only.
    own = (terms.suspended_since for terms in (signed, late))
    earliest = min((moment for moment in (*since, *own) if moment is not None and moment <= seen), default=None)
    return SignatureTerms(
        signed_under=replace(signed, suspended_since=earliest if earliest is None or earliest <= issued else None),
        anchored_under=replace(late, suspended_since=earliest),
    )


def _a_little_after(moment: datetime) -> datetime:
    return moment + min(CLOCK_TOLERANCE, datetime.max.replace(tzinfo=UTC) - moment)
