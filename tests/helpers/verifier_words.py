"""Keep the sentences in verifier/verifier.html those of the code.

python -m tests.helpers.verifier_words            # write them into the page
python -m tests.helpers.verifier_words --check    # exit code 1 where they differ
"""

import argparse
import json
import re
import sys

from backend.domain.kinds import KINDS, Kind
from backend.messages.catalogue import gettext, pgettext
from backend.messages.verdict import CHECKS, CONCLUSIONS, PROOF_STATES, REASONS
from verifier import PAGE

_BLOCK = re.compile(r'(<script type="application/json" id="words">\n).*?(\n</script>)', re.DOTALL)


LANGUAGES = ("en", "zh")


def said(text: str) -> list[str]:
    """The text in the languages that the page speaks, in their order there."""
    return [gettext(text, language) for language in LANGUAGES]


def words_for(page: str) -> str:
    """What the page must carry: the sentences whose reason its script names, and no other."""
    script = page.partition('<script id="verifier">')[2]
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


def with_words(page: str) -> str:
    """The page with its sentences as they stand in the code."""
    return _BLOCK.sub(lambda found: found[1] + words_for(page) + found[2], page, count=1)


def main() -> int:
    """Write the page, or with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is out of date")
    asked = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    if asked.check:
        return int(with_words(page) != page)
    PAGE.write_text(with_words(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
