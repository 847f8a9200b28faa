"""Keep the words of the offline verifiers those of the register, and see that they make its checks.

python -m tests.helpers.verifier_words            # write them into verifier/verify.py and verifier/verifier.html
python -m tests.helpers.verifier_words --check    # exit code 1 where they differ, or where a check or reason is missing
"""

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from backend.domain.kinds import KINDS, Kind
from backend.domain.verdict import REGISTER
from backend.messages.catalogue import gettext, pgettext
from backend.messages.verdict import CHECKS, CONCLUSIONS, PROOF_STATES, REASONS
from verifier import PAGE, PROGRAM

_IN_THE_PAGE = re.compile(r'(<script type="application/json" id="words">\n).*?(\n</script>)', re.DOTALL)
_IN_THE_PROGRAM = re.compile(r"(# what the checks are called: .*?\nTITLES = ).*?(\n}\n)", re.DOTALL)
LANGUAGES = ("en", "zh")
PRODUCT_ONLY = {
    "erased",
    "fields-missing",
    "ledger-mismatch",
    "anchored-after-moment",
    "multiple-ledgers",
    "ledger-untrusted",
}
"""Reasons that need a server's records or its own ledger, or are those of signing: no offline verifier's."""
ASKING_ONLY = {"root-not-on-ledger", "anchor-missing"}
"""Reasons that only those verifiers can give who ask a node, as the program never does."""


def said(text: str) -> list[str]:
    """The text in the languages that the page speaks, in their order there."""
    return [gettext(text, language) for language in LANGUAGES]


def words_for(page: str) -> str:
    """What the page must carry: the sentences whose reason its script names, and no other."""
    script = script_of(page)
    named = {reason: said(text) for reason, text in REASONS.items() if f'"{reason}"' in script}
    codes = {
        code: [pgettext("check", text, language) for language in LANGUAGES]
        for code, text in CHECKS.items()
        if f'"{code}"' in script
    }
    parts = {
        "conclusions": {conclusion.value: said(text) for conclusion, text in CONCLUSIONS.items()},
        "states": {state: said(text) for state, text in PROOF_STATES.items()},
        "kinds": {str(kind.value): said(KINDS[kind].names) for kind in Kind},
        "checks": codes,
        "reasons": named,
    }
    lines = [
        f'"{name}": ' + json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c") for name, texts in parts.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def script_of(page: str) -> str:
    """The page's program, without the words that it carries."""
    return page.partition('<script id="verifier">')[2]


def code_of(program: str) -> str:
    """The program without the words that it carries."""
    return _IN_THE_PROGRAM.sub("", program)


def with_words(page: str) -> str:
    """The page with its sentences as they stand in the register."""
    return _IN_THE_PAGE.sub(lambda found: found[1] + words_for(page) + found[2], page, count=1)


def with_titles(program: str) -> str:
    """The program with what the checks are called in the register."""
    code = code_of(program)
    lines = [f'    "{one}": "{title}",' for one, title in CHECKS.items() if f'"{one}"' in code]
    return _IN_THE_PROGRAM.sub(lambda found: found[1] + "{\n" + "\n".join(lines) + found[2], program, count=1)


def missing(name: str, source: str, but: Collection[str] = (), without: Collection[str] = ()) -> list[str]:
    """The registered checks and reasons that a verifier's source does not name, in words; ``but`` some reasons.

    ``without`` are checks that it has no means to make.
    """
    told = []
    for check in REGISTER:
        if check.scope.is_server_only or check.code in without:
            continue
        if f'"{check.code}"' not in source:
            told.append(f"{name} does not make the check {check.code}")
            continue
        told += [
            f"{name} never answers {answer.reason} in {check.code}"
            for answer in check.answers
            if f'"{answer.reason}"' not in source and answer.reason not in but
        ]
    return told


def all_missing(program: str, page: str) -> list[str]:
    """What the two verifiers lack of the register."""
    return [
        *missing("verify.py", code_of(program), PRODUCT_ONLY | ASKING_ONLY, {"LEDGER"}),
        *missing("verifier.html", script_of(page), PRODUCT_ONLY),
    ]


def _changed(pairs: Iterable[tuple[Path, str, str]]) -> list[Path]:
    return [path for path, before, after in pairs if before != after]


def main() -> int:
    """Write the words, or with --check only compare; tell what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 where something is out of date"
    )
    asked = parser.parse_args()
    page, program = (path.read_text(encoding="utf-8") for path in (PAGE, PROGRAM))
    lacking = all_missing(program, page)
    print(*lacking, sep="\n", end="\n" if lacking else "")
    after = {PAGE: with_words(page), PROGRAM: with_titles(program)}
    changed = _changed([(PAGE, page, after[PAGE]), (PROGRAM, program, after[PROGRAM])])
    if asked.check:
        print(*(f"{path.name} is out of date: python -m tests.helpers.verifier_words" for path in changed), sep="\n")
        return int(bool(changed or lacking))
    for path in changed:
        path.write_text(after[path], encoding="utf-8")
    return int(bool(lacking))


if __name__ == "__main__":
    sys.exit(main())
