"""Who may do what over the interface: every route, every role; a route without an expectation fails."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from backend.domain.kinds import CERTIFIED, ISSUERS, KINDS, OWN
from backend.domain.parties import Role
from backend.services.simulations import run_next
from tests.helpers.builders import (
    FIELDS,
    PDF,
    Api,
    certificate_fields,
    laboratory_of,
    laboratory_order_fields,
    lodgement_fields,
)

ROLES = ("rival", *(role.value for role in Role))
ASKERS = ("nobody", "wrong token", *ROLES)


DIGITS = str.maketrans("abcdef", "123456")


def tomorrow():
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def only(*roles, otherwise=403, done=201):
    return {role: done if role in roles else otherwise for role in ROLES}


everybody = dict.fromkeys(ROLES, 200)
own_record = only("merchant", "chamber", "officer", otherwise=404, done=200)

EXPECTED = {
    **{f"POST /{KINDS[kind].collection}": only(*KINDS[kind].signed_by) for kind in CERTIFIED},
    **{f"POST /{KINDS[kind].collection}": only("merchant", "rival") for kind in OWN},
    **{
        f"POST /{stated.collection}:bulk": only(
            *stated.signed_by, *(["rival"] if Role.MERCHANT in stated.signed_by else []), done=200
        )
        for stated in KINDS.values()
    },
    "POST /records/<record_id>/revocation": only("chamber", otherwise=404),
    "POST /records/<record_id>/replacement": only("chamber", otherwise=404),
    "POST /files": only(*ROLES),
    "POST /declarations": only("merchant", "rival"),
    "POST /declarations/pre-check": only("merchant", "rival", done=200),
    "GET /declarations": everybody,
    "GET /confirmation-requests/<request_id>": only("merchant", "chamber", otherwise=404, done=200),
    "POST /confirmation-requests": only("merchant", "rival"),
    "POST /confirmation-requests/<request_id>/confirmation": only(otherwise=404) | {"chamber": 409},
    "POST /confirmation-requests/<request_id>/messages": only("merchant", "chamber", otherwise=404),
    "POST /confirmation-requests/<request_id>/return": only(otherwise=404) | {"chamber": 409},
    "POST /confirmation-requests/<request_id>/withdrawal": only("merchant", otherwise=404),
    "GET /confirmation-requests": only("merchant", "rival", *ISSUERS, done=200),
    "GET /declarations/<declaration_id>": only("merchant", "officer", otherwise=404, done=200),
    "POST /declarations/<declaration_id>/decisions": only("officer"),
    "POST /declarations/<declaration_id>/arrival": only("merchant", "officer", otherwise=404),
    "POST /declarations/<declaration_id>/withdrawal": only("merchant", otherwise=404) | {"officer": 403},
    "GET /release-times": everybody,
    "GET /clearance-events": only("officer", "analyst", done=200),
    "GET /me": everybody,
    "GET /records/<record_id>": own_record,
    "GET /records/<record_id>/evidence": own_record,
    "GET /declarations/<declaration_id>/evidence": only("merchant", "officer", otherwise=404, done=200),
    "GET /records/<record_id>/presentation": own_record,
    "POST /records/<record_id>/erasure": only(otherwise=404) | {"merchant": 409},
    # A declaration that is not decided yet names it, and nobody has asked.
    "POST /records/<record_id>/erasure-request": only(otherwise=404) | {"merchant": 409},
    "POST /records/<record_id>/erasure-consent": only(otherwise=404)
    | {"merchant": 403, "chamber": 403, "officer": 409},
    "POST /verify": dict.fromkeys(ASKERS, 200),
    "POST /organisations": only("authority"),
    "GET /issuers": only("officer", "authority", done=200),
    "GET /issuers/<organisation_id>": only("officer", "authority", done=200),
    "POST /issuers/<organisation_id>/accreditation": only("authority", done=202),
    "POST /issuers/<organisation_id>/suspension": only("authority", done=202),
    "POST /issuers/<organisation_id>/reinstatement": only("authority", done=202),
    "GET /customs-offices": everybody,
    "GET /hs-codes": everybody,
    "POST /customs-offices": only("authority"),
    "GET /office-delegations": only("officer", "authority", done=200),
    "POST /office-delegations": only("officer", "authority"),
    "POST /office-delegations/<delegation_id>/end": only("officer", "authority"),
    "GET /simulation-scenarios": only("analyst", done=200),
    "POST /simulations": only("analyst"),
    "GET /simulations": only("analyst", done=200),
    "GET /simulations/<simulation_id>": only("analyst", otherwise=404, done=200),
    "POST /simulations/<simulation_id>/cancellation": only("analyst", otherwise=404),
    "GET /simulations/<simulation_id>/files/<name>": only("analyst", otherwise=404, done=200),
    "POST /issuers/<organisation_id>/key-rotation": only("authority", done=202),
    "POST /keys/<thumbprint>/compromise": only("authority", done=202),
    "GET /keys/<thumbprint>/records": only("authority", done=200),
    "POST /signing-requests": only(otherwise=403) | {"chamber": 409},
    "POST /signing-requests/<request_id>/signature": only(otherwise=404),
}
"""The status that each role gets for a well-formed request about the merchant's own things."""


@pytest.fixture(scope="module")
def api(app, people, system):
    api = Api(app.test_client(), people)
    api.ctx = system.ctx
    api.admit_rival()
    listed = api.get("/customs-offices", "merchant").get_json()["offices"]
    api.second = next(one["organisation"] for one in listed if one["office"] == "CNNBO")
    api.bearers["wrong token"] = {"Authorization": "Bearer pp_somebody-elses"}
    return api


@pytest.fixture(scope="module")
def lapsed(api):
    """An organisation that may be suspended and accredited without harm to other tests."""
    body = {"role": "chamber", "name": "Spare Chamber", "email": f"{api.fresh('spare')}@example.org"}
    return api.post("/organisations", "authority", body).get_json()["id"]


def routes(app):
    return {
        f"{method} {rule.rule.removeprefix('/api/v1')}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "openapi.spec"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def test_every_route_has_its_expectation(app):
    assert routes(app) == set(EXPECTED)


def body_for(api, route):
    one = {"record": "x", "entry": {"kind": 1, "quantity": "0"}, "proof": None, "anchor": None}
    bundle = {"format": "provenport-evidence", "version": 1, "records": [one], "superseded": [], "snapshot": None}
    return {
        **{
            f"POST /{KINDS[kind].collection}": lambda kind=kind: FIELDS[kind](
                **{KINDS[kind].number_field: api.fresh("N")}
            )
            for kind in CERTIFIED + OWN
        },
        "POST /records/<record_id>/revocation": lambda: {"reason": "wrong goods"},
        "POST /records/<record_id>/replacement": lambda: {"number": api.fresh("C"), "reason": "lost"},
        "POST /confirmation-requests": lambda: {
            "kind": "inspection-report",
            "issuer": laboratory_of(api.ctx),
            "order": laboratory_order_fields(),
        },
        "POST /confirmation-requests/<request_id>/confirmation": lambda: {"number": api.fresh("C")},
        "POST /confirmation-requests/<request_id>/messages": lambda: {"text": "With pallets?"},
        "POST /confirmation-requests/<request_id>/return": lambda: {"reason": "wrong goods"},
        "POST /declarations": lambda: lodgement_fields(declarationReference=api.fresh("D")),
        "POST /declarations/pre-check": lambda: lodgement_fields(declarationReference=api.fresh("D")),
        "POST /declarations/<declaration_id>/decisions": lambda: {"decision": "examine", "reason": "look"},
        "POST /declarations/<declaration_id>/arrival": lambda: {"arrivedAt": "2026-11-01T00:00:00Z"},
        "POST /verify": lambda: bundle,
        "POST /records/<record_id>/erasure": lambda: {"confirm": "erase for good"},
        "POST /records/<record_id>/erasure-request": lambda: {"reason": "a buyer asks for it"},
        "POST /records/<record_id>/erasure-consent": lambda: {"reason": "not needed"},
        "POST /organisations": lambda: {"role": "merchant", "name": "N", "email": f"{api.fresh('n')}@example.org"},
        "POST /issuers/<organisation_id>/accreditation": dict,
        "POST /issuers/<organisation_id>/suspension": dict,
        "POST /customs-offices": lambda: {"office": api.fresh("")[-4:].translate(DIGITS), "organisation": api.second},
        "POST /office-delegations": lambda: {"office": "CNYIU", "organisation": api.second, "until": tomorrow()},
        "POST /simulations": lambda: {"scenario": "office", "replications": 1},
        "POST /issuers/<organisation_id>/key-rotation": dict,
        "POST /keys/<thumbprint>/compromise": lambda: {"since": "2026-01-01T00:00:00Z"},
        "POST /signing-requests": lambda: {
            "act": "issue",
            "kind": "certificate-of-origin",
            "document": certificate_fields(certificateNumber=api.fresh("C")),
        },
        "POST /signing-requests/<request_id>/signature": lambda: {"signature": "AA"},
    }.get(route, lambda: None)()


def path_for(api, route, lapsed):
    """The route with fresh things of the merchant's own; certificates are named by a declaration."""
    path = route.split()[1]
    if "<record_id>" in path:
        certificate = api.certificate()
        api.declaration([certificate])
        return path.replace("<record_id>", certificate["id"])
    if "<delegation_id>" in path:
        body = {"office": "CNYIU", "organisation": api.second, "until": tomorrow()}
        made = api.post("/office-delegations", "officer", body).get_json()
        return path.replace("<delegation_id>", made["id"])
    if "<declaration_id>" in path:
        return path.replace("<declaration_id>", api.declaration([])["id"])
    if "confirmation-requests" in path and "<" in path:
        return path.replace("<request_id>", api.request_sent_back(api.ctx))
    if "<simulation_id>" in path:
        simulation = api.post("/simulations", "analyst", {"scenario": "office", "replications": 1}).get_json()["id"]
        while "cancellation" not in path and run_next(api.ctx, lambda: False):
            continue
        return path.replace("<simulation_id>", simulation).replace("<name>", "result.json")
    if "<organisation_id>/key-rotation" in path or "<thumbprint>" in path:
        body = {"role": "chamber", "name": "Passing Chamber", "email": f"{api.fresh('passing')}@example.org"}
        joined = api.post("/organisations", "authority", body).get_json()
        return path.replace("<organisation_id>", joined["id"]).replace("<thumbprint>", joined["key"])
    return path.replace("<organisation_id>", lapsed).replace("<request_id>", "00000000-0000-4000-8000-000000000000")


def ask(api, route, path, asker):
    if route == "POST /files":
        return api.post(path, asker, data=PDF, content_type="application/pdf")
    if route == "POST /declarations/<declaration_id>/arrival":
        return api.post(path, asker, {"arrivedAt": datetime.now(UTC).isoformat()})
    if route.endswith(":bulk"):
        line = json.dumps(body_for(api, route.removesuffix(":bulk")))
        answer = api.post(path, asker, data=line, content_type="application/x-ndjson")
        answer.get_data()  # its stream ends before the next one begins
        return answer
    if route.endswith("/presentation"):
        path += "?audience=buyer"
    if route.endswith("/hs-codes"):
        path += "?q=lamp"
    return api.call(route.split()[0], path, asker, json=body_for(api, route))


@pytest.mark.parametrize("route", EXPECTED)
def test_a_route_answers_each_asker_as_it_should(api, lapsed, route):
    path = path_for(api, route, lapsed)
    got = {}
    for asker in ASKERS:
        if EXPECTED[route].get(asker) in (201, 202) and "_id>" in route:
            path = path_for(api, route, lapsed)
        answer = ask(api, route, path, asker)
        got[asker] = answer.status_code
        if answer.status_code >= 400:
            assert answer.content_type == "application/problem+json", (asker, answer.get_data(as_text=True))
    expected = {"nobody": 401, "wrong token": 401} | EXPECTED[route]
    assert got == expected


@pytest.mark.parametrize("route", sorted(route for route in EXPECTED if "_id>" in route))
@pytest.mark.parametrize(
    "made_up", ["nobody", "00000000-0000-4000-8000-000000000000", "' OR 1=1 --", "..", "%00", "🧵"]
)
def test_unknown_id_is_not_found_by_permitted_roles(api, route, made_up):
    who = next((role for role in ROLES if EXPECTED[route][role] in (200, 201, 202)), "chamber")
    path = route.split()[1]
    answer = ask(api, route, path[: path.index("<")] + made_up + path[path.index(">") + 1 :], who)
    assert answer.status_code in (404, 405)
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic bWU6bWU=", "bearer x", "Token x", "Bearer a b", "Bearer " + "x" * 5000,
     "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvZmZpY2VyIn0.", "Bearer null", "Bearer é"],
)  # fmt: skip
def test_no_other_form_of_token_opens_the_door(api, header):
    answer = api.get("/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.get_json()["code"] == "not-signed-in"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_session_cookie_does_not_open_the_api(app, people):
    """Only bearer tokens count, so a forged form of another site cannot act through a cookie."""
    client = app.test_client()
    somebody = people["merchant"]
    with client.session_transaction() as session:
        session["_user_id"] = somebody.email
    assert client.get("/api/v1/me").status_code == 401


def test_lists_hold_ones_own_only(api):
    mine = api.declaration([])["id"]
    theirs = api.post("/declarations", "rival", lodgement_fields(declarationReference=api.fresh("D"))).get_json()["id"]

    def seen(who):
        return {one["id"] for one in api.get("/declarations?limit=200", who).get_json()["declarations"]}

    assert mine in seen("merchant")
    assert theirs not in seen("merchant")
    assert seen("rival") == {theirs} or (theirs in seen("rival") and mine not in seen("rival"))
    assert {mine, theirs} <= seen("officer")
    for who in ("chamber", "laboratory", "authority"):
        assert not seen(who)


def test_a_cursor_tells_nothing_about_others(api):
    mine = api.declaration([])["id"]
    answers = [api.get(f"/declarations?after={after}", "rival") for after in (mine, "nobody")]
    assert answers[0].status_code == answers[1].status_code


def test_a_merchants_study_is_of_its_own_goods(api):
    clocks = api.get("/release-times", "rival").get_json()
    assert clocks["lodgementToRelease"]["count"] == 0
    assert api.get("/release-times", "officer").get_json()["lodgementToRelease"]["count"] > 0


def test_officer_cannot_read_papers_outside_any_declaration(api):
    loose = api.certificate()["id"]
    assert api.get(f"/records/{loose}", "officer").status_code == 404
    assert api.get(f"/records/{api.invoice()['id']}", "officer").status_code == 404


def test_a_rival_cannot_rely_on_anothers_papers(api):
    theirs = api.certificate()["id"]
    fields = lodgement_fields(declarationReference=api.fresh("D"), records=[theirs])
    answer = api.post("/declarations", "rival", fields)
    assert answer.status_code == 422
    nothing = api.post("/declarations", "rival", fields | {"records": ["nobody"]})
    told, of_nothing = ({**one.get_json(), "requestId": ""} for one in (answer, nothing))
    assert told == of_nothing  # no telling whether it exists
