"""Two programs must never read two things from the same bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain.strict_json import DEEPEST, LARGEST_INTEGER, HostileJson, loads

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
