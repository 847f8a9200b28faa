"""Of two who change the same thing one wins; the other is told who, what, when and why, and nothing of it is done."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from backend.messages.catalogue import gettext
from tests.helpers.builders import Api
from tests.helpers.forms import fill, read_page

EXAMINE = {"decision": "examine", "reason": "Carton 3 is open"}
DETAIN = {"decision": "detain", "reason": "Seal is broken"}
ASK = {"decision": "documents-required", "reason": "Send the invoice"}


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@dataclass(frozen=True)
class Change:
    """A change that rests on a version: of what, by whom, and what somebody else does before it."""

    thing: Callable[[Api], str]
    reader: str
    act: str
    body: Mapping[str, Any] | None
    earlier: tuple[str, str, Mapping[str, Any] | None]
    """(who, act, body)"""
    what: str
    why: str | None = None


def declaration(api: Api) -> str:
    return f"/declarations/{api.declaration([])['id']}"


def certificate(api: Api) -> str:
    return f"/records/{api.certificate()['id']}"


def kept_paper(api: Api) -> str:
    return f"/records/{api.kept_paper()}"


def paper_asked_about(api: Api) -> str:
    path = kept_paper(api)
    assert api.post(f"{path}/erasure-request", "merchant", {"reason": "a buyer asks"}).status_code == 201
    return path


def issuer(api: Api) -> str:
    body = {"role": "chamber", "name": "Passing Chamber", "email": f"{api.fresh('passing')}@example.org"}
    return f"/issuers/{api.post('/organisations', 'authority', body).get_json()['id']}"


CHANGES = {
    "decision": Change(declaration, "officer", "decisions", EXAMINE, ("officer", "decisions", DETAIN), "detained"),
    "withdrawal": Change(
        declaration, "merchant", "withdrawal", None, ("officer", "decisions", ASK), "documents-required"
    ),
    "decision after withdrawal": Change(
        declaration, "officer", "decisions", EXAMINE, ("merchant", "withdrawal", None), "withdrawn"
    ),
    "revocation": Change(
        certificate, "chamber", "revocation", {"reason": "a"}, ("chamber", "revocation", {"reason": "b"}), "REVOKED"
    ),
    "erasure request": Change(
        kept_paper,
        "merchant",
        "erasure-request",
        {"reason": "a"},
        ("chamber", "revocation", {"reason": "b"}),
        "REVOKED",
    ),
    "erasure consent": Change(
        paper_asked_about,
        "officer",
        "erasure-consent",
        {"reason": "a"},
        ("officer", "erasure-consent", {"reason": "b"}),
        "erasure-agreed",
    ),
    "accreditation": Change(
        issuer, "authority", "accreditation", {"chapters": [94]}, ("authority", "accreditation", {}), "accredit"
    ),
    "suspension": Change(issuer, "authority", "suspension", {}, ("authority", "accreditation", {}), "accredit"),
    "reinstatement": Change(issuer, "authority", "reinstatement", None, ("authority", "suspension", {}), "suspend"),
}


def tag_of(api: Api, path: str, who: str) -> str:
    answer = api.get(path, who)
    assert answer.headers["ETag"] == f'"{answer.get_json()["version"]}"'
    return str(answer.headers["ETag"])


def send(api: Api, path: str, who: str, act: str, body: Any, tag: str, **headers: str) -> Any:
    return api.post(f"{path}/{act}", who, body, headers={"If-Match": tag, **headers})


@pytest.fixture(params=CHANGES)
def change(request):
    return CHANGES[request.param]


def reader_of(change: Change) -> str:
    return "authority" if change.thing is issuer else change.reader


def test_change_on_version_read_earlier_is_refused(api, change):
    path = change.thing(api)
    tag = tag_of(api, path, reader_of(change))
    who, act, body = change.earlier
    assert send(api, path, who, act, body, tag).status_code in (201, 202)
    answer = send(api, path, change.reader, change.act, change.body, tag)
    assert (answer.status_code, answer.content_type) == (412, "application/problem+json")
    told = answer.get_json()
    assert told["code"] == "stale-version"
    assert [one["what"] for one in told["changes"]] == [change.what]
    (one,) = told["changes"]
    assert one["by"] == api.get("/me", who).get_json()["organisation"]
    assert one["at"]
    assert body is None or "reason" not in body or one["why"] == body["reason"]
    assert one["sentence"] in told["detail"]
    assert answer.headers["ETag"] == tag_of(api, path, reader_of(change)) == f'"{told["currentVersion"]}"'


def test_change_without_version_is_refused(api, change):
    path = change.thing(api)
    before = tag_of(api, path, reader_of(change))
    for sent in ("", "*"):
        answer = send(api, path, change.reader, change.act, change.body, sent)
        assert (answer.status_code, answer.get_json()["code"]) == (428, "version-required")
    assert tag_of(api, path, reader_of(change)) == before


def test_change_on_present_version_is_taken(api, change):
    path = change.thing(api)
    tag = tag_of(api, path, reader_of(change))
    answer = send(api, path, change.reader, change.act, change.body, f"W/{tag}")
    assert answer.status_code in (201, 202)
    assert tag_of(api, path, reader_of(change)) != tag


@pytest.mark.parametrize("tag", ['"0"', '"99"', '"abc"', '"-1"', '"1.0"', '"' + "9" * 40 + '"', "1,", '"٣"'])
def test_unknown_version_is_never_the_present_one(api, tag):
    answer = send(api, declaration(api), "officer", "decisions", EXAMINE, tag)
    assert answer.status_code == (201 if tag == "1," else 412)


def test_several_versions_at_once_are_refused(api):
    answer = send(api, declaration(api), "officer", "decisions", EXAMINE, '"1", "2"')
    assert answer.status_code == 422


def test_repeated_decision_gets_its_first_answer(api):
    """The version that it rested on is an earlier one by then, because of itself."""
    path, key = declaration(api), {"Idempotency-Key": api.fresh("K")}
    answers = [send(api, path, "officer", "decisions", EXAMINE, '"1"', **key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json()["id"] == answers[1].get_json()["id"]


def test_loser_is_told_in_own_language(api):
    path = declaration(api)
    send(api, path, "officer", "decisions", DETAIN, '"1"')
    answer = send(api, path, "officer", "decisions", EXAMINE, '"1"', **{"Accept-Language": "zh"})
    told = answer.get_json()
    assert gettext("Goods detained", "zh") in told["detail"]
    assert DETAIN["reason"] in told["detail"]
    assert "Goods detained" not in told["detail"]


def test_colleague_is_named_to_own_office_only(api, people):
    path = declaration(api)
    send(api, path, "officer", "decisions", ASK, '"1"')
    for who, expected in (("officer", people["officer"].email), ("merchant", None)):
        act, body = ("decisions", EXAMINE) if who == "officer" else ("withdrawal", None)
        (one,) = send(api, path, who, act, body, '"1"').get_json()["changes"]
        assert one.get("person") == expected


def test_arrival_reported_meanwhile_makes_decision_stale(api):
    path = declaration(api)
    assert api.post(f"{path}/arrival", "merchant", {"arrivedAt": "2026-01-05T08:00:00Z"}).status_code == 201
    (one,) = send(api, path, "officer", "decisions", EXAMINE, '"1"').get_json()["changes"]
    assert one["what"] == "arrived"


def test_threads_racing_on_one_version_have_one_winner(app, people):
    """Two officers, two threads, one barrier, forty times: one 201, one 412 that tells the other's decision."""
    api, winners = Api(app.test_client(), people), Counter()
    for number in range(40):
        path, start = declaration(api), threading.Barrier(2)
        bodies = [DETAIN, {"decision": "release", "reason": "In order", "acceptIndeterminate": True}]

        def decide(body, path=path, start=start):
            own = Api(app.test_client(), people)
            start.wait(timeout=30)
            return send(own, path, "officer", "decisions", body, '"1"')

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(decide, bodies[:: 1 if number % 2 else -1]))
        assert sorted(answer.status_code for answer in answers) == [201, 412], [a.get_json() for a in answers]
        won = next(answer.get_json() for answer in answers if answer.status_code == 201)
        (told,) = next(answer.get_json() for answer in answers if answer.status_code == 412)["changes"]
        assert told["why"] == won["reason"]
        taken = api.get(path, "officer").get_json()
        assert [one["id"] for one in taken["decisions"]] == [won["id"]]
        winners[won["decision"]] += 1
    assert sum(winners.values()) == 40


# On the pages


@pytest.fixture(scope="module")
def browser(app, people):
    @cache  # An account may sign in ten times a minute.
    def sign_in(role, language="en"):
        client = app.test_client()
        client.set_cookie("language", language)
        page = read_page(client.get("/sign-in").text)
        form = next(one for one in page.forms if any(control.type == "password" for control in one.controls))
        typed = {"email": people[role].email, "password": people[role].password}
        assert client.post("/sign-in", data=dict(fill(form, page, own=typed))).status_code == 302
        return client

    return sign_in


@dataclass(frozen=True)
class PageChange:
    """A form that rests on a version: its page, where it leads, and the API's change that goes before it."""

    change: str
    role: str
    page: str
    form: str


PAGES = [
    PageChange("decision", "officer", "/desk/{id}", "/decide"),
    PageChange("withdrawal", "merchant", "/declarations/{id}", "/withdraw"),
    PageChange("revocation", "chamber", "/records/{id}", "/revoke"),
    PageChange("erasure request", "merchant", "/records/{id}/erase", "/erasure-request"),
    PageChange("erasure consent", "officer", "/records/{id}", "/erasure-consent"),
    PageChange("accreditation", "authority", "/accreditations", "/{id}/accredit"),
    PageChange("suspension", "authority", "/accreditations", "/{id}/suspend"),
    PageChange("reinstatement", "authority", "/accreditations", "/{id}/reinstate"),
]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", PAGES, ids=[case.change for case in PAGES])
def test_form_sent_too_late_shows_the_other_act(api, browser, settle, system, case, language):
    change = CHANGES[case.change]
    path = change.thing(api)
    thing = path.rsplit("/", 1)[1]
    earlier = change.earlier
    if case.change in ("suspension", "reinstatement"):
        assert api.post(f"{path}/accreditation", "authority", {}).status_code == 202
        if case.change == "reinstatement":
            settle()
            assert api.post(f"{path}/suspension", "authority", {}).status_code == 202
        settle()
    client, page_path = browser(case.role, language), case.page.format(id=thing)
    page = read_page(client.get(page_path).text)
    form = next(one for one in page.forms if one.action.endswith(case.form.format(id=thing)))
    who, act, body = earlier
    assert api.post(f"{path}/{act}", who, body).status_code in (201, 202)
    sent = dict(fill(form, page))
    answer = client.post(form.action, data=sent)
    assert answer.status_code == 412
    assert "notice-bad" in answer.text
    if body and "reason" in body:
        assert body["reason"] in answer.text
    with system.ctx.work(reading=True) as work:
        other = work.organisations.find_by_name(api.get("/me", who).get_json()["organisation"])
    assert (other.local_name if language == "zh" and other.local_name else other.name) in answer.text
    fresh = next((one for one in read_page(answer.text).forms if one.action == form.action), None)
    if case.change == "decision":
        assert fresh is not None
        assert [one for one in fresh.controls if one.name == "decision" and one.is_on] == [], "it is to be made anew"
        assert next(one.value for one in fresh.controls if one.name == "reason") == sent["reason"]
        assert client.post(form.action, data=dict(fill(fresh, page))).status_code == 302


def test_form_without_its_version_is_refused(api, browser):
    path = declaration(api).replace("/declarations", "/desk")
    client = browser("officer")
    page = read_page(client.get(path).text)
    form = next(one for one in page.forms if one.action.endswith("/decide"))
    sent = {name: value for name, value in fill(form, page) if name != "version"}
    assert client.post(form.action, data=sent).status_code == 428
