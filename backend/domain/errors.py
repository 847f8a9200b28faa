"""The domain's errors.

Each carries a message template and the values for it, so that it can be shown in any language.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Message(str):
    """A text in English that can be translated.

    ``template`` is its key in the catalogue, ``values`` fill the placeholders. It is a ``str``, so that logs and
    programs use the English text directly.
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> "Message":
        """Fill the template; a message is returned unchanged."""
        if isinstance(template, Message):
            return template
        made = super().__new__(cls, filled(template, values))
        made.template, made.values = template, values
        return made


class NameInLanguages(str):
    """A name in English that knows what it is called in other languages, for the sentences of messages.

    It is a ``str``, so that logs, programs and comparisons use the English name.
    """

    names: Mapping[str, str]

    def __new__(cls, name: str, names: Mapping[str, str | None]) -> "NameInLanguages":
        """Take the names by language; those that are missing are told by the English one."""
        made = super().__new__(cls, name)
        made.names = {language: other for language, other in names.items() if other}
        return made

    def in_language(self, language: str) -> str:
        """Return the name in a language, else the English one."""
        return self.names.get(language, str(self))


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Fill in the values.

    Other braces stay, because quoted texts may contain them, and values are not expanded again.
    """
    # str.format would also evaluate attributes and indexes of a value, which foreign text must not reach.
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]) if found[1] in values else found[0], template)


def message_of(error: BaseException) -> str:
    """Return an error's message, keeping its template, which ``str(error)`` would lose."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Message) else str(error)


class TraceabilityError(Exception):
    """Base class of refusals, with a stable code for programs and values for people.

    The message is a template, filled by ``values`` in whichever language it is shown
    (``backend.messages.catalogue.say``). The values hold no secrets.
    """

    code = "refused"

    def __init__(self, message: str = "", **values: object) -> None:
        self.values = values
        self.message = Message(message or self.code, **values)
        super().__init__(self.message)


class Translating:
    """A context that raises a library's errors as errors of ours, as far as ``translated`` knows them."""

    def __init__(self, translated: Callable[[BaseException], TraceabilityError | None]) -> None:
        self._translated = translated

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raise the error of ours, if there is one."""
        ours = None if error is None else self._translated(error)
        if ours is not None:
            raise ours from error


class NotFound(TraceabilityError):
    """Raised when there is no such thing, or when the person has no right to know that there is."""

    code = "not-found"


class NotAllowed(TraceabilityError):
    """Raised when a known person has no right to do this."""

    code = "not-allowed"


class Invalid(TraceabilityError):
    """Raised when input breaks a rule; ``problems`` lists (where, what) pairs, one for each fault."""

    code = "invalid"

    def __init__(self, message: str, problems: list[tuple[str, str]] | None = None, **values: object) -> None:
        super().__init__(message, **values)
        self.problems = problems or []


class Conflict(TraceabilityError):
    """Raised when something is not possible in the present state."""

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
    """Raised when data could not be written; none of it is stored."""

    code = "storage-unavailable"
    retry_after_seconds: int | None = 5
    """When to try again; None where that alone does not help."""


class Contention(StorageUnavailable):
    """Raised when units of work got in each other's way and the database ended this one; it may run again at once."""

    retry_after_seconds = 1


class StorageFull(StorageUnavailable):
    """Raised when there is no room left; stored data can still be read."""

    code = "storage-full"
    retry_after_seconds = None


class TooMuchWaiting(TraceabilityError):
    """Raised when no more records are admitted until the queue shrinks; retry after ``retry_after_seconds``."""

    code = "too-much-waiting"

    def __init__(self, message: str, retry_after_seconds: int, **values: object) -> None:
        super().__init__(message, **values)
        self.retry_after_seconds = retry_after_seconds


class LedgerBehind(TooMuchWaiting):
    """Raised when no more records are admitted because one has waited too long for the ledger."""

    code = "ledger-behind"


class LedgerUnavailable(TraceabilityError):
    """Raised when the ledger could not be asked, so that nothing is known."""

    code = "ledger-unavailable"


class LedgerRefused(TraceabilityError):
    """Raised when the contract refused a call; ``values`` hold the custom error's name and arguments."""

    code = "ledger-refused"


class ForeignLedger(TraceabilityError):
    """Raised when the chain is not the one of this deployment; nothing is signed for it."""

    code = "foreign-ledger"
    choices = (
        "point LEDGER_RPC_URL or DATA_DIR back to the chain that was used before",
        "put that chain's data back from its backup",
        "where the chain is lost for good: provenport chain deploy --again, which anchors every record anew",
    )
    """What an operator can do about it."""
