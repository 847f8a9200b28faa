"""One value, one text (RFC 8785)."""

import json
import math
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import canonical_json
from backend.domain.canonical_json import NotCanonical, dumps

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
    assert dumps([value]) == f"[{text}]".encode()


@needs_samples
@pytest.mark.parametrize("name", FILES)
def test_the_published_files_come_out_byte_for_byte(name):
    value = json.loads((SAMPLES / "input" / f"{name}.json").read_text(encoding="utf-8"))
    written = dumps(value)
    assert written == (SAMPLES / "output" / f"{name}.json").read_bytes()
    assert written == bytes.fromhex((SAMPLES / "outhex" / f"{name}.txt").read_text(encoding="ascii"))


@needs_samples
def test_no_published_file_is_left_out():
    assert sorted(file.stem for file in (SAMPLES / "input").iterdir()) == sorted(FILES)


def test_names_stand_in_the_order_of_utf_16():
    assert dumps({"\U0001f600": 1, "\ufb33": 2, "€": 3, "\r": 4, "1": 5}).decode() == (
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
    text = dumps(value)
    assert dumps(json.loads(text, parse_int=float)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=300, deadline=None)
def test_a_double_survives(value):
    assert json.loads(dumps(value), parse_int=float) == value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 2**53, -(2**53), ["\ud800"], {"\udc00": 1}, {1: 2}, {"a": {1, 2}}, b"bytes"],
)
def test_what_has_no_one_text_is_refused(value):
    with pytest.raises(NotCanonical):
        dumps(value)


def test_a_value_nested_without_end_is_refused():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotCanonical):
        canonical_json.dumps(value)
