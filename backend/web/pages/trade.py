"""A merchant signs the papers of its trade: order, payment receipt, waybill, invoice, movement of the goods."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import BY_SLUG, OWN
from backend.domain.parties import Role
from backend.services.statements import sign_own
from backend.web.auth import only, person
from backend.web.context import current_context
from backend.web.forms.record_forms import form_for
from backend.web.pages import blueprint
from backend.web.pages.statements import offer_blank_rows, usual_start, with_zones
from backend.web.presentation.labels import kind_name


@blueprint.get("/papers/new")
@only(Role.MERCHANT)
def choose_paper() -> str:
    """Which paper to sign."""
    return render_template("pages/record_choose.html", own=OWN)


@blueprint.route("/papers/new/<slug>", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_paper(slug: str) -> ResponseReturnValue:
    """Fill in one of them and sign it."""
    kind = BY_SLUG.get(slug)
    if kind not in OWN:
        abort(404)
    form = form_for(kind)(data=usual_start(kind))
    if request.method == "POST":
        try:
            made = sign_own(current_context(), person(), kind, with_zones(form.document))
        except Invalid as error:
            form.show(error.problems)
        except Conflict:
            form.loose = [_("You have signed a paper of this number before: give another one.")]
        else:
            flash(_("Signed."))
            return redirect(url_for("pages.record", record_id=made.id))
    offer_blank_rows(form)
    page = render_template("pages/record_form.html", title=kind_name(kind), form=form)
    return page, 422 if form.has_faults else 200
