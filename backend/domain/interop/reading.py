"""What came of reading a document that others made: our fields, and a note for every line of the report."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.domain.errors import TraceabilityError
from backend.domain.kinds import Kind


class Severity(StrEnum):
    """What a note tells."""

    TAKEN = "taken"
    CONVERTED = "converted"
    MISSING = "missing"
    UNUSED = "unused"
    WRONG = "wrong"
    WARNING = "warning"

    @property
    def blocks(self) -> bool:
        """Whether nothing may be stored while such a note stands."""
        return self in (Severity.MISSING, Severity.WRONG)


@dataclass(frozen=True)
class Note:
    """One line of the report; ``code`` and ``values`` make its sentence in either language.

    ``where`` is a JSON pointer (RFC 6901) or the name of a column, ``row`` a table's row as spreadsheets count them,
    ``field`` the dotted path of our field.
    """

    severity: Severity
    code: str
    where: str = ""
    field: str = ""
    values: Mapping[str, object] = dataclasses.field(default_factory=dict)
    row: int | None = None


@dataclass(frozen=True)
class Reading:
    """A document of ours as far as another's document states it. It is complete where no note blocks it."""

    format: str
    kind: Kind
    fields: dict[str, Any]
    notes: tuple[Note, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the fields make a whole document."""
        return not any(note.severity.blocks for note in self.notes)


class Unusable(TraceabilityError):
    """A value that says nothing we could record; ``reason`` and ``values`` make the sentence."""

    code = "unusable"

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason, **values)
        self.reason = reason


class UnknownFormat(TraceabilityError):
    """A file that is none of the documents known here."""

    code = "unknown-format"

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason, **values)
        self.reason = reason
