"""The public page behind a label's QR code: whether the record is genuine, its issuer and a few facts.

It shows the fields of the label's audience only, and no free text that may name people.
"""

import io
from typing import Any

import segno
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.domain.kinds import KINDS, Audience
from backend.domain.records import RecordOnFile
from backend.domain.selective_disclosure import fields_for
from backend.services.bundles import bundle_of
from backend.services.verification import verdict_on
from backend.web.context import current_context, external_url
from backend.web.public.downloads import bundle_file

blueprint = Blueprint("public", __name__)

SHOWN = {kind: fields_for(Audience.PUBLIC_LABEL, kind) for kind, stated in KINDS.items() if stated.has_label}
"""The fields on the public page of a record, by kind. Other kinds have no public page."""
PROVEN = {kind: (*names, "hsCode") for kind, names in SHOWN.items()}
"""The fields disclosed in the bundle of a label: also the HS code, by which the issuer's accreditation is checked."""
LONGEST_CODE = 64


@blueprint.get("/p")
def enter_code() -> ResponseReturnValue:
    """Ask for the code on a label, and go to its page."""
    typed = "".join(request.args.get("code", "").split()).lower()[:LONGEST_CODE]
    if typed:
        return redirect(url_for("public.label", label_code=typed))
    return render_template("public/enter.html")


@blueprint.get("/p/<label_code>")
def label(label_code: str) -> ResponseReturnValue:
    """Show whether the record behind a label is genuine."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
        # Labels stay on goods when their record is replaced, so an old code leads to the latest version.
        newest = work.records.latest_of(found) if found is not None else None
    # The same answer for an unknown code, a kind without labels and an erased record.
    if newest is None or newest.kind not in SHOWN or newest.erased_at is not None:
        return render_template("public/unknown.html", code=label_code), 404
    if found is not None and newest.id != found.id:
        return redirect(url_for("public.label", label_code=newest.label_code))
    answer = make_response(
        render_template(
            "public/label.html",
            record=newest,
            facts=_facts(newest),
            certification=KINDS[newest.kind].certification,
            verdict=verdict_on(ctx, newest, for_everybody=True),
        )
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _facts(record: RecordOnFile) -> dict[str, Any]:
    fields = record.readable_fields
    return {name: fields[name] for name in SHOWN[record.kind] if name in fields}


@blueprint.get("/p/<label_code>/bundle.json")
def label_bundle(label_code: str) -> ResponseReturnValue:
    """Download the evidence behind a label. It discloses what the page shows, and the HS code."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
    if found is None or found.kind not in SHOWN:
        return render_template("public/unknown.html", code=label_code), 404
    return bundle_file(bundle_of(ctx, found, PROVEN[found.kind]), found.label_code)


@blueprint.get("/p/<label_code>/label.svg")
def label_image(label_code: str) -> ResponseReturnValue:
    """Draw the QR code of a label as SVG."""
    with current_context().work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
    if found is None or found.kind not in SHOWN:
        return render_template("public/unknown.html", code=label_code), 404
    drawn = io.BytesIO()
    address = external_url("public.label", label_code=found.label_code)
    # ISO/IEC 18004 asks for a quiet zone four modules wide around a QR code.
    segno.make(address, error="m", micro=False).save(drawn, kind="svg", scale=8, border=4, light="#fff")
    return Response(drawn.getvalue(), mimetype="image/svg+xml", headers={"Cache-Control": "max-age=3600"})
