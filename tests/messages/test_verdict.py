"""Every reason that the code can give has its sentence, and every sentence can be said in every language."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import backend
from backend.domain.records import ProofState
from backend.domain.verdict import REGISTER, ActionBy, Check, Conclusion, Outcome, Verdict
from backend.messages.catalogue import languages
from backend.messages.verdict import ACTION_BY, CHECKS, CONCLUSIONS, PROOF_STATES, REASONS, headline, reason_text
from tests.helpers.builders import NOON

ROOT = Path(backend.__file__).parent


def made_elsewhere(source):
    """The lines of a program that put a ``Check`` together past the register."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Check"]


def placeholders(template):
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_only_the_register_makes_checks():
    made = {path.relative_to(ROOT).as_posix(): made_elsewhere(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
    assert {path: lines for path, lines in made.items() if lines}.keys() == {"domain/verdict.py"}
    assert made_elsewhere('found = Check("SIGNATURE", Outcome.FAIL, "forged")') == [1]


def test_every_registered_answer_has_a_sentence():
    assert {answer.reason for check in REGISTER for answer in check.answers} == set(REASONS)
    assert len(REASONS) > 90


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_sentence_can_be_said(reason):
    values = dict.fromkeys(placeholders(REASONS[reason]), "<{issuer}>") | {"anchored_at": NOON, "until": NOON}
    for language in languages():
        said = reason_text(Check("STATUS", Outcome.PASS, reason, values), language)
        assert "{" not in said.replace("<{issuer}>", "")


def test_a_time_is_shown_the_readers_way():
    expired = Check("VALIDITY", Outcome.FAIL, "expired", {"until": NOON})
    assert "2026-03-02 12:00 UTC" in reason_text(expired, "en")
    assert "noon" in reason_text(expired, "en", lambda moment: "noon")


def test_the_headline_is_the_deciding_sentence():
    revoked = Check("STATUS", Outcome.FAIL, "revoked", {"issuer": "Zhejiang Chamber"})
    found = Verdict.of([Check("X", Outcome.PASS, "signature-valid", {"issuer": "A"}), revoked], NOON)
    assert headline(found, "en") == reason_text(revoked, "en")
    assert headline(found, "zh") == reason_text(revoked, "zh")
    assert headline(Verdict.of([Check("X", Outcome.PASS, "signature-valid")], NOON), "en") == "All checks passed."


def test_everything_has_its_name_in_both_languages():
    assert set(CONCLUSIONS) == set(Conclusion)
    assert set(PROOF_STATES) == set(ProofState)
    assert set(ACTION_BY) == {action_by.value for action_by in ActionBy}
    assert all(CHECKS.values())
