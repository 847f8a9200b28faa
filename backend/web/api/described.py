"""Bodies are held to the JSON types that the interface's own description names, before anything is read from them.

The models read more than they describe, since pages fill them from text: "10" as a whole number, 1 as yes. A program
that sends such a value means something else than it says.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel

from backend.domain.errors import Invalid, Message

_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "Input should be a valid string"),
    "boolean": (lambda value: isinstance(value, bool), "Input should be a valid boolean"),
    "integer": (lambda value: _is_number(value) and value == int(value), "Input should be a valid integer"),
    "number": (lambda value: _is_number(value), "Input should be a valid number"),
    "array": (lambda value: isinstance(value, list), "Input should be a valid list"),
    "object": (lambda value: isinstance(value, dict), "Input should be a valid dictionary"),
    "null": (lambda value: value is None, "Input should be None"),
}
"""How each type of JSON Schema is known, and what is said of another value."""


class DescribedBlueprint(APIBlueprint):
    """A blueprint whose operations refuse JSON of other types than they describe."""

    def input(self, schema: Any, location: str = "json", *args: Any, **options: Any) -> Callable[..., Any]:
        """Take the input, as APIFlask does, after holding it to its description."""
        add = super().input(schema, location, *args, **options)
        return add if location != "json" else lambda view: _held_to(schema, add(view))


def _held_to(model: type[BaseModel], view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        described = _description(model)
        faults: list[tuple[str, str]] = list(type_faults(described, described.get("$defs", {}), request.get_json(), ""))
        if faults:
            raise Invalid("the body is not as described", faults)
        return view(*args, **kwargs)

    return checked


@cache
def _description(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def type_faults(
    described: Mapping[str, Any], shared: Mapping[str, Any], value: Any, where: str
) -> Iterator[tuple[str, Message]]:
    """Tell where a value is of another type than its JSON Schema describes; ``shared`` are the schema's $defs."""
    if (reference := described.get("$ref")) is not None:
        described = shared[reference.rpartition("/")[2]]
    if "anyOf" in described:
        found = [list(type_faults(one, shared, value, where)) for one in described["anyOf"]]
        yield from min(found, key=lambda faults: _is_of_null(value, faults))
        return
    known = _TYPES.get(described.get("type", ""))
    if known is not None and not known[0](value):
        yield where, Message(known[1])
    elif isinstance(value, dict):
        for name, member in described.get("properties", {}).items():
            if name in value:
                yield from type_faults(member, shared, value[name], f"{where}.{name}".lstrip("."))
    elif isinstance(value, list) and "items" in described:
        for place, element in enumerate(value):
            yield from type_faults(described["items"], shared, element, f"{where}.{place}".lstrip("."))


def _is_of_null(value: Any, faults: list[tuple[str, Message]]) -> tuple[int, bool]:
    """Order alternatives: one without faults first, and null last, of which nobody is told who sent something."""
    return len(faults), any(fault.template == _TYPES["null"][1] for _, fault in faults)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    )
