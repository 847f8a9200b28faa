"""Write docs/codes.md, the table of every code and number on the wire, from the code.

python -m tests.helpers.codes_table            # write it
python -m tests.helpers.codes_table --check    # exit code 1 where it is out of date
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

from backend.cli.verify import EXIT
from backend.domain import bundle, trust
from backend.domain.agreements import AGREEMENTS, Agreement
from backend.domain.kinds import KINDS, Kind, Segment
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.records import ProofState
from backend.domain.signature_terms import GRACE
from backend.domain.verdict import CLOCKS_MAY_DIFFER, REGISTER, ActionBy, Outcome, RegisteredCheck, Scope
from backend.messages.verdict import ACTION_BY, REASONS, check_title

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codes.md"
_CHECKS = sorted(REGISTER, key=lambda check: (list(Scope).index(check.scope), check.code))
"""By scope and code, since the register's own order depends on which module was imported first."""
SERVER_ONLY = frozenset(check.code for check in REGISTER if check.scope.is_server_only)
"""The checks that only a server makes; the others are those of every verifier of bundles."""

_FAILS_OF_STATUS = {
    DocumentStatus.ACTIVE: "pass, `in-force`",
    DocumentStatus.SUSPENDED: "fail, `suspended`: INVALID",
    DocumentStatus.REVOKED: "fail, `revoked`: INVALID",
    DocumentStatus.SUPERSEDED: "fail, `superseded`: INVALID",
    DeclarationStatus.WITHDRAWN: "fail, `withdrawn`: INVALID",
}


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table in Markdown."""
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""


def triples() -> Iterator[tuple[str, Outcome, str]]:
    """Every (check, outcome, reason) there is."""
    for check in _CHECKS:
        for answer in sorted(check.answers, key=lambda answer: list(Outcome).index(answer.outcome)):
            yield check.code, answer.outcome, answer.reason


def _checks() -> Iterator[str]:
    yield "## Checks and reasons\n"
    yield (
        "A check that fails makes the verdict INVALID; without one, an indeterminate check makes it INDETERMINATE;\n"
        "else it is VALID. A note weighs nothing. The sentence is what people read; `{…}` stands for a value.\n"
    )
    yield (
        "`rank` is the most that a check can do: `fail` makes INVALID, `warning` INDETERMINATE, `note` nothing.\n"
        "`bundle`: every verifier makes the check. `server`: only a server that compares papers does.\n"
    )
    yield from table(
        ("check", "title", "中文", "rank", "made by"),
        (
            (f"`{check.code}`", check.title, check_title(check.code, "zh"), check.rank, _made_by(check.code))
            for check in _CHECKS
        ),
    )
    yield from table(
        ("check", "outcome", "verdict", "reason", "who can fix it", "sentence"),
        (
            (
                f"`{check.code}`",
                answer.outcome,
                _verdict_after(answer.outcome),
                f"`{answer.reason}`",
                f"`{answer.action_by}`" if answer.action_by else "–",
                _cell(REASONS[answer.reason]),
            )
            for check in _CHECKS
            for answer in sorted(check.answers, key=lambda answer: list(Outcome).index(answer.outcome))
        ),
    )


def _made_by(code: str) -> str:
    return "server" if code in SERVER_ONLY else "bundle"


def _match() -> Iterator[str]:
    yield "## What is compared, and how closely\n"
    yield "Papers are compared as far as they were handed in and state the fact.\n"
    yield from table(
        ("check", "rule", "tolerance, and where it is from"),
        ((f"`{check.code}`", _cell(check.rule or "–"), _cell(check.tolerance or "–")) for check in _compared()),
    )


def _compared() -> list[RegisteredCheck[Any]]:
    return [check for check in _CHECKS if check.rule is not None]


def _verdict_after(outcome: Outcome) -> str:
    return {Outcome.FAIL: "INVALID", Outcome.INDETERMINATE: "INDETERMINATE"}.get(outcome, "–")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _statuses() -> Iterator[str]:
    yield "## Status numbers\n"
    yield "Four bits on the ledger, `status` in a snapshot. Which table counts is decided by the record's kind.\n"
    yield "Every kind but the declaration (a number above 3: indeterminate, `status-unknown`):\n"
    yield from table(("number", "name", "check STATUS"), _status_rows(DocumentStatus, ""))
    yield "Declaration (kind 3; a number above 8: indeterminate, `status-unknown`):\n"
    yield from table(
        ("number", "name", "check STATUS"), _status_rows(DeclarationStatus, "pass, `declaration-in-force`")
    )


def _status_rows(statuses: type[IntEnum], otherwise: str) -> Iterator[tuple[object, ...]]:
    own = {status: told for status, told in _FAILS_OF_STATUS.items() if isinstance(status, statuses)}
    for status in statuses:
        yield status.value, status.name, own.get(status, otherwise)


def _kinds() -> Iterator[str]:
    yield "## Kinds\n"
    yield (
        "The number is the first byte of an entry. In `kinds` of an accreditation, a number, bit *b* (1 << b) covers\n"
        "the kinds of that row. A credential's `type` contains the type; a declaration names papers by the slug.\n"
    )
    yield from table(
        ("number", "slug", "type", "segment", "bit in `kinds`", "HS chapter counts"),
        (
            (
                kind.value,
                f"`{kind.slug}`",
                f"`{KINDS[kind].credential_type}`",
                f"{KINDS[kind].segment.value} ({KINDS[kind].segment.name})",
                KINDS[kind].accreditation_bit,
                "yes" if KINDS[kind].is_bound_to_chapters else "no",
            )
            for kind in Kind
        ),
    )


RULES = """
**Segments.** A batch's entries stand in four segments, in this order: {segments}. `segments` of a snapshot is [end of
0, end of 1, end of 2, size of the batch]; an end is exclusive. A record's segment is the first whose end is greater
than its `leafIndex`, else 3. It must be that of its kind, and the size that of `treeSize`: else `wrong-segment`.

**HS chapters.** `chapters` of an accreditation is a number in hex; bit *c* (1 << c) covers chapter *c*, the first two
digits of `hsCode`; bit 0 covers all. They count for the kinds above that say so.

**Clocks** may differ by {minutes} minutes. `issued-after-anchoring`: `validFrom` is later than the anchoring by more
than that. `not-yet-issued`: it is later than the time asked about by more than that. `snapshot-too-new`: `readAt` is
later than the time asked about by more than that. The *grace* between signing and anchoring is {hours} hours.
All else is compared exactly; a snapshot is `snapshot-too-old` when it is older than the
reader allows.

**Accreditation.** A reading tells what the ledger holds of the key now (`accreditation`), the *terms* by which the
signature is judged (`accreditationAtIssue`) and the *late terms* that must bear them out (`accreditationAtAnchoring`);
the ledger answers the last two itself (`termsOfSignature(key, moment, anchoredAt)`). The terms are those that it had
recorded at the record's `validFrom`; where it had recorded none yet, those of {minutes} minutes later; where there are
none either, null, unless it took over the history of a ledger that was lost (`takenOverUntil`): then what it held at
the earlier of the anchoring and the end of that time, else at that end. *Seen* is the later of `validFrom` and the
anchoring. The late terms are the terms where it was seen within the grace, else those recorded the grace before it was
seen. `suspendedSince` of both is not what stood then, but the beginning of the earliest suspension, standing or lifted,
that held at any time from `validFrom` until it was seen; in the terms it is null where that lies after `validFrom`.

Asked in this order; the first that applies is the answer of ISSUER_ACCREDITED. `assurance` of the record is `stated`:
`self-attested`. No snapshot or node tells of it: `ledger-not-consulted`, or `snapshot-record-mismatch`. There is none
now, or its `kinds` is 0: `never-accredited`. (After these there is no ISSUER_STANDING.) Terms or late terms are null:
`not-accredited-at-issue`. By the terms: the bit of the kind is not set: `kind-not-covered`. Where chapters count: no
`hsCode` shown and bit 0 not set, `hs-code-withheld`; not 6 to 13 digits, `fields-invalid`; bit not set,
`chapter-not-covered`. `issued-after-anchoring`. Suspended now, since a moment until it was seen:
`accreditation-revoked`. Suspended by the terms, until `validFrom`: `signed-while-suspended`. Not `validFrom` <= the
record's `validFrom` < `validUntil`: `not-accredited-at-issue`. By the late terms: ended the grace before it was seen,
or earlier: `anchored-after-expiry`; kind or chapter (bit 0 where no `hsCode` is shown) not covered, begun after the
record's `validFrom`, or suspended until it was seen: `anchored-after-change`. Else `accredited`. `wasAccredited` of the
contract says the same of a certificate: whether it is `accredited`. ISSUER_STANDING, by those of now: `suspendedSince`
at or before the time asked about, `accreditation-revoked`; `validUntil` at or before it, a note; else `good-standing`.

**Dates of a record.** `validFrom` that is no RFC 3339 time: `entry-kind-mismatch`. Then VALIDITY asks in this order.
`validUntil` that is no such time: `fields-invalid`. `not-yet-issued`. `dated-ahead`: one of the fields below, as far as
it is shown, is later than the time asked about by more than a day, since a day begins earlier elsewhere; a date counts
from its midnight in UTC, and what is neither date nor RFC 3339 time is passed over. `validUntil` at or before the time
asked about: `expired`. `term-ended`: the day after the last day of the agreement's term has begun in UTC. That last day
is the `issueDate`'s day of the month so many months later, or that month's last day where it is shorter.

{dates}

**Agreements.** AGREEMENT is asked of certificates of origin that show a `freeTradeAgreementName` other than `NONE`, in
this order; only texts are judged. It is not in the table: `agreement-unknown`. `originCountry`, `importCountry` or the
exporter's `countryCode` is no party: `agreement-party`; where the table names those whose goods a one-sided preference
is for, instead `originCountry` is one of them and `importCountry` is no party: `agreement-not-granted`. The first two
are the same: `agreement-domestic`. `originCriteria` is none of its criteria: `agreement-criterion`. `issueDate` is
before the day on which it came into force for either country: `agreement-not-in-force`. `issueDate` is later after
`departureDate` than the table allows (months as for the term), or later than the days where `issuedRetroactively` is
not true, unless it may be withheld: `agreement-retroactive`. `description` has letters, and none of A to Z:
`agreement-language`. Fields are withheld, and `exporter`, `originCountry`, `importCountry`, `originCriteria` or
`issueDate` is among them: `agreement-withheld`. The table does not confirm it for these two countries, or for goods of
`originCountry`: `agreement-unconfirmed`. Else `agreement-fits`.

{agreements}

**Order.** SNAPSHOT (or LEDGER) first, then each record: SIGNATURE, CONTENT, INCLUSION, ANCHOR, STATUS,
ISSUER_ACCREDITED, ISSUER_STANDING, VALIDITY, AGREEMENT; then NAMED_RECORD and BUNDLE. Where SIGNATURE or CONTENT
fails, no further check of that record is made. Without anchor or proof INCLUSION is `not-sealed` and ANCHOR `not-
anchored`; without anchor STATUS is `not-anchored` as well.
"""


def _dates() -> Iterator[str]:
    yield "| kind | fields that tell of the past |"
    yield "|---|---|"
    for kind, stated in sorted(KINDS.items()):
        yield f"| {kind.value} | {', '.join(f'`{name}`' for name in stated.dates_of_the_past)} |"


def _agreements() -> Iterator[str]:
    yield "| agreement | months | criteria | parties, by the day on which it came into force | further terms | source |"
    yield "|---|---|---|---|---|---|"
    for agreement in AGREEMENTS.values():
        since: dict[str, list[str]] = {}
        for country, day in agreement.parties.items():
            since.setdefault(day.isoformat(), []).append(country)
        parties = "; ".join(f"{day} {' '.join(countries)}" for day, countries in sorted(since.items())) or "–"
        months, criteria = agreement.term_months or "–", " ".join(agreement.criteria)
        source = f"{agreement.source}. Read on {agreement.looked_up.isoformat()}"
        if agreement.not_confirmed:
            source += f"; not confirmed: {agreement.not_confirmed}"
        terms = "; ".join(_further_terms(agreement)) or "–"
        yield f"| `{agreement.code}` | {months} | {criteria} | {parties} | {terms} | {source} |"


def _further_terms(agreement: Agreement) -> Iterator[str]:
    if agreement.beneficiaries:
        yield f"for goods of {' '.join(sorted(agreement.beneficiaries))}"
    if agreement.unconfirmed:
        yield f"not confirmed for {', '.join(sorted(map(' to '.join, agreement.unconfirmed)))}"
    if (late := agreement.retroactive) is not None:
        yield f"issued at most {late.unmarked_days} days after shipment, marked {late.months} months"


def _rules() -> Iterator[str]:
    minutes = int(CLOCKS_MAY_DIFFER.total_seconds() // 60)
    yield "## Segments, chapters, clocks, order\n"
    yield (
        RULES.strip().format(
            segments=", ".join(f"{segment.value} {segment.name}" for segment in Segment),
            minutes=minutes,
            hours=int(GRACE.total_seconds() // 3600),
            dates="\n".join(_dates()),
            agreements="\n".join(_agreements()),
        )
        + "\n"
    )


def _states() -> Iterator[str]:
    yield "## States of a proof\n"
    yield "In this order. `proofState` of a verdict is the least of its records', null where one is not known.\n"
    means = {
        ProofState.STORED: "no `proof` yet: the record waits for its batch",
        ProofState.SEALED: "in a batch, no `anchor` yet",
        ProofState.SUBMITTED: "the batch's transaction was sent; only a server can tell it from `sealed`",
        ProofState.ANCHORED: "in a block that may still leave the chain: ANCHOR is indeterminate, `not-final`",
        ProofState.FINAL: "in a block with as many others on it as the ledger's `confirmations`: ANCHOR may pass",
    }
    yield from table(("state", "means"), ((f"`{state.value}`", means[state]) for state in ProofState))


def _others() -> Iterator[str]:
    yield "## Who can fix it\n"
    yield "`actionBy` of a check that failed or is indeterminate.\n"
    yield from table(("value", "means"), ((f"`{one.value}`", ACTION_BY[one.value]) for one in ActionBy))
    yield "## Exit codes\n"
    yield "Of `provenport verify` and verify.py; whatever keeps them from ending is 2 as well.\n"
    yield from table(("code", "verdict"), ((number, verdict) for verdict, number in EXIT.items()))
    yield "## Formats\n"
    yield from table(
        ("file", "`format`", "`version`", "schema"),
        (
            (
                "evidence bundle",
                f"`{bundle.FORMAT}`",
                bundle.VERSION,
                f"`/schemas/evidence-bundle/v{bundle.VERSION}.json`",
            ),
            ("trust file", f"`{trust.FORMAT}`", trust.VERSION, f"`/schemas/trust-file/v{trust.VERSION}.json`"),
        ),
    )


def page() -> str:
    """The page."""
    intro = (
        "# Codes and numbers\n\n"
        "Made from the code by `python -m tests.helpers.codes_table`; a test holds it to that. What is checked in\n"
        "which file, says [bundle.md](bundle.md); bundles with the answers expected lie in verifier/vectors.\n"
    )
    parts = [intro, *_checks(), *_match(), *_statuses(), *_kinds(), *_rules(), *_states(), *_others()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip("\n") + "\n"


def main() -> int:
    """Write the page, or with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is out of date")
    if parser.parse_args().check:
        return int(page() != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
