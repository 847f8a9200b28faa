"""Finds private words where the field has a standard one: ``python tests/checks/private_words.py`` (make check).

The words, and what is said instead, stand in ``private_words.toml``. English prose keeps its words: what is looked for
are identifiers, paths, and a few words that cannot be anything else. Exits with 1 where there is one.
"""

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = {".py", ".js", ".mjs", ".cjs", ".html", ".sol", ".po", ".md", ".toml", ".css", ""}
SPARED = (
    "CHANGELOG.md",  # history
    "docs/decisions/",
    "backend/store/migrations/",  # what older tables were called
    "tests/helpers/make_data_folder_v1.py",  # runs with older code
    "tests/runtime/test_data_folder_upgrade.py",
    "tests/checks/",
)


@dataclass(frozen=True)
class Pattern:
    """A private word, what to use instead, and how it is recognised."""

    word: str
    use: str
    names: str | None = None
    text: str | None = None
    path: str | None = None
    within: Sequence[str] = ("",)
    but: Sequence[str] = ()
    planted: Sequence[str] = ()
    innocent: Sequence[str] = ()

    def applies_to(self, path: str) -> bool:
        """Whether the word is looked for in this file."""
        return path.startswith(tuple(self.within)) and not path.startswith((*self.but, *SPARED))

    def found_in(self, path: str, content: str) -> Iterator[tuple[int, str]]:
        """Line (0 for the path) and what stands there; wherever the file lies."""
        if self.path and (found := re.search(self.path, path)):
            yield 0, found[0]
        if self.names and path.endswith(".py"):
            pattern = re.compile(self.names)
            yield from ((line, name) for line, name in identifiers(content) if pattern.fullmatch(name))
        if self.text:
            pattern = re.compile(self.text)
            for number, line in enumerate(content.splitlines(), 1):
                yield from ((number, found[0]) for found in pattern.finditer(line))


def patterns() -> list[Pattern]:
    """Everything in the table."""
    with Path(__file__).with_suffix(".toml").open("rb") as table:
        return [Pattern(**row) for row in tomllib.load(table)["pattern"]]


@cache
def identifiers(source: str) -> tuple[tuple[int, str], ...]:
    """Each identifier of a Python source, with its line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return tuple((token.start[0], token.string) for token in tokens if token.type == tokenize.NAME)


def sources() -> Iterator[str]:
    """The project's files that people write, by their paths."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in listed.stdout.splitlines():
        if Path(path).suffix in READ and (ROOT / path).is_file():
            yield path


def findings() -> Iterator[str]:
    """``file:line: word -> use …``, for every word of the table that is left."""
    table = patterns()
    for path in sources():
        looked_for = [pattern for pattern in table if pattern.applies_to(path)]
        content = (ROOT / path).read_text(encoding="utf-8") if looked_for else ""
        for pattern in looked_for:
            for line, word in pattern.found_in(path, content):
                yield f"{path}:{line}: {word.strip()} -> use {pattern.use}"


if __name__ == "__main__":
    found = list(findings())
    print("\n".join(found) or "No private words.")
    if found:
        print(
            f"\n{len(found)} private words are left. Rename them, or make their pattern in private_words.toml narrower."
        )
    sys.exit(bool(found))
