"""The quick look at a body's types says what the slow one says, which names each fault."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.domain.kinds import KINDS, Kind
from backend.web.api.shapes import body_of
from backend.web.api.views import _checked, _description, type_faults
from tests.helpers.builders import FIELDS, lodgement_fields

OTHERS: list[Any] = [5, True, None, "x", 1.5, [], {}, [1], {"name": 1}, float("nan")]


def altered(value: Any) -> Iterator[Any]:
    """A body with one value, at any depth, replaced by one of another type."""
    yield from OTHERS
    if isinstance(value, dict):
        for name, member in value.items():
            yield from ({**value, name: other} for other in altered(member))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in altered(item))


@pytest.mark.parametrize("kind", Kind)
def test_quick_look_agrees_with_the_slow_one(kind):
    model = body_of(KINDS[kind])
    described = _description(model)
    fields = lodgement_fields(records=["x"]) if kind is Kind.DECLARATION else FIELDS[kind]()
    found = set()
    for body in (fields, *altered(fields)):
        faults = list(type_faults(described, described.get("$defs", {}), body, ""))
        assert _checked(model)(body) == (not faults), (body, faults)
        found.add(not faults)
    assert found == {True, False}
