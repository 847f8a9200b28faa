"""The checks of files: a bundle and what its facts rest on, the papers that a declaration names, attached files.

More than an answer comes out where most of these are made (a bundle, a snapshot, a ledger's facts), so whoever makes
them answers by the registered check (``bundle_verification``, ``adapters.node_client``, ``services.verification``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from backend.domain.bundle import Bundle
from backend.domain.verdict import (
    REGISTER,
    ActionBy,
    Check,
    Outcome,
    Rank,
    RegisteredCheck,
    Scope,
    fails,
    leaves_open,
    notes,
    passes,
)

_MERCHANT, _OPERATOR, _NOBODY = ActionBy.MERCHANT, ActionBy.OPERATOR, ActionBy.NOBODY
BUNDLE: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "BUNDLE",
        "File",
        Rank.WARNING,
        Scope.FILE,
        (
            leaves_open(
                "bundle-malformed",
                _NOBODY,
                "This file is not an evidence bundle, or it is damaged ({why}). Fetch the evidence anew.",
            ),
        ),
    )
)
SNAPSHOT: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "SNAPSHOT",
        "What the ledger held",
        Rank.WARNING,
        Scope.FILE,
        (
            passes("snapshot-trusted", "Stated by {name}, who read the ledger on {read_at} (block {block})."),
            leaves_open(
                "snapshot-missing",
                _OPERATOR,
                "The file carries no signed statement of what the ledger held. Ask the ledger, or fetch the evidence "
                "anew.",
            ),
            leaves_open(
                "snapshot-altered",
                _OPERATOR,
                "What the file says of the ledger was altered or damaged ({why}). Fetch the evidence anew.",
            ),
            leaves_open(
                "snapshot-signer-untrusted",
                _NOBODY,
                "The ledger's state is stated by a key that your trust file does not name ({signer}). If you trust it, "
                "add it.",
            ),
            leaves_open(
                "snapshot-ledger-untrusted",
                _NOBODY,
                "Your trust file does not let this signer ({signer}) speak for this ledger.",
            ),
            leaves_open(
                "snapshot-too-new",
                _OPERATOR,
                "{name} read the ledger only on {read_at}, after the time you ask about; what it held before is not "
                "known.",
            ),
            leaves_open(
                "snapshot-too-old",
                _OPERATOR,
                "{name} read the ledger on {read_at}: longer ago than you allow. Fetch the evidence anew, or ask the "
                "ledger.",
            ),
        ),
    )
)
LEDGER: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "LEDGER",
        "Ledger asked",
        Rank.WARNING,
        Scope.FILE,
        (
            passes("ledger-consulted", "Asked {node}: block {block} of {block_time}."),
            leaves_open("ledger-unavailable", _OPERATOR),
            leaves_open(
                "ledger-unknown",
                _OPERATOR,
                "Neither your trust file nor the node names this ledger ({ledger}): anybody can put one up. Get its "
                "operator's trust file and give it here.",
            ),
            leaves_open(
                "ledger-untrusted",
                _OPERATOR,
                "Your trust file does not name this ledger ({ledger}), and anybody can put one up. Get its operator's "
                "trust file and give it here.",
            ),
            leaves_open(
                "multiple-ledgers",
                _NOBODY,
                "Its records stand on {count} ledgers, and a snapshot speaks of one. Sign a bundle of each record "
                "instead.",
            ),
            leaves_open(
                "chain-mismatch",
                _OPERATOR,
                "{node} carries another chain ({chain}) than the one that the record names.",
            ),
            leaves_open(
                "deployment-mismatch",
                _OPERATOR,
                "At this address {node} shows another ledger than the one that the record names: the chain was reset, "
                "or it is another chain.",
            ),
            leaves_open(
                "node-stale",
                _OPERATOR,
                "The newest block of {node} is of {block_time}: it lags behind, and what happened since cannot be "
                "told.",
            ),
            leaves_open(
                "chain-reorganised",
                _OPERATOR,
                "The chain was reorganised while {node} was asked. Try again in a minute.",
            ),
        ),
    )
)
NAMED_RECORD: RegisteredCheck[Bundle] = REGISTER.add(
    RegisteredCheck(
        "NAMED_RECORD",
        "Paper named by the declaration",
        Rank.FAIL,
        Scope.NAMED,
        (
            passes("document-named", "It is the very paper that the declaration names."),
            passes(
                "document-confirmed",
                "The declaration names the merchant's statement; {issuer} has since confirmed and signed it.",
            ),
            fails("document-not-named", _MERCHANT, "It is not the paper that the declaration names."),
            leaves_open(
                "documents-withheld",
                _MERCHANT,
                "The declaration's list of papers is not shown, so it cannot be told whether these are the ones.",
            ),
            leaves_open(
                "documents-missing",
                _MERCHANT,
                "The declaration names {count} more paper(s) that are not in this file.",
            ),
            leaves_open("erased", _NOBODY),
        ),
    )
)


@dataclass(frozen=True)
class BoundFiles:
    """Names and digests of the files that a record binds, and of each its content where it is at hand."""

    files: tuple[tuple[str, str], ...]
    content: Callable[[str], bytes | None]
    is_needed: bool = True
    """Whether a file that is not here keeps the verdict from being VALID."""


@REGISTER.check(
    "ATTACHMENTS",
    "Attached files",
    Rank.FAIL,
    Scope.SERVER,
    passes("attachments-intact", "{count} attached file(s), as signed."),
    fails("attachment-altered", _OPERATOR, "The file {file} is not the one that was signed."),
    leaves_open(
        "attachment-missing",
        _OPERATOR,
        "The file {file} is not at hand here, so it cannot be compared with what was signed.",
    ),
    notes("attachment-missing", by=_OPERATOR),
)
def attachments(bound: BoundFiles) -> Check | None:
    """Whether the files that the record binds are here as they were signed."""
    for name, digest in bound.files:
        found = bound.content(digest)
        if found is None:
            outcome = Outcome.INDETERMINATE if bound.is_needed else Outcome.NOTE
            return attachments.answer("attachment-missing", {"file": name}, outcome=outcome)
        if sha256(found).hexdigest() != digest:
            return attachments.answer("attachment-altered", {"file": name})
    return attachments.answer("attachments-intact", {"count": len(bound.files)}) if bound.files else None
