"""Every reason that the code can give has its sentence, and every sentence can be said in every language."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import backend
from backend.domain.records import ProofState
from backend.domain.verdict import ActionBy, Check, Conclusion, Outcome, Verdict
from backend.messages.catalogue import languages
from backend.messages.verdict import ACTION_BY, CHECKS, CONCLUSIONS, PROOF_STATES, REASONS, headline, reason_text
from tests.helpers.builders import NOON

ROOT = Path(backend.__file__).parent
SOURCES = [ROOT / "domain" / f"{name}.py" for name in ("verdict", "dossier", "drawdowns", "bundle_verification")]
SOURCES += [ROOT / "services" / "verification.py", ROOT / "adapters" / "node_client.py"]


def words_in(path):
    """Every text of a source file that is written down as a value, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def reasons_named():
    """The reason of every ``Check(…)`` written down in the code, and of what ``dossier`` puts together itself."""
    named = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                reason = node.args[1 if starred else 2]
                named |= {n.value for n in ast.walk(reason) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    named = {reason for reason in named if not reason.startswith(("-", "no-"))}
    matched = {"hs-code", "origin", "destination", "exporter", "quantity"}
    return (
        named
        | {f"{what}-{how}" for what in matched for how in ("matches", "differs")}
        | {"certificate-of-origin-missing", "inspection-report-missing", "suspended", "revoked", "superseded"}
    )


def placeholders(template):
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_the_reasons_are_found_in_the_code():
    assert {
        "signature-valid",
        "signature-invalid",
        "snapshot-too-old",
        "units-differ",
        "document-not-named",
    } <= reasons_named()
    assert len(reasons_named()) > 40


@pytest.mark.parametrize("reason", sorted(reasons_named()))
def test_every_reason_has_a_sentence(reason):
    assert REASONS[reason]


def test_no_sentence_is_kept_that_nothing_can_say():
    written = set().union(*(words_in(path) for path in ROOT.rglob("*.py") if path != ROOT / "messages" / "verdict.py"))
    unsaid = set(REASONS) - reasons_named() - written
    assert not unsaid


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
    codes = {word for path in SOURCES for word in words_in(path) if word.isupper() and word.replace("_", "").isalpha()}
    assert codes - set(CHECKS) <= {"VALID", "INVALID", "INDETERMINATE"}
