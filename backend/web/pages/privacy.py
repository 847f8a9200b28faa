"""Showing a paper in part, and erasing it."""

from http import HTTPStatus

from flask import Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict
from backend.domain.parties import Role
from backend.domain.presentations import Audience
from backend.services import erasure, selective_disclosure
from backend.web.auth import only, person
from backend.web.context import current_context
from backend.web.pages import blueprint

_HOLDERS = (Role.MERCHANT, Role.CHAMBER, Role.LABORATORY)


@blueprint.get("/records/<record_id>/show")
@only(*_HOLDERS)
def show(record_id: str) -> str:
    """Choose what to show to whom."""
    wanted = request.args.get("audience", Audience.BUYER.value)
    audience = Audience(wanted) if wanted in set(Audience) else Audience.BUYER
    choice = selective_disclosure.choose(current_context(), person(), record_id, audience)
    return render_template(
        "pages/show.html",
        record=choice.record,
        fields=choice.record.fields,
        shown=choice.shown,
        audience=audience,
        audiences=list(Audience),
    )


@blueprint.get("/records/<record_id>/presentation.json")
@only(*_HOLDERS)
def presentation(record_id: str) -> Response:
    """The bundle with the fields that were ticked."""
    ctx = current_context()
    choice = selective_disclosure.choose(ctx, person(), record_id, None, request.args.getlist("field"))
    answer = jsonify(selective_disclosure.presentation(ctx, choice))
    answer.headers.set("Content-Disposition", "attachment", filename=f"shown-{record_id[:8]}.json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.route("/records/<record_id>/erase", methods=["GET", "POST"])
@only(*_HOLDERS)
def erase(record_id: str) -> ResponseReturnValue:
    """Say what erasing means, and do it."""
    ctx, actor = current_context(), person()
    with ctx.work(reading=True) as work:
        found = work.records.get(record_id)
        refusal = erasure.why_not(work, actor, found)
    if refusal is not None and not isinstance(refusal, Conflict):
        raise refusal
    is_sure = request.form.get("sure") == "yes"
    if request.method == "POST" and refusal is None and is_sure:
        erasure.erase(ctx, actor, record_id)
        flash(_("Erased. What this paper said is gone for good."))
        return redirect(url_for("pages.record", record_id=record_id))
    unsure = request.method == "POST" and not is_sure
    page = render_template("pages/erase.html", record=found, refusal=refusal, unsure=unsure)
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if unsure or refusal else HTTPStatus.OK
