"""Selective disclosure: a holder shows chosen fields of a record, and the bundle still proves them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.domain.bundle import Bundle
from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import Audience
from backend.domain.parties import Person
from backend.domain.records import RecordOnFile
from backend.domain.selective_disclosure import always_shown, chosen, fields_for
from backend.services.access_policy import visible_record
from backend.services.bundles import bundle_of
from backend.services.ports import AppContext


@dataclass(frozen=True)
class Choice:
    """A record, and for each of its fields whether it is shown."""

    record: RecordOnFile
    shown: dict[str, bool]


def choose(
    ctx: AppContext, actor: Person, record_id: str, audience: Audience | None, names: Sequence[str] = ()
) -> Choice:
    """Choose the fields to show: those that ``audience`` needs, or those in ``names``, with those always shown.

    Raises:
        NotFound: There is no such record, or the actor may not read it.
        Conflict: The record was erased, or what is stored of it was altered.
        Invalid: A name is no field of the record's kind.
    """
    with ctx.work(reading=True) as work:
        on_file = visible_record(ctx, work, actor, record_id)
    wanted = fields_for(audience, on_file.kind) if audience is not None else chosen(on_file.kind, names)
    shown = {*wanted, *always_shown(on_file.kind)}
    return Choice(on_file, {name: name in shown for name in _readable(on_file)})


def _readable(on_file: RecordOnFile) -> dict[str, Any]:
    if on_file.erased_at is not None:
        raise Conflict("this record was erased: there is nothing left to show", erased_at=on_file.erased_at)
    try:
        return on_file.fields
    except Invalid as error:
        raise Conflict("what is kept of this record was tampered with", record=on_file.id) from error


def present(ctx: AppContext, choice: Choice) -> Bundle:
    """Make the bundle that discloses the chosen fields only."""
    return bundle_of(ctx, choice.record, sorted(name for name, is_shown in choice.shown.items() if is_shown))
