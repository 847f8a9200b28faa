"""A verdict as the programming interface tells it."""

from datetime import datetime
from typing import Any

from backend.domain.verdict import Check, Mender, Verdict
from backend.messages.catalogue import Language
from backend.messages.verdict import check_title, headline, mender_name, sentence


def verdict_json(verdict: Verdict, language: Language) -> dict[str, Any]:
    """The ruling, one sentence why, and every check with its sentence, evidence and age."""
    return {
        "verdict": verdict.ruling.value,
        "summary": headline(verdict, language),
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "at": verdict.at and verdict.at.isoformat(timespec="milliseconds"),
        "checks": [_check(check, verdict, language) for check in verdict.checks],
    }


def _check(check: Check, verdict: Verdict, language: Language) -> dict[str, Any]:
    return {
        "code": check.code,
        "outcome": check.outcome.value,
        "title": check_title(check.code, language),
        "message": sentence(check, language),
        "reason": check.reason,
        "evidence": {name: _value(value) for name, value in check.values.items()},
        "final": check.mender is not Mender.TIME,
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "whoCanMend": mender_name(check.mender, language) if check.mender else None,
        "record": check.record,
    }


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
