"""Records of every kind, one by one and many at once, and the files that belong to them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from io import BufferedReader, RawIOBase
from itertools import chain
from typing import Any, cast

from flask import Response, current_app, request, stream_with_context
from flask_babel import gettext
from pydantic import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable

from backend.domain.errors import (
    Invalid,
    Message,
    NotAllowed,
    StorageUnavailable,
    TooMuchWaiting,
    TraceabilityError,
)
from backend.domain.fields import Document, problems_of
from backend.domain.kinds import BY_SLUG, CERTIFIED, ISSUERS, KINDS, OWN, RecordKind, Signing
from backend.domain.parties import Role
from backend.domain.records import ConfirmationRequest, RecordOnFile, RequestMessage, fields_of
from backend.services import bulk, files, issuance, statements
from backend.services.idempotency import IdempotencyKey, IdempotencyKeyReused
from backend.web.api import views
from backend.web.api.shapes import (
    ConfirmationInput,
    ConfirmationRequestList,
    ConfirmationRequestShape,
    DeclarationInput,
    FileShape,
    MessageInput,
    OrderInput,
    ReasonInput,
    RecordReceipt,
    ReplacementInput,
    RequestDetailShape,
    RequestMessageShape,
    RequestQuery,
    ReturnInput,
    body_of,
)
from backend.web.api.views import BULK, LARGEST_BODY, NDJSON, auth, blueprint
from backend.web.context import current_context, in_kib, person, signed_in_company
from backend.web.problems import problem, refused


def _offer(stated: RecordKind) -> None:
    """Add the operation that signs a document of one kind."""
    sign = issuance.issue if stated.signing is Signing.CERTIFIED else statements.sign_own
    roles = " or ".join(sorted(stated.signed_by))

    @blueprint.post(f"/{stated.collection}", endpoint=f"post_{stated.kind.name.lower()}")
    @blueprint.auth_required(auth)
    @blueprint.input(stated.model, location="json", arg_name="document")
    @blueprint.output(RecordReceipt, status_code=201)
    @blueprint.doc(
        summary=stated.operation,
        description=f"{stated.help} Signed with the key of whoever asks, which needs a token of the role {roles}.",
        tags=["Issuers" if stated.signing is Signing.CERTIFIED else "Merchants"],
        responses=[401, 403, 409, 422],
    )
    def post(document: Document) -> dict[str, Any]:
        fields = fields_of(document)
        alone = partial(sign, current_context(), person(), stated.kind, fields)
        return views.receipt(signed_in_company(stated.kind, fields, alone))


for _kind in CERTIFIED + OWN:
    _offer(KINDS[_kind])


# Many at once

MOST_LINES = 10_000
_UNIT_BYTES = 1024 * 1024
"""A unit of lines ends with the line that fills it."""
_PLACES = threading.BoundedSemaphore(4)
"""Half of the threads, so that many who send much at once leave the others to those who send little."""
_BUSY_SECONDS = 5
_READ_AT_ONCE = 64 * 1024


_MANY = (
    "Each line is a body as `/{collection}` takes it, and is answered by a line of its own, in order: `line`, `status` "
    "and `record` or `problem`. At most {most:,} lines, {count} of which are stored together; what is answered as "
    "stored is stored. A line that is refused keeps no other out. The last line is the sum; where it is missing, the "
    "answer was cut off: send the same again under the same Idempotency-Key. Needs a token of the role {roles}."
)
_LINES_ANSWERED: dict[int | str, Any] = {
    200: {
        "description": "A line for each line that was sent, and the sum",
        "content": {
            NDJSON: {"schema": {"type": "string"}, "x-item-schema": {"$ref": "#/components/schemas/BulkLine"}},
        },
    },
    **{status: {"description": HTTPStatus(status).phrase} for status in (401, 403, 413, 415, 422, 429, 503)},
}


@dataclass(frozen=True)
class _Sent:
    """A line that was sent: its number, and its bytes; None where it is too long."""

    number: int
    text: bytes | None


def _offer_bulk(stated: RecordKind) -> None:
    """Add the operation that signs many documents of one kind."""
    roles = " or ".join(sorted(stated.signed_by))

    @blueprint.post(f"/{stated.collection}{BULK}", endpoint=f"post_bulk_{stated.kind.name.lower()}")
    @blueprint.auth_required(auth, line_by_line=True)
    @blueprint.doc(
        summary=f"{stated.operation}: many at once",
        description=_MANY.format(collection=stated.collection, count=bulk.UNIT_LINES, most=MOST_LINES, roles=roles),
        tags=["Issuers" if stated.signing is Signing.CERTIFIED else "Merchants"],
        responses=_LINES_ANSWERED,
    )
    def post() -> Response:
        bulk.require_signer(person(), stated.kind)
        key = views.key_sent()
        if not _PLACES.acquire(blocking=False):
            raise ServiceUnavailable(gettext("Too much is being received at the moment."), retry_after=_BUSY_SECONDS)
        with ExitStack() as taken:
            taken.callback(_PLACES.release)
            answers = _answers(stated, key)
            # The first lines before the answer begins: where none can be stored now, the whole is answered so.
            first = next(answers)
            place = taken.pop_all()
        response = Response(stream_with_context(_ending(chain([first], answers), place)), mimetype=NDJSON)
        response.call_on_close(place.close)  # where it is never begun; closing twice does no harm
        return response


for _stated in KINDS.values():
    _offer_bulk(_stated)


def _ending(answers: Iterator[bytes], place: ExitStack) -> Iterator[bytes]:
    with place:
        yield from answers


def _answers(stated: RecordKind, key: str | None) -> Iterator[bytes]:
    """Yield the answers to a unit of lines at a time, and the sum at the end."""
    count = stored = 0
    gives_up: TraceabilityError | None = None
    for place, unit in enumerate(_units()):
        left = [one for one in unit if one.number <= MOST_LINES]
        outcomes: list[bulk.Outcome]
        if gives_up is None:
            outcomes = _store(stated, left, key, place)
            reasons = {type(one) for one in outcomes}
            # Where there is no room for any of them, there is none for those that follow.
            if left and all(issubclass(one, TooMuchWaiting | StorageUnavailable) for one in reasons):
                (gives_up, *_) = [one for one in outcomes if isinstance(one, TraceabilityError)]
            if place == 0 and gives_up is not None:
                raise gives_up
        else:
            outcomes = [gives_up] * len(left)
        stored += sum(isinstance(one, RecordOnFile) for one in outcomes)
        told = [_told(one.number, outcome) for one, outcome in zip(left, outcomes, strict=True)]
        count += len(told)
        if len(left) < len(unit):
            too_many = problem(
                413, "too-large", gettext("At most %(most)s lines may be sent at once.", most=MOST_LINES)
            )
            told.append({"line": unit[len(left)].number, "status": 413, "problem": too_many.get_json()})
            count += 1
        yield _as_lines(told)
        if len(left) < len(unit):
            break
    if not count:
        raise Invalid("no line was sent", [("", "must be one JSON object in each line")])
    yield _as_lines([{"lines": count, "stored": stored, "refused": count - stored}])


def _as_lines(told: list[dict[str, Any]]) -> bytes:
    return "".join(f"{current_app.json.dumps(one)}\n" for one in told).encode()


def _units() -> Iterator[list[_Sent]]:
    """Read the body, as many lines at a time as are stored together; empty ones are passed over."""
    unit: list[_Sent] = []
    size = 0
    for number, text in enumerate(_lines(), 1):
        if text is not None and not text.strip():
            continue
        unit.append(_Sent(number, text))
        size += len(text or b"")
        if len(unit) == bulk.UNIT_LINES or size >= _UNIT_BYTES or number > MOST_LINES:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit


def _lines() -> Iterator[bytes | None]:
    """Read the body line by line; None for one that is too long, of which no more than that is kept."""
    # The stream itself would be read letter by letter.
    body = BufferedReader(cast(RawIOBase, request.stream), _READ_AT_ONCE)
    while text := body.readline(LARGEST_BODY + 2):
        if len(text.rstrip(b"\r\n")) <= LARGEST_BODY:
            yield text
            continue
        while text and not text.endswith(b"\n"):
            text = body.readline(LARGEST_BODY)
        yield None


def _store(stated: RecordKind, unit: list[_Sent], key: str | None, place: int) -> list[bulk.Outcome]:
    lines = [_read(stated, one) for one in unit]
    try:
        return bulk.store(current_context(), lines, _key_of(key, unit, place))
    except IdempotencyKeyReused as error:
        if place == 0:
            raise
        return [error] * len(unit)
    except TraceabilityError as error:
        return [one if isinstance(one, Exception) else error for one in lines]


def _key_of(key: str | None, unit: list[_Sent], place: int) -> IdempotencyKey | None:
    """The key of one unit of lines, which no request can have: a header holds no line feed."""
    if key is None:
        return None
    own = "\n" + sha256(f"{place}\n{key}".encode()).hexdigest()
    digest = sha256(f"{request.method} {request.path}\n".encode())
    for one in unit:
        digest.update(one.text or b"")
    return IdempotencyKey(person().id, own, digest.hexdigest())


def _read(stated: RecordKind, line: _Sent) -> bulk.Line | Exception:
    """What one line states; the error where it states nothing."""
    if line.text is None:
        return RequestEntityTooLarge(gettext("At most %(most)s may be sent here.", most=in_kib(LARGEST_BODY)))
    try:
        fields = current_app.json.loads(line.text.strip())
        if not isinstance(fields, dict):
            raise Invalid("the body must be a JSON object", [("", "must be a JSON object")])
        views.require_types(body_of(stated), fields)
        # The service reads any other document itself.
        if stated.signing is Signing.LODGED:
            fields = fields_of(DeclarationInput.model_validate(fields))
        return bulk.Line(person(), stated.kind, fields)
    except ValidationError as error:
        return Invalid("some fields are wrong", problems_of(error))
    except Invalid as error:
        return error


def _told(number: int, outcome: bulk.Outcome) -> dict[str, Any]:
    if isinstance(outcome, RecordOnFile):
        return {"line": number, "status": 201, "record": views.plain_receipt(outcome)}
    if isinstance(outcome, TraceabilityError):
        response = refused(outcome)
    elif isinstance(outcome, RequestEntityTooLarge):
        response = problem(413, "too-large", outcome.description or "")
    else:
        current_app.logger.error("unforeseen error on line %s of %s", number, request.path, exc_info=outcome)
        response = problem(500, "internal")
    told = {"line": number, "status": response.status_code, "problem": response.get_json()}
    wait = response.headers.get("Retry-After")
    return told if wait is None else told | {"retryAfter": int(wait)}


@blueprint.post("/records/<record_id>/revocation")
@blueprint.auth_required(auth)
@blueprint.input(ReasonInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Revoke a record", tags=["Issuers"], responses=[401, 404, 409, 412, 422, 428])
def post_revocation(record_id: str, body: ReasonInput) -> dict[str, Any]:
    """The issuer takes back a record for good; from the next block on the ledger says so to everybody."""
    revoked = issuance.revoke(current_context(), person(), record_id, body.reason, views.version_read())
    views.tagged(revoked.version)
    return views.receipt(revoked)


@blueprint.post("/records/<record_id>/replacement")
@blueprint.auth_required(auth)
@blueprint.input(ReplacementInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Amend or reissue a record", tags=["Issuers"], responses=[401, 404, 409, 412, 422, 428])
def post_replacement(record_id: str, body: ReplacementInput) -> dict[str, Any]:
    """The issuer signs what takes the place of this record: with ``document`` amended, without it the same again."""
    ctx, actor, read = current_context(), person(), views.version_read()
    if body.document is None:
        return views.receipt(issuance.reissue(ctx, actor, record_id, body.number, body.reason, read))
    with ctx.work(reading=True) as work:
        number_field = KINDS[issuance.own_record(work, actor, record_id).kind].number_field
    fields = {**body.document, number_field: body.number}
    return views.receipt(issuance.amend(ctx, actor, record_id, fields, body.reason, read))


@blueprint.get("/confirmation-requests")
@blueprint.auth_required(auth)
@blueprint.input(RequestQuery, location="query", arg_name="query")
@blueprint.output(ConfirmationRequestList)
@blueprint.doc(summary="List confirmation requests", tags=["Issuers", "Merchants"], responses=[401, 403, 404, 422])
def list_confirmation_requests(query: RequestQuery) -> dict[str, Any]:
    """Those that merchants submitted to an issuer, or that a merchant submitted itself.

    Of those ``waiting`` and ``sent-back`` the longest waiting come first, of others and of all the newest.
    """
    ctx, own = current_context(), person().organisation
    if own.role is not Role.MERCHANT and own.role not in ISSUERS:
        raise NotAllowed("only merchants and issuers have confirmation requests")
    with ctx.work(reading=True) as work:
        found = work.requests.search(own, query.state, query.limit, query.after)
    return {
        "requests": [_request_shown(one) for one in found],
        "next": found[-1].id if len(found) == query.limit else None,
    }


def _request_shown(one: ConfirmationRequest) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "kind": one.kind.slug,
        "statement": one.statement and one.statement.id,
        "merchant": one.merchant.name,
        "issuer": one.issuer.name,
        "madeAt": one.made_at,
        "answeredAt": one.answered_at,
        "reason": one.reason,
        "confirmed": one.confirmed and one.confirmed.id,
    }


@blueprint.get("/confirmation-requests/<request_id>")
@blueprint.auth_required(auth)
@blueprint.output(RequestDetailShape)
@blueprint.doc(summary="Read a confirmation request", tags=["Issuers", "Merchants"], responses=[401, 404])
def get_confirmation_request(request_id: str) -> dict[str, Any]:
    """One request to its merchant or its issuer, with questions, answers and what was changed since it was returned."""
    with current_context().work(reading=True) as work:
        found = issuance.request_of(work, person(), request_id)
        messages, changes = work.requests.messages(found), issuance.changes_since_return(work, found)
    return {
        **_request_shown(found),
        "order": found.order or None,
        "messages": [_message_shown(one) for one in messages],
        "changes": [{"field": one.path, "before": one.before, "after": one.after} for one in changes],
    }


def _message_shown(one: RequestMessage) -> dict[str, Any]:
    return {"id": one.id, "author": one.author.name, "saidAt": one.said_at, "text": one.text, "fields": one.doubtful}


@blueprint.post("/confirmation-requests")
@blueprint.auth_required(auth)
@blueprint.input(OrderInput, location="json", arg_name="body")
@blueprint.output(ConfirmationRequestShape, status_code=201)
@blueprint.doc(summary="Order a record", tags=["Merchants"], responses=[401, 403, 404, 409, 422])
def post_confirmation_request(body: OrderInput) -> dict[str, Any]:
    """Order an inspection report: the laboratory tests the goods, and states and signs all of it itself."""
    if body.kind not in BY_SLUG:
        raise Invalid("no such kind of record", [("kind", Message("must be one of {known}", known=", ".join(BY_SLUG)))])
    made = statements.order(
        current_context(), person(), BY_SLUG[body.kind], body.order, body.issuer, body.product, body.instead_of
    )
    return _request_shown(made)


@blueprint.post("/confirmation-requests/<request_id>/confirmation")
@blueprint.auth_required(auth)
@blueprint.input(ConfirmationInput, location="json", arg_name="body")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Confirm a request", tags=["Issuers"], responses=[401, 404, 409, 422])
def post_confirmation(request_id: str, body: ConfirmationInput) -> dict[str, Any]:
    """The issuer signs what was stated, under its own number. Of an order it states in ``fields`` what that lacks."""
    signed = issuance.confirm(current_context(), person(), request_id, body.number, body.fields)
    return views.receipt(signed)


@blueprint.post("/confirmation-requests/<request_id>/messages")
@blueprint.auth_required(auth)
@blueprint.input(MessageInput, location="json", arg_name="body")
@blueprint.output(RequestMessageShape, status_code=201)
@blueprint.doc(summary="Ask or answer", tags=["Issuers", "Merchants"], responses=[401, 404, 409, 422])
def post_request_message(request_id: str, body: MessageInput) -> dict[str, Any]:
    """Write in the thread of a request, by its merchant or its issuer. At most 200 messages."""
    return _message_shown(issuance.write_message(current_context(), person(), request_id, body.text))


@blueprint.post("/confirmation-requests/<request_id>/return")
@blueprint.auth_required(auth)
@blueprint.input(ReturnInput, location="json", arg_name="body")
@blueprint.output(ConfirmationRequestShape, status_code=201)
@blueprint.doc(summary="Send a confirmation request back", tags=["Issuers"], responses=[401, 404, 409, 422])
def post_request_return(request_id: str, body: ReturnInput) -> dict[str, Any]:
    """The issuer returns a request with its reason. The fields that it names stand out on the merchant's form."""
    return _request_shown(issuance.send_back(current_context(), person(), request_id, body.reason, body.fields))


@blueprint.post("/confirmation-requests/<request_id>/withdrawal")
@blueprint.auth_required(auth)
@blueprint.output(ConfirmationRequestShape, status_code=201)
@blueprint.doc(summary="Withdraw a confirmation request", tags=["Merchants"], responses=[401, 404, 409])
def post_request_withdrawal(request_id: str) -> dict[str, Any]:
    """The merchant gives up a request that the issuer sent back. Its statement stays on file, unconfirmed."""
    return _request_shown(statements.withdraw_request(current_context(), person(), request_id))


@blueprint.post("/files")
@blueprint.auth_required(auth)
@blueprint.output(FileShape, status_code=201)
@blueprint.doc(summary="Upload a PDF", tags=["Issuers", "Merchants"], responses=[401, 413, 422])
def post_file() -> dict[str, Any]:
    """Store a PDF, as the body itself (application/pdf) or as the part ``file`` of multipart/form-data."""
    uploaded = request.files.get("file")
    content = uploaded.read() if uploaded is not None else request.get_data()
    if not content:
        raise Invalid("no file was sent", [("file", "is missing")])
    stored = files.store_pdf(current_context(), person(), content)
    return {"sha256": stored.sha256, "size": stored.size, "mediaType": stored.media_type}
