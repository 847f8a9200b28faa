"""Refusals in our own words; each carries the values that explain it, in any language."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Message(str):
    """English for programs and logs; ``template`` is its key in the catalogue, ``values`` fill the ``{placeholders}``.

    It is a ``str``, so that whoever needs only the English takes it as one.
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> "Message":
        """Fill the template; what is a message already is taken as it is."""
        if isinstance(template, Message):
            return template
        made = super().__new__(cls, filled(template, values))
        made.template, made.values = template, values
        return made


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Put the values in. Other braces stay: a text of others may hold some, and nothing is looked up inside a value."""
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]) if found[1] in values else found[0], template)


def message_of(error: BaseException) -> str:
    """What an error says, as a message where it is one: ``str(error)`` would forget the template."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Message) else str(error)


class TraceabilityError(Exception):
    """Something the rules do not allow, with a stable code for programs and values for people.

    The message is the template of a sentence; ``values`` fill it, in whichever language it is said
    (``backend.messages.catalogue.say``). They hold no secrets.
    """

    code = "refused"

    def __init__(self, message: str = "", **values: object) -> None:
        self.values = values
        self.message = Message(message or self.code, **values)
        super().__init__(self.message)


class NotFound(TraceabilityError):
    """There is no such thing, or the person asking has no right to know that there is."""

    code = "not-found"


class NotAllowed(TraceabilityError):
    """The person asking is known but has no right to do this."""

    code = "not-allowed"


class Invalid(TraceabilityError):
    """What was sent in breaks a rule; ``problems`` lists (where, what) pairs, one for each fault."""

    code = "invalid"

    def __init__(self, message: str, problems: list[tuple[str, str]] | None = None, **values: object) -> None:
        super().__init__(message, **values)
        self.problems = problems or []


class Conflict(TraceabilityError):
    """The thing has moved on: what was asked is not possible in its present state."""

    code = "conflict"


@dataclass(frozen=True)
class LaterChange:
    """What somebody did to a thing after somebody else had read it."""

    what: str
    """The step, status or act, by its stable name."""
    at: datetime
    organisation: str | None = None
    """Who did it, by name; None where the ledger or the system brought it about."""
    person_id: str | None = None
    why: str | None = None


class StaleVersion(TraceabilityError):
    """The thing was changed after it was read: what was asked rests on an earlier version of it."""

    code = "stale-version"

    def __init__(self, version: int, changes: Sequence[LaterChange] = ()) -> None:
        super().__init__(Message("this was changed after you read it: read it again, then decide"), version=version)
        self.version = version
        """The version that it has now."""
        self.changes = tuple(changes)
        """What happened since the version that was read, in order."""


class VersionRequired(TraceabilityError):
    """A change of something that others may change at the same time must say which version of it was read."""

    code = "version-required"


class StorageUnavailable(TraceabilityError):
    """What was to be kept could not be written: nothing of it is kept."""

    code = "storage-unavailable"


class StorageFull(StorageUnavailable):
    """There is no room left to keep anything; what is there can be read."""

    code = "storage-full"


class TooMuchWaiting(TraceabilityError):
    """So much waits for the ledger that no more is taken in for now; come again in ``retry_after_seconds``."""

    code = "too-much-waiting"

    def __init__(self, message: str, retry_after_seconds: int, **values: object) -> None:
        super().__init__(message, **values)
        self.retry_after_seconds = retry_after_seconds


class LedgerUnavailable(TraceabilityError):
    """The ledger could not be asked: nothing is known, so nothing may be concluded."""

    code = "ledger-unavailable"


class LedgerRefused(TraceabilityError):
    """The contract refused a call; ``values`` hold the custom error's name and arguments."""

    code = "ledger-refused"


class ForeignLedger(TraceabilityError):
    """The chain is not the one this system was deployed on: nothing is signed for it."""

    code = "foreign-ledger"
    choices = (
        "point LEDGER_RPC_URL or DATA_DIR back to the chain that was used before",
        "put that chain's data back from its backup",
        "where the chain is lost for good: provenport chain deploy --again, which anchors every record anew",
    )
    """What an operator can do then."""
