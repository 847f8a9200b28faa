"""The verdicts kept with decisions, and the faults of scenario files, are told in the words of today."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

REASONS = {
    "signed": "signature-valid",
    "anchored": "anchor-final",
    "signature-broken": "signature-invalid",
    "content-whole": "content-complete",
    "fields-wrong": "fields-invalid",
    "other-kind": "entry-kind-mismatch",
    "other-quantity": "entry-quantity-mismatch",
    "not-sealed-yet": "not-sealed",
    "not-anchored-yet": "not-anchored",
    "not-final-yet": "not-final",
    "root-unknown": "root-not-on-ledger",
    "wrong-lane": "wrong-segment",
    "ledger-not-read": "ledger-unavailable",
    "ledger-not-at-hand": "ledger-not-consulted",
    "snapshot-untrusted": "snapshot-signer-untrusted",
    "snapshot-other-ledger": "snapshot-ledger-untrusted",
    "snapshot-later": "snapshot-too-new",
    "snapshot-other-record": "snapshot-record-mismatch",
    "ledger-read": "ledger-consulted",
    "ledger-unnamed": "ledger-unknown",
    "ledgers-several": "multiple-ledgers",
    "other-chain": "chain-mismatch",
    "other-instance": "deployment-mismatch",
    "node-reorganised": "chain-reorganised",
    "anchor-gone": "anchor-missing",
    "papers-withheld": "documents-withheld",
    "papers-missing": "documents-missing",
    "other-ledger": "ledger-mismatch",
    "anchor-differs": "anchor-mismatch",
    "declaration-stands": "declaration-in-force",
    "merchants-statement": "self-attested",
    "chapter-withheld": "hs-code-withheld",
    "not-accredited-then": "not-accredited-at-issue",
    "anchored-after-lapse": "anchored-after-expiry",
    "accreditation-lapsed": "accreditation-expired",
    "issued-in-the-future": "issued-after-anchoring",
    "not-issued-then": "not-yet-issued",
    "anchored-later": "anchored-after-moment",
    "within-dates": "within-validity",
    "no-certificate-of-origin": "certificate-of-origin-missing",
    "no-inspection-report": "inspection-report-missing",
    "named-as-signed": "document-named",
    "named-confirmed": "document-confirmed",
    "named-other": "document-not-named",
    "quantity-used-up": "quantity-already-declared",
    "quantity-left": "quantity-available",
    "quantity-not-left": "quantity-exceeded",
    "quantity-being-drawn": "drawdown-pending",
    "quantity-drawn": "drawdown-recorded",
}
"""Reason codes as they were and as they are; the others kept their names."""
_SIMULATION = sa.table("simulation", sa.column("id", sa.String), sa.column("faults", sa.JSON))
_DECISION = sa.table("decision", sa.column("id", sa.String), sa.column("verdict", sa.JSON))


def upgrade() -> None:
    connection = op.get_bind()
    for number, verdict in connection.execute(sa.select(_DECISION.c.id, _DECISION.c.verdict)).all():
        changed = sa.update(_DECISION).where(_DECISION.c.id == number).values(verdict=in_words_of_today(verdict))
        connection.execute(changed)
    for number, faults in connection.execute(sa.select(_SIMULATION.c.id, _SIMULATION.c.faults)).all():
        if faults:
            renamed = [{"fix" if name == "mend" else name: text for name, text in one.items()} for one in faults]
            connection.execute(sa.update(_SIMULATION).where(_SIMULATION.c.id == number).values(faults=renamed))


def in_words_of_today(verdict: dict[str, Any]) -> dict[str, Any]:
    """The same verdict; one that is told in them already stays as it is."""
    told = {**verdict, "checks": [_check(check) for check in verdict.get("checks", [])]}
    return told | ({"verdict": "INDETERMINATE"} if verdict.get("verdict") == "CANNOT_TELL" else {})


def _check(check: dict[str, Any]) -> dict[str, Any]:
    values = dict(check["values"])
    if check["code"] == "ANCHOR" and "final" in values:
        values["state"] = "final" if values.pop("final") == "True" else "anchored"
    return check | {
        "code": "QUANTITY_AVAILABLE" if check["code"] == "QUANTITY_LEFT" else check["code"],
        "outcome": "indeterminate" if check["outcome"] == "cannot_tell" else check["outcome"],
        "reason": REASONS.get(check["reason"], check["reason"]),
        "values": values,
    }
