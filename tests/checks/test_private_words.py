"""Every pattern finds what it is for, and leaves English alone; the check itself is part of ``make check``."""

import pytest

from tests.checks.private_words import Pattern, patterns, sources

PATTERNS = patterns()


def matches(pattern: Pattern, text: str) -> bool:
    """Paths are looked for as such, lines in a Python file."""
    is_path = "/" in text and " " not in text
    found = pattern.found_in(text, "") if is_path else pattern.found_in("a.py", f"{text}\n")
    return any(found)


@pytest.mark.parametrize(
    ("pattern", "text"), [(p, t) for p in PATTERNS for t in p.planted], ids=lambda value: getattr(value, "word", value)
)
def test_planted_word_is_found(pattern: Pattern, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"), [(p, t) for p in PATTERNS for t in p.innocent], ids=lambda value: getattr(value, "word", value)
)
def test_innocent_word_is_left(pattern: Pattern, text: str) -> None:
    assert not matches(pattern, text)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.word)
def test_each_way_to_recognise_is_planted(pattern: Pattern) -> None:
    """Without a way that it is for, a pattern misses one of its planted words."""
    for way in ("names", "text", "path"):
        if getattr(pattern, way):
            lone = Pattern(pattern.word, pattern.use, **{way: getattr(pattern, way)})
            assert any(matches(lone, text) for text in pattern.planted), way


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.word)
def test_pattern_looks_somewhere(pattern: Pattern) -> None:
    assert any(pattern.applies_to(path) for path in sources())
