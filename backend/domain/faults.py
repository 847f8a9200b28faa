"""Faults that pydantic finds in fields, as messages that the catalogue knows."""

from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, PydanticKnownError

from backend.domain.message import Message

_OURS = {
    "missing": Message("is missing"),
    "extra_forbidden": Message("is not a field of this document"),
}
"""What we say in place of pydantic."""
_TEMPLATE = "template"


def fault(kind: str, template: str, /, **values: Any) -> PydanticCustomError:
    """A fault that a validator of ours raises: its kind for programs, and the template of what it says."""
    return PydanticCustomError(kind, template, {**values, _TEMPLATE: template})


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """(where, what) for each fault, where as a dotted path of JSON names."""
    faults = error.errors(include_url=False, include_input=False)
    places = [fault["loc"] for fault in faults]
    return [
        (".".join(str(to_camel(part) if isinstance(part, str) else part) for part in fault["loc"]), what(fault))
        for fault in faults
        if not _follows_from_others(fault["type"], fault["loc"], places)
    ]


def _follows_from_others(kind: str, place: tuple[int | str, ...], places: list[tuple[int | str, ...]]) -> bool:
    """A list whose every line is faulty is reported as too short as well: that tells nobody anything."""
    return kind == "too_short" and any(len(other) > len(place) and other[: len(place)] == place for other in places)


def what(fault: Any) -> Message:
    """What one fault says, with the template that pydantic or our validator filled."""
    kind, values = fault["type"], dict(fault.get("ctx") or {})
    if kind in _OURS:
        return _OURS[kind]
    template = values.pop(_TEMPLATE, None) or _template(kind, values)
    # Pydantic puts this into its English templates, and does not hand it out.
    counts = [values[name] for name in _COUNTS if name in values]
    plural = {"expected_plural": "" if counts == [1] else "s"} if counts else {}
    return Message(template, **values, **plural)


_COUNTS = ("min_length", "max_length", "max_digits", "decimal_places", "whole_digits")


def _template(kind: str, values: dict[str, Any]) -> str:
    return PydanticKnownError(kind, values or None).message_template  # type: ignore[arg-type]
