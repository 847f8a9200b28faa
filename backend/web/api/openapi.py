"""What APIFlask cannot know of our interface: problems, idempotency keys, and the bodies read by hand."""

from typing import Any

from apiflask import APIFlask
from pydantic import ValidationError

from backend.domain.errors import Invalid
from backend.domain.fields import problems_of
from backend.domain.kinds import KINDS
from backend.messages.catalogue import languages, say
from backend.web.api import examples
from backend.web.context import language
from backend.web.problems import MEDIA_TYPE, code_of, problem, refused

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
    "description": "Send the same key again and the request is done once; another body under the same key gets 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
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
    "example": examples.ETAG,
}
_ETAG = {"description": "The version, to be sent back as If-Match", "schema": {"type": "string"}}
_TAGGED = (
    "get /api/v1/declarations/{declaration_id}",
    "get /api/v1/records/{record_id}",
    "get /api/v1/issuers/{organisation_id}",
)
KEYED = ("/decisions", *(f"/{stated.collection}" for stated in KINDS.values()))
_BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/files": {
        "application/pdf": {"schema": {"type": "string", "format": "binary"}, "example": examples.PDF},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
            "example": {"file": examples.PDF},
        },
    },
    "/api/v1/verify": {
        "application/json": {
            "schema": {
                "type": "object",
                "description": "An evidence bundle, as GET /records/{record_id}/evidence gives it: at most 2 MiB, "
                "64 records and 200 superseded ones",
            },
            "example": examples.BUNDLE,
        }
    },
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
        if (reference := media["schema"].get("$ref")) in examples.BY_SCHEMA:
            media["example"] = examples.BY_SCHEMA[reference]
    for ending, answer in _ANSWERS.items():
        if method == "get" and path.endswith(ending):
            operation["responses"] = {"200": answer, **operation["responses"]}
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["name"] in examples.PARAMETERS:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    if method == "post" and path.endswith(KEYED):
        parameters.append(_IDEMPOTENCY_KEY)
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
