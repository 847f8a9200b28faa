"""The interface's blueprint, how a token tells who asks, and how things on file look to programs."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from hashlib import sha256
from typing import Any

from apiflask import APIBlueprint, HTTPTokenAuth
from flask import Response, current_app, g, make_response, request, url_for
from flask_babel import gettext
from pydantic import BaseModel
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from backend.domain.consignment import Consignment, DecisionTaken
from backend.domain.drawdowns import decimal_text
from backend.domain.errors import Invalid, Message, NotFound, VersionRequired
from backend.domain.kinds import KINDS
from backend.domain.parties import Person
from backend.domain.records import RecordOnFile
from backend.domain.verdict import Verdict
from backend.messages.catalogue import say
from backend.messages.verdict import undone_reason, verdict_json
from backend.services.declarations import PreCheck
from backend.services.idempotency import IdempotencyKey, KeptResponse, answered_once
from backend.services.ports import AppContext
from backend.services.verification import DossierVerdict
from backend.web.api.shapes import DecisionShape, RecordReceipt, Shape
from backend.web.context import (
    authorize,
    bearer,
    current_context,
    external_url,
    in_kib,
    language,
    person,
    with_issuer_named,
)
from backend.web.problems import problem

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


# The other headers are about one exchange, such as its number and the rates, and are made anew.
_KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class DescribedBlueprint(APIBlueprint):
    """A blueprint whose operations refuse JSON of other types than they describe, and take an Idempotency-Key."""

    remade: Callable[[str], Any]
    """Makes the answer of before answers were kept, from the id of what the request led to."""

    def auth_required(self, *args: Any, line_by_line: bool = False, **options: Any) -> Callable[..., Any]:
        """Ask for a token, as APIFlask does; whoever sent it gets one answer for one Idempotency-Key.

        With ``line_by_line`` the operation itself sees to the key, whose lines are stored a few at a time.
        """
        add: Callable[..., Any] = super().auth_required(*args, **options)
        return add if line_by_line else lambda view: add(self._done_once(view))

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
    key = key_sent()
    if key is None:
        return None
    digest = sha256(f"{request.method} {request.path}\n".encode() + _body()).hexdigest()
    return IdempotencyKey(person().id, key, digest)


def key_sent() -> str | None:
    """Return the request's Idempotency-Key; raises Invalid where it is none."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        raise Invalid("a key has 1 to 255 printable characters", [("Idempotency-Key", "is empty or too long")])
    return key


def _body() -> bytes:
    """What was sent. Of a form its parts, since whoever sends it again draws another boundary between them."""
    if request.mimetype != "multipart/form-data":
        return request.get_data()
    parts = [[name, value] for name, value in request.form.items(multi=True)]
    for name, uploaded in request.files.items(multi=True):
        parts.append([name, sha256(uploaded.read()).hexdigest()])
        # The view reads the same file after us.
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
        require_types(model, request.get_json())
        return view(*args, **kwargs)

    return checked


def require_types(model: type[BaseModel], value: Any) -> None:
    """Hold a value to the types that a model's description names.

    Raises:
        Invalid: A member is of another type.
    """
    # Pydantic alone would take "5" for 5 and 1 for true, which the description promises to nobody.
    if _checked(model)(value):
        return
    described = _description(model)
    faults: list[tuple[str, str]] = list(type_faults(described, described.get("$defs", {}), value, ""))
    if faults:
        raise Invalid("the body is not as described", faults)


@cache
def _description(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


@cache
def _checked(model: type[BaseModel]) -> Callable[[Any], bool]:
    """Return what tells at once whether ``type_faults`` finds none: nearly always, and in a fifth of its time."""
    described = _description(model)
    return _type_check(described, described.get("$defs", {}), {})


def _type_check(
    described: Mapping[str, Any], shared: Mapping[str, Any], known: dict[str, Callable[[Any], bool]]
) -> Callable[[Any], bool]:
    if (reference := described.get("$ref")) is not None:
        name = reference.rpartition("/")[2]
        if name not in known:
            known[name] = lambda value: known[name](value)  # where it holds itself
            known[name] = _type_check(shared[name], shared, known)
        return known[name]
    if "anyOf" in described:
        alternatives = [_type_check(one, shared, known) for one in described["anyOf"]]
        return lambda value: any(fits(value) for fits in alternatives)
    is_typed = _TYPES[described["type"]][0] if described.get("type") in _TYPES else None
    members = {name: _type_check(one, shared, known) for name, one in described.get("properties", {}).items()}
    items = _type_check(described["items"], shared, known) if "items" in described else None
    if is_typed is _TYPES["string"][0]:
        return is_typed  # the rest is about objects and lists

    def fits(value: Any) -> bool:
        if is_typed is not None and not is_typed(value):
            return False
        if isinstance(value, dict):
            return all(members[name](one) for name, one in value.items() if name in members)
        if isinstance(value, list) and items is not None:
            return all(map(items, value))
        return True

    return fits


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
        # True is an int in Python, and NaN is what differs from itself.
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    )


LARGEST_BODY = 2 * 1024 * 1024
"""Of a JSON body, in bytes; files have a limit of their own."""
LARGEST_BULK = 32 * 1024 * 1024
"""Of a body of many lines, in bytes, each of which may be as large as a JSON body."""
BULK = ":bulk"
"""What the paths end with that take many lines."""
NDJSON = "application/x-ndjson"
_NAMES_OF_NDJSON = (NDJSON, "application/ndjson", "application/jsonl")

auth = HTTPTokenAuth("Bearer", description="The token that your organisation was given.")
blueprint = DescribedBlueprint("api", __name__, url_prefix="/api/v1", tag="Provenport")


_WITHOUT_JSON = {
    "api.post_file",
    "api.post_withdrawal",
    "api.post_request_withdrawal",
    "api.post_reinstatement",
    "api.post_cancellation",
    "api.post_office_delegation_end",
}


@blueprint.before_request
def only_json_objects() -> None:
    """Bodies are JSON objects and say so: a list, a null or a form must not pass for an empty object."""
    if request.method != "POST" or request.endpoint in _WITHOUT_JSON:
        return
    if request.path.endswith(BULK):
        _only_lines()
        return
    if request.content_length is not None and request.content_length > LARGEST_BODY:
        raise RequestEntityTooLarge(gettext("At most %(most)s may be sent here.", most=in_kib(LARGEST_BODY)))
    if not request.is_json:
        raise UnsupportedMediaType(gettext("Send the body as application/json."))
    if request.endpoint == "api.post_verify":
        return  # anybody may ask it: how often they did is looked at before the body is
    if not isinstance(request.get_json(), dict):
        raise Invalid("the body must be a JSON object", [("", "must be a JSON object")])


def _only_lines() -> None:
    """Bodies of many lines say that they are, and are read as they come."""
    request.max_content_length = LARGEST_BULK
    if request.content_length is not None and request.content_length > LARGEST_BULK:
        raise RequestEntityTooLarge(gettext("At most %(most)s may be sent here.", most=in_kib(LARGEST_BULK)))
    if request.mimetype not in _NAMES_OF_NDJSON:
        raise UnsupportedMediaType(gettext("Send one JSON object in each line, as application/x-ndjson."))


@auth.verify_token  # type: ignore[untyped-decorator]
def who(token: str) -> Person | None:
    """The person whose token was sent. Raises NotAllowed where its scope does not cover what is asked."""
    found = bearer(token) if token else None
    g.bearer = found and found.person
    if found is not None:
        authorize(found)
    return g.bearer  # type: ignore[no-any-return]


@auth.error_processor
def unknown(error: object) -> Response:
    """There was no token, or nobody's."""
    return problem(401, "not-signed-in")


def remade(resource_id: str) -> tuple[dict[str, Any], int]:
    """What the request at hand was told by an earlier version, which took keys for records and decisions alone."""
    declaration_id = (request.view_args or {}).get("declaration_id")
    with current_context().work(reading=True) as work:
        if declaration_id is None:
            return _plain(RecordReceipt, receipt(work.records.get(resource_id))), 201
        decisions = work.consignments.get(declaration_id).decisions
    taken = next((one for one in decisions if one.id == resource_id), None)
    if taken is None:
        raise NotFound("no such decision", id=resource_id)
    return _plain(DecisionShape, decision(declaration_id, taken)), 201


def _plain(shape: type[Shape], told: dict[str, Any]) -> dict[str, Any]:
    return shape.model_validate(told).model_dump(mode="json", by_alias=True)


blueprint.remade = remade


def version_read() -> int:
    """The version that a change rests on, as If-Match gives it; raises VersionRequired where it gives none.

    ``*`` is refused, since it would match whatever somebody else has done meanwhile. A tag that a proxy made weak on
    its way (nginx does, when it compresses) still counts: ours tell versions, not bytes. An unknown tag is no version,
    so that it never matches.
    """
    sent = request.if_match
    tags = sent.as_set(include_weak=True)
    if sent.star_tag or not tags:
        raise VersionRequired("send If-Match with the ETag of what you read")
    if len(tags) > 1:
        raise Invalid("a change rests on one version", [("If-Match", "must be one ETag")])
    (tag,) = tags
    tag = tag.removeprefix("W/").strip('"')
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 10 else 0


def tagged(version: int) -> None:
    """Let the answer to this request carry the version as its ETag."""
    g.version = version


blueprint.after_request(with_version)


def receipt(on_file: RecordOnFile) -> dict[str, Any]:
    """What a request that stored a record is told, now and whenever it is repeated."""
    return {
        "id": on_file.id,
        "kind": on_file.kind.slug,
        "issuer": on_file.issuer.name,
        "digest": on_file.digest,
        "recordedAt": on_file.recorded_at,
        "url": _address("api.get_record", record_id=on_file.id),
        "evidenceUrl": _address("api.get_evidence", record_id=on_file.id),
        "labelUrl": label_url(on_file),
    }


def plain_receipt(on_file: RecordOnFile) -> dict[str, Any]:
    """The same as it is written in JSON."""
    return _plain(RecordReceipt, receipt(on_file))


_SOME_ID = "00000000-0000-4000-8000-000000000000"


def _address(endpoint: str, make: Callable[..., str] = url_for, **named: str) -> str:
    """The address of something by its id or label code; thousands of one kind are built once in a request."""
    ((name, value),) = named.items()
    if "addresses" not in g:
        g.addresses = {}
    known: dict[str, str] = g.addresses
    if endpoint not in known:
        known[endpoint] = make(endpoint, **{name: _SOME_ID})
    return known[endpoint].replace(_SOME_ID, value)


def label_url(on_file: RecordOnFile) -> str | None:
    """The public page of what an issuer certified."""
    if not KINDS[on_file.kind].has_label:
        return None
    return _address("public.label", external_url, label_code=on_file.label_code)


def record(on_file: RecordOnFile, verdict: Verdict | None = None) -> dict[str, Any]:
    """A record with its fields, and its verdict where one was made."""
    return {
        "id": on_file.id,
        "kind": on_file.kind.slug,
        "assurance": on_file.assurance.value,
        "issuer": on_file.issuer.name,
        "holder": on_file.holder.name,
        "status": on_file.status_name(),
        "statusReason": on_file.status_reason and say(on_file.status_reason, language()),
        "proofState": on_file.proof_state.value,
        "issuedAt": on_file.issued_at,
        "recordedAt": on_file.recorded_at,
        "digest": on_file.digest,
        "supersedes": on_file.supersedes_id,
        "supersededBy": on_file.superseded_by_id,
        "erasedAt": on_file.erased_at,
        "version": on_file.version,
        "document": _fields(on_file),
        "verdict": verdict and verdict_json(verdict, language(), with_issuer_named),
        "url": url_for("api.get_record", record_id=on_file.id),
    }


def _fields(on_file: RecordOnFile) -> dict[str, Any] | None:
    try:
        return on_file.fields
    except Invalid:
        return None


def summary(consignment: Consignment) -> dict[str, Any]:
    """One line of a list."""
    return {
        "id": consignment.id,
        "reference": consignment.reference,
        "merchant": consignment.merchant.name,
        "customsOffice": consignment.customs_office,
        "status": consignment.status.name,
        "decisionState": consignment.decision_state,
        "alertedAt": consignment.alerted_at,
        "lodgedAt": consignment.lodged_at,
        "arrivedAt": consignment.arrived_at,
        "releasedAt": consignment.released_at,
        "proofState": consignment.record.proof_state.value,
        "version": consignment.version,
        "url": url_for("api.get_declaration", declaration_id=consignment.id),
    }


def declaration(consignment: Consignment, dossier: DossierVerdict) -> dict[str, Any]:
    """A declaration with everything that an officer's system needs."""
    return {
        **summary(consignment),
        "document": _fields(consignment.record),
        "records": [record(paper.record, paper.verdict) for paper in dossier.papers],
        "verdict": verdict_json(dossier.verdict, language(), with_issuer_named),
        "events": [
            {
                "step": event.step.value,
                "occurredAt": event.occurred_at,
                "by": event.organisation.name if event.organisation else None,
                # What a person stated stands as it is; other notes come from the ledger.
                "note": event.note and (event.note if event.person_id else undone_reason(event.note, language())),
                "record": event.record.id if event.record else None,
            }
            for event in consignment.events
        ],
        "decisions": [decision(consignment.id, taken) for taken in consignment.decisions],
    }


def pre_check(checked: PreCheck) -> dict[str, Any]:
    """What a declaration that is not lodged yet would meet."""
    return {
        "verdict": verdict_json(checked.found.verdict, language(), with_issuer_named),
        "differences": len(checked.differences),
        "records": [
            {
                "id": paper.record.id,
                "kind": paper.record.kind.slug,
                "number": (_fields(paper.record) or {}).get(KINDS[paper.record.kind].number_field),
                "issuer": paper.record.issuer.name,
                "verdict": paper.verdict.conclusion,
            }
            for paper in checked.found.papers
        ],
        "balances": [
            {
                "record": count.certificate_id,
                "unitCode": count.unit_code,
                "certified": decimal_text(count.quantity),
                "left": decimal_text(count.remaining),
                "taken": decimal_text(taken),
                "leftAfter": decimal_text(count.remaining - taken),
            }
            for count in checked.balances
            for taken in (checked.taken.get(count.original_id, 0),)
        ],
    }


def decision(declaration_id: str, taken: DecisionTaken) -> dict[str, Any]:
    """A decision as it was taken, and how far it has come."""
    return {
        "id": taken.id,
        "declaration": declaration_id,
        "decision": taken.decision.value,
        "reason": taken.reason,
        "decidedAt": taken.decided_at,
        "office": taken.office.name,
        "status": taken.decision.leads_to.name,
        "verdict": taken.verdict["verdict"],
        "decisionState": taken.state,
        "proofState": taken.change.proof_state if taken.change else "stored",
        "undone": taken.undone and undone_reason(taken.undone, language()),
    }
