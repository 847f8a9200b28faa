"""JSON Schemas (2020-12) of the credentials, each version frozen as a file when it is published.

A schema describes a credential with every field disclosed. A published version never changes, because records refer to
it for years. The newest version of a kind is generated from the model that checks forms and API, and must equal its
file. A changed model needs a new version (its ``schema_version``) and a new file, which ``frozen_text`` writes.
Versions are counted per kind.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pycountry

from backend.domain.agreements import AGREEMENTS
from backend.domain.evidence import ANCHORER_CLAIM
from backend.domain.kinds import BY_SLUG, KINDS, Kind
from backend.domain.units import UNITS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "kinds" / "schemas"
_FILE = re.compile(r"(?P<slug>[a-z-]+)-v(?P<version>[0-9]+)")
_CODE_LISTS = ("agreement", "country", "currency", "unit")


@cache
def published() -> Mapping[tuple[str, int], Path]:
    """Return the files of all published versions, by kind (its slug) and version."""
    named = ((_FILE.fullmatch(file.stem), file) for file in sorted(FOLDER.glob("*.json")))
    found = {(name["slug"], int(name["version"])): file for name, file in named if name}
    return dict(sorted(found.items(), key=lambda one: (BY_SLUG[one[0][0]], one[0][1])))


def credential_schema(kind: Kind, identifier: str, version: int | None = None) -> dict[str, Any]:
    """Return a published schema of a whole credential, with ``identifier`` as its ``$id``.

    The current lists of agreements, countries, currencies and units are inserted, because they change over time.

    Raises:
        KeyError: if there is no such version.
    """
    frozen = json.loads(published()[kind.slug, version or KINDS[kind].schema_version].read_text(encoding="utf-8"))
    definitions = {
        name: _code_list(name.removesuffix("-code")) if name.endswith("-code") else stated
        for name, stated in frozen["$defs"].items()
    }
    return {**frozen, "$id": identifier, "$defs": definitions}


def frozen_text(kind: Kind) -> str:
    """Return the file of a kind's newest version, generated from its model, without code lists and server URLs."""
    made = _made(kind)
    kept = {name: {} if name.removesuffix("-code") in _CODE_LISTS else stated for name, stated in made["$defs"].items()}
    return json.dumps({**made, "$defs": kept}, indent=1, ensure_ascii=False) + "\n"


@cache
def subject_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of a kind's fields, as they are signed."""
    made = KINDS[kind].model.model_json_schema(mode="serialization", by_alias=True)
    schema = _plain(made)
    assert isinstance(schema, dict)
    # Sorted, since the newest schema must come out the same as its file, letter by letter.
    lists = sorted(set(_lists(schema)))
    if lists:
        schema.setdefault("$defs", {}).update({f"{name}-code": _code_list(name) for name in lists})
    return schema


def _made(kind: Kind) -> dict[str, Any]:
    """Return the schema of a whole credential, generated from the kind's model."""
    subject = dict(subject_schema(kind))
    definitions = subject.pop("$defs", {})
    return {
        "$schema": DIALECT,
        "$id": "",
        "title": KINDS[kind].credential_type,
        "description": f"{subject.pop('description', '')} A credential with all its fields disclosed.".strip(),
        "type": "object",
        "required": ["@context", "id", "type", "issuer", "validFrom", "assurance", "credentialSubject"],
        "properties": {
            "@context": {"type": "array", "contains": {"const": "https://www.w3.org/ns/credentials/v2"}},
            "id": {"type": "string", "format": "uri"},
            "type": {
                "type": "array",
                "allOf": [
                    {"contains": {"const": name}} for name in ("VerifiableCredential", KINDS[kind].credential_type)
                ],
            },
            "issuer": {"type": "object", "required": ["id", "name"], "properties": {"name": {"type": "string"}}},
            "validFrom": {"type": "string", "format": "date-time"},
            "validUntil": {"type": "string", "format": "date-time"},
            "assurance": {"enum": ["issued", "stated"]},
            "supersedes": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            ANCHORER_CLAIM: {
                "type": "object",
                "description": "Who may anchor it: the agent with this number, on this ledger",
                "required": ["chainId", "instanceId", "ledger", "agent"],
                "properties": {
                    "chainId": {"type": "integer", "minimum": 0},
                    "instanceId": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "ledger": {"type": "string", "pattern": "^0x[0-9a-f]{40}$"},
                    "agent": {"type": "integer", "minimum": 0},
                },
                "additionalProperties": False,
            },
            "credentialSubject": subject,
        },
        "$defs": definitions,
    }


def _plain(schema: Any) -> Any:
    """Remove what pydantic adds: titles, and null, which is never signed."""
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
    return {name: schema[name] for name in ("description", "default") if schema.get(name) is not None}


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
        "agreement": ("Trade agreements; NONE where no preference is claimed", sorted(AGREEMENTS)),
        "country": ("ISO 3166-1 alpha-2", sorted(country.alpha_2 for country in pycountry.countries)),
        "currency": ("ISO 4217", sorted(currency.alpha_3 for currency in pycountry.currencies)),
        "unit": ("UN/ECE Recommendations 20 and 21", sorted(UNITS)),
    }
    description, listed = codes[name]
    return {"description": description, "enum": listed}
