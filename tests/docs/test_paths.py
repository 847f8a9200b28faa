"""Every file, folder and module that the documentation names is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
BASES = (ROOT, ROOT / "backend", ROOT / "clearance_sim", ROOT / "docs", ROOT / "tests")
TOP = {path.name for base in BASES[:3] for path in base.iterdir() if path.is_dir()}
QUOTED = re.compile(r"`([^`\n]+)`")
LINKED = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)*/?")
MODULE = re.compile(r"(?:backend|clearance_sim|contracts|tests|verifier)(?:\.\w+)+")
MADE = {"var", "build", "dist", "files", "simulations", ".venv"}
"""Folders that are made, not kept."""


def missing(text: str) -> Iterator[str]:
    """What a page names and nobody finds."""
    for quoted in QUOTED.findall(text):
        for word in quoted.split():
            is_gone = names_a_path(word) and not any(list(base.glob(word.rstrip("/"))) for base in BASES)
            if is_gone or (MODULE.fullmatch(word) and not is_module(word)):
                yield word
    for link in LINKED.findall(text):
        if "://" not in link and not any((base / link).exists() for base in (ROOT, ROOT / "docs")):
            yield link


def names_a_path(word: str) -> bool:
    """Whether a quoted word is a path below one of our folders; others are addresses, types and file names."""
    top = word.split("/")[0]
    return (
        "/" in word
        and bool(PATH.fullmatch(word))
        and top in TOP
        and top not in MADE
        and not re.search("[A-Z]{4}", word)
    )


def is_module(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    path = ROOT.joinpath(*name.split("."))
    own, around = (one.is_dir() or one.with_suffix(".py").exists() for one in (path, path.parent))
    return own or around


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_paths_exist(page: Path) -> None:
    assert list(missing(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("planted", ["`services/gone.py`", "`backend.gone.module`", "[x](gone.md)", "`tests/gone/`"])
def test_missing_path_is_found(planted: str) -> None:
    assert len(list(missing(planted))) == 1


def test_other_quoted_words_are_left() -> None:
    assert list(missing("`vc+sd-jwt`, `/api/v1/me`, `make test`, `https://x.org/a.md`, `var/evidence.json`")) == []
