"""Every form of the pages is filled in from what its page offers, and sent as its reader sends it.

Which forms there are comes from the url map: an address that takes a form, and that no case here sends, fails the test.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from backend.domain.kinds import CERTIFIED, KINDS, OWN, Kind
from backend.domain.ledger import LedgerRole, RoleHolder, RoleHolders
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.runtime.app import System
from backend.services import ledger_requests, organisations, products, statements
from backend.services.organisations import OrganisationProfile
from backend.services.simulations import run_next
from tests.conftest import DemoUser
from tests.helpers.builders import Api, certificate_fields
from tests.helpers.forms import Form, Page, fill, read_page

OWN_SCENARIO = "servers = 1\n"
"""The stand-in for the simulator takes any text but a negative count."""
_ACCOUNTS = iter(range(2**100, 2**101))
"""Accounts on the ledger that nobody else knows, by their numbers."""
_OFFICE_CODES = iter(range(4100, 5000))
"""The server outlives an Installation: each code is given once in a run."""
ISSUERS = {kind.slug: role.value for kind in CERTIFIED for role in KINDS[kind].signed_by}


@dataclass(frozen=True)
class Sent:
    """A form that was taken: how many choices it offers, where it led, and what was sent."""

    variants: int
    location: str
    fields: tuple[tuple[str, Any], ...]


@dataclass
class Installation:
    """The running system, seen through the browsers of its people."""

    app: Flask
    system: System
    people: Mapping[str, DemoUser]
    api: Api
    settle: Callable[[], None]
    sent: set[tuple[str, str]] = field(default_factory=set)
    """(page, form) by their endpoints."""
    stock: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people = {**self.people, "newcomer": self._newcomer()}
        self.browser = cache(self.sign_in)

    def _newcomer(self) -> DemoUser:
        """Somebody whose password, sessions and tokens no other test needs."""
        profile = OrganisationProfile(Role.MERCHANT, "New Merchant", f"{self.api.fresh('newcomer')}@example.org")
        joined = organisations.register(self.system.ctx, profile)
        return DemoUser("newcomer", profile.name, profile.email, joined.password, joined.token)

    def sign_in(self, role: str) -> FlaskClient:
        client = self.app.test_client()
        if role:
            own = {"email": self.people[role].email, "password": self.people[role].password}
            self.send(client, "/sign-in", "pages.sign_in", own=own)
        return client

    def load(self, client: FlaskClient, path: str) -> tuple[str, Page]:
        """The address that a path ends at, and its page."""
        answer = client.get(path, follow_redirects=True)
        assert answer.status_code == 200, f"{path} answers {answer.status}"
        return answer.request.full_path.rstrip("?"), read_page(answer.text)

    def send(self, client: FlaskClient, path: str, endpoint: str, variant: int = 0, **more: Any) -> Sent:
        """Fill the form that leads to the endpoint, send it, and see that it was taken."""
        where, page = self.load(client, path)
        form = self.form_on(where, page, endpoint, more.get("arguments", {}))
        fields = fill(form, page, variant, {**_agreed(form, variant), **(more.get("own") or {})})
        answer = self.post(client, where, form, fields)
        while answer.status_code == 200 and (later := self._next(answer, endpoint)):
            where, page = answer.request.full_path, read_page(answer.text)
            answer = self.post(client, where, later, fill(later, page, variant))
        return Sent(form.variants, answer.location or where, tuple(fields))

    def form_on(self, where: str, page: Page, endpoint: str, arguments: Mapping[str, str]) -> Form:
        for form in page.forms:
            leads_to, found = self.endpoint_of(urljoin(where, form.action or where), "POST")
            if form.method == "post" and leads_to == endpoint and arguments.items() <= found.items():
                return form
        raise AssertionError(f"{where} has no form for {endpoint} {dict(arguments)}")

    def post(self, client: FlaskClient, where: str, form: Form, fields: list[tuple[str, Any]]) -> TestResponse:
        data: dict[str, list[Any]] = {}
        for name, value in fields:
            data.setdefault(name, []).append(value)
        action = urljoin(where, form.action or where)
        answer = client.post(action, data=data)
        shown = read_page(answer.text)
        typed = {name: value for name, value in fields if name != "csrf_token"}
        told = f"{action} answered {answer.status} {shown.faults} to {typed}"
        assert answer.status_code in (200, 302), told
        assert answer.status_code == 302 or not shown.faults, told
        self.sent.add((self.endpoint_of(where, "GET")[0], self.endpoint_of(action, "POST")[0]))
        if answer.status_code == 302:
            self._see_no_refusal(client, answer.location, told)
        return answer

    def _see_no_refusal(self, client: FlaskClient, location: str, told: str) -> None:
        """Some refusals are told on the page that a form leads to."""
        answer = client.get(location, follow_redirects=True)
        assert answer.status_code == 200, f"{told}, and {location} {answer.status}"
        assert 'class="notice notice-bad" role="status"' not in answer.text, f"{told}, and {location} tells a refusal"

    def _next(self, answer: TestResponse, endpoint: str) -> Form | None:
        """The form of a page that a form was answered with."""
        where = answer.request.full_path
        for form in read_page(answer.text).forms:
            leads_to = self.endpoint_of(urljoin(where, form.action or where), "POST")[0]
            if form.in_main and leads_to == endpoint:
                return form
        return None

    def endpoint_of(self, address: str, method: str) -> tuple[str, dict[str, Any]]:
        try:
            return self.app.url_map.bind("").match(urlsplit(address).path, method)
        except HTTPException:
            return "", {}

    # What the forms need to be there already

    def product(self) -> str:
        with self.system.ctx.work(reading=True) as work:
            return work.products.of(self._organisation("merchant"))[0].id

    def _organisation(self, role: str) -> Any:
        with self.system.ctx.work(reading=True) as work:
            found = work.persons.find_by_email(self.people[role].email)
        assert found is not None
        return found.organisation

    def record(self, record_id: str) -> RecordOnFile:
        with self.system.ctx.work(reading=True) as work:
            return work.records.get(record_id)

    def request(self, what: str, variant: int = 0) -> str:
        """A statement of the merchant's, submitted to its issuer on the page; the request's path."""
        own = {"issuer": self._organisation(ISSUERS[what]).id}
        path = f"/products/{self.product()}/{what}/new"
        led_to = self.send(self.browser("merchant"), path, "pages.new_statement", variant, own=own).location
        if led_to.startswith("/requests/"):  # an order
            return led_to
        stated = led_to.rsplit("/", 1)[1]
        with self.system.ctx.work(reading=True) as work:
            asked = work.requests.find_about(stated)
        assert asked is not None
        return f"/requests/{asked.id}"

    def list_of_requests(self) -> str:
        """The chamber's list, with a statement that waits."""
        self.request("certificate-of-origin")
        return "/requests"

    def sent_back(self, what: str, variant: int = 0) -> str:
        request = self.request(what, variant)
        self.send(self.browser(ISSUERS[what]), request, "pages.send_back")
        return request

    def statement_sent_back(self, what: str) -> str:
        """The merchant's page of a statement or an order that its issuer sent back."""
        request = self.sent_back(what)
        with self.system.ctx.work(reading=True) as work:
            statement = work.requests.get(request.rsplit("/", 1)[1]).statement
        return f"/records/{statement.id}" if statement is not None else request

    def take(self, what: str) -> str:
        """The id of something that lies on the ledger already; made in store, because the ledger takes a while."""
        if not self.stock.get(what):
            self._fill_stock()
        return self.stock[what].pop()

    def _fill_stock(self) -> None:
        self.stock = {
            "declaration": [self.api.declaration()["id"] for _ in range(6)],
            "invoice": [self.api.invoice()["id"] for _ in range(2)],
            "accredited": [self.accredited() for _ in range(2)],
            "suspended": [self.accredited() for _ in range(2)],
        }
        self.settle()
        for issuer in self.stock["suspended"]:
            assert self.api.post(f"/issuers/{issuer}/suspension", "authority", {}).status_code == 202
        self.settle()

    def paper_asked_about(self) -> str:
        """The officer's page of a paper that its holder wants to erase, asked for on the holder's page."""
        paper = self.api.kept_paper()
        self.send(self.browser("merchant"), f"/records/{paper}/erase", "pages.request_erasure")
        return f"/records/{paper}"

    def issuer(self) -> dict[str, str]:
        """A chamber that nobody else needs."""
        body = {"role": "chamber", "name": "Passing Chamber", "email": f"{self.api.fresh('passing')}@example.org"}
        joined: dict[str, str] = self.api.post("/organisations", "authority", body).get_json()
        return joined

    def accredited(self) -> str:
        """Such a chamber, accredited; its id."""
        joined = self.issuer()["id"]
        assert self.api.post(f"/issuers/{joined}/accreditation", "authority", {}).status_code == 202
        return joined

    def to_second_office(self) -> dict[str, str]:
        """Yiwu's declarations, to Ningbo."""
        return {"office": "CNYIU", "organisation": self.second_office()}

    def second_office(self) -> str:
        offices = self.api.get("/customs-offices", "officer").get_json()["offices"]
        return str(next(one["organisation"] for one in offices if one["office"] == "CNNBO"))

    def own_code(self) -> dict[str, str]:
        """A code that nobody serves yet: the places of the list run out."""
        return {"office_code": str(next(_OFFICE_CODES))}

    def office_without_account(self) -> dict[str, str]:
        code = self.own_code()["office_code"]
        body = {"office": code, "organisation": self.second_office()}
        assert self.api.post("/customs-offices", "authority", body).status_code == 201
        return {"office": code}

    def ledger_account(self, *, is_suspended: bool = False) -> tuple[str, dict[str, str]]:
        """A second office's own account, which no other test needs."""
        code, ctx = self.office_without_account()["office"], self.system.ctx
        authority = self.authority()
        ledger_requests.register_account(ctx, authority, code)
        self.settle()
        if is_suspended:
            ledger_requests.suspend_account(ctx, authority, code, str(ctx.ledger.account(code)))
            self.settle()
        return "/ledger-accounts", {"name": code}

    def pause(self, *, is_paused: bool) -> str:
        """The page of accounts, with the ledger running or paused."""
        ctx, authority = self.system.ctx, self.authority()
        until = ctx.ledger.paused_until()
        if is_paused != (until is not None and until > ctx.now()):
            (ledger_requests.pause_ledger if is_paused else ledger_requests.resume_ledger)(ctx, authority)
            self.settle()
        return "/ledger-accounts"

    def running(self) -> None:
        """Let nobody else find the ledger paused."""
        self.settle()
        self.pause(is_paused=False)

    def authority(self) -> Person:
        with self.system.ctx.work(reading=True) as work:
            found = work.persons.find_by_email(self.people["authority"].email)
        assert found is not None
        return found

    def role_to_give(self) -> dict[str, str]:
        """An account that has no role yet: its number counts up."""
        return {"role": "REGISTRAR", "account": f"0x{next(_ACCOUNTS):040x}"}

    def announced_role(self) -> tuple[str, dict[str, str]]:
        """A role whose announcement is on the ledger, where the admin's acts need a day's notice."""
        asked = ledger_requests.grant_role(self.system.ctx, self.authority(), **self._typed(self.role_to_give()))
        self.settle()
        return "/ledger-roles", {"request_id": asked.id}

    def holder(self) -> tuple[str, dict[str, str]]:
        """The page with an account that a wallet elsewhere gave a role: here that would take a day's notice."""
        ledger, given = self.system.ctx.ledger, self.role_to_give()
        account = ledger.read_address(given["account"])
        real = type(ledger).role_holders

        def with_holder(accounts: Sequence[str]) -> RoleHolders:
            read = real(ledger, accounts)
            assert read is not None
            assert account is not None
            added = RoleHolder(LedgerRole.REGISTRAR, account, datetime(2026, 1, 1, tzinfo=UTC), 0)
            return replace(read, holders=(added, *read.of(LedgerRole.ADMIN)))

        ledger.role_holders = with_holder  # type: ignore[method-assign]
        return "/ledger-roles", {}

    def only_real_holders(self) -> None:
        del self.system.ctx.ledger.role_holders  # type: ignore[misc]

    @staticmethod
    def _typed(fields: dict[str, str]) -> dict[str, str]:
        return {"typed_role": fields["role"], "typed_account": fields["account"]}

    def delegated(self) -> tuple[str, dict[str, str]]:
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"office": "CNYIU", "organisation": self.second_office(), "until": until}
        made = self.api.post("/office-delegations", "officer", body).get_json()
        return "/customs-offices", {"delegation_id": made["id"]}

    def simulation(self, *, done: bool = False) -> str:
        self.run_simulations()
        ordered = self.api.post("/simulations", "analyst", {"scenario": "office", "replications": 1}).get_json()
        if done:
            self.run_simulations()
        return f"/simulations/{ordered['id']}"

    def run_simulations(self) -> None:
        while run_next(self.system.ctx, lambda: False):
            continue

    def account_with_a_token(self) -> tuple[str, dict[str, str]]:
        self.send(self.browser("newcomer"), "/account", "pages.new_token")
        with self.system.ctx.work(reading=True) as work:
            somebody = work.persons.find_by_email(self.people["newcomer"].email)
            assert somebody is not None
            return "/account", {"token_id": work.persons.tokens(somebody)[0].id}

    def account_open_elsewhere(self) -> str:
        self.sign_in("newcomer")
        return "/account"

    def same_password(self) -> dict[str, str]:
        password = self.people["newcomer"].password
        return {"old": password, "new": password, "again": password}

    def chosen_declaration(self) -> str:
        """The address that the page for choosing papers leads to."""
        self.api.certificate()
        where, page = self.load(self.browser("merchant"), "/declarations/new?choose=1")
        chooser = next(form for form in page.forms if form.in_main and form.method == "get")
        return f"{urlsplit(where).path}?{urlencode(fill(chooser, page))}"

    def own_product(self, is_retired: bool = False) -> str:
        """The id of a product of the merchant's, that was made for it alone."""
        ctx = self.system.ctx
        with ctx.work(reading=True) as work:
            merchant = work.persons.find_by_email("merchant@example.org")
        assert merchant is not None
        fields = {"name": "Lamp", "hsCode": "940521", "description": "A lamp", "model": self.api.fresh("M")}
        made = products.add_product(ctx, merchant, fields)
        if is_retired:
            products.retire_product(ctx, merchant, made.id, 1)
        return made.id


@dataclass(frozen=True)
class Case:
    """A form, whose reader it is, and how the page that holds it comes about: its path, which form, what is typed."""

    endpoint: str
    role: str
    page: Callable[[Installation], str | tuple[str, dict[str, str]]]
    own: Callable[[Installation], dict[str, str]] = field(default=lambda installation: {})
    variants: int | None = None
    """How often it is sent; else as often as it has choices."""
    is_fresh: bool = False
    """Whether it wants a browser of its own, because it ends the session."""
    afterwards: Callable[[Installation], None] = field(default=lambda installation: None)
    """Puts back what others would miss."""

    @property
    def name(self) -> str:
        return f"{self.endpoint.removeprefix('pages.')}-{self.role or 'anybody'}"


AGREED = {
    "CHAFTA": {"import_country": "AU", "origin_criteria": "PSR"},
    "ACFTA": {"import_country": "VN", "origin_criteria": "CTH"},
    "RCEP": {"import_country": "SG", "origin_criteria": "CC"},
    "CPTPP": {"import_country": "AU", "origin_criteria": "PSR", "origin_country": "VN", "exporter-country_code": "VN"},
    "USMCA": {"import_country": "US", "origin_criteria": "PSR", "origin_country": "MX", "exporter-country_code": "MX"},
    "GSP": {"import_country": "NO", "origin_criteria": "WO"},
}
"""Of an agreement not every country and criterion can be chosen: what fits it."""
HEAVY = "100000"
"""Kilograms: above the quantity in whichever unit of mass it is counted."""
ALWAYS_AGREED = {"origin_country": "CN", "exporter-country_code": "CN"}


def _agreed(form: Form, variant: int) -> dict[str, str]:
    """What goes with the agreement that the filled form would name, where it has a choice of agreements."""
    offered = next((one for one in form.controls if one.name == "free_trade_agreement_name"), None)
    if offered is None:
        return {}
    named = offered.value if offered.is_on and variant == 0 else offered.offered[variant % len(offered.offered)]
    return {"gross_weight_measure": HEAVY} | (ALWAYS_AGREED | AGREED[named] if named in AGREED else {})


def _about(issuer: str) -> tuple[str, dict[str, str]]:
    """The form of this organisation, among those of others."""
    return "/accreditations", {"organisation_id": issuer}


CASES = [
    Case("pages.choose_language", "", lambda installation: "/", variants=1),
    Case("pages.choose_language", "officer", lambda installation: "/desk?status=all", variants=1, is_fresh=True),
    Case(
        "pages.sign_in",
        "",
        lambda installation: "/sign-in",
        lambda installation: {
            "email": installation.people["officer"].email,
            "password": installation.people["officer"].password,
        },
        variants=1,
        is_fresh=True,
    ),
    Case("pages.sign_out", "merchant", lambda installation: "/", is_fresh=True),
    Case("pages.new_product", "merchant", lambda installation: "/products/new"),
    Case("pages.edit_product", "merchant", lambda installation: f"/products/{installation.own_product()}/edit"),
    Case("pages.retire_product", "merchant", lambda installation: f"/products/{installation.own_product()}"),
    Case("pages.restore_product", "merchant", lambda installation: f"/products/{installation.own_product(True)}"),
    *(
        Case(
            "pages.new_statement",
            "merchant",
            lambda installation, what=what: f"/products/{installation.product()}/{what}/new",
        )
        for what in ISSUERS
    ),
    *(
        Case(
            "pages.correct_request",
            "merchant",
            lambda installation, what=what: installation.sent_back(what) + "/correct",
        )
        for what in ISSUERS
    ),
    *(
        Case(
            "pages.withdraw_sent_back",
            "merchant",
            lambda installation, what=what: installation.statement_sent_back(what),
        )
        for what in ISSUERS
    ),
    *(Case("pages.new_paper", "merchant", lambda installation, kind=kind: f"/papers/new/{kind.slug}") for kind in OWN),
    Case("pages.lodge_declaration", "merchant", Installation.chosen_declaration),
    Case(
        "pages.report_arrival",
        "merchant",
        lambda installation: f"/declarations/{installation.api.declaration([])['id']}",
    ),
    Case("pages.withdraw", "merchant", lambda installation: f"/declarations/{installation.api.declaration([])['id']}"),
    Case("pages.decide", "officer", lambda installation: f"/desk/{installation.take('declaration')}"),
    Case("pages.decide", "officer", lambda installation: f"/desk/{installation.api.declaration([])['id']}", variants=1),
    *(
        Case("pages.confirm", role, lambda installation, what=what: installation.request(what))
        for what, role in ISSUERS.items()
        if what != "inspection-report"
    ),
    Case(
        "pages.state_ordered", "laboratory", lambda installation: installation.request("inspection-report") + "/record"
    ),
    *(
        Case("pages.send_back", role, lambda installation, what=what: installation.request(what))
        for what, role in ISSUERS.items()
    ),
    Case("pages.sign_requests", "chamber", Installation.list_of_requests, variants=1),
    Case(
        "pages.amend",
        "chamber",
        lambda installation: f"/records/{installation.api.certificate()['id']}/amend",
        # Agreements limit it, each from the day of issue on.
        lambda installation: {"valid_until": "", "quantity": "12"},
    ),
    Case("pages.amend", "laboratory", lambda installation: f"/records/{installation.api.report()['id']}/amend"),
    Case("pages.reissue", "chamber", lambda installation: f"/records/{installation.api.certificate()['id']}/reissue"),
    Case("pages.write_message", "merchant", lambda installation: installation.request("certificate-of-origin")),
    Case("pages.write_message", "laboratory", lambda installation: installation.request("inspection-report")),
    Case("pages.write_message", "chamber", lambda installation: installation.request("certificate-of-origin")),
    Case("pages.revoke", "chamber", lambda installation: f"/records/{installation.api.certificate()['id']}"),
    Case("pages.revoke", "laboratory", lambda installation: f"/records/{installation.api.report()['id']}"),
    Case("pages.revoke", "merchant", lambda installation: f"/records/{installation.api.invoice()['id']}"),
    Case("pages.erase", "merchant", lambda installation: f"/records/{installation.take('invoice')}/erase"),
    Case("pages.request_erasure", "merchant", lambda installation: f"/records/{installation.api.kept_paper()}/erase"),
    Case("pages.agree_to_erasure", "officer", Installation.paper_asked_about),
    Case("pages.accredit", "authority", lambda installation: _about(installation.issuer()["id"])),
    Case("pages.suspend", "authority", lambda installation: _about(installation.take("accredited"))),
    Case("pages.reinstate", "authority", lambda installation: _about(installation.take("suspended"))),
    Case("pages.new_key", "authority", lambda installation: _about(installation.issuer()["id"])),
    Case("pages.key", "authority", lambda installation: f"/keys/{installation.issuer()['key']}"),
    Case("pages.register", "authority", lambda installation: "/accreditations/register"),
    Case("pages.delegate_office", "officer", lambda installation: "/customs-offices", variants=1),
    Case("pages.delegate_office", "authority", lambda installation: "/customs-offices", Installation.to_second_office),
    Case("pages.end_delegation", "officer", Installation.delegated),
    Case("pages.add_office_code", "authority", lambda installation: "/customs-offices", Installation.own_code),
    Case(
        "pages.register_ledger_account",
        "authority",
        lambda installation: "/ledger-accounts",
        Installation.office_without_account,
        variants=1,
    ),
    Case("pages.suspend_ledger_account", "authority", Installation.ledger_account),
    Case("pages.lift_ledger_account", "authority", lambda installation: installation.ledger_account(is_suspended=True)),
    Case("pages.replace_ledger_account", "authority", Installation.ledger_account),
    Case(
        "pages.pause_ledger",
        "authority",
        lambda installation: installation.pause(is_paused=False),
        afterwards=Installation.running,
    ),
    Case(
        "pages.resume_ledger",
        "authority",
        lambda installation: installation.pause(is_paused=True),
        afterwards=Installation.running,
    ),
    Case(
        "pages.grant_ledger_role",
        "authority",
        lambda installation: "/ledger-roles",
        Installation.role_to_give,
        variants=1,
    ),
    Case(
        "pages.revoke_ledger_role",
        "authority",
        Installation.holder,
        afterwards=Installation.only_real_holders,
    ),
    *(
        Case(
            "pages.withdraw_ledger_request",
            "authority",
            lambda installation, page=page: (page, installation.announced_role()[1]),
        )
        for page in ("/ledger-roles", "/ledger-accounts")
    ),
    Case("pages.new_simulation", "analyst", lambda installation: "/simulations/new?scenario=office"),
    Case(
        "pages.new_simulation",
        "analyst",
        lambda installation: "/simulations/new",
        lambda installation: {"text": OWN_SCENARIO},
    ),
    Case(
        "pages.new_simulation",
        "analyst",
        lambda installation: f"/simulations/new?from={installation.simulation()[13:]}",
    ),
    Case("pages.new_token", "newcomer", lambda installation: "/account"),
    Case("pages.revoke_token", "newcomer", Installation.account_with_a_token),
    Case("pages.end_session", "newcomer", Installation.account_open_elsewhere),
    Case("pages.end_other_sessions", "newcomer", Installation.account_open_elsewhere),
    Case("pages.change_password", "newcomer", lambda installation: "/account", Installation.same_password),
    Case("pages.cancel_simulation", "analyst", Installation.simulation),
    Case("pages.delete_simulation", "analyst", lambda installation: installation.simulation(done=True)),
]


@pytest.fixture(scope="module")
def installation(app, system, people, settle):
    return Installation(app, system, people, Api(app.test_client(), people), settle)


def unsent(app: Flask, cases: list[Case]) -> list[str]:
    """Endpoints of the pages that take a form which no case sends."""
    taking = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    return sorted({name for name in taking if name.startswith("pages.")} - {case.endpoint for case in cases})


def send(installation: Installation, case: Case, variant: int, language: str) -> Sent:
    client = installation.sign_in(case.role) if case.is_fresh else installation.browser(case.role)
    client.set_cookie("language", language)
    prepared = case.page(installation)
    path, arguments = prepared if isinstance(prepared, tuple) else (prepared, {})
    sent = installation.send(client, path, case.endpoint, variant, arguments=arguments, own=case.own(installation))
    case.afterwards(installation)
    return sent


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_form_filled_from_its_page_is_taken(installation, case):
    """In both languages, and once with every choice that the form offers."""
    variants = send(installation, case, 0, "en").variants
    for variant in range(1, max(2, case.variants or variants)):
        send(installation, case, variant, ("en", "zh")[variant % 2])


def test_every_url_map_form_has_a_case(app):
    assert unsent(app, CASES) == [], "no case in this file sends these forms"


def test_form_that_nobody_sends_is_named():
    planted = Flask("planted")
    planted.add_url_rule("/planted", "pages.planted", lambda: "", methods=["GET", "POST"])
    assert unsent(planted, CASES) == ["pages.planted"]


def test_every_form_on_a_page_was_sent(installation):
    """Walks the links of everybody's pages: a form that stands on a page of another kind is a form of its own."""
    for case in CASES:
        if not any(endpoint == case.endpoint for _page, endpoint in installation.sent):
            send(installation, case, 0, "en")
    shown = {pair for role in ("", *installation.people) for pair in forms_shown(installation, role)}
    assert len(shown) > len({case.endpoint for case in CASES}) / 2
    assert sorted(shown - installation.sent) == []


def forms_shown(installation: Installation, role: str) -> set[tuple[str, str]]:
    """(page, form) of what a reader comes by; each kind of page is looked at three times."""
    client, shown = installation.browser(role), set()
    waiting, looked_at = ["/"], Counter[str]()
    while waiting:
        where = waiting.pop(0)
        endpoint, _arguments = installation.endpoint_of(where, "GET")
        if not endpoint.startswith("pages.") or looked_at[endpoint] == 3 or "lang=" in where:
            continue
        looked_at[endpoint] += 1
        answer = client.get(where, follow_redirects=True)
        if answer.mimetype != "text/html":
            continue
        page = read_page(answer.text)
        waiting += [link for link in (urljoin(where, link) for link in page.links) if link not in waiting]
        for form in page.forms:
            leads_to = installation.endpoint_of(urljoin(where, form.action or where), form.method.upper())[0]
            assert leads_to, f"a form on {where} leads nowhere: {form.action}"
            if form.method == "post" and form.in_main:
                shown.add((endpoint, leads_to))
    return shown


def test_form_that_is_refused_fails(installation):
    """On the page that answers, and on the page that it leads to."""
    with pytest.raises(AssertionError, match="422"):
        installation.send(
            installation.browser("merchant"), "/products/new", "pages.new_product", own={"hs_code": "none"}
        )
    path, arguments = _about(installation.issuer()["id"])
    with pytest.raises(AssertionError, match="422"):
        installation.send(
            installation.browser("authority"),
            path,
            "pages.accredit",
            arguments=arguments,
            own={"chapters": "from 1 on"},
        )


def test_page_with_forms_is_read_whole():
    page = read_page(
        '<form action="/out"><button name="go" value="1">Go</button></form><main><form method="post">'
        '<input name="code" list="codes"><datalist id="codes"><option value="KE"></option></datalist>'
        '<select name="kind"><option value="">–</option><option value="a" selected>A</option></select>'
        '<input type="radio" name="sure" value="true"><input type="radio" name="sure" value="false" checked>'
        '<input name="off" disabled><textarea name="why">\r\nBecause</textarea>'
        '<p class="fault">No.</p></form></main>'
    )
    assert [(form.action, form.method, form.in_main) for form in page.forms] == [
        ("/out", "get", False),
        ("", "post", True),
    ]
    assert fill(page.forms[1], page) == [("code", "KE"), ("kind", "a"), ("sure", "false"), ("why", "Because")]
    assert dict(fill(page.forms[1], page, variant=2))["sure"] == "true"
    assert page.faults == ["No."]
    paged = read_page('<form><button name="after" value="9">Earlier</button><button>Go on</button></form>')
    assert fill(paged.forms[0], paged) == []
    assert fill(paged.forms[0], paged, variant=1) == [("after", "9")]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("what", ISSUERS)
def test_statement_sent_back_is_corrected_without_loss(installation, what, language):
    """What the form was filled with stands in it again, so that sent once more it says the same."""
    request = installation.sent_back(what, variant=1)
    with installation.system.ctx.work(reading=True) as work:
        before = work.requests.get(request.rsplit("/", 1)[1])
    merchant = installation.browser("merchant")
    merchant.set_cookie("language", language)
    sent = installation.send(merchant, f"{request}/correct", "pages.correct_request", 0)
    with installation.system.ctx.work(reading=True) as work:
        led_to = sent.location.rsplit("/", 1)[1]
        after = work.requests.get(led_to) if before.statement is None else work.records.get(led_to)
    assert {**after.readable_fields, "attachments": None} == {**before.readable_fields, "attachments": None}


def test_field_without_a_place_survives_a_correction(installation):
    """An import states more than the form shows."""
    with installation.system.ctx.work(reading=True) as work:
        merchant, chamber = (
            work.persons.find_by_email(installation.people[who].email) for who in ("merchant", "chamber")
        )
    fields = certificate_fields(shippingMarks="MS 1-10") | {"certificateNumber": None}
    stated = statements.issue_statement(
        installation.system.ctx, merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber.organisation.id
    )
    with installation.system.ctx.work(reading=True) as work:
        request = f"/requests/{work.requests.find_about(stated.id).id}"
    installation.send(installation.browser("chamber"), request, "pages.send_back")
    sent = installation.send(installation.browser("merchant"), f"{request}/correct", "pages.correct_request")
    assert installation.record(sent.location.rsplit("/", 1)[1]).fields["shippingMarks"] == "MS 1-10"
