"""Builds a document of ours from a source and the merchant's additions, and records every step for the report."""

from collections.abc import Callable, Mapping
from typing import Any

from backend.domain.errors import Invalid
from backend.domain.interop import conversions
from backend.domain.interop.conversions import Converted
from backend.domain.interop.field_help import meaning_of, needed_for
from backend.domain.interop.reading import (
    Note,
    Reading,
    Severity,
    Source,
    Unusable,
)
from backend.domain.kinds import KINDS, Kind
from backend.domain.records import document_of

DEFAULTS: dict[Kind, dict[str, str]] = {
    kind: {
        info.alias or name: info.default
        for name, info in stated.model.model_fields.items()
        if isinstance(info.default, str)
    }
    for kind, stated in KINDS.items()
    if stated.without_import is None
}
"""The values of fields that are not stated, which the report lists."""

# As many lines as the documents take (``items`` in kinds/declaration.py and invoice.py).
_MOST_ELEMENTS = 200
_SWITCHES = ("conforms",)
_YES_OR_NO = {"true": True, "false": False}


def with_field(node: Any, path: str, value: Any) -> Any:
    """Return the fields with one field set, by its dotted path.

    Raises:
        Unusable: if the path leads through a plain value or past the end of a list.
    """
    head, _, rest = path.partition(".")
    if head.isascii() and head.isdigit():
        if not isinstance(node, list | None) or int(head) > min(len(node or []), _MOST_ELEMENTS):
            raise Unusable("no-such-path", path=path)
        elements = [*(node or []), None] if int(head) == len(node or []) else list(node or [])
        elements[int(head)] = with_field(elements[int(head)], rest, value) if rest else value
        return elements
    if not isinstance(node, dict | None) or not head:
        raise Unusable("no-such-path", path=path)
    return {**(node or {}), head: with_field((node or {}).get(head), rest, value) if rest else value}


def field_at(node: Any, path: str) -> Any:
    """Return the value at a dotted path, or None."""
    return Source(node).value("/" + path.replace(".", "/"))


def faults(kind: Kind, fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (where, what) for each fault. A declaration's merchant and records are checked when it is lodged."""
    known = {**fields, "merchant": {"name": "-"}, "records": []} if kind is Kind.DECLARATION else fields
    try:
        document_of(kind, known)
        found = []
    except Invalid as error:
        found = error.problems
    if kind is Kind.DECLARATION and "packageQuantity" not in fields:
        found.append(("packageQuantity", "is missing"))  # elsewhere one package is assumed; here nobody looks on
    # Where each element of a list is faulty, the list is called too short as well, which says nothing new.
    return [fault for fault in found if not any(where.startswith(f"{fault[0]}.") for where, _ in found)]


class Draft:
    """Our fields, as far as they were found in a source."""

    def __init__(self, kind: Kind, source: Source) -> None:
        self.kind = kind
        self.source = source
        self.fields: dict[str, Any] = {}
        self.notes: list[Note] = []
        self._origins: dict[str, str] = {}
        self._unusable: dict[str, tuple[str, Unusable]] = {}

    def put(self, field: str, pointer: str, value: Any, how: str | None = None, **values: Any) -> None:
        """Set a field from a value, and report where it came from and how it was converted."""
        self.fields = with_field(self.fields, field, value)
        self.source.use(pointer)
        self._origins[field] = pointer
        severity = Severity.CONVERTED if how else Severity.TAKEN
        self.note(severity, how or "taken", pointer, field, value=value, **values)

    def note(self, severity: Severity, code: str, where: str = "", field: str = "", **values: Any) -> None:
        """Add a line to the report."""
        self.notes.append(Note(severity, code, where, field, values))

    def take(
        self, field: str, pointer: str, convert: Callable[[Any], Converted] = conversions.text, how: str | None = None
    ) -> None:
        """Take the value at the pointer, if there is one; ``how`` names the interpretation that it is given."""
        raw = self.source.value(pointer)
        if raw is None:
            return
        try:
            value, conversion = convert(raw)
        except Unusable as error:
            self.unusable(field, pointer, error)
        else:
            self.put(field, pointer, value, how or conversion, raw=raw)

    def take_all(self, fields: dict[str, Any], pointer: str) -> None:
        """Take fields that have our names already."""
        self.fields = dict(fields)
        for name, value in fields.items():
            self._origins[name] = f"{pointer}/{name}"
            self.note(Severity.TAKEN, "taken", f"{pointer}/{name}", name, value=value)

    def unusable(self, field: str, pointer: str, why: Unusable) -> None:
        """Record that the value there cannot be used."""
        self.source.use(pointer)
        self._unusable.setdefault(field, (pointer, why))

    def first(self, field: str, *pointers: str) -> None:
        """Take the first of these texts that exists."""
        found = next((p for p in pointers if self.source.value(p) is not None), None)
        if found is not None:
            self.take(field, found)

    def joined(self, field: str, pointers: list[str], separator: str = ", ") -> None:
        """Take several texts as one."""
        present = [(p, v) for p in pointers if isinstance(v := self.source.value(p), str)]
        if not present:
            return
        for pointer, _ in present:
            self.source.use(pointer)
        where = present[0][0] if len(present) == 1 else present[0][0].rsplit("/", 1)[0]
        value = separator.join(v.strip() for _, v in present)
        self._origins[field] = where
        self.fields = with_field(self.fields, field, value)
        severity, code = (Severity.CONVERTED, "joined") if len(present) > 1 else (Severity.TAKEN, "taken")
        self.note(severity, code, where, field, value=value, count=len(present))

    def mass(self, field: str, pointer: str) -> None:
        """Take a mass, {value, unitCode}, in kilograms."""
        value, unit = self.source.value(f"{pointer}/value"), self.source.value(f"{pointer}/unitCode")
        if value is None or unit is None:
            return
        try:
            kilograms, how, factor = conversions.kilograms(value, unit)
        except Unusable as error:
            self.unusable(field, pointer, error)
        else:
            self.put(field, pointer, kilograms, how, raw=f"{value} {unit}", factor=factor)

    def refuse(self, code: str, where: str, **values: Any) -> None:
        """Report a fault that no additional field can fix."""
        self.source.use(where)
        self.note(Severity.WRONG, code, where, **values)

    def finish(self, format_code: str, given: Mapping[str, str]) -> Reading:
        """Set what the merchant gives, check everything, and report what is missing and what was not used."""
        for field, value in given.items():
            self._give(field, value)
        self._check(given)
        for pointer in ("/proof", "/signature"):
            if self.source.value(pointer) is not None:
                self.source.use(pointer)
                self.note(Severity.WARNING, "proof-not-checked", pointer)
        for pointer, count in self.source.unused():
            value = self.source.value(pointer)
            shown = None if isinstance(value, dict | list) else value
            self.note(Severity.UNUSED, "no-place", pointer, value=shown, count=count)
        return Reading(format_code, self.kind, self.fields, tuple(self.notes))

    def _give(self, field: str, value: str) -> None:
        former = field_at(self.fields, field)
        try:
            said = _YES_OR_NO.get(value, value) if field in _SWITCHES or field.endswith(".meetsLimit") else value
            self.fields = with_field(self.fields, field, said)
        except Unusable as error:
            self.note(Severity.WRONG, "unusable-cell", "--set", field, why=error)
            return
        self._origins[field] = "--set"
        if former is None or former == value:
            self.note(Severity.TAKEN, "given", "--set", field, value=value)
        else:
            self.note(Severity.CONVERTED, "given-instead", "--set", field, value=value, raw=former)

    def _check(self, given: Mapping[str, str]) -> None:
        missing: set[str] = set()
        for where, what in faults(self.kind, self.fields):
            if what == "is missing":
                missing.update(needed_for(self.kind, where))
            else:
                self.note(Severity.WRONG, "fault", self._origin_of(where), where, what=what)
        for field, (pointer, why) in self._unusable.items():
            if field in given:
                self.note(Severity.UNUSED, "left-out", pointer, field, why=why)
            elif field in missing or field in DEFAULTS[self.kind]:
                missing.discard(field)
                self.note(Severity.WRONG, "unusable", pointer, field, why=why, meaning=meaning_of(field))
            else:
                self.note(Severity.UNUSED, "left-out", pointer, field, why=why)
        for field in sorted(missing, key=lambda f: (f.split(".")[0] not in self.fields, f)):
            self.note(Severity.MISSING, "lacking", field=field, meaning=meaning_of(field))
        for field, value in DEFAULTS[self.kind].items():
            if field not in self.fields and field not in self._unusable:
                self.note(Severity.WARNING, "default", field=field, value=value)

    def _origin_of(self, path: str) -> str:
        while path and path not in self._origins:
            path = path.rpartition(".")[0]
        return self._origins.get(path, "")
