"""What APIFlask cannot know of our interface: problems, idempotency keys, and the bodies read by hand."""

import json
from typing import Any

from apiflask import APIFlask
from pydantic import BaseModel, ValidationError

from backend.domain.bundle import FORMAT, VERSION
from backend.domain.errors import Invalid
from backend.domain.fields import problems_of
from backend.domain.kinds import KINDS, Kind, RecordKind, Signing
from backend.domain.kinds.base import A_MERCHANT, A_MOMENT
from backend.messages.catalogue import languages, say
from backend.services.idempotency import KEPT_FOR
from backend.web.api import shapes
from backend.web.api.customs_offices import DelegationInput, OfficeInput
from backend.web.api.shapes import body_of
from backend.web.api.simulations import SimulationInput
from backend.web.api.views import BULK, NDJSON
from backend.web.context import language
from backend.web.problems import MEDIA_TYPE, code_of, problem, refused

# Examples, one for each request body, and one for each parameter that needs one
# Ids in them stand for ids that a server gave; the tests call every operation with its example, with real ids instead.
# They belong to the interface's description only: the schemas of records stay as they are published.


SIGNATURE = "hXkw0Zb5cYl8vGmQnT3rJ2uE7aLdPfS1oKxWzCtBiN9yRgMqVjUe4sDh6pAIwOFbHXkw0Zb5cYl8vGmQnT3rJw"
ETAG = '"1"'
"""Of a thing that nothing was done to since it came onto file."""
A_MOMENT_AHEAD = "2027-01-31T16:00:00Z"
"""A moment that lies ahead of whoever sends the example."""
PARAMETERS: dict[str, str] = {
    "audience": "buyer",
    "declaration_id": "0d3f1c2a-7b64-4e0f-9a51-6c8e2b7d4f10",
    "delegation_id": "3e8a4d17-6b2c-4f95-8d01-9c7e5a2b4f68",
    "name": "result.json",
    "organisation_id": "5b2e9d84-1f3a-4c67-8d20-e94b7a6c3f15",
    "record_id": "c41a7e60-92d5-4b3f-a8e7-2f5d6b9c0e33",
    "q": "desk lamp",
    "request_id": "8e6d3b12-4a5c-4f79-b1c0-7d2e9f8a6b54",
    "simulation_id": "f27b5c91-6e0d-4a38-9c4f-1b8d3e7a5c62",
    "thumbprint": "9f3c1e5a7b2d4f608c1a3e5b7d9f0a2c4e6b8d0f1a3c5e7b9d1f3a5c7e9b0d2f",
}

BODIES: dict[type[BaseModel], dict[str, Any]] = {
    **{stated.model: dict(stated.example) for stated in KINDS.values() if stated.signing is not Signing.LODGED},
    shapes.DeclarationInput: {
        **KINDS[Kind.DECLARATION].example,
        "records": [PARAMETERS["record_id"]],
    },
    shapes.DecisionInput: {"decision": "examine", "reason": "Weight and packages do not match: please open carton 3."},
    shapes.ReasonInput: {"reason": "The goods were made elsewhere."},
    shapes.OrderInput: {
        "kind": "inspection-report",
        "issuer": PARAMETERS["organisation_id"],
        "order": {
            "customer": A_MERCHANT,
            "itemDescription": "LED desk lamp, 8 W, model MS-L8",
            "itemIdentification": "LOT-26-014",
            "hsCode": "940521",
            "sample": "3 pieces, by courier",
            "testsWanted": "Leakage current; temperature rise",
            "specification": "EN IEC 60598-1:2021",
            "feeNote": "Paid by the merchant, quotation Q-26-0311",
        },
    },
    shapes.ConfirmationInput: {"number": "ZJ-26-004713"},
    shapes.ReplacementInput: {"number": "ZJ-26-004714", "reason": "The paper was lost with the courier."},
    shapes.MessageInput: {"text": "Is the weight stated with or without the pallets?"},
    shapes.ReturnInput: {"reason": "The weight is that of one carton.", "fields": ["grossWeightMeasure"]},
    shapes.ArrivalInput: {"arrivedAt": A_MOMENT},
    shapes.ErasureInput: {"confirm": "erase for good"},
    shapes.OrganisationInput: {
        "role": "laboratory",
        "name": "Ningbo Testing Laboratory",
        "localName": "宁波检测实验室",
        "email": "desk@ningbo-lab.example",
        "countryCode": "CN",
    },
    OfficeInput: {"office": "CNHAZ", "organisation": PARAMETERS["organisation_id"]},
    DelegationInput: {"office": "CNYIU", "organisation": PARAMETERS["organisation_id"], "until": A_MOMENT_AHEAD},
    shapes.AccreditationInput: {"chapters": [84, 85, 94]},
    shapes.SuspensionInput: {"since": A_MOMENT},
    shapes.RotationInput: {},
    shapes.CompromiseInput: {"since": A_MOMENT},
    shapes.SigningRequestInput: {
        "act": "issue",
        "kind": "certificate-of-origin",
        "document": {**KINDS[Kind.CERTIFICATE_OF_ORIGIN].example, "certificateNumber": "ZJ-26-004712"},
    },
    shapes.SignatureInput: {"signature": SIGNATURE},
    SimulationInput: {"scenario": "office", "replications": 20, "seed": 1},
}


def _line(kind: Kind, stated: RecordKind) -> str:
    """A line of many: the same document under another number."""
    body = BODIES[shapes.body_of(stated)]
    own = {stated.number_field: f"{body[stated.number_field]}-{kind + 1}"}
    return json.dumps(body | own, ensure_ascii=False) + "\n"


LINES = {kind: _line(kind, stated) for kind, stated in KINDS.items()}
"""A body of each operation that takes many lines."""
BY_SCHEMA = {f"#/components/schemas/{model.__name__}": example for model, example in BODIES.items()}
PDF = (
    "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>\nendobj\n"
    "xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
    "trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n186\n%%EOF\n"
)
BUNDLE = {
    "format": FORMAT,
    "version": VERSION,
    "records": [
        {
            "record": "eyJhbGciOiJFUzI1NiIs…",
            "entry": {"kind": 1, "quantity": "500000"},
            "proof": {"leafIndex": 3, "treeSize": 10, "inclusionPath": ["67fd4f46517bce4b…"]},
            "anchor": {
                "chainId": 1337,
                "ledger": "0x8f3a…",
                "instanceId": "4c1b…",
                "root": "d35a42853a339bd8…",
                "transaction": "08b2…",
                "block": 7,
                "blockTime": A_MOMENT,
            },
        }
    ],
    "superseded": [],
    "snapshot": "eyJhbGciOiJFUzI1NiIs…",
}
"""Cut short where it says …: a whole one is given out by GET /records/{record_id}/evidence."""


# The rest of the description

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable name of the problem"},
        "detail": {"type": "string"},
        "requestId": {"type": "string", "description": "Also in X-Request-Id and in the server's log"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "verdict": {"$ref": "#/components/schemas/VerdictShape"},
        "currentStatus": {"type": "string", "description": "The status that stands in the way (409)"},
        "currentVersion": {"type": "integer", "description": "The version that it has now (412)"},
        "changes": {
            "type": "array",
            "description": "What happened since the version that you read (412)",
            "items": {
                "type": "object",
                "required": ["what", "at", "sentence"],
                "properties": {
                    "what": {"type": "string", "description": "Stable name of the step, status or act"},
                    "at": {"type": "string", "format": "date-time"},
                    "by": {"type": "string", "description": "The organisation; absent where the ledger did it"},
                    "person": {"type": "string", "description": "Who did it, for colleagues only"},
                    "why": {"type": "string"},
                    "sentence": {"type": "string", "description": "The same in the reader's language"},
                },
            },
        },
    },
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Send the same request with the same key again, at once or within "
    f"{KEPT_FOR.days} days: it is done once, and every time gets the same answer. Another request under the same key "
    "gets 422. A refusal leaves the key unused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_KEY_WITHOUT_USE = _IDEMPOTENCY_KEY | {"description": "Nothing is written here: a key is taken, and changes nothing."}
_KEY_OF_LINES = _IDEMPOTENCY_KEY | {
    "description": f"Send the same lines with the same key again within {KEPT_FOR.days} days: what was stored is "
    "answered again and not stored twice; what was refused is tried again. Other lines under the same key get 422.",
}
_LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "description": f"The language of sentences: {', '.join(languages())}",
    "schema": {"type": "string"},
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of what you read and decide on; where it was changed since, the answer is 412.",
    "schema": {"type": "string"},
    "example": ETAG,
}
_ETAG = {"description": "The version, to be sent back as If-Match", "schema": {"type": "string"}}
_TAGGED = (
    "get /api/v1/declarations/{declaration_id}",
    "get /api/v1/records/{record_id}",
    "get /api/v1/issuers/{organisation_id}",
)
_BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/files": {
        "application/pdf": {"schema": {"type": "string", "format": "binary"}, "example": PDF},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
            "example": {"file": PDF},
        },
    },
    "/api/v1/verify": {
        "application/json": {
            "schema": {
                "type": "object",
                "description": "An evidence bundle, as GET /records/{record_id}/evidence gives it: at most 2 MiB, "
                "64 records and 200 superseded ones",
            },
            "example": BUNDLE,
        }
    },
}
_BODIES |= {
    f"/api/v1/{stated.collection}{BULK}": {
        NDJSON: {
            "schema": {"type": "string", "description": "One JSON object in each line (NDJSON)"},
            "x-item-schema": {"$ref": f"#/components/schemas/{body_of(stated).__name__}"},
            "example": LINES[kind],
        }
    }
    for kind, stated in KINDS.items()
}
_BULK_LINE = {
    "description": "The answer to one line, or the sum",
    "oneOf": [
        {
            "type": "object",
            "required": ["line", "status", "record"],
            "properties": {
                "line": {"type": "integer", "description": "The number of the line in the body, from 1"},
                "status": {"const": 201},
                "record": {"$ref": "#/components/schemas/RecordReceipt"},
            },
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["line", "status", "problem"],
            "properties": {
                "line": {"type": "integer"},
                "status": {"type": "integer", "minimum": 400, "description": "As if the line had been sent alone"},
                "problem": {"$ref": "#/components/schemas/Problem"},
                "retryAfter": {"type": "integer", "description": "Seconds until it may be tried again"},
            },
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["lines", "stored", "refused"],
            "properties": {name: {"type": "integer"} for name in ("lines", "stored", "refused")},
            "additionalProperties": False,
        },
    ],
}
_BUNDLE = {"description": "An evidence bundle", "content": {"application/json": {"schema": {"type": "object"}}}}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[str, dict[str, Any]] = {
    "/evidence": _BUNDLE,
    "/presentation": _BUNDLE,
    "/files/{name}": {
        "description": "The file",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": _FILE,
            "text/html": {"schema": {"type": "string"}},
        },
    },
}
"""Of operations that answer with a file: by the end of their path."""


def complete_specification(app: APIFlask, prefix: str = "") -> None:
    """Make the published description say what the interface does; ``prefix`` is the path that stands before all."""
    app.config.update(
        INFO={
            "description": "Signed, anchored records of origin and inspection, and customs' decisions on them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        SERVERS=[{"url": prefix or "/"}],
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        LOCAL_SPEC_JSON_INDENT=2,
    )

    @app.error_processor
    def answer(error: Any) -> Any:
        """Errors that APIFlask raises itself, in our one form."""
        if isinstance(error.__cause__, ValidationError):
            return refused(Invalid("some fields are wrong", problems_of(error.__cause__)))
        return problem(error.status_code, code_of(error.status_code), say(error.message, language()))

    @app.spec_processor
    def complete(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
        """Add what is missing."""
        assert isinstance(spec, dict)  # a string only where the specification is written as YAML
        spec.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
        spec["components"]["schemas"]["BulkLine"] = _BULK_LINE
        for path, operations in spec["paths"].items():
            for method, operation in operations.items():
                if isinstance(operation, dict) and method != "parameters":
                    _complete(path, method, operation)
        return spec


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    if path in _BODIES:
        operation["requestBody"] = {"required": True, "content": _BODIES[path]}
    for media in operation.get("requestBody", {}).get("content", {}).values():
        operation["requestBody"]["required"] = True
        if (reference := media["schema"].get("$ref")) in BY_SCHEMA:
            media["example"] = BY_SCHEMA[reference]
    for ending, answer in _ANSWERS.items():
        if method == "get" and path.endswith(ending):
            operation["responses"] = {"200": answer, **operation["responses"]}
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    if method == "post":
        takes = _KEY_OF_LINES if path.endswith(BULK) else _IDEMPOTENCY_KEY
        parameters.append(takes if "security" in operation else _KEY_WITHOUT_USE)
    if "412" in operation["responses"]:
        parameters.append(_IF_MATCH)
        operation["responses"]["412"]["description"] = "Changed since you read it: who, what, when and why"
        operation["responses"]["428"]["description"] = "If-Match is missing"
    if f"{method} {path}" in _TAGGED:
        operation["responses"]["200"]["headers"] = {"ETag": _ETAG}
    parameters.append(_LANGUAGE)
    if method == "post":
        for status, words in (("400", "The body cannot be read"), ("413", "Too large"), ("422", "Fields are wrong")):
            operation["responses"].setdefault(status, {"description": words})
    for status, response in operation["responses"].items():
        if status >= "400":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
