"""Bad input against the really started server: a clear 4xx, and nothing stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.helpers.postgres import as_it_lies
from tests.journeys.conftest import Server
from tests.journeys.papers import a_certificate, a_declaration


def _rows(server: Server) -> dict[str, int]:
    tables = ("record", "consignment", "stored_file", "decision", "organisation", "person")
    with as_it_lies(server.folder) as database:
        return {table: database.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables}


@pytest.fixture(autouse=True)
def nothing_is_stored(server: Server, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here leaves the tables as they were."""
    before = _rows(server)
    yield
    if "stores" not in request.keywords:
        assert _rows(server) == before


def _refused(response: Any, *statuses: int) -> Any:
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    assert response.headers["Content-Type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["title"]
    assert problem["status"] == response.status_code
    return problem


def test_a_200_mb_upload_is_refused_in_words(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(200 * 1024 * 1024)
    headers = {"Content-Type": "application/pdf"}
    with path.open("rb") as file:
        problem = _refused(server.call("POST", "/files", "merchant", data=file, headers=headers), 413)
    assert problem["code"] == "too-large"


def test_a_text_file_named_pdf_is_refused(server: Server) -> None:
    files = {"file": ("certificate.pdf", b"just text", "application/pdf")}
    problem = _refused(server.call("POST", "/files", "merchant", files=files), 422)
    assert problem["errors"][0]["field"] == "file"


@pytest.mark.parametrize(
    "body",
    [
        "[" * 5000 + "]" * 5000,
        '{"hsCode": "940521", "hsCode": "610910"}',
        '{"quantity": NaN}',
        '{"quantity": 1e999}',
        '{"quantity": 123456789012345678901234567890}',
        '{"description": "\\ud800"}',
        '{"description": ',
        "",
        b"\xff\xfe\x00",
    ],
    ids=["deep", "duplicate key", "NaN", "infinite", "long integer", "surrogate", "cut short", "empty", "not UTF-8"],
)
def test_hostile_json_is_refused_before_it_is_read(server: Server, body: str | bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem = _refused(server.call("POST", "/certificates-of-origin", "chamber", data=body, headers=headers), 400)
    assert problem["code"] == "malformed-json"
    assert problem["detail"]


def test_missing_and_wrong_fields_are_each_named(server: Server) -> None:
    certificate = a_certificate("DemoUser", quantity="many", hsCode="12", originCountry="China", surprise=1)
    del certificate["originCriteria"]
    problem = _refused(server.call("POST", "/certificates-of-origin", "chamber", json=certificate), 422)
    fields = {error["field"] for error in problem["errors"]}
    assert {"quantity", "hsCode", "originCountry", "originCriteria", "surprise"} <= fields


@pytest.mark.stores
def test_idempotency_key_reused_for_another_body_is_refused(server: Server) -> None:
    """With the same body it brings the first answer again; neither stores anything more."""
    headers = {"Idempotency-Key": "order-1"}
    body = a_certificate(server.people["merchant"].organisation)
    first = server.call("POST", "/certificates-of-origin", "chamber", json=body, headers=headers)
    stored = _rows(server)
    again = server.call("POST", "/certificates-of-origin", "chamber", json=body, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (201, first.json())
    other = {**body, "quantity": "2000"}
    problem = _refused(server.call("POST", "/certificates-of-origin", "chamber", json=other, headers=headers), 422)
    assert problem["code"] == "idempotency-key-reused"
    assert _rows(server) == stored


@pytest.mark.stores
def test_another_merchants_things_do_not_exist(server: Server) -> None:
    other = server.post(
        "/organisations", "authority", {"role": "merchant", "name": "Other Merchant", "email": "other@example.org"}
    )
    bearer = {"Authorization": f"Bearer {other['token']}"}
    mine = server.post("/declarations", "merchant", a_declaration([]))["id"]
    stored = _rows(server)
    for path in (f"/declarations/{mine}", f"/records/{mine}", f"/records/{mine}/evidence"):
        assert _refused(server.call("GET", path, headers=bearer), 404)["code"] == "not-found"
    _refused(server.call("POST", f"/declarations/{mine}/withdrawal", headers=bearer), 404)
    named = server.get("/declarations", "officer")["declarations"]
    assert server.call("GET", "/declarations", headers=bearer).json()["declarations"] == []
    assert mine in {declaration["id"] for declaration in named}
    certificate = server.post(
        "/certificates-of-origin", "chamber", a_certificate(server.people["merchant"].organisation)
    )
    body = a_declaration([certificate["id"]])
    problem = _refused(server.call("POST", "/declarations", json=body, headers=bearer), 422)
    assert problem["errors"][0]["field"] == "records.0"
    assert _rows(server) == {**stored, "record": stored["record"] + 1}
