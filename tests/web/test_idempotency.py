"""What is sent twice under one Idempotency-Key is done once, whatever is asked for: derived from the description."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from time import monotonic, sleep
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.domain.parties import ApiToken
from backend.runtime.app import create_app, running
from backend.services.anchoring import is_under_way
from backend.services.idempotency import KEPT_FOR
from backend.store.tables import metadata
from tests.conftest import copied, people_in
from tests.helpers.builders import PDF, Api, invoice_fields
from tests.helpers.postgres import stored_bytes
from tests.web import test_every_operation as derived

AT_ONCE = 4
POSTS = [name for name, call in derived.CALLS.items() if name.startswith("post ") and call.who is not None]
"""Strangers have nothing that could be written: what they may post is verified, and written nowhere."""
WRITTEN = (
    "record",
    "consignment",
    "decision",
    "organisation",
    "person",
    "api_token",
    "signing_key",
    "stored_file",
    "accreditation_change",
    "status_change",
    "simulation",
    "signing_request",
    "request",
)
"""Tables that requests write to, and the worker adds nothing to."""
TOLD = ("Content-Type", "Location", "ETag")


class Held(Api):
    """Sends what is needed before, and holds back the operation itself."""

    def call(self, method: str, path: str, who: str | None = None, **request: Any) -> Any:
        self.request = method, path, who, request
        if isinstance(request.get("data"), dict):
            request["data"] = {part: (file.read(), name) for part, (file, name) in request["data"].items()}

    def post(self, path: str, who: str | None = None, body: Any = None, **request: Any) -> Any:
        return super().call("POST", path, who, **({"json": body} if body is not None else {}), **request)

    def get(self, path: str, who: str | None = None, **request: Any) -> Any:
        return super().call("GET", path, who, **request)


@dataclass
class Installation:
    """An installation that no other test has written to, since examples can be sent only once."""

    system: Any
    app: Any
    world: derived.World
    description: Any

    def send(self, key: str | None) -> Any:
        """Send what is held back, as a program of its own."""
        method, path, who, request = self.world.api.request
        api = Api(self.app.test_client(), {})
        api.bearers = self.world.api.bearers
        again = dict(request)
        if isinstance(request.get("data"), dict):
            again["data"] = {part: (BytesIO(content), name) for part, (content, name) in request["data"].items()}
        keyed = {"Idempotency-Key": key} if key is not None else {}
        answer = api.call(method, path, who, **again | {"headers": {**request.get("headers", {}), **keyed}})
        answer.get_data()  # an answer that is streamed belongs to the thread that asked
        return answer

    def hold(self, name: str, media_type: str | None) -> None:
        """Make ready an operation's documented example."""
        derived.ask(self.world, name, derived.operations(self.description)[name], media_type)

    def media_types(self, name: str) -> list[str | None]:
        return list(derived.operations(self.description)[name].get("requestBody", {}).get("content", {None: None}))

    def rows(self) -> dict[str, int]:
        with self.system.ctx.work(reading=True) as work:
            counted = {name: select(func.count()).select_from(metadata.tables[name]) for name in WRITTEN}
            return {name: work._session.execute(query).scalar_one() for name, query in counted.items()}


@pytest.fixture(scope="module")
def installation(tmp_path_factory, demonstration, system):
    with running(copied(demonstration, tmp_path_factory.mktemp("own") / "data")) as opened:
        opened.ctx = replace(opened.ctx, simulator=system.ctx.simulator)
        with opened.working(jobs=False):
            app = create_app(opened)
            held = Held(app.test_client(), people_in(opened.folder.path))
            description = held.get("/openapi.json").get_json()
            yield Installation(opened, app, derived.World(held, opened, lambda: settled(opened)), description)


def settled(system):
    """Wait until the worker has brought everything to the ledger."""
    deadline = monotonic() + 30
    while is_under_way(system.ctx):
        assert monotonic() < deadline, "not everything became final in 30 seconds"
        sleep(0.05)


def told(answer):
    """All of an answer that whoever asks goes by."""
    return answer.status_code, {name: answer.headers.get(name) for name in TOLD}, answer.get_data(as_text=True)


def without_key(description):
    """Operations that write, and do not say that they take an Idempotency-Key."""
    return [
        name
        for name, operation in derived.operations(description).items()
        if name.startswith("post ") and not any(one["name"] == "Idempotency-Key" for one in operation["parameters"])
    ]


def test_every_post_declares_its_key(installation):
    assert without_key(installation.description) == []
    declared = derived.operations(installation.description)["post /files"]["parameters"]
    (key,) = [one for one in declared if one["name"] == "Idempotency-Key"]
    assert f"{KEPT_FOR.days} days" in key["description"]


def test_operation_without_key_is_named():
    planted = {"paths": {f"{derived.PREFIX}/planted": {"post": {"parameters": []}, "get": {"parameters": []}}}}
    assert without_key(planted) == ["post /planted"]


@pytest.mark.parametrize("name", POSTS)
def test_same_requests_at_once_get_one_answer(installation, name):
    """Sent by several at once, and once more later: one of them does it, all are told the same."""
    for media_type in installation.media_types(name):
        installation.hold(name, media_type)
        key, before = installation.world.api.fresh("once"), installation.rows()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = [told(answer) for answer in pool.map(installation.send, [key] * AT_ONCE)]
        answers.append(told(installation.send(key)))
        assert answers[0][0] < 300, answers[0]
        assert answers == [answers[0]] * (AT_ONCE + 1)
        grown = {table: count - before[table] for table, count in installation.rows().items()}
        assert max(grown.values()) <= 1, grown


def test_verification_writes_nothing_under_key(installation):
    installation.hold("post /verify", "application/json")
    key, before = installation.world.api.fresh("once"), installation.rows()
    first, second = installation.send(key).get_json(), installation.send(key).get_json()
    assert first["verdict"] == second["verdict"]
    assert installation.rows() == before


def test_withdrawal_without_key_is_refused_twice(installation):
    """What the test above would see of an operation that took no key."""
    installation.hold("post /declarations/{declaration_id}/withdrawal", None)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(installation.send, [None] * AT_ONCE))
    assert statuses == [201, *[412] * (AT_ONCE - 1)]


def test_version_of_decision_is_told_again(installation):
    installation.hold("post /declarations/{declaration_id}/decisions", "application/json")
    key = installation.world.api.fresh("once")
    first, again = installation.send(key), installation.send(key)
    assert first.headers["ETag"]
    assert told(again) == told(first)


def test_refusal_leaves_its_key_unused(installation):
    api, key = installation.world.api, {"Idempotency-Key": installation.world.api.fresh("k")}
    wrong = invoice_fields(invoiceNumber=api.fresh("I"), lines="none")
    assert api.post("/invoices", "merchant", wrong, headers=key).status_code == 422
    right = invoice_fields(invoiceNumber=api.fresh("I"))
    assert api.post("/invoices", "merchant", right, headers=key).status_code == 201


def test_key_of_another_person_is_another(installation):
    api, key = installation.world.api, {"Idempotency-Key": installation.world.api.fresh("k")}
    ours = api.post("/files", "merchant", data=PDF, content_type="application/pdf", headers=key)
    theirs = api.post("/files", "chamber", data=PDF + b"\n", content_type="application/pdf", headers=key)
    assert (ours.status_code, theirs.status_code) == (201, 201)
    assert ours.get_json() != theirs.get_json()


def test_answer_with_secrets_lies_encrypted(installation):
    body = {
        "role": "merchant",
        "name": "Secretive Trading",
        "email": f"{installation.world.api.fresh('s')}@example.org",
    }
    key = {"Idempotency-Key": installation.world.api.fresh("k")}
    joined = installation.world.api.post("/organisations", "authority", body, headers=key).get_json()
    lying = stored_bytes(installation.system.folder.path, "provenport.sqlite*")
    assert b"Secretive Trading" in lying
    assert joined["token"].encode() not in lying
    assert joined["password"].encode() not in lying
    again = installation.world.api.post("/organisations", "authority", body, headers=key).get_json()
    assert again == joined
    with installation.system.ctx.work(reading=True) as work:
        assert work.persons.by_secret(ApiToken, joined["token"]) is not None
