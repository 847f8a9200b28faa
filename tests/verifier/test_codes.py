"""docs/codes.md tells what the code does: every code in it, and no answer of a verifier outside it."""

import re

from backend.domain.verdict import REGISTER
from backend.messages.verdict import REASONS
from tests.helpers.codes_table import PAGE, SERVER_ONLY, page, triples
from tests.helpers.verifier_words import code_of
from tests.verifier.cases import cases
from tests.verifier.malformed_documents import odd_bundles
from tests.verifier.verifiers import PROGRAM, by_product

KNOWN = {(code, outcome.value, reason) for code, outcome, reason in triples()}


def test_committed_page_is_what_the_script_makes():
    assert page() == PAGE.read_text(encoding="utf-8"), "run: python -m tests.helpers.codes_table"


def test_every_check_and_reason_is_in_the_table():
    assert {code for code, _, _ in KNOWN} == {check.code for check in REGISTER}
    assert {reason for _, _, reason in KNOWN} == set(REASONS)


def test_answers_of_verifiers_are_in_the_table():
    questions = [question for question, _, _ in cases().values()] + [q for _, q in odd_bundles(500, 7)]
    answered = {check[:3] for question in questions for check in by_product(question).checks}
    assert len(answered) > 40
    assert answered - KNOWN == set()


def test_answers_in_the_program_are_known():
    source = PROGRAM.read_text(encoding="utf-8")
    written = {
        (code, outcome.lower(), reason)
        for code, outcome, reason in re.findall(r'\("([A-Z_]+)", (PASS|FAIL|INDETERMINATE|NOTE), "([a-z-]+)"', source)
    }
    assert len(written) > 25
    assert written - KNOWN == set()


def test_program_makes_no_server_only_check():
    source = code_of(PROGRAM.read_text(encoding="utf-8"))
    assert [c.code for c in REGISTER if (f'"{c.code}"' in source) == (c.code in SERVER_ONLY)] == ["LEDGER"]


def test_declaration_that_was_withdrawn_is_told_as_invalid():
    assert "| 8 | WITHDRAWN | fail, `withdrawn`: INVALID |" in PAGE.read_text(encoding="utf-8")
