"""Whoever is shut out stays out: sessions end here, tokens end, expire and do no more than their scope says."""

from dataclasses import replace
from datetime import timedelta
from random import randrange

import pytest
from apiflask import APIFlask

from backend.domain.errors import Conflict, Invalid
from backend.domain.kinds import Kind
from backend.domain.parties import (
    MOST_TOKEN_DAYS,
    SESSION_IDLE_TERM,
    SESSION_TERM,
    ApiToken,
    Role,
    SignInSession,
    TokenScope,
)
from backend.runtime.app import create_app
from backend.services import credentials
from backend.services.organisations import OrganisationProfile, register
from backend.store.repositories.organisations import MOST_CREDENTIALS
from backend.web import context
from backend.web.api.views import BULK, NDJSON
from backend.web.security import body_limits
from tests.helpers.builders import Api, lodgement_fields
from tests.helpers.forms import fill, read_page
from tests.helpers.postgres import stored_bytes


@pytest.fixture
def joined(app, system, people):
    """A merchant whom nobody else needs."""
    email = f"{Api(app.test_client(), people).fresh('shut')}@example.org"
    return register(system.ctx, OrganisationProfile(Role.MERCHANT, "Shut Merchant", email))


@pytest.fixture
def later(app, monkeypatch):
    """Lets the server's clock go on by so much."""
    ctx, instance = app.extensions["provenport"]

    def move(by):
        monkeypatch.setitem(app.extensions, "provenport", (replace(ctx, now=lambda: ctx.now() + by), instance))

    return move


def send(client, page, action, **own):
    """Fill the form of a page that leads to an address, and send it."""
    read = read_page(client.get(page).text)
    form = next(form for form in read.forms if form.in_main and (form.action or page) == action)
    return client.post(action, data=dict(fill(form, read, 0, own)))


def browser(app):
    """A browser somewhere else: what others try does not count against its limits."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = f"10.{randrange(256)}.{randrange(256)}.{randrange(256)}"
    return client


def signed_in(app, joined, password=None):
    client = browser(app)
    answer = send(client, "/sign-in", "/sign-in", email=joined.person.email, password=password or joined.password)
    assert answer.status_code == 302
    return client


def is_in(client):
    return client.get("/account").status_code == 200


def me(app, token):
    return app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def copied(app, client):
    """A browser with a copy of another's cookie."""
    thief = app.test_client()
    thief.set_cookie("session", client.get_cookie("session").value)
    return thief


def test_copied_cookie_is_dead_after_signing_out(app, joined):
    client = signed_in(app, joined)
    thief = copied(app, client)
    assert is_in(thief)
    page = read_page(client.get("/account").text)
    form = next(form for form in page.forms if form.action == "/sign-out")
    assert client.post("/sign-out", data=dict(fill(form, page))).status_code == 302
    assert not is_in(thief)


def test_signed_out_cookie_brings_no_large_body(app, system, joined):
    client = signed_in(app, joined)
    limit = body_limits(app)
    headers = {"CONTENT_LENGTH": "1000000", "COOKIE": f"session={client.get_cookie('session').value}"}
    assert limit("POST", "/papers/new/invoice", headers).reason == "too-large"
    credentials.deactivate(system.ctx, joined.person.email)
    assert limit("POST", "/papers/new/invoice", headers).reason == "not-signed-in"


def test_cookie_of_an_earlier_version_signs_out(app, joined):
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = joined.person.id
    assert not is_in(client)


@pytest.mark.parametrize("by", [SESSION_IDLE_TERM, SESSION_TERM])
def test_session_ends_when_its_term_ends(app, joined, later, by):
    client = signed_in(app, joined)
    later(by - timedelta(minutes=1) if by == SESSION_IDLE_TERM else timedelta(0))
    assert is_in(client)
    later(by + (by if by == SESSION_IDLE_TERM else timedelta(0)))
    assert not is_in(client)


def test_session_in_use_ends_all_the_same(app, joined, later):
    """Used every six hours, it ends with the absolute term."""
    client, step = signed_in(app, joined), timedelta(hours=6)
    uses = SESSION_TERM // step
    for number in range(uses):
        later(step * number)
        assert is_in(client), number
    later(step * uses)
    assert not is_in(client)


def test_sessions_hold_in_a_second_process(app, system, joined):
    """Two applications over one database: what one ends is ended in the other."""
    other, client = create_app(system), signed_in(app, joined)
    assert is_in(copied(other, client))
    credentials.end_session(system.ctx, secret_of(client))
    assert not is_in(copied(other, client))


def secret_of(client):
    with client.session_transaction() as session:
        return session["_user_id"]


def test_secrets_of_sessions_are_kept_hashed(app, system, joined):
    secret = secret_of(signed_in(app, joined))
    lying = stored_bytes(system.folder.path, "provenport.sqlite*")
    assert joined.person.email.encode() in lying, "the planted text is found"
    assert secret.encode() not in lying


@pytest.mark.parametrize("language", ["en", "zh"])
def test_password_change_ends_all_other_sessions(app, joined, language):
    here, elsewhere = signed_in(app, joined), signed_in(app, joined)
    here.set_cookie("language", language)
    new = "quite another one"
    answer = send(here, "/account", "/account/password", old=joined.password, new=new, again=new)
    assert answer.status_code == 302
    assert is_in(here)
    assert not is_in(elsewhere)
    refused = send(browser(app), "/sign-in", "/sign-in", email=joined.person.email, password=joined.password)
    assert refused.status_code == 401
    assert is_in(signed_in(app, joined, new))


@pytest.mark.parametrize(
    ("old", "new", "again", "told"),
    [
        ("wrong", "quite another one", "quite another one", {"en": "not your present", "zh": "当前密码不正确"}),
        (None, "short", "short", {"en": "12 to 128", "zh": "12 至 128"}),
        (None, "x" * 129, "x" * 129, {"en": "12 to 128", "zh": "12 至 128"}),
        (None, "quite another one", "quite another two", {"en": "not the same", "zh": "不一致"}),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_wrong_password_change_is_explained(app, joined, old, new, again, told, language):
    client = signed_in(app, joined)
    client.set_cookie("language", language)
    answer = send(client, "/account", "/account/password", old=old or joined.password, new=new, again=again)
    assert answer.status_code == 422
    assert any(told[language] in fault for fault in read_page(answer.text).faults)
    assert is_in(signed_in(app, joined)), "the old one still holds"


def test_deactivated_person_is_out_at_once(app, system, joined):
    client = signed_in(app, joined)
    assert me(app, joined.token).status_code == 200
    credentials.deactivate(system.ctx, joined.person.email)
    assert not is_in(client)
    assert me(app, joined.token).status_code == 401
    with pytest.raises(Conflict):
        credentials.new_token(system.ctx, joined.person, "late", TokenScope.READ)
    credentials.reactivate(system.ctx, joined.person.email)
    assert not is_in(client), "the session stays ended"
    assert me(app, joined.token).status_code == 401, "the token stays revoked"
    assert is_in(signed_in(app, joined))


def test_reset_password_ends_every_session(app, system, joined):
    client = signed_in(app, joined)
    fresh = credentials.reset_password(system.ctx, joined.person.email)
    assert not is_in(client)
    assert is_in(signed_in(app, joined, fresh))


def test_expired_token_is_refused(app, system, joined, later):
    _token, secret = credentials.new_token(system.ctx, joined.person, "till", TokenScope.READ, 30)
    later(timedelta(days=29))
    assert me(app, secret).status_code == 200
    later(timedelta(days=30, seconds=1))
    assert me(app, secret).status_code == 401


def test_revoked_token_is_refused(app, system, joined):
    token, secret = credentials.new_token(system.ctx, joined.person, "till", TokenScope.READ)
    assert me(app, secret).status_code == 200
    credentials.revoke_token(system.ctx, token.id)
    assert me(app, secret).status_code == 401


def test_another_persons_credentials_cannot_be_ended(app, system, people, joined):
    stranger = register(
        system.ctx, OrganisationProfile(Role.MERCHANT, "Stranger", joined.person.email.replace("shut", "stranger"))
    )
    theirs, secret = credentials.new_token(system.ctx, stranger.person, "till", TokenScope.READ)
    client, other = signed_in(app, joined), signed_in(app, stranger)
    page = read_page(client.get("/account").text)
    csrf = dict(fill(next(form for form in page.forms if form.in_main), page))["csrf_token"]
    with system.ctx.work(reading=True) as work:
        (session,) = work.persons.sessions(stranger.person)
    for path in (f"/account/tokens/{theirs.id}/revocation", f"/account/sessions/{session.id}/end"):
        assert client.post(path, data={"csrf_token": csrf}).status_code == 404
    assert me(app, secret).status_code == 200
    assert is_in(other)


def described(app):
    """(endpoint, method, path) of every operation that wants a token."""
    public = {"api.post_verify"}
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "DELETE", "PATCH"}:
            if rule.endpoint.startswith("api.") and rule.endpoint not in public:
                path = rule.rule.replace("<", "").replace(">", "")
                yield rule.endpoint, method, path


SCOPES_OF_WRITES = dict.fromkeys(
    (
        *("api.post_declaration", "api.post_pre_check", "api.post_arrival", "api.post_withdrawal", "api.post_file"),
        "api.post_erasure",
        *("api.post_signing_request", "api.post_signature", "api.post_revocation", "api.post_erasure_request"),
        *("api.post_simulation", "api.post_cancellation", "api.post_request_withdrawal"),
        *("api.post_request_message", "api.post_request_return"),
        *("api.post_confirmation_request", "api.post_confirmation", "api.post_replacement"),
        *(f"api.post_{kind.name.lower()}" for kind in Kind if kind is not Kind.DECLARATION),
        *(f"api.post_bulk_{kind.name.lower()}" for kind in Kind),
    ),
    TokenScope.WRITE,
) | dict.fromkeys(
    (
        *(
            "api.post_decision",
            "api.post_erasure_consent",
            "api.post_office_delegation",
            "api.post_office_delegation_end",
        ),
        *("api.post_organisation", "api.post_customs_office", "api.post_key_rotation", "api.post_compromise"),
        *("api.post_accreditation", "api.post_suspension", "api.post_reinstatement"),
    ),
    TokenScope.DECIDE,
)


@pytest.mark.parametrize("scope", list(TokenScope))
def test_every_operation_holds_to_its_scope(app, system, joined, scope):
    """Over all operations of the url map: a scope that does not suffice gets 403 and its name, others get further."""
    _token, secret = credentials.new_token(system.ctx, joined.person, scope.value, scope)
    counts = {"refused": 0, "passed": 0}
    for endpoint, method, path in described(app):
        lines = {"data": b"{}\n", "content_type": NDJSON} if path.endswith(BULK) else {}
        sent = (lines or {"json": {}}) if method == "POST" else {}
        answer = app.test_client().open(path, method=method, headers={"Authorization": f"Bearer {secret}"}, **sent)
        said = answer.text  # read to its end, also where it is sent in pieces
        is_refused = answer.status_code == 403 and "this token has the scope" in said
        needed = TokenScope.READ if method == "GET" else SCOPES_OF_WRITES[endpoint]
        if answer.status_code in (415, 422) and not scope.covers(needed):
            raise AssertionError(f"{endpoint} looks at the body before the scope: {said}")
        assert is_refused == (not scope.covers(needed)), (endpoint, answer.status, said)
        counts["refused" if is_refused else "passed"] += 1
    assert counts["passed"] > 5
    assert (counts["refused"] > 5) == (scope is not TokenScope.DECIDE)


def test_every_write_has_its_scope(app):
    """One that is missing in the lists above is new: say there whether it is a decision."""
    writes = {endpoint for endpoint, method, _ in described(app) if method != "GET"}
    with app.app_context():
        assert {endpoint: context.scope_needed(endpoint, "POST") for endpoint in writes} == SCOPES_OF_WRITES


@pytest.mark.parametrize("tags", [None, [], ["Customs"], ["Authority", "Customs"]])
def test_new_write_is_a_decision_by_default(tags):
    def view():
        return {}

    own = APIFlask("own")
    own.post("/new")(own.doc(tags=tags)(view))
    own.post("/common", endpoint="common")(own.doc(tags=["Customs", "Merchants"])(view))
    with own.app_context():
        assert context.scope_needed("view", "POST") is TokenScope.DECIDE
        assert context.scope_needed("view", "GET") is TokenScope.READ
        assert context.scope_needed("common", "POST") is TokenScope.WRITE


def test_refused_scope_is_told_in_chinese(app, system, joined):
    _token, secret = credentials.new_token(system.ctx, joined.person, "till", TokenScope.READ)
    headers = {"Authorization": f"Bearer {secret}", "Accept-Language": "zh"}
    answer = app.test_client().post("/api/v1/declarations", json=lodgement_fields(), headers=headers)
    assert answer.status_code == 403
    assert "此令牌的权限为 read" in answer.get_json()["detail"]


@pytest.mark.parametrize(("name", "days"), [("", 1), ("x" * 81, 1), ("a\nb", 1), ("a", 0), ("a", MOST_TOKEN_DAYS + 1)])
def test_wrong_terms_make_no_token(system, joined, name, days):
    with pytest.raises(Invalid):
        credentials.new_token(system.ctx, joined.person, name, TokenScope.READ, days)


@pytest.mark.parametrize("own", [{"days": "0"}, {"days": "²"}, {"days": "9" * 5000}, {"scope": "all"}, {"name": " "}])
def test_wrong_token_form_is_explained(app, joined, own):
    client = signed_in(app, joined)
    answer = send(client, "/account", "/account/tokens", **{"name": "till", **own})
    assert answer.status_code == 422
    assert read_page(answer.text).faults


def test_tokens_and_sessions_of_one_person_are_bounded(app, system, joined):
    for number in range(MOST_CREDENTIALS - 1):
        credentials.new_token(system.ctx, joined.person, f"till {number}", TokenScope.READ)
    with pytest.raises(Conflict):
        credentials.new_token(system.ctx, joined.person, "one more", TokenScope.READ)
    secrets = [credentials.start_session(system.ctx, joined.person) for _ in range(MOST_CREDENTIALS + 5)]
    with system.ctx.work(reading=True) as work:
        assert len(work.persons.sessions(joined.person)) == MOST_CREDENTIALS
        assert work.persons.by_secret(SignInSession, secrets[0]) is None
        assert work.persons.by_secret(SignInSession, secrets[-1]) is not None


def test_last_use_is_written_once_a_minute(app, system, joined, later, monkeypatch):
    """Ten reads within a minute write once; the next minute writes again."""
    _token, secret = credentials.new_token(system.ctx, joined.person, "till", TokenScope.READ)
    written = []
    noting = type(system.ctx.work(reading=True).__enter__().persons)
    original = noting.note_use
    monkeypatch.setattr(noting, "note_use", lambda *given: written.append(given) or original(*given))
    for seconds in range(0, 50, 5):
        later(timedelta(seconds=seconds))
        assert me(app, secret).status_code == 200
    assert len(written) == 1
    later(timedelta(seconds=130))
    me(app, secret)
    assert len(written) == 2
    with system.ctx.work(reading=True) as work:
        used = work.persons.by_secret(ApiToken, secret).last_used_at
    assert used - system.ctx.now() > timedelta(seconds=100)
