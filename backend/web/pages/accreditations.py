"""The authority's pages: whose signature counts, for which goods, and since when not."""

import re
from datetime import UTC, datetime

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.customs_offices import PLACES
from backend.domain.errors import Conflict, Invalid, StaleVersion
from backend.domain.ledger import Accreditation
from backend.domain.parties import Role
from backend.domain.verdict import Unknown
from backend.services import accreditation, organisations
from backend.services.organisations import OrganisationProfile
from backend.web.context import current_context, only, person
from backend.web.forms.choices import code_of, countries
from backend.web.pages import blueprint, version_read
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import Shown, later_changes

_RANGE = re.compile(r"^(\d{1,2})(?:\s*[-–]\s*(\d{1,2}))?$")


@blueprint.get("/accreditations")
@only(Role.AUTHORITY)
def accreditations() -> str:
    """Every organisation that signs, with its standing on the ledger."""
    return _page()


def _page(changed: str | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    now = ctx.now()
    found = [(standing, _state(standing, now)) for standing in accreditation.standings(ctx)]
    return render_template(
        "pages/accreditations.html",
        standings=found,
        chapters_of=chapters_of,
        changed_one=changed,
        changes=stale and later_changes(stale.changes),
    )


def _state(standing: accreditation.Standing, now: datetime) -> Shown:
    held = standing.accreditation
    if isinstance(held, Unknown):
        return Shown(_("Cannot be read at the moment"), "wait")
    if held is None or held.kinds == 0:
        return Shown(_("Not accredited"), "plain")
    if held.suspended_since is not None:
        return Shown(_("Suspended"), "bad")
    return Shown(_("Accredited"), "good") if held.held_at(now) else Shown(_("Lapsed"), "wait")


def chapters_of(held: Accreditation) -> str:
    """The HS chapters in words: all, or 1-24, 61."""
    if held.chapters & 1:
        return str(_("all"))
    listed = [chapter for chapter in range(1, 98) if held.covers_chapter(chapter)]
    runs: list[list[int]] = []
    for chapter in listed:
        if runs and runs[-1][-1] == chapter - 1:
            runs[-1].append(chapter)
        else:
            runs.append([chapter])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


@blueprint.post("/accreditations/<organisation_id>/accredit")
@only(Role.AUTHORITY)
def accredit(organisation_id: str) -> ResponseReturnValue:
    """Accredit an organisation's signature."""
    try:
        chapters, until = _chapters(request.form.get("chapters", "")), _day(request.form.get("valid_until", ""))
        accreditation.accredit(
            current_context(), person(), organisation_id, chapters, valid_until=until, read=version_read()
        )
    except StaleVersion as error:
        return _page(organisation_id, error), 412
    except Invalid as error:
        flash(in_words(error.problems[0][1]), "wrong")
    else:
        flash(_("Accredited. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


def _chapters(typed: str) -> list[int] | None:
    """``1-24, 61`` as numbers; nothing typed means all of them."""
    chapters: list[int] = []
    for part in re.split(r"[,，;；、]", typed):
        if not part.strip():
            continue
        found = _RANGE.match(part.strip())
        if found is None:
            raise Invalid("not a chapter", [("chapters", "must be from 1 to 97")])
        chapters += range(int(found[1]), int(found[2] or found[1]) + 1)
    return chapters or None


def _day(typed: str) -> datetime | None:
    if not typed.strip():
        return None
    try:
        return datetime.fromisoformat(typed.strip()).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid("not a date", [("validUntil", "should be a valid date")]) from error


@blueprint.post("/accreditations/<organisation_id>/suspend")
@only(Role.AUTHORITY)
def suspend(organisation_id: str) -> ResponseReturnValue:
    """Stop standing behind a signature, from now on."""
    try:
        accreditation.suspend(current_context(), person(), organisation_id, read=version_read())
    except StaleVersion as error:
        return _page(organisation_id, error), 412
    flash(_("Suspended. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


@blueprint.post("/accreditations/<organisation_id>/reinstate")
@only(Role.AUTHORITY)
def reinstate(organisation_id: str) -> ResponseReturnValue:
    """Stand behind it again."""
    try:
        accreditation.reinstate(current_context(), person(), organisation_id, version_read())
    except StaleVersion as error:
        return _page(organisation_id, error), 412
    flash(_("Reinstated. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


@blueprint.route("/accreditations/register", methods=["GET", "POST"])
@only(Role.AUTHORITY)
def register() -> ResponseReturnValue:
    """Let an organisation join; its password and token are shown once."""
    faults: dict[str, str] = {}
    if request.method == "POST":
        faults = {name: _("Please fill this in.") for name in ("role", "name", "email") if not _typed(name)}
        country = code_of(countries(), _typed("country_code") or "CN")
        if country not in countries():
            faults["country_code"] = _("Choose a country from the list.")
        if not faults:
            try:
                joined = organisations.register_by_authority(current_context(), person(), _profile(country))
                answer = make_response(render_template("pages/registered.html", joined=joined))
                answer.headers["Cache-Control"] = "no-store"
                return answer
            except Invalid as error:
                faults = {where: in_words(message) for where, message in error.problems}
            except Conflict:
                faults = {"email": _("This e-mail address is taken.")}
    page = render_template("pages/register.html", roles=list(Role), typed=request.form, faults=faults, places=PLACES)
    return page, 422 if faults else 200


def _typed(name: str) -> str:
    return request.form.get(name, "").strip()


def _profile(country: str) -> OrganisationProfile:
    role = _typed("role")
    if role not in set(Role):
        raise Invalid("no such role", [("role", "is missing")])
    return OrganisationProfile(
        role=Role(role),
        name=_typed("name"),
        email=_typed("email"),
        local_name=_typed("local_name") or None,
        postal_address=_typed("postal_address") or None,
        country_code=country,
        identifier=_typed("identifier") or None,
        offices=tuple(re.split(r"[,，;；、\s]+", _typed("offices"))) if role == Role.OFFICER else (),
    )
