"""A merchant signs the papers of its trade: order, payment receipt, waybill, invoice, movement of the goods."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.documents import KINDS, SLUGS
from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import Kind
from backend.domain.parties import Role
from backend.services.statements import sign_own
from backend.web.auth import only, person
from backend.web.context import current_context
from backend.web.forms.base import add_blank_rows
from backend.web.forms.trade import FORMS, OWN_PARTY
from backend.web.pages import blueprint
from backend.web.pages.declarations import in_trade_zone
from backend.web.pages.statements import own_party, today

BLANK_LINES = 3
_DAYS = {Kind.ORDER: "order_date", Kind.WAYBILL: "issue_date", Kind.INVOICE: "issue_date"}


@blueprint.get("/papers/new")
@only(Role.MERCHANT)
def choose_paper() -> str:
    """Which paper to sign."""
    return render_template("pages/paper_choose.html", kinds=[(kind, SLUGS[kind]) for kind in FORMS])


@blueprint.route("/papers/new/<slug>", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_paper(slug: str) -> ResponseReturnValue:
    """Fill in one of them and sign it."""
    kind = KINDS.get(slug)
    if kind not in FORMS:
        abort(404)
    form = FORMS[kind](data=_start(kind))
    if request.method == "POST":
        try:
            made = sign_own(current_context(), person(), kind, _stated(form.document))
        except Invalid as error:
            form.show(error.problems)
        except Conflict:
            form.loose = [_("You have signed a paper of this number before: give another one.")]
        else:
            flash(_("Signed."))
            return redirect(url_for("pages.record", record_id=made.id))
    rows = getattr(form, "items", None)
    if rows is not None:
        add_blank_rows(rows, max(BLANK_LINES, len(rows.entries)))
    page = render_template("pages/paper_form.html", form=form, kind=kind)
    return page, 422 if form.has_faults else 200


def _start(kind: Kind) -> dict[str, Any]:
    start: dict[str, Any] = {_DAYS[kind]: today()} if kind in _DAYS else {}
    return start | ({OWN_PARTY[kind]: own_party()} if kind in OWN_PARTY else {})


def _stated(fields: dict[str, Any]) -> dict[str, Any]:
    """What was typed, with the zone of the trade where a time lacks one."""
    return {name: in_trade_zone(value) if name.endswith("DateTime") else value for name, value in fields.items()}
