"""Reads JSON so that two programs can never read two things from the same bytes.

Refused: duplicate keys, NaN and infinities, numbers that lose digits, lone surrogates, nesting beyond 64 levels.
Python's own reader accepts the first five silently and answers deep nesting with a RecursionError.
"""

import json
import math
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn

from backend.domain.errors import Invalid

DEEPEST = 64
LARGEST_INTEGER = 2**53 - 1
"""RFC 7493 (I-JSON), section 2.2: larger integers are not read alike everywhere."""


class HostileJson(Invalid):
    """Bytes that are not JSON, or JSON that programs would read differently."""

    code = "malformed-json"


def loads(text: str | bytes) -> Any:
    """The value that the JSON text states; raises HostileJson with the reason."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise HostileJson("not UTF-8 at byte {position}", position=error.start) from error
    _refuse_depth(decoded)
    try:
        if decoded.startswith("\ufeff"):
            raise HostileJson("begins with a byte order mark")
        value = _value(decoded)
    except json.JSONDecodeError as error:
        raise HostileJson(
            "not JSON: {why} at line {line}, column {column}", why=error.msg, line=error.lineno, column=error.colno
        ) from error
    _refuse_surrogates(decoded, value)
    return value


def _value(text: str) -> Any:
    """What the reader makes of the whole text; where nothing stands around the value, without looking for spaces."""
    try:
        value, end = _READER.raw_decode(text)
    except json.JSONDecodeError:
        return _READER.decode(text)
    return value if end == len(text) else _READER.decode(text)


def _refuse_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return  # too few to be nested so deep, wherever they stand
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                raise HostileJson("nested deeper than {most} levels", most=DEEPEST)
        elif character in "]}":
            depth -= 1


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise HostileJson("the key {name} stands twice in one object", name=repr(twice))
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise HostileJson("{name} is not a JSON number", name=name)


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise HostileJson("the integer {digits} is beyond 2^53 - 1: send it as a string", digits=digits[:24])
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) <= 40 and len(digits.lower().partition("e")[2]) <= 5:
        value = float(digits)
        if math.isfinite(value) and Decimal(repr(value)) == Decimal(digits):
            return value
    raise HostileJson("the number {digits} does not fit a double exactly: send it as a string", digits=digits[:24])


def _refuse_surrogates(text: str, value: Any) -> None:
    # Only an escape can bring a lone surrogate into text that was valid UTF-8.
    if "\\u" not in text and "\\U" not in text:
        return
    for piece in _strings(value):
        try:
            piece.encode("utf-8")
        except UnicodeEncodeError as error:
            raise HostileJson("a string holds half of a surrogate pair") from error


_READER = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_number
)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [piece for key, member in value.items() for piece in (key, *_strings(member))]
    if isinstance(value, list):
        return [piece for member in value for piece in _strings(member)]
    return []
