"""JSON Schemas (2020-12) of the credentials, made from the very models that check forms and interface.

A schema describes a credential with every field disclosed. A version never changes once it was published: what a
record names must say the same in ten years. ``tests/vectors/schemas.json`` holds it to that; a change of a model that
shows here is a new version.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pycountry

from backend.domain import documents
from backend.domain.kinds import Kind
from backend.domain.units import UNITS

VERSION = 1
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def path(kind: Kind) -> str:
    """Where the server publishes the schema of a kind."""
    return f"/schemas/{documents.SLUGS[kind]}/v{VERSION}.json"


def address(kind: Kind, public_url: str | None) -> str:
    """The name of a kind's schema: its address where the server has one, else a name that means the same anywhere."""
    if public_url is None:
        return f"urn:provenport:schema:{documents.SLUGS[kind]}:v{VERSION}"
    return public_url.rstrip("/") + path(kind)


@cache
def subject_schema(kind: Kind) -> dict[str, Any]:
    """The schema of a kind's fields, as they are signed."""
    made = documents.MODELS[kind].model_json_schema(mode="serialization", by_alias=True)
    schema = _plain(made)
    assert isinstance(schema, dict)
    lists = sorted(set(_lists(schema)))
    if lists:
        schema.setdefault("$defs", {}).update({f"{name}-code": _code_list(name) for name in lists})
    return schema


def credential_schema(kind: Kind, identifier: str) -> dict[str, Any]:
    """The schema of a whole credential of this kind, under the name that records give it."""
    subject = dict(subject_schema(kind))
    definitions = subject.pop("$defs", {})
    return {
        "$schema": DIALECT,
        "$id": identifier,
        "title": documents.CREDENTIAL_TYPES[kind],
        "description": f"{subject.pop('description', '')} A credential with all its fields disclosed.".strip(),
        "type": "object",
        "required": ["@context", "id", "type", "issuer", "validFrom", "assurance", "credentialSubject"],
        "properties": {
            "@context": {"type": "array", "contains": {"const": "https://www.w3.org/ns/credentials/v2"}},
            "id": {"type": "string", "format": "uri"},
            "type": {
                "type": "array",
                "allOf": [
                    {"contains": {"const": name}} for name in ("VerifiableCredential", documents.CREDENTIAL_TYPES[kind])
                ],
            },
            "issuer": {"type": "object", "required": ["id", "name"], "properties": {"name": {"type": "string"}}},
            "validFrom": {"type": "string", "format": "date-time"},
            "validUntil": {"type": "string", "format": "date-time"},
            "assurance": {"enum": ["issued", "stated"]},
            "supersedes": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "credentialSubject": subject,
        },
        "$defs": definitions,
    }


def _plain(schema: Any) -> Any:
    """Without what pydantic adds for itself: titles, and null, which is never signed."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        kept = [part for part in schema["anyOf"] if part != {"type": "null"}]
        if len(kept) < len(schema["anyOf"]):
            rest = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
            return _plain({**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept})
    if "x-code-list" in schema:
        name = schema["x-code-list"]
        return {**_described(schema), "$ref": f"#/$defs/{name}-code"}
    plain = {name: _plain(value) for name, value in schema.items() if name != "title" or isinstance(value, dict)}
    if isinstance(plain.get("properties"), dict):
        # What has a default is always signed, but a reader need not insist on it.
        needed = [name for name in plain.get("required", []) if "default" not in plain["properties"].get(name, {})]
        plain["required"] = needed
    return plain


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": schema["description"]} if "description" in schema else {}


def _lists(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _lists(part)
    elif isinstance(schema, dict):
        named = schema.get("$ref")
        if isinstance(named, str) and named.endswith("-code"):
            yield named.removeprefix("#/$defs/").removesuffix("-code")
        for part in schema.values():
            yield from _lists(part)


def _code_list(name: str) -> dict[str, Any]:
    codes = {
        "country": ("ISO 3166-1 alpha-2", sorted(country.alpha_2 for country in pycountry.countries)),
        "currency": ("ISO 4217", sorted(currency.alpha_3 for currency in pycountry.currencies)),
        "unit": ("UN/ECE Recommendations 20 and 21", sorted(UNITS)),
    }
    description, listed = codes[name]
    return {"description": description, "enum": listed}
