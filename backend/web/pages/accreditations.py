"""The authority's pages: accreditation of organisations' keys, and registration of organisations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid, StaleVersion
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import Accreditation
from backend.domain.parties import PLACES, Role
from backend.domain.verdict import Unknown
from backend.services import accreditation, keys, organisations
from backend.services.organisations import OrganisationProfile
from backend.web.context import current_context, only, person
from backend.web.forms.choices import code_of, countries
from backend.web.pages import blueprint, version_read
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import Shown, kind_name, later_changes
from backend.web.presentation.languages import listed

_RANGE = re.compile(r"^(\d{1,2})(?:\s*[-–]\s*(\d{1,2}))?$")


@blueprint.get("/accreditations")
@only(Role.AUTHORITY)
def accreditations() -> str:
    """List every organisation that signs, with its accreditation on the ledger."""
    return _list(None)


@dataclass(frozen=True)
class _Typed:
    """The values typed into the form of one organisation, and their faults."""

    organisation_id: str
    values: Mapping[str, str]
    faults: Mapping[str, str]


def _list(typed: _Typed | None, changed: str | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    now = ctx.now()
    standings = accreditation.standings(ctx)
    forms = {
        standing.organisation.id: typed
        if typed is not None and typed.organisation_id == standing.organisation.id
        else _Typed(standing.organisation.id, _start(standing.accreditation, now), {})
        for standing in standings
    }
    return render_template(
        "pages/accreditations.html",
        standings=[(standing, _state(standing, now)) for standing in standings],
        chapters_of=chapters_of,
        forms=forms,
        changed_one=changed,
        changes=stale and later_changes(stale.changes),
    )


def _start(held: Accreditation | Unknown | None, now: datetime) -> dict[str, str]:
    """Return the form's first values: the present terms, or the usual ones."""
    if isinstance(held, Unknown):
        return {}
    if held is None or held.kinds == 0:
        end = now + accreditation.USUAL_TERM
        return {"chapters": str(_("all")), "valid_from": _first_day(now), "valid_until": _last_day(end)}
    return {
        "chapters": chapters_of(held),
        "valid_from": _first_day(held.valid_from),
        "valid_until": _last_day(held.valid_until),
    }


def _first_day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _last_day(end: datetime) -> str:
    """Return the last day on which terms hold that end at this time."""
    return (end.astimezone(UTC) - timedelta(seconds=1)).date().isoformat()


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
    """Write the HS chapters of terms: "all", or ranges such as "1-24, 61"."""
    return accreditation.chapters_text(held) or str(_("all"))


@blueprint.post("/accreditations/<organisation_id>/accredit")
@only(Role.AUTHORITY)
def accredit(organisation_id: str) -> ResponseReturnValue:
    """Show the effect of a change of accreditation, and make the change once it is confirmed."""
    try:
        return _propose_or_do(organisation_id, version_read(), None)
    except StaleVersion as stale:
        return _propose_or_do(organisation_id, None, stale)


def _propose_or_do(organisation_id: str, read: int | None, stale: StaleVersion | None) -> ResponseReturnValue:
    """Make the change if it was confirmed on the present version, else show its effect, and what others changed."""
    ctx = current_context()
    try:
        before = accreditation.propose(ctx, organisation_id, read=read).before
        start, end = _moments(before)
        proposed = accreditation.propose(ctx, organisation_id, _chapters(_typed("chapters")), start, end)
    except Invalid as error:
        faults = {_FORM_NAMES.get(where, where): in_words(what) for where, what in error.problems}
        return _list(_Typed(organisation_id, request.form, faults)), HTTPStatus.UNPROCESSABLE_ENTITY
    if (
        stale is None
        and proposed.before is not None
        and replace(proposed.after, suspended_since=None) == replace(proposed.before, suspended_since=None)
    ):
        flash(_("Nothing was changed: these are the terms that stand."))
        return redirect(url_for("pages.accreditations"))
    seen = _fingerprint(proposed.before)
    # The terms may change between the page and the click: what is confirmed must be what was shown.
    is_sure, is_stale = _typed("sure") == "yes", _typed("seen") != seen
    if not is_sure or is_stale or stale is not None:
        page = render_template(
            "pages/accreditation_confirm.html",
            proposed=proposed,
            rows=_rows(proposed),
            touched=accreditation.touched(ctx, proposed.organisation),
            most=accreditation.MOST_COUNTED,
            lost=_lost(proposed),
            seen=seen,
            is_stale=is_sure and is_stale and stale is None,
            changes=stale and later_changes(stale.changes),
        )
        if stale is not None:
            return page, HTTPStatus.PRECONDITION_FAILED
        return page, HTTPStatus.CONFLICT if is_sure else HTTPStatus.OK
    after = proposed.after
    chapters = accreditation.chapters_in(after)
    accreditation.accredit(ctx, person(), organisation_id, chapters, after.valid_from, after.valid_until, read)
    flash(_("Accredited. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


_FORM_NAMES = {"validFrom": "valid_from", "validUntil": "valid_until"}


def _moments(before: Accreditation | None) -> tuple[datetime, datetime]:
    """Return start and end by the days typed. A day that was left unchanged keeps its exact time."""
    start, end = _day("valid_from"), _day("valid_until") + timedelta(days=1)
    if before is not None and _typed("valid_from") == _first_day(before.valid_from):
        start = before.valid_from
    elif before is None and _typed("valid_from") == _first_day(current_context().now()):
        start = current_context().now() - timedelta(minutes=1)
    if before is not None and _typed("valid_until") == _last_day(before.valid_until):
        end = before.valid_until
    return start, end


def _fingerprint(held: Accreditation | None) -> str:
    """Return a text by which the form tells which terms its reader saw."""
    if held is None:
        return "none"
    since = held.suspended_since.isoformat() if held.suspended_since else ""
    return f"{held.kinds}/{held.chapters:x}/{held.valid_from.isoformat()}/{held.valid_until.isoformat()}/{since}"


def _rows(proposed: accreditation.ProposedTerms) -> list[tuple[str, object, object]]:
    """List (name, before, after) of each term, as text or time. Before is None if there were no terms."""
    before, after = proposed.before, proposed.after
    return [
        (_("Records"), before and _kinds_of(before), _kinds_of(after)),
        (_("HS chapters"), before and chapters_of(before), chapters_of(after)),
        (_("Valid from"), before and before.valid_from, after.valid_from),
        (_("Valid until"), before and before.valid_until, after.valid_until),
    ]


def _kinds_of(held: Accreditation) -> str:
    covered = (kind for kind in Kind if held.covers_kind(KINDS[kind].accreditation_bit))
    return listed(kind_name(kind) for kind in covered)


def _lost(proposed: accreditation.ProposedTerms) -> str:
    """Write the HS chapters that are covered now and would not be any more, or an empty text."""
    before, after = proposed.before, proposed.after
    if before is None:
        return ""
    gone = sum(1 << c for c in range(1, 98) if before.covers_chapter(c) and not after.covers_chapter(c))
    return accreditation.chapters_text(replace(after, chapters=gone)) if gone else ""


def _chapters(typed: str) -> list[int]:
    """Parse "all" or chapters such as "1-24, 61".

    Raises:
        Invalid: A chapter is malformed or out of range, or nothing was typed.
    """
    if typed.casefold() in ("all", _("all").casefold()):
        return list(accreditation.EVERY_CHAPTER)
    chapters: list[int] = []
    for part in re.split(r"[,，;；、]", typed):
        if not part.strip():
            continue
        found = _RANGE.match(part.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2] or found[1]) <= 97:
            raise Invalid("not a chapter", [("chapters", "must be from 1 to 97")])
        chapters += range(int(found[1]), int(found[2] or found[1]) + 1)
    if not chapters:
        raise Invalid("no chapters", [("chapters", "is missing")])
    return chapters


def _day(name: str) -> datetime:
    """Return the beginning of a day typed, in UTC.

    Raises:
        Invalid: It is missing or no date.
    """
    if not _typed(name):
        raise Invalid("no date", [(name, "is missing")])
    try:
        return datetime.combine(date.fromisoformat(_typed(name)), time.min, UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("not a date", [(name, "should be a valid date")]) from error


@blueprint.get("/keys/<thumbprint>/history")
@only(Role.AUTHORITY)
def key_history(thumbprint: str) -> str:
    """List the versions of a key's accreditation, newest first, and its suspensions, as the ledger recorded them."""
    before = request.args.get("before", "")
    known = keys.history(current_context(), thumbprint, int(before[:9]) if before.isdecimal() else None)
    recorded = known.history
    return render_template(
        "pages/key_history.html",
        known=known,
        versions=list(zip(recorded.versions, recorded.events(), strict=True))[::-1] if recorded else [],
        kinds_of=_kinds_of,
        chapters_of=chapters_of,
    )


@blueprint.post("/accreditations/<organisation_id>/suspend")
@only(Role.AUTHORITY)
def suspend(organisation_id: str) -> ResponseReturnValue:
    """Suspend an organisation's accreditation from now on."""
    try:
        accreditation.suspend(current_context(), person(), organisation_id, read=version_read())
    except StaleVersion as error:
        return _list(None, organisation_id, error), HTTPStatus.PRECONDITION_FAILED
    flash(_("Suspended. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


@blueprint.post("/accreditations/<organisation_id>/reinstate")
@only(Role.AUTHORITY)
def reinstate(organisation_id: str) -> ResponseReturnValue:
    """End the suspension of an organisation's accreditation."""
    try:
        accreditation.reinstate(current_context(), person(), organisation_id, version_read())
    except StaleVersion as error:
        return _list(None, organisation_id, error), HTTPStatus.PRECONDITION_FAILED
    flash(_("Reinstated. It is on the ledger within seconds."))
    return redirect(url_for("pages.accreditations"))


@blueprint.route("/accreditations/register", methods=["GET", "POST"])
@only(Role.AUTHORITY)
def register() -> ResponseReturnValue:
    """Register an organisation. Its password and token are shown once."""
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
                # Password and token must not stay in a cache.
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
