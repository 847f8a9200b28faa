"""What holds for every operation: bodies are as described, and what is sent twice under one key is done once.

Bodies are held to the JSON types that the interface's own description names, before anything is read from them. The
models read more than they describe, since pages fill them from text: "10" as a whole number, 1 as yes. A program that
sends such a value means something else than it says.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from hashlib import sha256
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, g, make_response, request
from pydantic import BaseModel

from backend.domain.errors import Invalid, Message
from backend.services.idempotency import IdempotencyKey, KeptResponse, answered_once
from backend.services.ports import AppContext
from backend.web.context import current_context, person

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


_KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class DescribedBlueprint(APIBlueprint):
    """A blueprint whose operations refuse JSON of other types than they describe, and take an Idempotency-Key."""

    remade: Callable[[str], Any]
    """Makes the answer of before answers were kept, from the id of what the request led to."""

    def auth_required(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """Ask for a token, as APIFlask does; whoever sent it gets one answer for one Idempotency-Key."""
        add: Callable[..., Any] = super().auth_required(*args, **options)
        return lambda view: add(self._done_once(view))

    def _done_once(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def once(*args: Any, **kwargs: Any) -> Any:
            key = _idempotency_key() if request.method == "POST" else None
            if key is None:
                return view(*args, **kwargs)

            def perform(ctx: AppContext) -> KeptResponse:
                g.context = ctx
                try:
                    return _kept(with_version(make_response(view(*args, **kwargs))))
                finally:
                    del g.context

            def remade(resource_id: str) -> KeptResponse:
                return _kept(make_response(self.remade(resource_id)))

            return _response(answered_once(current_context(), key, perform, remade))

        return once

    def input(self, schema: Any, location: str = "json", *args: Any, **options: Any) -> Callable[..., Any]:
        """Take the input, as APIFlask does, after holding it to its description."""
        add = super().input(schema, location, *args, **options)
        return add if location != "json" else lambda view: _held_to(schema, add(view))


def _idempotency_key() -> IdempotencyKey | None:
    """The request's Idempotency-Key, bound to who asks and to what exactly they ask."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("a key has 1 to 255 printable characters", [("Idempotency-Key", "is empty or too long")])
    digest = sha256(f"{request.method} {request.path}\n".encode() + _body()).hexdigest()
    return IdempotencyKey(person().id, key, digest)


def _body() -> bytes:
    """What was sent. Of a form its parts, since whoever sends it again draws another boundary between them."""
    if request.mimetype != "multipart/form-data":
        return request.get_data()
    parts = [[name, value] for name, value in request.form.items(multi=True)]
    for name, uploaded in request.files.items(multi=True):
        parts.append([name, sha256(uploaded.read()).hexdigest()])
        uploaded.seek(0)
    return json.dumps(parts).encode()


def with_version(response: Response) -> Response:
    """Put the version that the view has told (``views.tagged``) on its answer, as the ETag."""
    if (version := g.pop("version", None)) is not None:
        response.set_etag(str(version))
    return response


def _kept(response: Response) -> KeptResponse:
    """An answer as it is kept; every operation that writes answers JSON."""
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    told = response.get_json(silent=True)
    resource = told.get("id") if isinstance(told, dict) else None
    return KeptResponse(response.status_code, headers, response.get_data(as_text=True), str(resource or ""))


def _response(kept: KeptResponse) -> Response:
    response = current_app.response_class(kept.body, kept.status)
    response.headers.update(kept.headers)
    return response


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
