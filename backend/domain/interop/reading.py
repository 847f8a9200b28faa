"""The result of reading a document made by others: our fields, and a note for every line of the report."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.domain.errors import TraceabilityError
from backend.domain.kinds import Kind

_SILENT = ("@context", "type", "credentialSchema")
"""Members that name the vocabulary and contain no trade data."""


class Source:
    """A JSON value that is read by JSON pointers (RFC 6901) and remembers what was used."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._used: set[str] = set()

    def value(self, pointer: str) -> Any:
        """Return the value there, or None; an empty string counts as none. Reading alone does not mark it as used."""
        node = self._document
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict):
                node = node.get(name)
            elif isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            else:
                return None
        return None if isinstance(node, str) and not node.strip() else node

    def size(self, pointer: str) -> int:
        """Return the length of the list there, or 0."""
        value = self.value(pointer)
        return len(value) if isinstance(value, list) else 0

    def use(self, pointer: str) -> None:
        """Mark the value there, with everything inside it, as used."""
        self._used.add(pointer)

    def unused(self) -> Iterator[tuple[str, int]]:
        """Yield the topmost pointers that contain nothing used, and how many values each holds."""
        rest, _, _ = self._rest(self._document, "")
        yield from rest

    def _rest(self, node: Any, pointer: str) -> tuple[list[tuple[str, int]], int, bool]:
        """Return the unused places below, how many values they hold, and whether anything below was used."""
        if pointer in self._used:
            return [], 0, True
        if not isinstance(node, dict | list):
            empty = node is None or (isinstance(node, str) and not node.strip())
            return ([], 0, False) if empty else ([(pointer, 1)], 1, False)
        members = node.items() if isinstance(node, dict) else enumerate(node)
        below = [
            self._rest(member, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}")
            for name, member in members
            if name not in _SILENT
        ]
        places = [place for found, _, _ in below for place in found]
        count, taken = sum(n for _, n, _ in below), any(t for _, _, t in below)
        # An object of which nothing was used is one line of the report, not one for each of its members.
        if pointer and count and not taken:
            return [(pointer, count)], count, False
        return places, count, taken


class Severity(StrEnum):
    """The kinds of notes."""

    TAKEN = "taken"
    CONVERTED = "converted"
    MISSING = "missing"
    UNUSED = "unused"
    WRONG = "wrong"
    WARNING = "warning"

    @property
    def blocks(self) -> bool:
        """Whether nothing may be stored while there is such a note."""
        return self in (Severity.MISSING, Severity.WRONG)


@dataclass(frozen=True)
class Note:
    """One line of the report; ``code`` and ``values`` give its message in any language.

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
    """A document of ours, as far as the other's document states it."""

    format: str
    kind: Kind
    fields: dict[str, Any]
    notes: tuple[Note, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the fields make a whole document: no note blocks it."""
        return not any(note.severity.blocks for note in self.notes)


class Unusable(TraceabilityError):
    """Raised for a value that cannot be used; ``reason`` and ``values`` give the message."""

    code = "unusable"

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason, **values)
        self.reason = reason


class UnknownFormat(TraceabilityError):
    """Raised for a file that is none of the known formats."""

    code = "unknown-format"

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason, **values)
        self.reason = reason
