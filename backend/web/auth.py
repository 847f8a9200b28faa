"""Who is asking: a signed-in person on the pages, the bearer of a token on the programming interface."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import Flask, abort, g
from flask_login import LoginManager, UserMixin, current_user, login_required

from backend.domain.parties import Person, Role
from backend.web.context import current_context

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
