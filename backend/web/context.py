"""The request at hand: the running system, who asks, in which language, and how its JSON is read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import Flask, abort, current_app, g, has_request_context, request
from flask.json.provider import DefaultJSONProvider
from flask_login import LoginManager, UserMixin, current_user, login_required

from backend.domain import strict_json
from backend.domain.parties import Person, Role
from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, known
from backend.services.ports import AppContext, Node, SimulationContext

_NAME = "provenport"
COOKIE = "language"
"""The cookie that keeps a reader's choice."""


@dataclass(frozen=True)
class Instance:
    """What the pages need to know of the running system besides its ports."""

    version: str
    is_demo: bool = False
    secure_cookies: bool = False
    node: Node | None = None
    """The embedded chain as others may read it; none where the ledger is on a node of the operator's."""


def install(app: Flask, ctx: AppContext, instance: Instance) -> None:
    """Hand the ports to an application."""
    app.extensions[_NAME] = (ctx, instance)


def current_context() -> AppContext:
    """The ports."""
    return cast(AppContext, current_app.extensions[_NAME][0])


def simulation_context() -> SimulationContext:
    """The ports, with those that simulations need besides."""
    return cast(SimulationContext, current_context())


def instance() -> Instance:
    """Facts about the running system."""
    return cast(Instance, current_app.extensions[_NAME][1])


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SignedIn(UserMixin):  # type: ignore[misc]
    """A person as Flask-Login keeps them."""

    def __init__(self, person: Person) -> None:
        self.person = person

    def get_id(self) -> str:
        """What the session remembers."""
        return self.person.id


def install_sign_in(app: Flask) -> None:
    """Let people sign in on the pages."""
    manager = LoginManager(app)
    manager.login_view = "pages.sign_in"
    manager.session_protection = "basic"

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(person_id: str) -> SignedIn | None:
        with current_context().work(reading=True) as work:
            person = work.persons.find(person_id)
        return SignedIn(person) if person is not None and person.is_active else None


def person() -> Person:
    """Whoever asks: by token where there is one, else by session. Only behind a check that there is somebody."""
    if "bearer" in g:
        return cast(Person, g.bearer)
    return cast(Person, current_user.person)


def only(*roles: Role) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A page for signed-in people of these roles; for others it does not exist."""

    def guard(view: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if person().role not in roles:
                abort(404)
            return view(*args, **kwargs)

        return cast(Callable[Arguments, Result], login_required(guarded))

    return guard


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, reading with ``strict_json`` and writing text as it is."""

    ensure_ascii = False
    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read; raises HostileJson."""
        return strict_json.loads(s)


def language() -> Language:
    """The reader's choice (``?lang=``, then a cookie), else what the browser asks for, else English."""
    if not has_request_context():
        return SOURCE
    chosen = (request.args.get("lang"), request.cookies.get(COOKIE))
    if found := next((code for code in chosen if code in catalogue.languages()), None):
        return found
    wanted = (known(tag) for tag, quality in request.accept_languages if quality > 0)
    return next((code for code in wanted if code), SOURCE)
