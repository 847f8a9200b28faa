"""A verdict as the programming interface tells it."""

from datetime import datetime
from typing import Any

from backend.domain.verdict import Check, Verdict
from backend.messages.catalogue import Language
from backend.messages.verdict import check_title, headline, reason_text


def verdict_json(verdict: Verdict, language: Language) -> dict[str, Any]:
    """The conclusion, one sentence why, and every check with its sentence, evidence and age."""
    return {
        "verdict": verdict.conclusion.value,
        "summary": headline(verdict, language),
        "proofState": verdict.proof_state,
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "at": verdict.at and verdict.at.isoformat(timespec="milliseconds"),
        "checks": [_check(check, verdict, language) for check in verdict.checks],
    }


def _check(check: Check, verdict: Verdict, language: Language) -> dict[str, Any]:
    return {
        "code": check.code,
        "outcome": check.outcome.value,
        "title": check_title(check.code, language),
        "message": reason_text(check, language),
        "reason": check.reason,
        "evidence": {name: _value(value) for name, value in check.values.items()},
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "actionBy": check.action_by,
        "record": check.record,
    }


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
