"""Texts in other languages stand in the catalogue and nowhere else; and nobody asks whether a language is Chinese."""

import re
from pathlib import Path

import pytest

import backend

ROOT = Path(backend.__file__).parent
OTHER_SCRIPT = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
BRANCH = re.compile(
    r"""[=!]=\s*["']zh["'] | \[\s*["']zh["']\s*\] | \bif\s+(?:zh|chinese)\b | startswith\(["']zh["']\)""", re.VERBOSE
)
DATA = {
    "domain/kinds/inspection_report.py": "words that are no result by themselves, as laboratories write them",
    "domain/interop/columns.py": "directions and words for sums that people type, and the separator of record ids",
    "domain/interop/conversions.py": "countries and currencies that people type in tables",
    "domain/interop/envelope.py": "words by which makers take documents back",
    "domain/agreements.py": "names of agreements that people type in tables",
    "domain/trade_match.py": "the word for lot in descriptions of goods",
    "domain/units.py": "units that people type in tables",
    "web/api/openapi.py": "an organisation's second name",
    "web/pages/accreditations.py": "full-width separators of chapters",
    "services/products.py": "names of columns, as tables of customs have them",
    "runtime/demo.py": "names of the demonstration's organisations and goods",
}
"""Files that hold names and words as data."""


def sources():
    """Every file that is no catalogue, picture or script of others."""
    ends = {".py", ".html", ".css", ".js", ".toml", ".txt", ".svg", ".md"}
    return [path for path in sorted(ROOT.rglob("*")) if path.suffix in ends and "vendor" not in path.parts]


def text_elsewhere(name, content):
    return name not in DATA and OTHER_SCRIPT.search(content) is not None


def test_sources_are_found():
    assert len(sources()) > 250


def test_no_text_stands_outside_the_catalogue():
    named = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sources()}
    assert [name for name, content in named.items() if text_elsewhere(name, content)] == []


def test_data_files_still_hold_data():
    assert [name for name in DATA if not OTHER_SCRIPT.search((ROOT / name).read_text(encoding="utf-8"))] == []


def test_nobody_asks_for_one_language():
    assert [str(path) for path in sources() if BRANCH.search(path.read_text(encoding="utf-8"))] == []


def test_planted_text_is_found():
    assert text_elsewhere("cli/verify.py", 'click.echo("未签署：")')
    assert text_elsewhere("web/templates/parts/sheet.html", "<h2>原产地证书</h2>")


@pytest.mark.parametrize(
    "line",
    [
        'title = CHECKS[code][language == "zh"]',
        'return names["zh"]',
        'text = "x" if zh else "y"',
        "chinese = lang.startswith('zh')",
    ],
)
def test_planted_branch_is_found(line):
    assert BRANCH.search(line)
