"""The interface's blueprint, how a token tells who asks, and how things on file look to programs."""

from hashlib import sha256
from typing import Any

from apiflask import HTTPTokenAuth
from flask import Response, after_this_request, g, request, url_for
from flask_babel import gettext
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from backend.domain.consignment import Consignment, DecisionTaken
from backend.domain.errors import Invalid, VersionRequired
from backend.domain.kinds import KINDS
from backend.domain.parties import Person
from backend.domain.records import RecordOnFile
from backend.domain.verdict import Verdict
from backend.messages.catalogue import say
from backend.messages.verdict import undone_reason, verdict_json
from backend.services.idempotency import IdempotencyKey
from backend.services.verification import DossierVerdict
from backend.web.api.described import DescribedBlueprint
from backend.web.context import bearer, external_url, in_kib, language, person
from backend.web.problems import problem

LARGEST_BODY = 2 * 1024 * 1024
"""Of a JSON body, in bytes; files have a limit of their own."""

auth = HTTPTokenAuth("Bearer", description="The token that your organisation was given.")
blueprint = DescribedBlueprint("api", __name__, url_prefix="/api/v1", tag="Provenport")


_WITHOUT_JSON = {
    "api.post_file",
    "api.post_withdrawal",
    "api.post_reinstatement",
    "api.post_cancellation",
    "api.post_office_delegation_end",
}


@blueprint.before_request
def only_json_objects() -> None:
    """Bodies are JSON objects and say so: a list, a null or a form must not pass for an empty object."""
    if request.method != "POST" or request.endpoint in _WITHOUT_JSON:
        return
    if request.content_length is not None and request.content_length > LARGEST_BODY:
        raise RequestEntityTooLarge(gettext("At most %(most)s may be sent here.", most=in_kib(LARGEST_BODY)))
    if not request.is_json:
        raise UnsupportedMediaType(gettext("Send the body as application/json."))
    if request.endpoint == "api.post_verify":
        return  # anybody may ask it: how often they did is looked at before the body is
    if not isinstance(request.get_json(), dict):
        raise Invalid("the body must be a JSON object", [("", "must be a JSON object")])


@auth.verify_token  # type: ignore[untyped-decorator]
def who(token: str) -> Person | None:
    """The person whose token was sent."""
    found = bearer(token) if token else None
    g.bearer = found
    return found


@auth.error_processor
def unknown(error: object) -> Response:
    """There was no token, or nobody's."""
    return problem(401, "not-signed-in")


def idempotency_key() -> IdempotencyKey | None:
    """The request's Idempotency-Key, bound to who asks and to what exactly they ask."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("a key has 1 to 255 printable characters", [("Idempotency-Key", "is empty or too long")])
    digest = sha256(f"{request.method} {request.path}\n".encode() + request.get_data()).hexdigest()
    return IdempotencyKey(person().id, key, digest)


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

    @after_this_request
    def add(response: Response) -> Response:
        response.set_etag(str(version))
        return response


def receipt(on_file: RecordOnFile) -> dict[str, Any]:
    """What a request that stored a record is told, now and whenever it is repeated."""
    return {
        "id": on_file.id,
        "kind": on_file.kind.slug,
        "issuer": on_file.issuer.name,
        "digest": on_file.digest,
        "recordedAt": on_file.recorded_at,
        "url": url_for("api.get_record", record_id=on_file.id),
        "evidenceUrl": url_for("api.get_evidence", record_id=on_file.id),
        "labelUrl": label_url(on_file),
    }


def label_url(on_file: RecordOnFile) -> str | None:
    """The public page of what an issuer certified."""
    if not KINDS[on_file.kind].has_label:
        return None
    return external_url("public.label", label_code=on_file.label_code)


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
        "verdict": verdict and verdict_json(verdict, language()),
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
        "verdict": verdict_json(dossier.verdict, language()),
        "events": [
            {
                "step": event.step.value,
                "occurredAt": event.occurred_at,
                "by": event.organisation.name if event.organisation else None,
                "note": event.note and undone_reason(event.note, language()),
                "record": event.record.id if event.record else None,
            }
            for event in consignment.events
        ],
        "decisions": [decision(consignment.id, taken) for taken in consignment.decisions],
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
