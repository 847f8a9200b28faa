"""JSON that programs would read differently is refused; canonical JSON has one text for one value (RFC 8785)."""

import json
import math
import os
import re
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain.strict_json import (
    DEEPEST,
    LARGEST_INTEGER,
    MOST_BRACKETS,
    HostileJson,
    NotCanonical,
    canonical,
    loads,
)
from backend.messages.catalogue import say

HOSTILE = {
    "a key twice": '{"status": 0, "status": 4}',
    "a key twice, once escaped": '{"status": 0, "st\\u0061tus": 4}',
    "a key twice, deep inside": '[{"a": {"b": 1, "b": 1}}]',
    "not a number": '{"quantity": NaN}',
    "infinity": "[Infinity]",
    "minus infinity": "[-Infinity]",
    "a number beyond every double": "[1e400]",
    "a number that a double rounds": "[0.1234567890123456789]",
    "a number with many digits": "[0." + "1" * 60 + "]",
    "an integer beyond 2^53": "[9007199254740992]",
    "a negative integer beyond 2^53": "[-9007199254740992]",
    "an integer with 21 digits": "[123456789012345678901]",
    "an integer with 100,000 digits": "[" + "1" * 100_000 + "]",
    "a high surrogate alone": '["\\ud800"]',
    "a low surrogate alone": '["\\udc00"]',
    "a surrogate in a key": '{"\\ud800": 1}',
    "surrogates in the wrong order": '["\\udc00\\ud800"]',
    "5,000 arrays": "[" * 5000 + "]" * 5000,
    "5,000 objects": '{"a":' * 5000 + "1" + "}" * 5000,
    "5,000 arrays never closed": "[" * 5000,
    "nothing": "",
    "only space": "  \n",
    "two values": "{} {}",
    "a trailing comma": "[1,]",
    "single quotes": "{'a': 1}",
    "a comment": "[1] // one",
    "a byte order mark": "\ufeff{}",
    "a line break in a string": '["a\nb"]',
    "an octal number": "[010]",
    "a plus sign": "[+1]",
    "a bare word": "undefined",
}


BROKEN = ["", "{", '{"a"', '{"a":1', "[1 2]", "{} {}", '["a', '["a\nb"]', '["\\x"]', '["\\u12"]', "[1,]", "{'a': 1}"]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_grammar_is_told_in_own_words(text):
    """The parser of the standard library speaks English only."""
    with pytest.raises(HostileJson) as refused:
        loads(text)
    told = say(refused.value, "zh")
    assert "不是 JSON" in told
    assert not re.search("[A-Za-z]{2}", told.replace("JSON", "")), told


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_with_a_reason(text):
    with pytest.raises(HostileJson, match=r".+"):
        loads(text)
    with pytest.raises(HostileJson):
        loads(text.encode())


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b'["\xc3"]', b'["\xed\xa0\x80"]', '{"a": 1}'.encode("utf-16")])
def test_bytes_that_are_not_utf_8_are_refused(content):
    with pytest.raises(HostileJson, match="UTF-8"):
        loads(content)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": {"a": 1}}', {"a": 1, "b": {"a": 1}}),
        ("[9007199254740991, -9007199254740991]", [LARGEST_INTEGER, -LARGEST_INTEGER]),
        ("[0.1, 6.5, 1e22, 2.50, -0.0]", [0.1, 6.5, 1e22, 2.5, -0.0]),
        ('"\\ud83d\\ude00 义乌"', "😀 义乌"),
        ('"[[[[ {{{{ \\" ]"', '[[[[ {{{{ " ]'),
        ("[" * DEEPEST + "]" * DEEPEST, json.loads("[" * DEEPEST + "]" * DEEPEST)),
        (" null ", None),
        ('"NaN"', "NaN"),
    ],
)
def test_harmless_text_is_read(text, value):
    assert loads(text) == value
    assert loads(text.encode()) == value


def test_one_level_too_many_is_refused():
    with pytest.raises(HostileJson, match="64"):
        loads("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


def test_closing_brackets_beforehand_win_no_depth():
    with pytest.raises(HostileJson, match="64"):
        loads("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + "]" * 1000)


@pytest.mark.parametrize("text", ['"' + "[" * 1000, '"' + "[" * 1000 + "\\", '["' + '\\"[' * 1000])
def test_brackets_of_an_unfinished_string_have_no_depth(text):
    with pytest.raises(HostileJson, match="not JSON"):
        loads(text)


def test_too_many_brackets_are_refused_unread():
    loads("[" + "[]," * (MOST_BRACKETS - 2) + "0]")
    with pytest.raises(HostileJson, match="brackets"):
        loads("[" + "[]," * MOST_BRACKETS + "0]")


@pytest.mark.parametrize("text", ['"' + '\\"' * 500_000 + "\\", "[{" * 60 + '"\\' * 500_000, '"' * 1_000_001])
def test_depth_of_hostile_text_takes_one_pass(text):
    began = time.process_time()
    with pytest.raises(HostileJson):
        loads("[" * DEEPEST + text)
    assert time.process_time() - began < 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_programs_output_is_read_as_meant(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert loads(text) == json.loads(text) == value


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsnN \\ud8', max_size=40))
@settings(max_examples=400, deadline=None)
def test_accepted_text_equals_the_standard_readers_reading(text):
    try:
        value = loads(text)
    except HostileJson:
        return
    assert value == json.loads(text)


SAMPLES = Path(os.environ.get("PROVENPORT_SAMPLES", "/nonexistent")) / "rfc8785-jcs"
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="PROVENPORT_SAMPLES names no samples")
FILES = ("arrays", "french", "structures", "unicode", "values", "weird")

# RFC 8785, appendix B: doubles by their bits, and how they are written.
DOUBLES = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), DOUBLES.items())
def test_doubles_are_written_as_the_rfc_lists_them(bits, text):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical([value]) == f"[{text}]".encode()


@needs_samples
@pytest.mark.parametrize("name", FILES)
def test_the_published_files_come_out_byte_for_byte(name):
    value = json.loads((SAMPLES / "input" / f"{name}.json").read_text(encoding="utf-8"))
    written = canonical(value)
    assert written == (SAMPLES / "output" / f"{name}.json").read_bytes()
    assert written == bytes.fromhex((SAMPLES / "outhex" / f"{name}.txt").read_text(encoding="ascii"))


@needs_samples
def test_no_published_file_is_left_out():
    assert sorted(file.stem for file in (SAMPLES / "input").iterdir()) == sorted(FILES)


def test_names_stand_in_the_order_of_utf_16():
    assert canonical({"\U0001f600": 1, "\ufb33": 2, "€": 3, "\r": 4, "1": 5}).decode() == (
        '{"\\r":4,"1":5,"€":3,"\U0001f600":1,"\ufb33":2}'
    )


texts = st.text(st.characters(exclude_categories=("Cs",)))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_text_read_and_rewritten_stays_the_same(value):
    text = canonical(value)
    assert canonical(json.loads(text, parse_int=float)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=300, deadline=None)
def test_a_double_survives(value):
    assert json.loads(canonical(value), parse_int=float) == value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53, -(2**53), ["\ud800"], {"\udc00": 1}, {1: 2}, {"a": {1, 2}}, b"bytes"],
)
def test_what_has_no_one_text_is_refused(value):
    with pytest.raises(NotCanonical):
        canonical(value)


def test_a_value_nested_without_end_is_refused():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotCanonical):
        canonical(value)
