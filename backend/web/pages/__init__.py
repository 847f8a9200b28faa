"""Pages for people who sign in: merchants, issuers, officers, the authority and analysts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from flask import Blueprint, Flask, request
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_bootstrap import Bootstrap5
from flask_login import current_user

from backend.domain.errors import VersionRequired
from backend.domain.kinds import ISSUERS
from backend.domain.parties import Role
from backend.web.context import instance
from backend.web.presentation.labels import install_words

blueprint = Blueprint("pages", __name__)


@blueprint.record_once
def _prepare(setup: BlueprintSetupState) -> None:
    """Serve Bootstrap's style sheet from this server, and give templates their functions."""
    app = cast(Flask, setup.app)
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    Bootstrap5(app)
    install_words(app)


@blueprint.app_context_processor
def _on_every_page() -> dict[str, Any]:
    reader = getattr(current_user, "person", None)
    return {"reader": reader, "navigation": _navigation(reader.role) if reader else [], "instance": instance()}


def _navigation(role: Role) -> list[tuple[str, str, bool]]:
    """List (endpoint, label, whether it is the current section) for the navigation."""
    section = request.path.split("/")[1] or "home"
    entries = {
        Role.MERCHANT: [
            ("pages.declarations", _("Declarations")),
            ("pages.records", _("Papers")),
            ("pages.requests", _("Confirmation requests")),
            ("pages.products", _("Products")),
        ],
        **{issuer: [("pages.requests", _("Requests")), ("pages.records", _("Signed papers"))] for issuer in ISSUERS},
        Role.OFFICER: [("pages.desk", _("Declarations")), ("pages.customs_offices", _("Customs offices"))],
        Role.AUTHORITY: [
            ("pages.accreditations", _("Accreditations")),
            ("pages.customs_offices", _("Customs offices")),
        ],
        Role.ANALYST: [("pages.simulations", _("Simulation")), ("pages.release_times", _("Release times"))],
    }
    named = [("pages.home", _("Overview")), *entries[role]]
    return [(name, word, name == f"pages.{section.replace('-', '_')}") for name, word in named]


def version_read() -> int:
    """Return the version that the current form is based on, which its page has put into it.

    Raises:
        VersionRequired: The form lacks it.
    """
    sent = request.form.get("version", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 10):
        raise VersionRequired("the form does not say which version of the page it rests on: open the page again")
    return int(sent)


LONGEST_QUESTION = 100
"""Characters of what is looked for in a list."""
MOST_COUNTED = 10_000
"""Totals of lists are counted up to here: to count all would read all."""
MOST_FOUND_COUNTED = 500
"""The same for what is found by words: each must be looked at."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of a list, and whether there are rows before and behind it."""

    rows: Sequence[Row]
    has_before: bool
    has_after: bool

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is, so that nothing more need be counted."""
        return not self.has_before and not self.has_after


def turned(fetch: Callable[[str | None, bool, int], Sequence[Row]], size: int, oldest_first: bool = False) -> Page[Row]:
    """Return the page that the request asks for by ``after`` or ``before``, the id at the end of the one beside it.

    ``fetch`` takes such an id or None, whether the oldest come first, and how many rows are wanted.
    """
    before, after = request.args.get("before"), request.args.get("after")
    if before:
        found = fetch(before, not oldest_first, size + 1)
        return Page(list(reversed(found[:size])), len(found) > size, True)
    found = fetch(after, oldest_first, size + 1)
    return Page(found[:size], after is not None, len(found) > size)


from backend.web.pages import (  # noqa: E402, F401 - each adds its pages to the blueprint
    account,
    accreditations,
    customs_offices,
    declarations,
    home,
    ledger_accounts,
    officer_queue,
    records,
    requests,
    simulations,
    statements,
)
