"""A holder shows a record in part: the bundle proves as much as the whole one, and tells less."""

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
    """A record, and of each of its fields whether it is shown."""

    record: RecordOnFile
    shown: dict[str, bool]


def choose(
    ctx: AppContext, actor: Person, record_id: str, audience: Audience | None, names: Sequence[str] = ()
) -> Choice:
    """The fields that the record has, those shown that an audience needs or that were named."""
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
    """The bundle with the chosen fields, and no more, in the open."""
    return bundle_of(ctx, choice.record, sorted(name for name, is_shown in choice.shown.items() if is_shown))
