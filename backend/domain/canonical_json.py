"""Canonical JSON (RFC 8785): one text for one value, so that what is hashed or signed is the same everywhere.

Values come from ``strict_json``, which has refused what two programs could read differently.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from backend.domain.errors import Invalid
from backend.domain.strict_json import DEEPEST, LARGEST_INTEGER


class NotCanonical(Invalid):
    """A value that has no canonical text: no number, half a character, or nothing of JSON's."""

    code = "not-canonical"


def dumps(value: Any) -> bytes:
    """The canonical text of a JSON value, in UTF-8."""
    try:
        return "".join(_written(value)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds half of a surrogate pair") from error


def _written(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > DEEPEST:
        raise NotCanonical("nested deeper than {most} levels", most=DEEPEST)
    match value:
        case None | bool():
            yield {None: "null", True: "true", False: "false"}[value]
        case str():
            yield json.dumps(value, ensure_ascii=False)
        case int() | float():
            yield _number(value)
        case list() | tuple():
            yield from _joined("[", (_written(item, depth + 1) for item in value), "]")
        case dict():
            yield from _joined("{", (_member(name, value[name], depth + 1) for name in _ordered(value)), "}")
        case _:
            raise NotCanonical("{name} is no JSON value", name=type(value).__name__)


def _joined(opening: str, parts: Iterator[Iterator[str]], closing: str) -> Iterator[str]:
    yield opening
    for place, part in enumerate(parts):
        if place:
            yield ","
        yield from part
    yield closing


def _member(name: str, value: Any, depth: int) -> Iterator[str]:
    yield json.dumps(name, ensure_ascii=False)
    yield ":"
    yield from _written(value, depth)


def _ordered(members: dict[Any, Any]) -> list[str]:
    """Names in the order of their UTF-16 code units (section 3.2.3), which is not Python's."""
    if not all(isinstance(name, str) for name in members):
        raise NotCanonical("an object's names are strings")
    return sorted(members, key=lambda name: name.encode("utf-16-be"))


def _number(value: int | float) -> str:
    """As ECMAScript writes it (section 3.2.2.3): the shortest digits that read back as the same double."""
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise NotCanonical("the integer {value} is beyond 2^53 - 1", value=str(value)[:24])
        return str(value)
    if not math.isfinite(value):
        raise NotCanonical("{value} is no JSON number", value=value)
    if value == 0:
        return "0"
    sign, digits, point = _digits(value)
    if 0 < point <= 21:
        whole, rest = digits[:point].ljust(point, "0"), digits[point:]
        return f"{sign}{whole}.{rest}" if rest else sign + whole
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits, and where the decimal point stands before or behind them."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    return "-" if value < 0 else "", digits.rstrip("0"), point
