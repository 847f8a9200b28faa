"""Many records in one unit of work: each is checked by itself, signed and encrypted before it, and stored together.

A line is drafted by the same use case as a request that brings it alone. What may have changed until it is stored is
looked at again in the unit of work that stores it. A line that is refused does not keep the others out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backend.domain.consignment import Consignment
from backend.domain.errors import Contention, NotAllowed, TraceabilityError
from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.parties import Organisation, Person
from backend.domain.records import RecordOnFile, fields_of
from backend.services.declarations import check_what_is_named, draft_declaration, reference_taken
from backend.services.idempotency import IdempotencyKey, is_noted, lines_answered, note_lines
from backend.services.issuance import draft_issue
from backend.services.ports import AppContext, rerunnable
from backend.services.records import (
    DraftInputs,
    UnsignedRecord,
    check_attachments,
    number_taken,
    sign_and_file,
    usable_key,
)
from backend.services.statements import draft_own
from backend.store.database import in_our_words
from backend.store.mapping import Row
from backend.store.unit_of_work import DraftingUnitOfWork, UnitOfWork

UNIT_LINES = 250
"""The lines that are stored together: so many that the wait for the disk hardly counts, and so few that others do not
wait long for the lock."""
_TRIES = 5


@dataclass(frozen=True)
class Line:
    """A document that somebody wants to have signed and stored."""

    actor: Person
    kind: Kind
    fields: Any


Outcome = RecordOnFile | Exception
"""What became of a line: the record on file, or why it was refused."""


@dataclass(frozen=True)
class _SignedLine:
    """A line that is signed and encrypted, to be stored."""

    on_file: RecordOnFile
    document: Document
    thumbprint: str
    consignment: Consignment | None
    rows: tuple[Row, ...]

    @cached_property
    def name(self) -> tuple[str, Kind, str | None]:
        """What may be used once: a signer's number or reference."""
        own = self.on_file.number if self.consignment is None else self.consignment.reference
        return self.on_file.issuer.id, self.on_file.kind, own

    def name_taken(self) -> TraceabilityError:
        """The refusal of a name that was used before."""
        if self.consignment is not None:
            return reference_taken(self.consignment.reference)
        given = fields_of(self.document)[KINDS[self.on_file.kind].number_field]
        return number_taken(self.on_file.issuer, given)


class _Overtaken(Exception):
    """Somebody else was quicker: what is prepared must be prepared anew."""


def require_signer(actor: Person, kind: Kind) -> None:
    """Refuse a person whose role signs no records of a kind.

    Raises:
        NotAllowed: It signs none.
    """
    if actor.role not in KINDS[kind].signed_by:
        raise NotAllowed("{name} does not sign {kind} records", kind=kind.slug, name=actor.organisation.in_sentences)


def store(ctx: AppContext, lines: Sequence[Line | Exception], key: IdempotencyKey | None = None) -> list[Outcome]:
    """Sign documents and store them in one unit of work, except for those that are refused; answer each.

    A line that could not be read is given by its error, which is its answer: lines are known by their place.
    With a key, what was stored under it before is answered again, and what was refused then is tried again.

    Raises:
        IdempotencyKeyReused: The key came with other lines before.
        StorageUnavailable: Nothing of it could be stored.
    """
    for _ in range(_TRIES):
        stored = dict(lines_answered(ctx, key)) if key is not None else {}
        left = [place for place in range(len(lines)) if place not in stored]
        prepared = dict(zip(left, _prepare(ctx, [lines[place] for place in left]), strict=True))
        try:
            outcomes = {**stored, **_file(ctx, prepared, key, len(lines))}
        except _Overtaken:
            continue
        return [outcomes[place] for place in range(len(lines))]
    raise Contention("others changed the same things at the same moment")


def _prepare(ctx: AppContext, lines: Sequence[Line | Exception]) -> list[_SignedLine | Exception]:
    """Check, sign and encrypt each line, and store nothing."""
    signers = {line.actor.organisation.id: line.actor.organisation for line in lines if isinstance(line, Line)}
    inputs = {one: _inputs(ctx, signer) for one, signer in signers.items()}
    prepared: list[_SignedLine | Exception] = []
    names: set[tuple[str, Kind, str | None]] = set()
    with ctx.work(reading=True) as outer:
        work = DraftingUnitOfWork(outer)
        for line in lines:
            if isinstance(line, Exception):
                prepared.append(line)
                continue
            one = _prepare_one(ctx, work, inputs[line.actor.organisation.id], line)
            if isinstance(one, _SignedLine):
                is_twice = one.name in names
                names.add(one.name)
                one = one.name_taken() if is_twice else one
            prepared.append(one)
    return prepared


def _inputs(ctx: AppContext, signer: Organisation) -> DraftInputs | TraceabilityError:
    try:
        return DraftInputs.fresh(ctx, signer)
    except TraceabilityError as error:
        return error


def _prepare_one(
    ctx: AppContext, work: DraftingUnitOfWork, inputs: DraftInputs | TraceabilityError, line: Line
) -> _SignedLine | Exception:
    if isinstance(inputs, TraceabilityError):
        return inputs
    try:
        drafted = _draft(ctx, work, inputs, line)
        on_file = sign_and_file(ctx, work, drafted)
        added = work.taken()
        rows = tuple(row for entity in added for row in work.rows_of(entity))
    except Exception as error:
        work.taken()
        # An error of the database ends the reading unit of work; any other is this line's alone.
        if not isinstance(error, TraceabilityError) and in_our_words(error) is not None:
            raise
        return error
    consignment = next((one for one in added if isinstance(one, Consignment)), None)
    return _SignedLine(on_file, drafted.document, drafted.key.thumbprint, consignment, rows)


def _draft(ctx: AppContext, work: UnitOfWork, inputs: DraftInputs, line: Line) -> UnsignedRecord:
    match KINDS[line.kind].signing:
        case Signing.LODGED:
            return draft_declaration(ctx, work, inputs, line.actor, line.fields)
        case Signing.CERTIFIED:
            return draft_issue(ctx, work, inputs, line.actor, line.kind, line.fields)
        case Signing.OWN:
            return draft_own(ctx, work, inputs, line.actor, line.kind, line.fields)


@rerunnable
def _file(
    ctx: AppContext, prepared: Mapping[int, _SignedLine | Exception], key: IdempotencyKey | None, count: int
) -> dict[int, Outcome]:
    """Store what is prepared, as far as it may still be stored, in one unit of work.

    Raises:
        _Overtaken: A signer has another key by now, or some of it was stored under the idempotency key.
    """
    outcomes: dict[int, Outcome] = {place: one for place, one in prepared.items() if isinstance(one, Exception)}
    ready = {place: one for place, one in prepared.items() if isinstance(one, _SignedLine)}
    if not ready:
        return outcomes
    with ctx.work() as work:
        # First: what the same lines stored under the same key would look like somebody else's numbers.
        if key is not None and is_noted(ctx, work, key, ready):
            raise _Overtaken
        refused = _refused_now(work, ready)
        stored = {place: one for place, one in ready.items() if place not in refused}
        if stored:
            ids = {place: one.on_file.id for place, one in stored.items()}
            if key is not None and not note_lines(ctx, work, key, ids, count):
                raise _Overtaken
            work.add_rows(row for one in stored.values() for row in one.rows)
            work.commit()
    ctx.wake_anchoring()
    return outcomes | refused | {place: one.on_file for place, one in stored.items()}


def _refused_now(work: UnitOfWork, ready: Mapping[int, _SignedLine]) -> dict[int, Exception]:
    """Look again at what others may have changed since the lines were prepared."""
    faulty_keys = _faulty_keys(work, ready.values())
    taken = _names_taken(work, {one.name for one in ready.values()})
    refused: dict[int, Exception] = {}
    for place, one in ready.items():
        if (fault := faulty_keys.get(one.on_file.issuer.id)) is not None:
            refused[place] = fault
        elif one.name in taken:
            refused[place] = one.name_taken()
        else:
            try:
                # Knowing the digest of a file alone gives no access to it: it may have been erased meanwhile.
                if getattr(one.document, "attachments", None):
                    check_attachments(work, fields_of(one.document), one.on_file.issuer, None)
                if one.consignment is not None:
                    check_what_is_named(work, one.consignment)
            except TraceabilityError as error:
                refused[place] = error
    return refused


def _faulty_keys(work: UnitOfWork, ready: Collection[_SignedLine]) -> dict[str, TraceabilityError]:
    faulty: dict[str, TraceabilityError] = {}
    for signer, thumbprint in {(one.on_file.issuer, one.thumbprint) for one in ready}:
        try:
            if usable_key(work, signer).thumbprint != thumbprint:
                raise _Overtaken
        except TraceabilityError as error:
            faulty[signer.id] = error
    return faulty


def _names_taken(
    work: UnitOfWork, names: Collection[tuple[str, Kind, str | None]]
) -> set[tuple[str, Kind, str | None]]:
    asked: dict[tuple[str, Kind], list[str]] = {}
    for signer, kind, name in names:
        if name is not None:
            asked.setdefault((signer, kind), []).append(name)
    taken: set[tuple[str, Kind, str | None]] = set()
    for (signer, kind), own in asked.items():
        if KINDS[kind].signing is Signing.LODGED:
            found = work.consignments.references_taken(signer, own)
        else:
            found = work.records.numbers_taken(signer, kind, own)
        taken |= {(signer, kind, name) for name in found}
    return taken
