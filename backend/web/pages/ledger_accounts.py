"""The authority's powers over the ledger on the pages: its pause, accounts and roles, and what came of requests."""

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid, LedgerRefused, message_of
from backend.domain.ledger import LedgerRole
from backend.domain.outbox import GRANT, HAND_ON, MOVE, PAUSE, REGISTER, RESUME, REVOKE, SUSPEND, LedgerRequest
from backend.domain.parties import PLACES, Role
from backend.domain.verdict import Unknown
from backend.messages.catalogue import say
from backend.services import customs_offices as use_cases
from backend.services import ledger_requests
from backend.services.anchoring import requests
from backend.web.context import current_context, language, only, person
from backend.web.pages import blueprint
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import Shown, name_of, said
from backend.web.presentation.languages import duration


@blueprint.get("/ledger-accounts")
@only(Role.AUTHORITY)
def ledger_accounts() -> str:
    """List the accounts that sign for customs offices and for what is anchored, as the ledger knows them."""
    return _accounts_page()


def _accounts_page(fault: str | None = None) -> str:
    ctx, actor = current_context(), person()
    accounts = use_cases.ledger_accounts(ctx, actor)
    without = [one for one in accounts if one.address is None]
    pause = ledger_requests.pause_of(ctx, actor)
    return render_template(
        "pages/ledger_accounts.html",
        accounts=[(one, _account_name(one), _account_state(one)) for one in accounts if one.address is not None],
        waiting=[(one, _account_name(one)) for one in without if one.request is not None],
        without=[(one, _account_name(one)) for one in without if one.request is None],
        pause=pause,
        pause_state=_pause_state(pause),
        has_end=isinstance(pause, datetime) and pause.year < datetime.max.year,
        asked=_asked_rows(),
        fault=fault,
    )


def _pause_state(pause: datetime | Unknown | None) -> Shown:
    if isinstance(pause, Unknown):
        return Shown(_("Cannot be read at the moment"), "wait")
    return Shown(_("It runs"), "good") if pause is None else Shown(_("Paused"), "bad")


def _account_name(one: use_cases.LedgerAccount) -> str:
    if one.name == requests.ANCHORER:
        return str(_("This server, which anchors all records"))
    if one.name in requests.SHARED:
        return str(_("All customs offices without an account of their own"))
    names = [name_of(office) for office in one.offices]
    return " · ".join([one.name, *([said(PLACES[one.name])] if one.name in PLACES else []), *names])


def _account_state(one: use_cases.LedgerAccount) -> Shown:
    if isinstance(one.agent, Unknown) or one.agent is None:
        return Shown(_("Cannot be read at the moment"), "wait")
    if one.agent.successor is not None:
        return Shown(_("Replaced by another account"), "bad")
    return Shown(_("Registered"), "good") if one.agent.roles else Shown(_("Suspended"), "bad")


@blueprint.post("/ledger-accounts/register")
@only(Role.AUTHORITY)
def register_ledger_account() -> ResponseReturnValue:
    """Give an office an account of its own, once that is confirmed: it is for good."""
    code = request.form.get("office", "")
    accounts = use_cases.ledger_accounts(current_context(), person())
    found = next((one for one in accounts if one.name == code and one.address is None), None)
    if found is None:
        return _accounts_page(_("Choose an office.")), HTTPStatus.UNPROCESSABLE_ENTITY
    if request.form.get("sure") != "yes":
        return _confirm(found)
    return _asked(lambda: ledger_requests.register_account(current_context(), person(), code))


@blueprint.post("/ledger-accounts/<name>/replace")
@only(Role.AUTHORITY)
def replace_ledger_account(name: str) -> ResponseReturnValue:
    """Let another account take an account's place, once that is confirmed: the old one never acts again."""
    accounts = use_cases.ledger_accounts(current_context(), person())
    found = next((one for one in accounts if one.name == name and one.address is not None), None)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    if request.form.get("sure") != "yes":
        return _confirm(found)
    return _asked(lambda: ledger_requests.move_account(current_context(), person(), name, request.form.get("seen", "")))


def _confirm(one: use_cases.LedgerAccount) -> str:
    return render_template(
        "pages/ledger_account_confirm.html",
        one=one,
        name=_account_name(one),
        needs_money=not current_context().ledger.gives_money,
    )


@blueprint.post("/ledger-accounts/<name>/suspend")
@only(Role.AUTHORITY)
def suspend_ledger_account(name: str) -> ResponseReturnValue:
    """Take an account's role away at once."""
    seen = request.form.get("seen", "")
    return _asked(lambda: ledger_requests.suspend_account(current_context(), person(), name, seen))


@blueprint.post("/ledger-accounts/<name>/lift")
@only(Role.AUTHORITY)
def lift_ledger_account(name: str) -> ResponseReturnValue:
    """End an account's suspension."""
    seen = request.form.get("seen", "")
    return _asked(lambda: ledger_requests.lift_suspension(current_context(), person(), name, seen))


@blueprint.post("/ledger-accounts/pause")
@only(Role.AUTHORITY)
def pause_ledger() -> ResponseReturnValue:
    """Pause the ledger for 72 hours from now, once that is confirmed."""
    if request.form.get("sure") != "yes":
        pause = ledger_requests.pause_of(current_context(), person())
        return render_template("pages/ledger_pause_confirm.html", is_pause=True, pause=pause)
    return _asked(lambda: ledger_requests.pause_ledger(current_context(), person()))


@blueprint.post("/ledger-accounts/resume")
@only(Role.AUTHORITY)
def resume_ledger() -> ResponseReturnValue:
    """End the pause before its time, once that is confirmed."""
    if request.form.get("sure") != "yes":
        pause = ledger_requests.pause_of(current_context(), person())
        return render_template("pages/ledger_pause_confirm.html", is_pause=False, pause=pause)
    return _asked(lambda: ledger_requests.resume_ledger(current_context(), person()))


@blueprint.get("/ledger-roles")
@only(Role.AUTHORITY)
def ledger_roles() -> str:
    """List who has which role over the contracts, with the forms that give and take roles."""
    return _roles_page()


def _roles_page(fault: str | None = None, faults: dict[str, str] | None = None) -> str:
    ctx, looked_up = current_context(), request.args.get("account", "").strip()
    account = ctx.ledger.read_address(looked_up)
    shown = ledger_requests.roles_on_ledger(ctx, person(), account)
    read = shown if isinstance(shown, ledger_requests.RolesOnLedger) else None
    return render_template(
        "pages/ledger_roles.html",
        is_earlier=shown is None,
        looked_up=looked_up,
        looked_up_fault=in_words(ledger_requests.NO_ADDRESS) if looked_up and account is None else None,
        read=read,
        roles=[(role, *role_words(role), _holders(read, role)) for role in LedgerRole] if read else [],
        given=[(role, role_words(role)[0]) for role in ledger_requests.GIVEN_BY_REQUEST],
        asked=_asked_rows(),
        fault=fault,
        faults=faults or {},
        typed=request.form,
    )


class Holder(NamedTuple):
    """Who has a role, as the page shows it; ``why_kept`` tells why it cannot be taken away."""

    account: str
    name: str | None
    begins: datetime | None
    notice: str | None
    why_kept: str | None


def _holders(shown: ledger_requests.RolesOnLedger, role: LedgerRole) -> list[Holder]:
    now = current_context().now()
    return [
        Holder(
            one.account,
            _name_here(shown.names.get(one.account)),
            one.since if one.since > now else None,
            duration(timedelta(seconds=one.notice_seconds)) if one.notice_seconds else None,
            _why_kept(shown, role, one.account),
        )
        for one in shown.holders.of(role)
    ]


def _why_kept(shown: ledger_requests.RolesOnLedger, role: LedgerRole, account: str) -> str | None:
    if role not in ledger_requests.GIVEN_BY_REQUEST:
        return str(_("A guardian goes after seven days of notice, which it cannot cancel:"))
    why = ledger_requests.why_kept(shown.holders, role, account)
    if why is None:
        return None
    if why == ledger_requests.LAST_ADMIN:
        return str(_("The last one stays, or nobody could give or take a role any more. Give it to another first."))
    return str(_("A guardian keeps the brake until it goes."))


def _name_here(name: str | None) -> str | None:
    names = {
        "authority": _("the authority's account"),
        "admin": _("the administrator's account"),
        "guardian": _("the guardian's account"),
        requests.ANCHORER: _("the account that anchors"),
        "office": _("the account that offices share"),
    }
    return str(names[name]) if name in names else None


def role_words(role: LedgerRole) -> tuple[str, str]:
    """Return a role's name, and what its holder may do."""
    words = {
        LedgerRole.ADMIN: (_("Administrator"), _("gives and takes the roles of this list")),
        LedgerRole.AUTHORITY: (_("Accreditation"), _("accredits issuers' keys, replaces them, and lifts suspensions")),
        LedgerRole.BRAKE: (_("Brake"), _("pauses the ledger and suspends issuers' keys, at once")),
        LedgerRole.REGISTRAR: (_("Registrar"), _("registers and replaces accounts, and ends a pause")),
        LedgerRole.GUARDIAN: (_("Guardian"), _("cancels what is announced, until it takes effect")),
        LedgerRole.REMOVAL: (_("Removal"), _("suspends accounts and renews a pause, at once")),
        LedgerRole.REVOCATION: (_("Revocation"), _("revokes papers in the authority's name")),
    }
    name, may = words[role]
    return str(name), str(may)


@blueprint.post("/ledger-roles/grant")
@only(Role.AUTHORITY)
def grant_ledger_role() -> ResponseReturnValue:
    """Give an account a role over the contracts, once that is confirmed."""
    role, account = request.form.get("role", ""), request.form.get("account", "")
    ctx, actor = current_context(), person()
    if request.form.get("sure") != "yes":
        return _asked(lambda: _confirm_grant(role, account), _roles_page)
    return _asked(lambda: ledger_requests.grant_role(ctx, actor, role, account), _roles_page)


def _confirm_grant(typed_role: str, typed_account: str) -> str:
    ctx = current_context()
    role, account = ledger_requests.read_role(ctx, typed_role, typed_account)
    holders = ledger_requests.administered(ctx, account)
    notice = ledger_requests.notice_of(holders, role)
    name, may = role_words(role)
    return render_template(
        "pages/ledger_role_confirm.html",
        role=role,
        name=name,
        may=may,
        account=account,
        notice=duration(timedelta(seconds=notice)) if notice else None,
    )


@blueprint.post("/ledger-roles/revoke")
@only(Role.AUTHORITY)
def revoke_ledger_role() -> ResponseReturnValue:
    """Take a role over the contracts away from an account, at once."""
    role, account = request.form.get("role", ""), request.form.get("account", "")
    return _asked(lambda: ledger_requests.revoke_role(current_context(), person(), role, account), _roles_page)


@blueprint.post("/ledger-requests/<request_id>/withdraw")
@only(Role.AUTHORITY)
def withdraw_ledger_request(request_id: str) -> ResponseReturnValue:
    """Cancel what was announced, by the account that announced it."""
    return _asked(lambda: ledger_requests.withdraw(current_context(), person(), request_id))


def _asked(act: Callable[[], object], page: Callable[[str], str] | None = None) -> ResponseReturnValue:
    """Ask for a change on the ledger, or tell what hinders it; where the act makes a page, that is shown."""
    page = page or _accounts_page
    try:
        made = act()
    except Invalid as error:
        # Only forms of the roles' page have fields that can be filled in wrongly.
        faults = {where: in_words(message) for where, message in error.problems}
        return _roles_page(faults=faults), HTTPStatus.UNPROCESSABLE_ENTITY
    except Conflict as error:
        return page(say(message_of(error), language())), HTTPStatus.CONFLICT
    except LedgerRefused as error:
        return page(_refused(str(error.values["error"]))), HTTPStatus.CONFLICT
    if isinstance(made, str):
        return made
    flash(_("Asked for. This page shows when it is on the ledger."))
    return redirect(url_for("pages.ledger_roles" if page is _roles_page else "pages.ledger_accounts"))


def _refused(error: str) -> str:
    why = _refusal_in_words(error)
    if why is None:
        return str(_("The ledger does not accept this: %(error)s. Nothing was changed.", error=error))
    return str(_("%(why)s Nothing was changed.", why=why))


def _refusal_in_words(error: str) -> str | None:
    """Return why the contracts refused something, by the name of their error; None for one that should not occur."""
    words = {
        "TraceLedgerPaused": _("The ledger is paused."),
        "TraceLedgerPauseUnchanged": _("The pause had begun or ended already."),
        "TraceLedgerRoleMissing": _("The account has no role: it is suspended already, or was never registered."),
        "TraceLedgerAgentMoved": _("Another account has taken its place."),
        "TraceLedgerAgentKnown": _("The new account is registered already."),
        "TraceLedgerOfficeUnknown": _("The other office's account is not registered."),
        "TraceLedgerOfficeOther": _("Another office decides in this batch."),
        "CertificateBalanceNotOpened": _("The certificate is not activated."),
        "CertificateBalanceInUse": _("Something of the certificate is drawn down already."),
        "CertificateBalanceAgentUnknown": _("No registered account has this address."),
        "AccessManagerLastAdmin": _("The last administrator stays, or nobody could give or take a role any more."),
        "AccessManagerGuardianNeedsNotice": _("A guardian goes after seven days of notice only."),
        "AccessManagerBrakeNotDelayed": _("Who takes trust away must never have to wait."),
        "AccessManagerUnauthorizedAccount": _("The account that signs this has no longer the role for it."),
        "AccessManagerUnauthorizedCall": _("The account that signs this has no longer the role for it."),
        "AccessManagedUnauthorized": _("The account that signs this has no longer the role for it."),
        "AccessManagerUnauthorizedCancel": _("The account that signs this may not cancel it."),
        "AccessManagerNotScheduled": _("It is not announced, or no longer."),
        "AccessManagerAlreadyScheduled": _("It is announced already."),
        "AccessManagerExpired": _("Its announcement expired."),
    }
    return str(words[error]) if error in words else None


# ---- what came of requests


class AskedRow(NamedTuple):
    """Something that was asked of the ledger, as the pages show it."""

    what: str
    one: ledger_requests.AskedOfLedger
    state: Shown
    why: str | None
    is_open: bool


def _asked_rows() -> list[AskedRow]:
    found = ledger_requests.asked_of_ledger(current_context(), person())
    return [
        AskedRow(
            _operation_words(one.request),
            one,
            _progress_words(one.state),
            _why_ended(one.request.settled),
            "withdrawal" not in one.request.terms,
        )
        for one in found
    ]


def _operation_words(asked: LedgerRequest) -> str:
    terms = asked.terms
    role = role_words(LedgerRole[terms["role"]])[0] if "role" in terms else ""
    words = {
        REGISTER: _("Register the account of %(name)s, or lift its suspension", name=terms.get("name")),
        SUSPEND: _("Suspend the account of %(name)s", name=terms.get("name")),
        MOVE: _("Replace the account of %(name)s", name=terms.get("name")),
        PAUSE: _("Pause the ledger for 72 hours"),
        RESUME: _("End the pause"),
        GRANT: _("Give the role %(role)s to %(account)s", role=role, account=terms.get("account")),
        REVOKE: _("Take the role %(role)s from %(account)s", role=role, account=terms.get("account")),
        HAND_ON: _("Let %(office)s decide on a batch", office=terms.get("office")),
        requests.CORRECT: _("Correct what was stated of a certificate"),
        requests.ALLOW: _("Change whether %(account)s may draw down our certificates", account=terms.get("account")),
    }
    return str(words[asked.operation])


def _progress_words(state: ledger_requests.RequestProgress) -> Shown:
    words = {
        ledger_requests.RequestProgress.UNDER_WAY: Shown(_("on its way"), "wait"),
        ledger_requests.RequestProgress.ANNOUNCED: Shown(_("announced"), "wait"),
        ledger_requests.RequestProgress.CANCELLED: Shown(_("cancelled"), "bad"),
        ledger_requests.RequestProgress.DONE: Shown(_("done"), "good"),
        ledger_requests.RequestProgress.ENDED: Shown(_("not done"), "bad"),
    }
    return words[state]


def _why_ended(settled: str | None) -> str | None:
    if settled is None:
        return None
    words = {
        requests.HAS_IT: _("The ledger has it already."),
        requests.CANCELLED: _("The guardian cancelled it."),
        requests.WITHDRAWN: _("The authority withdrew it."),
        requests.EXPIRED: _("Its announcement expired: it was not done within seven days of its time."),
        ledger_requests.SUSPENDED_SINCE: _("The account was suspended since."),
        ledger_requests.PAUSED_SINCE: _("The ledger was paused anew since."),
        ledger_requests.REVOKED_SINCE: _("The role was taken away since."),
    }
    if settled in words:
        return str(words[settled])
    return _refusal_in_words(settled) or str(_("It was refused: %(error)s.", error=say(settled, language())))
