"""The targets that run the tests of one marker look in every folder that has such tests, and in no more."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGET = re.compile(r"pytest -q -m (\w+) ((?:tests/\w+ ?)+)")
USES = {"anvil": re.compile(r"\bNEEDS_ANVIL\b|mark\.anvil\b")}


def targets() -> dict[str, set[str]]:
    """The folders that the Makefile names for each marker."""
    return {marker: set(folders.split()) for marker, folders in TARGET.findall((ROOT / "Makefile").read_text())}


def users(marker: str) -> set[str]:
    """The folders whose tests have this marker."""
    use = USES.get(marker, re.compile(rf"mark\.{marker}\b"))
    found = (path for path in ROOT.glob("tests/**/test_*.py") if path != Path(__file__).resolve())
    return {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in found if use.search(path.read_text())}


def test_markers_have_their_targets():
    assert set(targets()) == {"anvil", "browser", "contracts"}


@pytest.mark.parametrize("marker", ["anvil", "browser", "contracts"])
def test_target_looks_where_the_marker_is(marker):
    assert users(marker) == targets()[marker]
