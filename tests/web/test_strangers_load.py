"""What strangers may ask for: bounded work for each request, bounded requests for each stranger, bounded bodies."""

import json
import time
from hashlib import sha256

import pytest

from backend.domain.dossier import BoundFiles, attachments
from backend.runtime.app import create_app
from backend.services.verification import MOST_RECORDS, MOST_SUPERSEDED
from backend.web import security
from backend.web.context import UNREAD_BODY, BodyLimit
from tests.helpers.builders import Api
from tests.stress.costly_bundles import bodies


@pytest.fixture(scope="module")
def fresh_app(system):
    """An application whose limits nobody has used yet."""
    return create_app(system)


@pytest.fixture
def asking(fresh_app):
    fresh_app.extensions["rates"].reset()
    client = fresh_app.test_client()

    def ask(bundle, address="198.51.100.1", **named):
        client.environ_base["REMOTE_ADDR"] = address
        data = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
        return client.post("/api/v1/verify", data=data, content_type="application/json", **named)

    return ask


@pytest.fixture(scope="module")
def bundle(app, people, settle):
    api = Api(app.test_client(), people)
    made = api.declaration()
    settle()
    return api.get(f"/declarations/{made['id']}/evidence", "merchant").get_json()


@pytest.fixture
def ledger_calls(system, monkeypatch):
    asked = []
    for name in ("batch", "status", "receipt", "accreditation", "head"):
        real = getattr(type(system.ctx.ledger), name)

        def counted(self, *arguments, _real=real, _name=name):
            asked.append(_name)
            return _real(self, *arguments)

        monkeypatch.setattr(type(system.ctx.ledger), name, counted)
    return asked


@pytest.mark.parametrize(("member", "most"), [("records", MOST_RECORDS), ("superseded", MOST_SUPERSEDED)])
def test_too_many_entries_are_refused_before_any_work(asking, bundle, ledger_calls, member, most):
    one = bundle["records"][1] if member == "records" else "a.b.c"
    answer = asking(bundle | {member: [*bundle[member], *[one] * (most + 1)]})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "too-much-work")
    (fault,) = answer.get_json()["errors"]
    assert (fault["field"], str(most) in fault["message"]) == (member, True)
    assert "provenport verify" in answer.get_json()["detail"]
    assert ledger_calls == []
    assert asking(bundle).get_json()["verdict"] == "VALID"
    assert ledger_calls, "the planted case: one that is verified does ask"


CALLS_FOR_A_RECORD = 9
"""Calls of contracts that the verdict on one record makes at most, where no answer to it is kept."""


@pytest.fixture
def chain_calls(system, monkeypatch):
    """The calls of contracts that reach the chain itself."""
    made, real = [], type(system.chain).call
    monkeypatch.setattr(type(system.chain), "call", lambda *given: made.append(given) or real(*given))
    return made


def test_no_body_makes_many_calls_of_contracts(asking, bundle, chain_calls):
    """The very bodies of tests/stress/costly_bundles.py: without a bound, one of 500 records made 2,000 calls."""
    counts, seconds = {}, {}
    for number, (name, body) in enumerate(bodies(bundle)):
        chain_calls.clear()
        began = time.thread_time()
        assert asking(body, f"198.51.100.{number}").status_code in (200, 400, 422)
        counts[name], seconds[name] = len(chain_calls), time.thread_time() - began
    assert len(counts) > 8
    assert max(counts.values()) <= CALLS_FOR_A_RECORD * MOST_RECORDS, counts
    assert max(counts.values()) > MOST_RECORDS, "the planted case: one that is verified does ask"
    without_calls = [seconds[name] for name, count in counts.items() if count < 10]
    assert max(without_calls) < 2, seconds  # of the processor; a tenth of that on an idle one


def test_rates_are_told_and_kept(asking, people):
    first = asking({})
    assert first.headers["RateLimit-Policy"] == '"1";q=600;w=60, "2";q=8192;w=60'
    assert first.headers["RateLimit"].startswith('"1";r=599;t=')
    assert "Retry-After" not in first.headers
    codes = [asking({}).status_code for _ in range(600)]
    assert codes == [422] * 599 + [429]
    told = asking({})
    assert told.get_json()["code"] == "too-many-requests"
    assert 1 <= int(told.headers["Retry-After"]) <= 60
    assert '"1";r=0;t=' in told.headers["RateLimit"]
    assert asking({}, "198.51.100.2").status_code == 422, "another stranger asks as before"
    assert asking({}, headers=people["officer"].bearer).status_code == 422, "and so does whoever is known"


def test_large_bundles_use_up_a_strangers_share(asking):
    body = b'{"a":"' + b"x" * 1_500_000 + b'"}'
    codes = [asking(body).status_code for _ in range(7)]
    assert codes == [422] * 5 + [429] * 2
    assert "8 MiB" in asking(body).get_json()["detail"]


def test_neighbours_in_one_ipv6_network_share(asking):
    for number in range(600):
        asking({}, f"2001:db8::{number + 1:x}")
    assert asking({}, "2001:db8::ffff").status_code == 429
    assert asking({}, "2001:db8:0:1::1").status_code == 422


def test_verification_takes_no_more_than_documented(asking):
    answer = asking(b" " * (security.LARGEST_JSON + 1))
    assert (answer.status_code, answer.get_json()["code"]) == (413, "too-large")
    assert "2 MiB" in answer.get_json()["detail"]


# ---- bodies, before the server reads them

LARGE = str(5 * 1024 * 1024)


@pytest.fixture(scope="module")
def limit(app):
    return security.body_limits(app)


@pytest.fixture(scope="module")
def session_cookie(app, people):
    client = app.test_client()
    page = client.get("/sign-in").text
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    fields = {"csrf_token": token, "email": people["merchant"].email, "password": people["merchant"].password}
    assert client.post("/sign-in", data=fields).status_code == 302
    return f"session={client.get_cookie('session').value}"


@pytest.mark.parametrize("headers", [{}, {"AUTHORIZATION": "Bearer guessed"}, {"COOKIE": "session=forged"}], ids=str)
@pytest.mark.parametrize("path", ["/api/v1/files", "/api/v1/declarations", "/declarations/new", "/nowhere"])
def test_strangers_large_body_is_left_unread(limit, path, headers):
    found = limit("POST", path, {"CONTENT_LENGTH": LARGE, **headers})
    assert found == BodyLimit(security.LARGEST_OF_STRANGERS, "not-signed-in")
    assert limit("POST", path, headers).reason == "not-signed-in", "of unknown length"


def test_known_persons_may_send_their_files(limit, people, session_cookie):
    token = {"AUTHORIZATION": people["merchant"].bearer["Authorization"]}
    assert limit("POST", "/api/v1/files", {"CONTENT_LENGTH": LARGE, **token}) == (security.LARGEST_BODY, "too-large")
    assert limit("POST", "/api/v1/invoices", {"CONTENT_LENGTH": LARGE, **token}).most == security.LARGEST_JSON
    cookie = {"COOKIE": session_cookie}
    assert limit("POST", "/declarations/new", {"CONTENT_LENGTH": LARGE, **cookie}).most == security.LARGEST_BODY


def test_public_interfaces_have_limits_of_their_own(limit):
    assert limit("POST", "/rpc", {"CONTENT_LENGTH": LARGE}) == (64 * 1024, "too-large")
    assert limit("POST", "/api/v1/verify", {"CONTENT_LENGTH": LARGE}) == (2 * 1024 * 1024, "too-large")


@pytest.mark.parametrize(
    ("path", "unread", "status", "code"),
    [
        ("/api/v1/files", BodyLimit(64 * 1024, "not-signed-in"), 401, "not-signed-in"),
        ("/api/v1/verify", BodyLimit(2 * 1024 * 1024), 413, "too-large"),
        ("/rpc", BodyLimit(64 * 1024), 413, "too-large"),
        ("/api/v1/verify", BodyLimit(0, "too-slow"), 408, "too-slow"),
        ("/api/v1/verify", BodyLimit(0, "too-busy"), 503, "too-busy"),
    ],
)
def test_unread_body_is_explained(client, path, unread, status, code):
    answer = client.post(path, headers={"Content-Length": LARGE}, environ_overrides={UNREAD_BODY: unread})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert answer.get_json()["detail"]
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_signed_out_persons_upload_leads_to_sign_in(client):
    unread = {UNREAD_BODY: BodyLimit(64 * 1024, "not-signed-in")}
    answer = client.post("/declarations/new", environ_overrides=unread)
    assert answer.status_code == 302
    assert "/sign-in" in answer.headers["Location"]


def test_file_bound_many_times_is_read_once():
    read = []
    content = b"one file"

    def kept(digest):
        read.append(digest)
        return content

    bound = BoundFiles((("a.pdf", sha256(content).hexdigest()),) * 1000, kept)
    (check,) = attachments(bound)
    assert check.reason == "attachments-intact"
    assert len(read) == 1
