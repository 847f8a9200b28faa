"""The verdict in plain words, one sentence for each reason: its English, which is also its key in the catalogue.

Placeholders are the check's values. Times are filled in by whoever shows the sentence, in the reader's own zone.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from backend.domain.errors import Message, filled
from backend.domain.records import ProofState
from backend.domain.verdict import ActionBy, Check, Conclusion, Verdict
from backend.messages.catalogue import Language, gettext, pgettext, say

CONCLUSIONS: dict[Conclusion, str] = {
    Conclusion.VALID: "Valid",
    Conclusion.INVALID: "Invalid",
    Conclusion.INDETERMINATE: "Cannot tell",
}

CHECKS: dict[str, str] = {
    "BUNDLE": "File",
    "SNAPSHOT": "What the ledger held",
    "LEDGER": "Ledger asked",
    "SIGNATURE": "Signature",
    "CONTENT": "Content",
    "INCLUSION": "Sealed with the others",
    "ANCHOR": "Recorded on the ledger",
    "STATUS": "In force",
    "ISSUER_ACCREDITED": "Issuer accredited",
    "ISSUER_STANDING": "Issuer in good standing",
    "VALIDITY": "Dates",
    "DOCUMENTS": "Papers complete",
    "NAMED_RECORD": "Paper named by the declaration",
    "MATCH_HS_CODE": "HS code agrees",
    "MATCH_ORIGIN": "Origin agrees",
    "MATCH_DESTINATION": "Destination agrees",
    "MATCH_EXPORTER": "Exporter agrees",
    "MATCH_QUANTITY": "Quantity covered",
    "QUANTITY_AVAILABLE": "Quantity left",
    "MATCH_ORDER": "Order agrees",
    "MATCH_PAYMENT": "Payment agrees",
    "MATCH_WAYBILL": "Waybill agrees",
    "MATCH_INVOICE": "Invoice agrees",
    "CONFORMITY": "Inspection result",
    "ATTACHMENTS": "Attached files",
}

REASONS: dict[str, str] = {
    "signature-valid": "Signed by {issuer}; not a letter has been changed since.",
    "signature-invalid": (
        "The signature does not fit the text: it was altered, or never signed by this issuer. Ask for the original."
    ),
    "record-altered": "The record is damaged or altered ({why}). Ask the issuer for the original.",
    "content-complete": "All that was signed is shown.",
    "fields-withheld": "{count} fields are not shown by the holder.",
    "fields-invalid": "What was signed is not a complete document of this kind. Ask the issuer for a new one.",
    "entry-kind-mismatch": "It is presented as another kind of document than the one that was signed.",
    "entry-quantity-mismatch": "It is presented with another quantity than the one that was signed.",
    "included": "Sealed together with {size} records; its place is proven.",
    "not-included": (
        "The proof does not lead from this record to the ledger: it was altered or belongs to another record."
    ),
    "not-sealed": "Stored; it will be sealed within seconds.",
    "not-anchored": "Not yet on the ledger; look again in a few seconds.",
    "not-final": "On the ledger, waiting to become final.",
    "anchor-final": "On the ledger since {anchored_at}, final.",
    "root-not-on-ledger": "The ledger knows nothing of this record: it was never recorded there.",
    "wrong-segment": "On the ledger this place belongs to another kind of record.",
    "ledger-unavailable": "The ledger could not be asked ({why}). Try again; this says nothing about the record.",
    "bundle-malformed": "This file is not an evidence bundle, or it is damaged ({why}). Fetch the evidence anew.",
    "ledger-not-consulted": (
        "Not known here: it stands on the ledger, which was not asked, and nobody you trust has stated it."
    ),
    "snapshot-trusted": "Stated by {name}, who read the ledger on {read_at} (block {block}).",
    "snapshot-missing": (
        "The file carries no signed statement of what the ledger held. Ask the ledger, or fetch the evidence anew."
    ),
    "snapshot-altered": (
        "What the file says of the ledger was altered or damaged, or an older version wrote it ({why}). "
        "Fetch the evidence anew."
    ),
    "snapshot-signer-untrusted": (
        "The ledger's state is stated by a key that your trust file does not name ({signer}). If you trust it, add it."
    ),
    "snapshot-ledger-untrusted": "Your trust file does not let this signer ({signer}) speak for this ledger.",
    "snapshot-too-old": (
        "{name} read the ledger on {read_at}: longer ago than you allow. Fetch the evidence anew, or ask the ledger."
    ),
    "snapshot-too-new": (
        "{name} read the ledger only on {read_at}, after the time you ask about; what it held before is not known."
    ),
    "snapshot-record-mismatch": (
        "The signed statement of what the ledger held speaks of another record. Fetch the evidence anew."
    ),
    "ledger-consulted": "Asked {node}: block {block} of {block_time}.",
    "ledger-unknown": (
        "Neither your trust file nor the node names this ledger ({ledger}): anybody can put one up. Get its operator's "
        "trust file and give it here."
    ),
    "ledger-untrusted": (
        "Your trust file does not name this ledger ({ledger}), and anybody can put one up. Get its operator's trust "
        "file and give it here."
    ),
    "multiple-ledgers": (
        "Its records stand on {count} ledgers, and a snapshot speaks of one. Sign a bundle of each record instead."
    ),
    "chain-mismatch": "{node} carries another chain ({chain}) than the one that the record names.",
    "deployment-mismatch": (
        "At this address {node} shows another ledger than the one that the record names: the chain was reset, or it is "
        "another chain."
    ),
    "node-stale": (
        "The newest block of {node} is of {block_time}: it lags behind, and what happened since cannot be told."
    ),
    "chain-reorganised": "The chain was reorganised while {node} was asked. Try again in a minute.",
    "anchor-missing": (
        "The ledger does not show the record now, though it was recorded in block {why}: the chain was reorganised, or "
        "the node lags. Try again later."
    ),
    "documents-withheld": (
        "The declaration's list of papers is not shown, so it cannot be told whether these are the ones."
    ),
    "documents-missing": "The declaration names {count} more paper(s) that are not in this file.",
    "ledger-mismatch": "It is recorded on another ledger than the one that is read here.",
    "anchor-mismatch": "It names another block or time than the ledger shows. Fetch the evidence anew.",
    "in-force": "In force: neither suspended nor revoked.",
    "suspended": "Suspended by the issuer. Ask {issuer} why.",
    "revoked": "Revoked. Ask {issuer} for a new one.",
    "superseded": "Replaced by a newer record; use that one.",
    "withdrawn": "The merchant withdrew the declaration.",
    "status-unknown": "The ledger shows a status ({status}) that is not known here.",
    "declaration-in-force": "The declaration stands.",
    "self-attested": (
        "This is {issuer}'s own statement. It counts once the issuer named in it has confirmed and signed it."
    ),
    "never-accredited": "{issuer} was never accredited. Ask for a record by an accredited issuer.",
    "kind-not-covered": "{issuer} was not accredited for this kind of record when it signed.",
    "chapter-not-covered": "{issuer} was not accredited for goods of HS chapter {chapter} when it signed.",
    "hs-code-withheld": (
        "The HS code is not shown, so it cannot be told whether the issuer was accredited for these goods."
    ),
    "not-accredited-at-issue": "{issuer} was not accredited when it signed this ({issued_at}).",
    "accreditation-revoked": (
        "The accreditation of {issuer} was revoked as of {since}. Ask another accredited issuer for a new record."
    ),
    "anchored-after-expiry": (
        "It was recorded only after {issuer}'s accreditation had ended ({until}); when it was signed cannot be told."
    ),
    "anchored-after-change": (
        "It was recorded only after {issuer}'s accreditation had been narrowed or suspended; when it was signed "
        "cannot be told. Ask {issuer} for a new record."
    ),
    "accreditation-expired": "{issuer}'s accreditation ended on {until}; what it signed before stays good.",
    "accredited": "{issuer} was accredited for this when it signed.",
    "good-standing": "{issuer} is still accredited.",
    "issued-after-anchoring": "It is dated later ({issued_at}) than it can have been signed.",
    "not-yet-issued": "It was not issued yet: it is dated {issued_at}.",
    "anchored-after-moment": (
        "It was recorded on the ledger only on {anchored_at}: that it existed before then cannot be shown."
    ),
    "erased": (
        "The holder erased it on {erased_at}: what it said is gone for good; only its place on the ledger is left."
    ),
    "expired": "It expired on {until}. Ask the issuer for a new one.",
    "within-validity": "Within its dates.",
    "certificate-of-origin-missing": "The declaration names no certificate of origin.",
    "inspection-report-missing": "The declaration names no inspection report.",
    "goods-without-certificate": "HS {declared} is declared, but no certificate of origin named here covers it.",
    "goods-without-report": "HS {declared} is declared, but no inspection report named here covers it.",
    "document-named": "It is the very paper that the declaration names.",
    "document-confirmed": "The declaration names the merchant's statement; {issuer} has since confirmed and signed it.",
    "document-not-named": "It is not the paper that the declaration names.",
    "hs-code-matches": "HS {stated} is on the declaration.",
    "hs-code-differs": (
        "It covers HS {stated}; the declaration has {declared}. Correct the declaration or name the right paper."
    ),
    "origin-matches": "Origin {stated} on both.",
    "origin-differs": "It certifies origin {stated}; the declaration says {declared}.",
    "destination-matches": "Destination {stated} on both.",
    "destination-differs": "It is made out for {stated}; the declaration goes to {declared}.",
    "exporter-matches": "The same exporter.",
    "exporter-differs": "It is made out to {stated}; the declaration is {declared}'s.",
    "quantity-matches": "{declared} declared, {stated} certified.",
    "quantity-differs": "{declared} declared, but only {stated} certified. Reduce the quantity or add a certificate.",
    "quantity-already-declared": (
        "{declared} declared, but earlier ones take {used} of the {stated} certified. Add another certificate."
    ),
    "quantity-available": "{left} of the certified quantity are left, enough for {declared}.",
    "quantity-exceeded": (
        "{declared} declared, but only {left} are left on the ledger: other releases took the rest. Add a certificate."
    ),
    "drawdown-pending": "{quantity} are being drawn from the certificate on the ledger.",
    "drawdown-recorded": "{quantity} were drawn from the certificate on the ledger.",
    "order-matches": "Order {stated} on both.",
    "order-differs": "It belongs to order {stated}; the declaration is for order {declared}. Name the right paper.",
    "waybill-matches": "Waybill {stated} on both.",
    "waybill-differs": "It is about waybill {stated}; the declaration has {declared}. Name the right paper.",
    "waybill-destination-differs": "The waybill goes to {stated}; the declaration says {declared}.",
    "invoice-matches": "It names the invoice handed in, {stated}.",
    "invoice-differs": "It was made out for invoice {stated}; handed in was {declared}.",
    "payment-matches": "Paid in full: {stated}.",
    "payment-differs": "{stated} was paid for an order of {declared}. A payment in part may be in order: explain it.",
    "units-differ": "{declared} declared in another unit than certified; use the certificate's unit.",
    "conforms": "The goods conform to {specification}.",
    "does-not-conform": "The goods do not conform to {specification}. They cannot be released on this report.",
    "attachments-intact": "{count} attached file(s), as signed.",
    "attachment-altered": "The file {file} is not the one that was signed.",
    "attachment-missing": "The file {file} is not at hand here, so it cannot be compared with what was signed.",
}

BECAUSE: dict[str, str] = {
    "revoked": "Revoked: {why} — Ask {issuer} for a new one.",
    "suspended": "Suspended by the issuer: {why} — Ask {issuer}.",
}
"""The same reasons, said where it is known why."""

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

SHORT_OF_FORM = (
    "Record {record} is signed, but no complete paper of its kind: {faults}. The verdict does not weigh this."
)
COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def conclusion_name(conclusion: Conclusion, language: Language) -> str:
    """A verdict's one word, on a page."""
    return gettext(CONCLUSIONS[conclusion], language)


def conclusion_word(conclusion: Conclusion, language: Language) -> str:
    """The same as it stands on a terminal: in English, the word that programs read."""
    return pgettext("terminal", conclusion.value, language)


def check_title(code: str, language: Language) -> str:
    """What was checked."""
    return pgettext("check", CHECKS[code], language)


def actor_name(who: ActionBy, language: Language) -> str:
    """Who can put it right."""
    return gettext(ACTION_BY[who.value], language)


def proof_state_name(state: ProofState, language: Language) -> str:
    """How far a record has come on its way to the ledger."""
    return gettext(PROOF_STATES[state], language)


def short_of_form(record: str, faults: Iterable[tuple[str, str]], language: Language) -> str:
    """What a record lacks of the form of its kind, in one sentence."""
    told = gettext("; ", language).join(f"{where} {say(what, language)}".strip() for where, what in faults)
    return gettext(SHORT_OF_FORM, language, record=record, faults=on_one_line(told))


def on_one_line(text: str) -> str:
    """A text of others, with � for what could command a terminal, begin a line of its own or turn the writing round."""
    return COMMANDING.sub("\ufffd", text)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def reason_text(check: Check, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """The check's answer in words."""
    known = BECAUSE if check.reason in BECAUSE and check.values.get("why") else REASONS
    values = {name: _shown(value, language, show_time) for name, value in check.values.items()}
    return filled(gettext(known[check.reason], language), values)


def _shown(value: Any, language: Language, show_time: Callable[[datetime], str]) -> Any:
    if isinstance(value, datetime):
        return show_time(value)
    if isinstance(value, Message):
        return on_one_line(say(value, language))
    return on_one_line(value) if isinstance(value, str) else value


def headline(verdict: Verdict, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """The one sentence under the verdict: why."""
    if verdict.deciding is not None:
        return reason_text(verdict.deciding, language, show_time)
    return gettext("All checks passed.", language)


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
