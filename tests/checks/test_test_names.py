"""A test is named subject_condition_outcome in eight words at most, and docs/faults.md names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
MOST_WORDS = 8


def names_in(source: str) -> list[str]:
    """List the names of the test functions and methods in a module's source."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return [function.name for function in functions if function.name.startswith("test_")]


def too_long(names: list[str]) -> list[str]:
    """List the names with more than eight words after `test_`."""
    return [name for name in names if len(name.removeprefix("test_").split("_")) > MOST_WORDS]


def names_by_file() -> dict[str, list[str]]:
    """Read the test names of every test file, by its path below tests/."""
    files = sorted(TESTS.rglob("test_*.py"))
    return {path.relative_to(TESTS).as_posix(): names_in(path.read_text(encoding="utf-8")) for path in files}


def missing(page: str, names: set[str]) -> list[str]:
    """List the tests that a page names, whole or by their beginning (`test_a_gap_…`), and that are not there."""
    named = re.findall(r"`(test_\w+)(…?)`", page)
    return [
        name + ellipsis
        for name, ellipsis in named
        if not any(one.startswith(name) if ellipsis else one == name for one in names)
    ]


def test_test_names_have_eight_words_at_most():
    found = {file: too_long(names) for file, names in names_by_file().items()}
    assert len(found) > 50
    long = [f"tests/{file}: {name}" for file, names in found.items() for name in names]
    assert not long, "Shorten to eight words, the rest goes into the docstring:\n" + "\n".join(long)


def test_name_of_nine_words_is_found():
    source = """
class TestPlanted:
    def test_name_of_the_planted_test_has_nine_words_here(self): ...
def test_name_of_this_test_has_only_eight_words(): ...
"""
    assert too_long(names_in(source)) == ["test_name_of_the_planted_test_has_nine_words_here"]


def test_page_of_faults_names_existing_tests():
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    names = {name for names in names_by_file().values() for name in names}
    assert len(re.findall(r"`test_\w+…?`", page)) > 50
    assert missing(page, names) == [], "docs/faults.md names tests that do not exist: write their names of today"


def test_renamed_test_on_a_page_is_found():
    page = "`test_gap_…`, `test_gap_is_filled`, `test_gap`, `test_hole_…`"
    assert missing(page, {"test_gap_is_filled"}) == ["test_gap", "test_hole_…"]
