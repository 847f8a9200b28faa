"""Texts with exactly one reading and one spelling: strict JSON, canonical JSON (RFC 8785), and times (RFC 3339).

Programs read duplicate keys, large integers and lone surrogates differently. A signed text must not depend on that.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Any, NoReturn

from backend.domain.errors import Invalid, Message

# The same in verifier/verify.py and verifier/verifier.html, which must refuse the same files.
DEEPEST = 64
MOST_BRACKETS = 200_000
"""Far more lists and objects than any document here has: two megabytes of empty ones take a second to parse."""
LARGEST_INTEGER = 2**53 - 1
"""RFC 7493 (I-JSON), section 2.2: programs read larger integers differently."""


class HostileJson(Invalid):
    """Raised for bytes that are not JSON, or JSON that programs would read differently."""

    code = "malformed-json"


def loads(text: str | bytes) -> Any:
    """Parse a JSON text strictly.

    Raises:
        HostileJson: if it is not JSON, too deep, or ambiguous.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise HostileJson("not UTF-8 at byte {position}", position=error.start) from error
    # Before parsing: the parser recurses, and deep nesting would exhaust its stack.
    _refuse_depth(decoded)
    try:
        # RFC 8259, section 8.1, leaves it to parsers whether they ignore the mark or refuse it.
        if decoded.startswith("\ufeff"):
            raise HostileJson("begins with a byte order mark")
        value = _value(decoded)
    except json.JSONDecodeError as error:
        raise HostileJson(
            "not JSON: {why} at line {line}, column {column}",
            why=_why(error.msg),
            line=error.lineno,
            column=error.colno,
        ) from error
    _refuse_surrogates(decoded, value)
    return value


_SYNTAX = {
    "Expecting value": Message("a value is missing"),
    "Expecting property name": Message("a name in double quotation marks is missing"),
    "Expecting ':'": Message("a colon is missing"),
    "Expecting ','": Message("a comma is missing"),
    "Illegal trailing comma": Message("a comma stands before a closing bracket"),
    "Extra data": Message("something stands after the end of the value"),
    "Unterminated string": Message("a string is not closed"),
    "Invalid control character": Message("a string holds a control character, or is not closed"),
    "Invalid \\": Message("a backslash begins no escape of JSON"),
}
"""What the standard library's parser says, in English only, by its beginning."""


def _why(parser_says: str) -> Message:
    found = (message for beginning, message in _SYNTAX.items() if parser_says.startswith(beginning))
    return next(found, Message("it breaks the grammar of JSON"))


def _value(text: str) -> Any:
    """Parse the whole text, without a search for white space where there is none around the value."""
    try:
        value, end = _READER.raw_decode(text)
    except json.JSONDecodeError:
        return _READER.decode(text)
    return value if end == len(text) else _READER.decode(text)


_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A string, also an unterminated one. It always matches, so that no text causes backtracking."""
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def _refuse_depth(text: str) -> None:
    most = text.count("[") + text.count("{")
    if most <= DEEPEST:
        return  # too few to be nested so deep, wherever they stand
    if most > MOST_BRACKETS:
        raise HostileJson("more than {most} brackets open in it", most=MOST_BRACKETS)
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEEPEST:
        raise HostileJson("nested deeper than {most} levels", most=DEEPEST)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    # Of duplicate keys some parsers take the first, others the last: two readers would see different records.
    if len(members) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise HostileJson("the key {name} stands twice in one object", name=repr(twice))
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise HostileJson("{name} is not a JSON number", name=name)


def _integer(digits: str) -> int:
    # The length first: int() of millions of digits takes quadratic time.
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise HostileJson("the integer {digits} is beyond 2^53 - 1: send it as a string", digits=digits[:24])
    return int(digits)


def _number(digits: str) -> float:
    # Bounded first: Decimal refuses an exponent beyond its range by an error that is none of ours.
    if len(digits) <= 40 and len(digits.lower().partition("e")[2]) <= 5:
        value = float(digits)
        # A number that rounds would be another number after one program has read and written it.
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


class NotCanonical(Invalid):
    """Raised for a value without a canonical text, such as a lone surrogate or a number that is not finite."""

    code = "not-canonical"


def canonical(value: Any) -> bytes:
    """Return the canonical text of a JSON value (RFC 8785), in UTF-8.

    Raises:
        NotCanonical: if it has none.
    """
    try:
        return "".join(_written(value)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds half of a surrogate pair") from error


def _written(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > DEEPEST:
        raise NotCanonical("nested deeper than {most} levels", most=DEEPEST)
    match value:
        # Before numbers: in Python a bool is an int, and True would be written as True.
        case None | bool():
            yield {None: "null", True: "true", False: "false"}[value]
        case str():
            yield json.dumps(value, ensure_ascii=False)
        case int() | float():
            yield _canonical_number(value)
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
    """Sort names by their UTF-16 code units (RFC 8785, section 3.2.3), which is not Python's order."""
    if not all(isinstance(name, str) for name in members):
        raise NotCanonical("an object's names are strings")
    return sorted(members, key=lambda name: name.encode("utf-16-be"))


def _canonical_number(value: int | float) -> str:
    """Format a number as ECMAScript does (RFC 8785, section 3.2.2.3).

    These are the shortest digits that read back as the same double.
    """
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise NotCanonical("the integer {value} is beyond 2^53 - 1", value=str(value)[:24])
        return str(value)
    if not math.isfinite(value):
        raise NotCanonical("{value} is no JSON number", value=value)
    # Minus zero too: ECMAScript writes both as 0.
    if value == 0:
        return "0"
    sign, digits, point = _digits(value)
    # ECMAScript, Number::toString: plain digits from 1e-6 up to, not including, 1e21, and an exponent beyond.
    if 0 < point <= 21:
        whole, rest = digits[:point].ljust(point, "0"), digits[point:]
        return f"{sign}{whole}.{rest}" if rest else sign + whole
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _digits(value: float) -> tuple[str, str, int]:
    """Return sign, shortest digits, and the position of the decimal point relative to their start."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    return "-" if value < 0 else "", digits.rstrip("0"), point


# Six decimals at most: datetime drops a seventh digit without a word, and two texts would be one time. Capital T and Z
# alone, although RFC 3339 lets both be small, so that a time has one spelling.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def parse_timestamp(text: Any) -> datetime | None:
    """Parse an RFC 3339 time as aware UTC; None gives None.

    Raises:
        ValueError: for any other value, also for a leap second.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError("not a time as RFC 3339 writes it")
    return _timestamp(text)


@lru_cache(maxsize=4096)  # a verdict asks for a record's times again and again
def _timestamp(text: str) -> datetime:
    if not _RFC_3339.fullmatch(text):
        raise ValueError("not a time as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time beyond the calendar") from error
