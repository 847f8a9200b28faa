"""Every operation of the published description is called with its own example, and answers what it says there."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import BytesIO
from typing import Any

import jsonschema
import pytest

from backend.domain import sd_jwt
from backend.domain.kinds import CERTIFIED, KINDS, OWN
from backend.domain.kinds.base import A_MOMENT
from backend.services.keys import possession_text
from backend.services.simulations import run_next
from backend.web.api import openapi as examples
from tests.helpers.builders import Api, Key

Description = Mapping[str, Any]
PREFIX = "/api/v1"


def ahead() -> str:
    """A moment tomorrow."""
    return (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


@dataclass
class World:
    """Real things that stand where the examples have ids."""

    api: Api
    system: Any
    settle: Callable[[], None]
    key: Key = field(default_factory=Key)
    """Of the chamber that keeps its key itself."""

    def certificate(self) -> dict[str, str]:
        return {"record_id": self.api.certificate()["id"]}

    def bundle(self) -> dict[str, Any]:
        certificate = self.api.certificate()["id"]
        self.settle()
        given: dict[str, Any] = self.api.get(f"/records/{certificate}/evidence", "merchant").get_json()
        assert set(given) == set(examples.BUNDLE)
        return given

    def invoice(self) -> dict[str, str]:
        made = self.api.invoice()
        self.settle()
        return {"record_id": made["id"]}

    def kept_paper(self) -> dict[str, str]:
        """A certificate that a withdrawn declaration keeps."""
        return {"record_id": self.api.kept_paper()}

    def paper_asked_about(self) -> dict[str, str]:
        paper = self.kept_paper()
        asked = self.api.post(f"/records/{paper['record_id']}/erasure-request", "merchant", {"reason": "a buyer asks"})
        return paper | {"etag": asked.headers["ETag"]}

    def request_sent_back(self) -> dict[str, str]:
        """A request that the chamber sent back."""
        return {"request_id": self.api.request_sent_back(self.system.ctx)}

    def laboratory(self) -> dict[str, str]:
        with self.system.ctx.work(reading=True) as work:
            found = work.persons.find_by_email("laboratory@example.org")
        return {"organisation_id": found.organisation.id}

    def request_waiting(self) -> dict[str, str]:
        """A request that waits for the chamber."""
        return {"request_id": self.api.request_waiting(self.system.ctx)}

    def declaration(self) -> dict[str, str]:
        return {"declaration_id": self.api.declaration([])["id"]}

    def issuer(self) -> dict[str, str]:
        body = {"role": "chamber", "name": "Passing Chamber", "email": f"{self.api.fresh('passing')}@example.org"}
        joined = self.api.post("/organisations", "authority", body).get_json()
        return {"organisation_id": joined["id"], "thumbprint": joined["key"], "token": joined["token"]}

    def office(self) -> dict[str, str]:
        """A customs office that serves no code of the examples yet."""
        body = {
            "role": "officer",
            "name": "Passing Customs Office",
            "email": f"{self.api.fresh('passing')}@example.org",
            "offices": ["CNXAM"],
        }
        return {"organisation_id": self.api.post("/organisations", "authority", body).get_json()["id"]}

    def delegation(self) -> dict[str, str]:
        body = {"office": "CNYIU", "organisation": self.office()["organisation_id"], "until": ahead()}
        return {"delegation_id": self.api.post("/office-delegations", "officer", body).get_json()["id"]}

    def simulation(self) -> dict[str, str]:
        while run_next(self.system.ctx, lambda: False):
            continue
        ordered = self.api.post("/simulations", "analyst", {"scenario": "office", "replications": 1}).get_json()
        return {"simulation_id": ordered["id"]}

    def result(self) -> dict[str, str]:
        ordered = self.simulation()
        while run_next(self.system.ctx, lambda: False):
            continue
        return ordered | {"name": "result.json"}

    @cached_property
    def outside(self) -> str:
        """Lets a chamber join that keeps its key itself; who it is to the interface."""
        joined = self.issuer()
        proof = self.key.sign(possession_text(joined["organisation_id"], self.key.thumbprint.hex()))
        body = {"jwk": self.key.jwk, "proof": sd_jwt.b64(proof)}
        path = f"/issuers/{joined['organisation_id']}"
        assert self.api.post(f"{path}/key-rotation", "authority", body).status_code == 202
        self.settle()
        assert self.api.post(f"{path}/accreditation", "authority", {}).status_code == 202
        self.settle()
        self.api.bearers["outside"] = {"Authorization": f"Bearer {joined['token']}"}
        return "outside"

    def prepared(self) -> dict[str, str]:
        """A signing request and the signature over it."""
        body = deepcopy(examples.BY_SCHEMA["#/components/schemas/SigningRequestInput"])
        body["document"]["certificateNumber"] = self.api.fresh("C")
        asked = self.api.post("/signing-requests", self.outside, body).get_json()
        signature = self.key.sign(sd_jwt.unb64(asked["signingInput"]))
        return {"request_id": asked["id"], "signature": sd_jwt.b64(signature)}


@dataclass(frozen=True)
class Call:
    """Who asks, and what must be there before."""

    who: str | None
    live: Callable[[World], dict[str, str]] = field(default=lambda world: {})
    body: Callable[[World], dict[str, Any]] | None = None
    """What stands for an example that is cut short."""


CALLS = {
    "get /me": Call("merchant"),
    "post /files": Call("merchant"),
    "post /verify": Call(None, body=World.bundle),
    **{f"post /{KINDS[kind].collection}": Call(min(KINDS[kind].signed_by)) for kind in CERTIFIED + OWN},
    **{f"post /{KINDS[kind].collection}:bulk": Call(min(KINDS[kind].signed_by)) for kind in CERTIFIED + OWN},
    "post /declarations:bulk": Call("merchant", World.certificate),
    "get /records/{record_id}": Call("merchant", World.certificate),
    "get /records/{record_id}/evidence": Call("merchant", World.certificate),
    "get /records/{record_id}/presentation": Call("merchant", World.certificate),
    "post /records/{record_id}/revocation": Call("chamber", World.certificate),
    "post /records/{record_id}/erasure": Call("merchant", World.invoice),
    "post /records/{record_id}/erasure-request": Call("merchant", World.kept_paper),
    "post /records/{record_id}/erasure-consent": Call("officer", World.paper_asked_about),
    "get /declarations": Call("officer"),
    # Before the example is lodged: then its reference is used up.
    "post /declarations/pre-check": Call("merchant", World.certificate),
    "post /declarations": Call("merchant", World.certificate),
    "get /declarations/{declaration_id}": Call("merchant", World.declaration),
    "get /declarations/{declaration_id}/evidence": Call("officer", World.declaration),
    "post /declarations/{declaration_id}/decisions": Call("officer", World.declaration),
    "post /declarations/{declaration_id}/arrival": Call("merchant", World.declaration),
    "post /declarations/{declaration_id}/withdrawal": Call("merchant", World.declaration),
    "get /release-times": Call("officer"),
    "get /clearance-events": Call("analyst"),
    "post /organisations": Call("authority"),
    "get /issuers": Call("authority"),
    "get /issuers/{organisation_id}": Call("officer", World.issuer),
    "post /issuers/{organisation_id}/accreditation": Call("authority", World.issuer),
    "post /issuers/{organisation_id}/suspension": Call("authority", World.issuer),
    "post /issuers/{organisation_id}/reinstatement": Call("authority", World.issuer),
    "post /issuers/{organisation_id}/key-rotation": Call("authority", World.issuer),
    "post /keys/{thumbprint}/compromise": Call("authority", World.issuer),
    "get /keys/{thumbprint}/records": Call("authority", World.issuer),
    "post /signing-requests": Call("outside"),
    "post /signing-requests/{request_id}/signature": Call("outside", World.prepared),
    "get /confirmation-requests": Call("merchant"),
    "post /records/{record_id}/replacement": Call("chamber", World.certificate),
    "get /confirmation-requests/{request_id}": Call("merchant", World.request_sent_back),
    "post /confirmation-requests": Call("merchant", World.laboratory),
    "post /confirmation-requests/{request_id}/confirmation": Call("chamber", World.request_waiting),
    "post /confirmation-requests/{request_id}/messages": Call("merchant", World.request_sent_back),
    "post /confirmation-requests/{request_id}/return": Call("chamber", World.request_waiting),
    "post /confirmation-requests/{request_id}/withdrawal": Call("merchant", World.request_sent_back),
    "get /customs-offices": Call("merchant"),
    "get /hs-codes": Call("merchant"),
    "post /customs-offices": Call("authority", World.office),
    "get /office-delegations": Call("officer"),
    "post /office-delegations": Call("officer", World.office),
    "post /office-delegations/{delegation_id}/end": Call("officer", World.delegation),
    "get /simulation-scenarios": Call("analyst"),
    "get /simulations": Call("analyst"),
    "post /simulations": Call("analyst"),
    "get /simulations/{simulation_id}": Call("analyst", World.simulation),
    "post /simulations/{simulation_id}/cancellation": Call("analyst", World.simulation),
    "get /simulations/{simulation_id}/files/{name}": Call("analyst", World.result),
}


@pytest.fixture(scope="module")
def world(app, people, system, settle):
    return World(Api(app.test_client(), people), system, settle)


@pytest.fixture(scope="module")
def description(world):
    return world.api.get("/openapi.json").get_json()


def operations(description: Description) -> dict[str, Mapping[str, Any]]:
    """The operations of the interface by method and path."""
    return {
        f"{method} {path.removeprefix(PREFIX)}": operation
        for path, methods in description["paths"].items()
        if path.startswith(PREFIX)
        for method, operation in methods.items()
        if method != "parameters"
    }


def without_an_example(description: Description) -> list[str]:
    """Operations of which a body, or a part of the path, is described without an example."""
    return [
        name
        for name, operation in operations(description).items()
        if any("example" not in media for media in operation.get("requestBody", {}).get("content", {}).values())
        or any("example" not in one for one in operation["parameters"] if one["in"] == "path")
    ]


def without_a_call(description: Description) -> list[str]:
    """Operations that nobody calls here, and calls of operations that are gone."""
    return sorted(set(operations(description)) ^ set(CALLS))


def real(value: Any, live: Mapping[str, str]) -> Any:
    """An example with real things where it has ids."""
    if isinstance(value, dict):
        return {name: real(one, live) for name, one in value.items()}
    if isinstance(value, list):
        return [real(one, live) for one in value]
    return live.get(value, value) if isinstance(value, str) else value


def standing_for(call: Call, world: World) -> dict[str, str]:
    """What the examples' ids, times and signatures stand for in one call."""
    names = {**examples.PARAMETERS, "signature": examples.SIGNATURE, "etag": examples.ETAG}
    live = {names[name]: value for name, value in call.live(world).items() if name in names}
    return live | {
        examples.A_MOMENT_AHEAD: ahead(),
        A_MOMENT: (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"),
    }


def ask(world: World, name: str, operation: Mapping[str, Any], media_type: str | None) -> Any:
    """Call an operation as its description shows it, with the example of one media type."""
    method, path = name.split()
    call = CALLS[name]
    who = world.outside if call.who == "outside" else call.who
    live = standing_for(call, world)
    examples_of = {one["name"]: real(one["example"], live) for one in operation["parameters"] if "example" in one}
    query = {one["name"] for one in operation["parameters"] if one["in"] == "query"} & set(examples_of)
    headers = {one["name"] for one in operation["parameters"] if one["in"] == "header"} & set(examples_of)
    request: dict[str, Any] = {
        "query_string": {name: examples_of[name] for name in query},
        "headers": {name: examples_of[name] for name in headers},
    }
    if media_type is not None:
        body = real(operation["requestBody"]["content"][media_type]["example"], live)
        if media_type == "application/json":
            request["json"] = call.body(world) if call.body else body
        elif media_type == "multipart/form-data":
            request["data"] = {part: (BytesIO(text.encode()), "a.pdf") for part, text in body.items()}
        elif media_type == "application/x-ndjson":
            lines = [real(json.loads(line), live) for line in body.splitlines()]
            request |= {"data": "\n".join(map(json.dumps, lines)), "content_type": media_type}
        else:
            request |= {"data": body.encode(), "content_type": media_type}
    return world.api.call(method.upper(), path.format(**examples_of), who, **request)


def check(answer: Any, name: str, operation: Mapping[str, Any], description: Description) -> None:
    """That an answer is the success which the description promises, in its media type and form."""
    promised = {status: response for status, response in operation["responses"].items() if status < "400"}
    assert str(answer.status_code) in promised, (name, answer.status, answer.get_data(as_text=True), list(promised))
    content, media_type = promised[str(answer.status_code)]["content"], answer.mimetype
    assert media_type in content, (name, media_type, list(content))
    if media_type == "application/json":
        schema = content[media_type]["schema"] | {"components": description["components"]}
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        assert [fault.message for fault in validator.iter_errors(answer.get_json())] == []
    elif media_type == "application/x-ndjson":
        schema = content[media_type]["x-item-schema"] | {"components": description["components"]}
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        *lines, total = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
        assert [fault.message for line in (*lines, total) for fault in validator.iter_errors(line)] == []
        assert [line["status"] for line in lines] == [201] * total["stored"], lines
        assert total["stored"] > 0


@pytest.mark.parametrize("name", CALLS)
def test_operation_called_with_its_example_answers_as_described(world, description, name):
    operation = operations(description)[name]
    for media_type in operation.get("requestBody", {}).get("content", {None: None}):
        check(ask(world, name, operation, media_type), name, operation, description)


def test_every_operation_has_example_and_call(description):
    assert without_an_example(description) == []
    assert without_a_call(description) == []


def test_examples_are_what_their_schemas_say(description):
    for name, operation in operations(description).items():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = media["schema"] | {"components": description["components"]}
            faults = [fault.message for fault in jsonschema.Draft202012Validator(schema).iter_errors(media["example"])]
            assert faults == [], name


def test_operation_without_example_or_call_is_named():
    operation = {"parameters": [], "requestBody": {"content": {"application/json": {"schema": {}}}}}
    planted = {"paths": {f"{PREFIX}/planted": {"post": operation}}}
    assert without_an_example(planted) == ["post /planted"]
    assert "post /planted" in without_a_call(planted)


def test_answer_that_is_not_described_fails(world, description):
    name = "get /me"
    undescribed = {**operations(description)[name], "responses": {"204": {}}}
    with pytest.raises(AssertionError):
        check(world.api.get("/me", "merchant"), name, undescribed, description)
