"""The verdict in plain words. The messages of the checks are registered with the checks, in the domain.

The caller formats times, in the reader's own zone.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from backend.domain import dossier, drawdowns, record_checks, trade_match
from backend.domain.errors import Message, NameInLanguages, filled
from backend.domain.records import ProofState
from backend.domain.verdict import REGISTER, ActionBy, Check, Conclusion, Verdict
from backend.messages.catalogue import Language, gettext, pgettext, say

_CHECKS_ARE_IN = (dossier, record_checks, trade_match, drawdowns)

CONCLUSIONS: dict[Conclusion, str] = {
    Conclusion.VALID: "Valid",
    Conclusion.INVALID: "Invalid",
    Conclusion.INDETERMINATE: "Cannot tell",
}

CHECKS = REGISTER.titles
REASONS = REGISTER.texts
"""One message per reason; the placeholders are the check's values."""
RULES = tuple(dict.fromkeys(text for check in REGISTER for text in (check.rule, check.tolerance) if text is not None))
"""Rules and tolerances of comparisons."""

BECAUSE: dict[str, str] = {
    "revoked": "Revoked: {why} — Ask {issuer} for a new one.",
    "suspended": "Suspended by the issuer: {why} — Ask {issuer}.",
}
"""Messages for the same reasons where the cause is known."""

ACTION_BY: dict[str, str] = {
    "merchant": "the merchant",
    "issuer": "the issuer",
    "authority": "the accrediting authority",
    "operator": "the operator of this system",
    "wait": "nobody: wait a few seconds",
    "nobody": "nobody",
}

PROOF_STATES: dict[ProofState, str] = {
    ProofState.STORED: "stored",
    ProofState.SEALED: "sealed",
    ProofState.SUBMITTED: "sent to the ledger",
    ProofState.ANCHORED: "on the ledger, not final yet",
    ProofState.FINAL: "on the ledger, final",
}

UNDONE: dict[str, str] = {
    "CertificateBalanceOverdrawn": "Less is left of the certificate than was to be drawn: others were quicker.",
    "CertificateBalanceNotActive": "The certificate was suspended, revoked or replaced meanwhile.",
    "CertificateBalanceExpired": "The certificate expired meanwhile.",
    "CertificateBalanceIssuerSuspended": "The issuer's accreditation was suspended meanwhile.",
    "CertificateBalanceIssuerNotAccredited": "The issuer had no accreditation for this certificate when it signed.",
    "CertificateBalanceDeclarationEnded": "Customs had decided on the declaration already, or it was withdrawn.",
    "CertificateBalanceAlreadyOpened": "The certificate is drawn elsewhere: somebody recorded it once more.",
    "CertificateBalanceDrawnBeyond": "More was drawn of the certificate that it replaces than this one covers.",
    "CertificateBalanceCarriedOver": "Another certificate took over what the replaced one had left.",
    "CertificateBalanceDrawdownNotAllowed": "Who anchored the certificate does not let us draw it.",
    "TraceLedgerEdgeForbidden": "Another decision stood on the ledger already; it counts.",
}
"""Why the ledger did not take something, by its contracts' errors."""
UNKNOWN_REFUSAL = "The ledger did not take it. The operator can find out why."

SHORT_OF_FORM = (
    "Record {record} is signed, but no complete paper of its kind: {faults}. The verdict does not weigh this."
)
_FULL_STOPS = " .\u3002\uff0e"
COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def conclusion_name(conclusion: Conclusion, language: Language) -> str:
    """Return the conclusion for a page."""
    return gettext(CONCLUSIONS[conclusion], language)


def conclusion_word(conclusion: Conclusion, language: Language) -> str:
    """Return the conclusion for a terminal, which in English is the word that programs read."""
    return pgettext("terminal", conclusion.value, language)


def check_title(code: str, language: Language) -> str:
    """Return the title of a check."""
    return pgettext("check", CHECKS[code], language)


def rule_of(code: str, language: Language) -> tuple[str, str] | None:
    """Return what a comparison compares and its tolerance with its source; None for other checks."""
    check = REGISTER.find(code)
    if check is None or check.rule is None or check.tolerance is None:
        return None
    return gettext(check.rule, language), gettext(check.tolerance, language)


def actor_name(who: ActionBy, language: Language) -> str:
    """Return who can act on a finding."""
    return gettext(ACTION_BY[who.value], language)


def proof_state_name(state: ProofState, language: Language) -> str:
    """Return how far a record has come on its way to the ledger."""
    return gettext(PROOF_STATES[state], language)


def undone_reason(why: str, language: Language) -> str:
    """Why the ledger did not take something, in words; what is kept begins with the name of a contract's error."""
    return gettext(UNDONE.get(why.partition(" ")[0], UNKNOWN_REFUSAL), language)


def short_of_form(record: str, faults: Iterable[tuple[str, str]], language: Language) -> str:
    """Return a sentence on how a record fails the form of its kind."""
    told = gettext("; ", language).join(f"{where} {say(what, language)}".strip() for where, what in faults)
    return gettext(SHORT_OF_FORM, language, record=record, faults=on_one_line(told))


def on_one_line(text: str) -> str:
    """Replace characters that could control a terminal, begin a new line or reverse the writing direction by �."""
    return COMMANDING.sub("\ufffd", text)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def reason_text(check: Check, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """Return the message of a check's answer."""
    known = BECAUSE if check.reason in BECAUSE and check.values.get("why") else REASONS
    values = {name: _shown(value, language, show_time) for name, value in check.values.items()}
    if isinstance(values.get("why"), str):
        values["why"] = values["why"].rstrip(_FULL_STOPS)  # the sentence around it has one of its own
    return filled(gettext(known[check.reason], language), values)


def _shown(value: Any, language: Language, show_time: Callable[[datetime], str]) -> Any:
    if isinstance(value, datetime):
        return show_time(value)
    if isinstance(value, NameInLanguages):
        return on_one_line(value.in_language(language))
    if isinstance(value, Message):
        return on_one_line(say(value, language))
    return on_one_line(value) if isinstance(value, str) else value


def headline(verdict: Verdict, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """Return the reason for the verdict, in one sentence."""
    if verdict.deciding is not None:
        return reason_text(verdict.deciding, language, show_time)
    return gettext("All checks passed.", language)


def verdict_json(
    verdict: Verdict, language: Language, named: Callable[[Check], Check] = lambda check: check
) -> dict[str, Any]:
    """Return the verdict as JSON values: conclusion, reason, and every check with its message, evidence and time.

    ``named`` puts organisations' names in the language into what fills a message. The evidence stays as it is.
    """
    summary = reason_text(named(verdict.deciding), language) if verdict.deciding else headline(verdict, language)
    return {
        "verdict": verdict.conclusion.value,
        "summary": summary,
        "proofState": verdict.proof_state,
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "at": verdict.at and verdict.at.isoformat(timespec="milliseconds"),
        "checks": [_check(check, verdict, language, named) for check in verdict.checks],
    }


def _check(check: Check, verdict: Verdict, language: Language, named: Callable[[Check], Check]) -> dict[str, Any]:
    return {
        "code": check.code,
        "outcome": check.outcome.value,
        "title": check_title(check.code, language),
        "message": reason_text(named(check), language),
        "reason": check.reason,
        "evidence": {name: _value(value) for name, value in check.values.items()},
        "asOf": verdict.as_of.isoformat(timespec="milliseconds"),
        "actionBy": check.action_by,
        "record": check.record,
        **dict(zip(("rule", "tolerance"), rule_of(check.code, language) or (None, None), strict=True)),
    }


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
