"""What a holder shows to whom: no more than each needs. Every field that is not named stays a salted digest.

A choice of fields shows the record's kind, its issuer and its dates besides, and of a certificate of origin the
quantity, which the ledger counts.
"""

from collections.abc import Sequence

from backend.domain.errors import Invalid
from backend.domain.kinds import KINDS, Audience, Kind
from backend.domain.message import Message


def fields_for(audience: Audience, kind: Kind) -> tuple[str, ...]:
    """The names of the fields to show; customs need all of them, and whom a kind does not concern gets none."""
    if audience is Audience.CUSTOMS:
        return every_field(kind)
    return KINDS[kind].shown_to.get(audience, ())


def every_field(kind: Kind) -> tuple[str, ...]:
    """The names of all fields that a kind of record may have, in their order."""
    return KINDS[kind].every_field


def chosen(kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    """The names that somebody chose; raises Invalid where one is no field of the kind."""
    known = every_field(kind)
    for name in names:
        if name not in known:
            raise Invalid(
                "no such field", [("fields", Message("{name} is no field of a {kind}", name=name, kind=kind.slug))]
            )
    return tuple(dict.fromkeys(names))
