"""The verdict (VALID, INVALID or INDETERMINATE), and the register of the checks that lead to it.

A check is a function that is registered with its code, its title, its rank (the worst effect on a verdict), and every
answer that it may give: reason, outcome, message, and who can act on it. It answers by ``answer(reason, values)``; an
unregistered reason is an error. docs/codes.md, the catalogue's keys and the messages of the offline verifiers are
generated from the register.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar

from backend.domain.evidence import LedgerName
from backend.domain.ledger import Accreditation, AnchoredBatch, Revocation
from backend.domain.records import ProofState

# verifier/verify.py and verifier/verifier.html hold the same number: the three must draw every line at one moment.
CLOCKS_MAY_DIFFER = timedelta(minutes=5)


class Conclusion(StrEnum):
    """The conclusion of a verdict. ETSI EN 319 102-1 uses INDETERMINATE in the same sense."""

    VALID = "VALID"
    INVALID = "INVALID"
    INDETERMINATE = "INDETERMINATE"


class Outcome(StrEnum):
    """The outcome of one check. A ``note`` informs and has no effect."""

    PASS = "pass"
    FAIL = "fail"
    INDETERMINATE = "indeterminate"
    NOTE = "note"


class ActionBy(StrEnum):
    """Who can act on a finding; ``wait`` means that nobody needs to, because it is on its way to the ledger."""

    MERCHANT = "merchant"
    ISSUER = "issuer"
    AUTHORITY = "authority"
    OPERATOR = "operator"
    WAIT = "wait"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Unknown:
    """A fact that could not be read, and why; ``reason`` names the message about it."""

    why: str
    reason: str = "ledger-unavailable"


@dataclass(frozen=True)
class LedgerFacts:
    """The ledger's facts about one record, and when they were read.

    ``accreditation`` is what the ledger holds of the issuer's key now, ``accreditation_at_issue`` and
    ``accreditation_at_anchoring`` what it held then (``domain/signature_terms.py``). ``anchor_block`` is
    the block of its anchoring, None where that was not looked up. ``revocation`` is what is published of the record
    wherever it stands. ``succeeds`` are the lost ledgers in whose place this one is. With ``is_on_its_way`` we store
    the record ourselves and its anchoring is not final, so that an absent root is no forgery.
    """

    as_of: datetime
    batch: AnchoredBatch | Unknown | None
    status: int | Unknown
    accreditation: Accreditation | Unknown | None
    state: ProofState = ProofState.ANCHORED
    anchor_block: int | None = None
    accreditation_at_issue: Accreditation | Unknown | None = None
    accreditation_at_anchoring: Accreditation | Unknown | None = None
    revocation: Revocation | Unknown | None = None
    succeeds: tuple[LedgerName, ...] = ()
    is_on_its_way: bool = False


@dataclass(frozen=True)
class Check:
    """One answer of a check; ``reason`` names the message to show (messages/verdict.py), ``values`` fill it."""

    code: str
    outcome: Outcome
    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)
    action_by: ActionBy | None = None
    record: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The conclusion, and every check that led to it."""

    conclusion: Conclusion
    checks: tuple[Check, ...]
    as_of: datetime
    at: datetime | None = None

    @classmethod
    def of(cls, checks: Iterable[Check], as_of: datetime, at: datetime | None = None) -> "Verdict":
        """Conclude INVALID if any check failed, else INDETERMINATE if any could not be made, else VALID.

        ``as_of`` is when the ledger was read; ``at`` is the past moment in question, if any.
        """
        checks = tuple(checks)
        outcomes = {check.outcome for check in checks}
        if Outcome.FAIL in outcomes:
            return cls(Conclusion.INVALID, checks, as_of, at)
        # Where nothing was checked nothing was shown.
        if Outcome.INDETERMINATE in outcomes or not checks:
            return cls(Conclusion.INDETERMINATE, checks, as_of, at)
        return cls(Conclusion.VALID, checks, as_of, at)

    @property
    def proof_state(self) -> ProofState | None:
        """How far all its records have come: the least of their states, or None where one is not known."""
        states = {check.values.get("state") for check in self.checks if check.code == "ANCHOR"}
        return None if None in states else next((state for state in ProofState if state in states), None)

    @property
    def deciding(self) -> Check | None:
        """The first check that prevented VALID."""
        for outcome in (Outcome.FAIL, Outcome.INDETERMINATE):
            for check in self.checks:
                if check.outcome is outcome:
                    return check
        return None


class Rank(StrEnum):
    """The worst effect that a check can have on a verdict."""

    NOTE = "note"
    """No effect."""
    WARNING = "warning"
    """It prevents VALID: something must be looked at, or could not be read."""
    FAIL = "fail"
    """It makes the verdict INVALID."""


class Scope(StrEnum):
    """What a check is about, and so who can make it."""

    FILE = "file"
    """A bundle as a file, and the source of the ledger's facts; made by every verifier of bundles."""
    RECORD = "record"
    """One record; made by every verifier."""
    NAMED = "named"
    """Whether papers are those that a declaration names; made by every verifier."""
    MATCH = "match"
    """The content of papers, compared with each other; made by a server."""
    SERVER = "server"
    """What only a server has: files, its own count."""

    @property
    def is_server_only(self) -> bool:
        """Whether verifiers of bundles do not make it."""
        return self in (Scope.MATCH, Scope.SERVER)


@dataclass(frozen=True)
class Finding:
    """A possible answer of a check, with its message; ``text`` is None where that is registered elsewhere."""

    reason: str
    outcome: Outcome
    text: str | None = None
    action_by: ActionBy | None = None


def passes(reason: str, text: str | None = None) -> Finding:
    """Define an answer with which all is well."""
    return Finding(reason, Outcome.PASS, text)


def fails(reason: str, by: ActionBy, text: str | None = None) -> Finding:
    """Define an answer that makes the verdict INVALID; ``by`` can act on it."""
    return Finding(reason, Outcome.FAIL, text, by)


def leaves_open(reason: str, by: ActionBy, text: str | None = None) -> Finding:
    """Define an answer that makes the verdict INDETERMINATE unless it is INVALID; ``by`` can act on it."""
    return Finding(reason, Outcome.INDETERMINATE, text, by)


def notes(reason: str, text: str | None = None, by: ActionBy | None = None) -> Finding:
    """Define an answer that informs and has no effect."""
    return Finding(reason, Outcome.NOTE, text, by)


class UnregisteredAnswer(LookupError):
    """Raised when a check gives an answer that it was not registered with."""


Subject = TypeVar("Subject")
Found = Check | Iterable[Check] | None
_WORST = {
    Outcome.PASS: Rank.NOTE,
    Outcome.NOTE: Rank.NOTE,
    Outcome.INDETERMINATE: Rank.WARNING,
    Outcome.FAIL: Rank.FAIL,
}
_RANKS = (Rank.NOTE, Rank.WARNING, Rank.FAIL)


@dataclass(frozen=True)
class RegisteredCheck(Generic[Subject]):
    """A check: its name, its possible answers, and the function that makes it.

    ``function`` takes the subject and returns answers, or None where the question does not arise. It is None for checks
    that need more than values (a node, a database), whose callers use ``answer`` directly. ``rule`` states in words
    what is compared, ``tolerance`` by how much it may differ and on whose authority. If a check with ``is_decisive``
    fails, no further check of its scope is made.
    """

    code: str
    title: str
    rank: Rank
    scope: Scope
    answers: tuple[Finding, ...]
    function: Callable[[Subject], Found] | None = None
    rule: str | None = None
    tolerance: str | None = None
    is_decisive: bool = False

    def __post_init__(self) -> None:
        """Refuse a rank that is not the worst of the answers."""
        worst = max((_WORST[answer.outcome] for answer in self.answers), key=_RANKS.index)
        if worst is not self.rank:
            raise ValueError(f"{self.code} is registered as {self.rank}, and its answers as {worst}")

    @cached_property
    def _known(self) -> Mapping[tuple[str, Outcome | None], Finding]:
        """The answers by reason and outcome, and the first of each reason by None."""
        known: dict[tuple[str, Outcome | None], Finding] = {}
        for answer in self.answers:
            known.setdefault((answer.reason, None), answer)
            known[answer.reason, answer.outcome] = answer
        return known

    def __call__(self, subject: Subject) -> list[Check]:
        """Return its answers about the subject.

        Raises:
            UnregisteredAnswer: if the function returns another check's answer.
        """
        assert self.function is not None, f"{self.code} has no function"
        found = self.function(subject)
        checks = [] if found is None else [found] if isinstance(found, Check) else list(found)
        for check in checks:
            if check.code != self.code:
                raise UnregisteredAnswer(f"{self.code} answered as {check.code}")
        return checks

    def answer(
        self,
        reason: str,
        values: Mapping[str, Any] | None = None,
        record: str | None = None,
        outcome: Outcome | None = None,
    ) -> Check:
        """Return one of the registered answers, with the values of its message.

        ``outcome`` selects one where a reason is registered with several outcomes.

        Raises:
            UnregisteredAnswer: if there is no such answer.
        """
        if (known := self._known.get((reason, outcome))) is not None:
            return Check(self.code, known.outcome, reason, values or {}, known.action_by, record)
        raise UnregisteredAnswer(f"{self.code} is not registered with the answer {reason} ({outcome or 'any outcome'})")

    def not_read(self, fact: Unknown) -> Check:
        """Return the answer for a fact that could not be read."""
        return self.answer(fact.reason, {"why": fact.why})


class Register:
    """All checks, by code, in the order of registration, which is the order in which they are made."""

    def __init__(self) -> None:
        self._checks: dict[str, RegisteredCheck[Any]] = {}
        self._texts: dict[str, str] = {}
        self._of_scope: dict[Scope, tuple[RegisteredCheck[Any], ...]] = {}

    def add(self, check: RegisteredCheck[Subject]) -> RegisteredCheck[Subject]:
        """Register a check.

        Raises:
            ValueError: if its code exists, or a reason has another message already.
        """
        if check.code in self._checks:
            raise ValueError(f"{check.code} is registered twice")
        for answer in check.answers:
            # The catalogue and the offline verifiers look messages up by reason alone.
            if answer.text is not None and self._texts.setdefault(answer.reason, answer.text) != answer.text:
                raise ValueError(f"{answer.reason} has two sentences")
        self._checks[check.code] = check
        self._of_scope.clear()
        return check

    def check(
        self, code: str, title: str, rank: Rank, scope: Scope, *answers: Finding, **more: Any
    ) -> Callable[[Callable[[Subject], Found]], RegisteredCheck[Subject]]:
        """Return a decorator that registers a function as a check."""
        return lambda function: self.add(RegisteredCheck(code, title, rank, scope, answers, function, **more))

    def run(self, scope: Scope, subject: Any) -> list[Check]:
        """Make every check of a scope on one subject, until a decisive one fails."""
        checks: list[Check] = []
        for check in self._made(scope):
            found = check(subject)
            checks += found
            if check.is_decisive and any(one.outcome is Outcome.FAIL for one in found):
                break
        return checks

    def _made(self, scope: Scope) -> tuple[RegisteredCheck[Any], ...]:
        """Return the checks of a scope that have a function; kept, since a list of verdicts asks for each record."""
        if scope not in self._of_scope:
            self._of_scope[scope] = tuple(check for check in self.of(scope) if check.function is not None)
        return self._of_scope[scope]

    def of(self, *scopes: Scope) -> list[RegisteredCheck[Any]]:
        """Return the checks of some scopes."""
        return [check for check in self._checks.values() if check.scope in scopes]

    def __iter__(self) -> Iterator[RegisteredCheck[Any]]:
        return (check for scope in Scope for check in self.of(scope))

    def __getitem__(self, code: str) -> RegisteredCheck[Any]:
        return self._checks[code]

    def find(self, code: str) -> RegisteredCheck[Any] | None:
        """Return the check of a code, or None for one that only stored verdicts of an earlier version have."""
        return self._checks.get(code)

    @property
    def titles(self) -> dict[str, str]:
        """The title of each check."""
        return {check.code: check.title for check in self}

    @property
    def texts(self) -> dict[str, str]:
        """The message of each reason."""
        return dict(self._texts)


REGISTER = Register()
"""The checks of this program; modules register theirs when they are imported."""


def about(record_id: str, checks: Iterable[Check]) -> list[Check]:
    """Return the same checks, marked with the record that they are about."""
    return [Check(c.code, c.outcome, c.reason, c.values, c.action_by, record_id) for c in checks]
