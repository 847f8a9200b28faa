"""No id, name or text may hold U+0000: PostgreSQL cannot even be asked for it, and SQLite need not."""

import json

import pytest

from tests.helpers.builders import Api, invoice_fields


def addresses(app):
    """Every route that takes something from its path, with ``%00`` in each place, by the method it takes."""
    for rule in app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            for name in rule.arguments:
                filled = dict.fromkeys(rule.arguments, "x") | {name: "a\0b"}
                path = rule.rule
                for other, value in filled.items():
                    place = next(part for part in path.split("<")[1:] if part.split(">")[0].split(":")[-1] == other)
                    path = path.replace(f"<{place.split('>')[0]}>", value.replace("\0", "%00"))
                yield method, path


def test_id_with_nul_is_found_nowhere(app, people):
    asked = sorted(set(addresses(app)))
    assert len(asked) > 60
    clients = {role: app.test_client() for role in (None, *people)}
    answers = {
        (method, path, role): client.open(path, method=method, headers=people[role].bearer if role else {}).status_code
        for method, path in asked
        for role, client in clients.items()
        if role in (None, "merchant", "officer", "authority")
    }
    assert {key: status for key, status in answers.items() if status != 404} == {}
    assert clients[None].get("/api/v1/records/x", headers=people["merchant"].bearer).status_code == 404
    assert clients[None].get("/api/v1/records/x").status_code == 401, "without U+0000 the usual order stands"


@pytest.mark.parametrize("path", ["/api/v1/records?after=%00", "/api/v1/declarations?after=a%00b&limit=2"])
def test_query_with_nul_is_not_found(client, people, path):
    assert client.get(path, headers=people["merchant"].bearer).status_code == 404


@pytest.mark.parametrize("where", ["a text", "a name", "deep inside"])
def test_json_with_nul_is_refused(client, people, where):
    body = invoice_fields()
    match where:
        case "a text":
            body["invoiceNumber"] = "a\0b"
        case "a name":
            body["a\0b"] = "x"
        case _:
            body["items"][0]["description"] = "a\0b"
    headers = people["merchant"].bearer | {"Content-Type": "application/json"}
    answer = client.post("/api/v1/invoices", data=json.dumps(body), headers=headers)
    assert answer.status_code == 422, answer.get_data(as_text=True)
    assert answer.mimetype == "application/problem+json"


def test_backslash_before_u0000_is_text(app, people):
    """Six characters that only look like it."""
    api = Api(app.test_client(), people)
    fields = invoice_fields(invoiceNumber=api.fresh("N") + "\\u0000")
    assert api.post("/invoices", "merchant", fields).status_code == 201


def test_form_with_nul_is_refused_too(app, people):
    """Forms pass no JSON: there the store refuses it where it cannot keep it."""
    client = app.test_client()
    answer = client.post("/sign-in", data={"email": "a\0b@example.org", "password": "x" * 12})
    assert answer.status_code < 500
