"""The context of a request: its number, the running system, the person who asks, the language, and strict JSON."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from flask import Flask, Response, abort, current_app, g, has_request_context, request, url_for
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import LoginManager, UserMixin, current_user, login_required
from werkzeug.exceptions import (
    MisdirectedRequest,
    RequestEntityTooLarge,
    RequestTimeout,
    ServiceUnavailable,
    Unauthorized,
)

from backend.domain import strict_json
from backend.domain.errors import Invalid, NotAllowed, StorageUnavailable
from backend.domain.kinds import Kind
from backend.domain.parties import LOCAL_LANGUAGE, USE_NOTED_EVERY, ApiToken, Person, Role, SignInSession, TokenScope
from backend.domain.records import RecordOnFile
from backend.domain.verdict import Check
from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, known
from backend.services.bulk import Line, store
from backend.services.ports import AppContext, GroupCommit, JsonRpc, NodeAgreement, SimulationContext
from backend.store.repositories.organisations import Credential

_NAME = "provenport"
COOKIE = "language"
"""The cookie that keeps a reader's choice."""

UNREAD_BODY = "provenport.unread_body"
"""WSGI environment key: the ``BodyLimit`` by which the server left a body unread."""
MISDIRECTED = "provenport.misdirected"
"""WSGI environment key: the host of a request that was made for another host than ours."""
FORWARDED = "provenport.forwarded"
"""WSGI environment key: set if an untrusted proxy sent forwarding headers, so that the client may be anywhere."""
_REQUEST_ID = re.compile("[A-Za-z0-9._:-]{1,128}")
_BUSY_SECONDS = 10

log = logging.getLogger(__name__)


class BodyLimit(NamedTuple):
    """How many bytes a request may bring, and why a longer body is left unread."""

    most: int
    reason: str = "too-large"


@dataclass(frozen=True)
class Instance:
    """What pages need to know of the running system besides its services."""

    version: str
    is_demo: bool = False
    demo_accounts: Sequence[tuple[Role, str]] = ()
    """Roles and e-mail addresses of the demonstration's people, for the page that signs them in."""
    secure_cookies: bool = False
    address: str = "http://127.0.0.1:8080"
    """The public address of this server. Its path, if any, is the prefix of all paths."""
    metrics_token: str | None = None
    """The token for /metrics. Without one only this machine may read them."""
    node: JsonRpc | None = None
    """The embedded chain for read-only access. None if the ledger is on an external node."""
    ledger_nodes: Callable[[], NodeAgreement] | None = None
    """How the ledger's nodes stand to one another. None unless there are several."""
    group_commit: GroupCommit[Line] = field(default_factory=lambda: GroupCommit(store), compare=False)


def install(app: Flask, ctx: AppContext, instance: Instance) -> None:
    """Give the application its context, and number, check and log every request."""
    app.extensions[_NAME] = (ctx, instance)
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> ResponseReturnValue | None:
    """Number the request, and refuse what the server or the layer for proxies has marked."""
    # A client's number is taken over only in this form: it is written into the log, which it could forge otherwise.
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    g.began = time.perf_counter()
    # A thread serves many requests: what an earlier one bound would be logged with this one.
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    # A foreign Host could lead links and cookies elsewhere (host header injection), so such requests are refused.
    if (host := request.environ.get(MISDIRECTED)) is not None:
        raise MisdirectedRequest(
            _("This server is %(ours)s, not %(host)s. A proxy must hand on the Host that the user asked for.")
            % {"ours": instance().address, "host": repr(host[:200])}
        )
    if (unread := request.environ.get(UNREAD_BODY)) is not None:
        return _refuse_unread(*unread)
    # No id and no name holds U+0000, which PostgreSQL cannot even be asked for.
    if "\0" in request.path or any("\0" in value for value in request.args.values()):
        abort(404)
    return None


def _refuse_unread(most: int, reason: str) -> ResponseReturnValue:
    match reason:
        # The same two answers as for who is not signed in elsewhere: a browser is led to the form, a program gets 401.
        case "not-signed-in" if request.blueprint == "pages":
            return cast(ResponseReturnValue, current_app.login_manager.unauthorized())  # type: ignore[attr-defined]
        case "not-signed-in":
            raise Unauthorized(_("Without a token at most %(most)s are read.") % {"most": in_kib(most)})
        case "too-slow":
            raise RequestTimeout(_("The body came too slowly. Send it again over a better line."))
        case "too-busy":
            raise ServiceUnavailable(_("Too much is being received at the moment."), retry_after=_BUSY_SECONDS)
    raise RequestEntityTooLarge(_("At most %(most)s may be sent here.") % {"most": in_kib(most)})


def in_kib(count: int) -> str:
    """Write a number of bytes in KiB or MiB."""
    return f"{count // 1024**2} MiB" if count % 1024**2 == 0 else f"{count // 1024} KiB"


def _end(response: Response) -> Response:
    """Number the answer, log it, and forbid caches to store it unless its view allows that."""
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("Cache-Control", "no-store")
    took = round((time.perf_counter() - g.began) * 1000, 1)
    told = {"method": request.method, "path": request.path, "status": response.status_code, "milliseconds": took}
    log.info(
        "%s %r %s in %.1f ms, client %s, request %s",
        request.method,
        request.path,  # quoted: a path may hold the end of a line
        response.status_code,
        took,
        request.remote_addr,
        g.request_id,
        extra={**told, "client": request.remote_addr, "request_id": g.request_id},
    )
    return response


def external_url(endpoint: str, **values: Any) -> str:
    """Return the full address of a page of ours, for use outside of this site.

    It starts with the configured public address. The request's Host header could be forged.
    """
    ours = urlsplit(instance().address)
    return f"{ours.scheme}://{ours.netloc}{url_for(endpoint, **values)}"


def bearer(token: str) -> ApiToken | None:
    """The valid token that this is; looked up once in a request."""
    return _credential(ApiToken, token)


def sign_in_session(secret: str) -> SignInSession | None:
    """The session that goes on under this secret of a cookie; looked up once in a request."""
    return _credential(SignInSession, secret)


def _credential(kind: type[Credential], secret: str) -> Credential | None:
    if "credentials" not in g:
        g.credentials = {}
    if (kind, secret) not in g.credentials:
        g.credentials[kind, secret] = _looked_up(kind, secret)
    return cast("Credential | None", g.credentials[kind, secret])


def _looked_up(kind: type[Credential], secret: str) -> Credential | None:
    ctx = current_context()
    now = ctx.now()
    with ctx.work(reading=True) as work:
        found = work.persons.by_secret(kind, secret)
    if found is None or not found.is_valid(now):
        return None
    # Before a body is read there is no request yet: that place must not wait for the write lock.
    is_due = found.last_used_at is None or now >= found.last_used_at + USE_NOTED_EVERY
    if is_due and has_request_context():
        try:
            with ctx.work() as work:
                work.persons.note_use(found, now)
                work.commit()
        except StorageUnavailable:
            log.warning("the last use of a credential could not be written")  # whoever only reads can go on
    return found


_OF_OFFICES = frozenset({"Authority", "Customs"})
"""Tags of operations that only authorities and customs offices can use."""


def scope_needed(endpoint: str | None, method: str) -> TokenScope:
    """Return the scope that a token needs for an operation, by who can use it according to its description.

    What only authorities and customs offices can do is a decision, as is an operation that is described for nobody.
    """
    if method in ("GET", "HEAD"):
        return TokenScope.READ
    described = getattr(current_app.view_functions.get(endpoint or ""), "_spec", {})
    return TokenScope.DECIDE if _OF_OFFICES.issuperset(described.get("tags") or ()) else TokenScope.WRITE


def authorize(token: ApiToken) -> None:
    """Refuse what the token's scope does not cover: the one place where scopes are enforced. Raises NotAllowed."""
    needed = scope_needed(request.endpoint, request.method)
    if not token.scope.covers(needed):
        raise NotAllowed("this token has the scope {has}; this needs {needs}", has=token.scope, needs=needed)


def current_context() -> AppContext:
    """Return the services' context; under an Idempotency-Key, one whose work is committed with the answer."""
    return cast(AppContext, g.get("context") or current_app.extensions[_NAME][0])


def simulation_context() -> SimulationContext:
    """Return the services' context with what simulations need."""
    return cast(SimulationContext, current_context())


def signed_in_company(kind: Kind, fields: Any, alone: Callable[[], RecordOnFile]) -> RecordOnFile:
    """Sign and store a document of who asks, together with what others send meanwhile; see ``GroupCommit.sign``."""
    return instance().group_commit.sign(current_context(), Line(person(), kind, fields), alone)


def instance() -> Instance:
    """Return the facts about the running system."""
    return cast(Instance, current_app.extensions[_NAME][1])


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SignedIn(UserMixin):  # type: ignore[misc]
    """A signed-in person, in the form that Flask-Login needs."""

    def __init__(self, person: Person, secret: str) -> None:
        self.person = person
        self.secret = secret

    def get_id(self) -> str:
        """What the cookie remembers: the secret of a session, which the server can end."""
        return self.secret


def install_sign_in(app: Flask) -> None:
    """Set up sign-in by session for the pages."""
    manager = LoginManager(app)
    manager.login_view = "pages.sign_in"
    manager.session_protection = "basic"

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(secret: str) -> SignedIn | None:
        # The page that tells so shows nobody's name, and must not fail on the same question.
        if "is_database_away" in g:
            return None
        try:
            session = sign_in_session(secret)
        except StorageUnavailable:
            g.is_database_away = True
            raise
        return SignedIn(session.person, secret) if session is not None else None


def person() -> Person:
    """Return the person who asks, by token or else by session. Call it only where somebody is signed in."""
    if "bearer" in g:
        return cast(Person, g.bearer)
    return cast(Person, current_user.person)


def only(*roles: Role) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Restrict a page to signed-in people of these roles. Others get 404, so that they cannot tell that it exists."""

    def guard(view: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if person().role not in roles:
                abort(404)
            return view(*args, **kwargs)

        return cast(Callable[Arguments, Result], login_required(guarded))

    return guard


class StrictJson(DefaultJSONProvider):
    """Flask's JSON provider, reading with ``strict_json`` and writing text unescaped and fields in order."""

    ensure_ascii = False
    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse a JSON text.

        Raises:
            HostileJson: The text is malformed, or repeats a name.
            Invalid: A text or a name holds U+0000.
        """
        read = strict_json.loads(s)
        if ("\\u0000" if isinstance(s, str) else b"\\u0000") in s and _holds_nul(read):  # type: ignore[operator]
            raise Invalid("no text may hold the character U+0000, which the database cannot keep")
        return read


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value


def language() -> Language:
    """Return the reader's language: ``?lang=``, else the cookie, else what the browser asks for, else English."""
    if not has_request_context():
        return SOURCE
    found: Language | None = g.get("language")  # a page asks for it a thousand times
    if found is None:
        found = g.language = _language_asked_for()
    return found


def name_in_language(name: str) -> str:
    """Return an organisation's name in the reader's language, where it is known here by the name that a text gives."""
    if language() != LOCAL_LANGUAGE:
        return name
    known = g.setdefault("names_in_language", {})
    if name not in known:
        with current_context().work(reading=True) as work:
            found = work.organisations.find_by_name(name)
        known[name] = (found and found.local_name) or name
    return str(known[name])


def with_issuer_named(check: Check) -> Check:
    """Return the check with the issuer's name in the reader's language, where the issuer is known here."""
    if isinstance(issuer := check.values.get("issuer"), str):
        return replace(check, values={**check.values, "issuer": name_in_language(issuer)})
    return check


def _language_asked_for() -> Language:
    chosen = (request.args.get("lang"), request.cookies.get(COOKIE))
    if found := next((code for code in chosen if code in catalogue.languages()), None):
        return found
    # RFC 9110, section 12.4.2: a weight of 0 means that the language is not acceptable.
    wanted = (known(tag) for tag, quality in request.accept_languages if quality > 0)
    return next((code for code in wanted if code), SOURCE)
