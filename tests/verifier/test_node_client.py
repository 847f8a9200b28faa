"""What a node does wrong is "cannot tell" with its reason, for the product and for the page, and never a verdict."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from eth_utils.crypto import keccak

from backend.adapters import node_client
from backend.adapters.node_client import Node, facts_by_node
from backend.domain import bundle as bundles
from backend.domain import bundle_verification, snapshot, strict_json
from backend.domain.trust import Trust
from backend.services.bundles import trust_of
from backend.services.ports import NodeRefused
from contracts import load
from tests.helpers.builders import Api, certificate_fields
from tests.verifier.verifiers import (
    PAGE,
    Question,
    by_page,
    by_product,
    by_program,
    changed_page,
    node,
)

DAY = timedelta(days=1)
Rule = Callable[[str, list[Any], Any], Any]


@dataclass(frozen=True)
class Raw:
    """Bytes to answer as they are, with this status."""

    content: bytes
    status: int = 200


class Hang(Exception):
    """Answer nothing at all."""


@contextmanager
def serving(system, rule: Rule = lambda method, params, result: result) -> Iterator[str]:
    """The embedded chain at a URL, as a node that misbehaves by this rule."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self._answer(Raw(b"", 204))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                result = rule(asked["method"], asked["params"], self._result(asked))
            except Hang:
                released.wait(20)
                return
            except NodeRefused as refusal:
                error = {"code": refusal.code, "message": str(refusal)}
                result = Raw(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode())
            if not isinstance(result, Raw):
                result = Raw(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode())
            self._answer(result)

        def _result(self, asked: Any) -> Any:
            if asked["method"] == "provenport_trust":
                return trust_of(system.ctx, "the node").as_json()
            return system.node(asked["method"], asked["params"])

        def _answer(self, raw: Raw) -> None:
            self.send_response(raw.status)
            self.send_header("Content-Length", str(len(raw.content)))
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(raw.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def content(api, settle):
    """A certificate's bundle."""
    made = api.certificate()
    api.invoice()
    settle()
    return api.get(f"/records/{made['id']}/evidence", "merchant").get_data()


@pytest.fixture(scope="module")
def trust(system):
    return trust_of(system.ctx, "Operator")


def ask(url, content, trust=None, moment=None, max_age=DAY, seconds=5.0):
    """The verdict, and the reasons of the checks that are not passed."""
    bundle = bundles.read(strict_json.loads(content))
    moment = moment or datetime.now(UTC)
    source = facts_by_node(bundle, Node(url, seconds), trust or Trust(), moment, max_age)
    found = bundle_verification.verdict_on(bundle, source, moment)
    return found.conclusion.value, [c.reason for c in found.checks if c.outcome.value in ("fail", "indeterminate")]


def test_the_constants_are_those_of_the_contracts():
    """So are those in the HTML file, which cannot compute them."""
    page = PAGE.read_text(encoding="utf-8")
    for contract, function, stated in (
        ("TraceLedger", "instanceId()", node_client.INSTANCE_ID),
        ("TraceLedger", "batchOf(bytes32)", node_client.BATCH_OF),
        ("TraceLedger", "statusOf(bytes32,uint256)", node_client.STATUS_OF),
        ("Accreditation", "accreditationOf(bytes32)", node_client.ACCREDITATION_OF),
        ("Accreditation", "accreditationAt(bytes32,uint40)", node_client.ACCREDITATION_AT),
        ("Accreditation", "termsOfSignature(bytes32,uint40,uint40)", node_client.TERMS_OF_SIGNATURE),
        ("Revocations", "revocationOf(bytes32)", node_client.REVOCATION_OF),
    ):
        name, _, types = function.rstrip(")").partition("(")
        found = [f for f in load(contract).abi if f.get("name") == name and f["type"] == "function"]
        assert [",".join(i["type"] for i in f["inputs"]) for f in found] == [types]
        assert keccak(text=function)[:4].hex() == stated
        assert f'"{stated}"' in page
    assert "0x" + keccak(text="BatchAnchored(bytes32,address,uint32,uint32)").hex() == node_client.BATCH_ANCHORED
    assert f'"{node_client.BATCH_ANCHORED}"' in page


def test_a_node_of_ours_confirms_a_record(system, content):
    with serving(system) as url:
        assert ask(url, content) == ("VALID", [])


def test_any_node_confirms_a_trusted_ledger(system, content, trust):
    """The reader's trust is in the ledger, not in the node."""
    with serving(system, foreign) as url:
        assert ask(url, content, trust) == ("VALID", [])
        assert ask(url, content)[0] == "INDETERMINATE"


def foreign(method, params, result):
    if method == "provenport_trust":
        raise NodeRefused(-32601, "no such method")
    return result


def changing(method_changed, change):
    return lambda method, params, result: change(result) if method == method_changed else result


def failing(selector, message):
    """A view that fails, in the node's own words."""

    def rule(method, params, result):
        if method == "eth_call" and params[0]["data"].startswith(f"0x{selector}"):
            raise NodeRefused(3, message)
        return result

    return rule


def calls(selector, answer):
    """Another answer to one of the views."""
    return lambda method, params, result: (
        answer if method == "eth_call" and params[0]["data"].startswith(f"0x{selector}") else result
    )


def in_words(*values):
    """An answer of 32-byte words."""
    return "0x" + "".join(f"{value:064x}" for value in values)


def hang(method, params, result):
    raise Hang


def hang_later(method, params, result):
    if method == "eth_call":
        raise Hang
    return result


def reorganised_while_asked():
    seen = []

    def rule(method, params, result):
        if method == "eth_getBlockByNumber" and result:
            seen.append(params)
            if len(seen) > 1 and params[0] == result["number"] and len(seen) % 2:
                return {**result, "hash": "0x" + "ab" * 32}
        return result

    return rule


def without_the_batch(**changes):
    """The chain was reorganised: the root is gone."""

    def rule(method, params, result):
        if method == "eth_call" and params[0]["data"].startswith(f"0x{node_client.BATCH_OF}"):
            return "0x" + "00" * 224
        return changes[method](result) if method in changes else result

    return rule


def without_its_log(receipt):
    return receipt and {**receipt, "logs": []}


def always_block_zero(method, params, result):
    """A head of tomorrow makes the reader look for the block of now; every one that it asks for has the number 0."""
    if method != "eth_getBlockByNumber" or not result:
        return result
    if params[0] == "latest":
        return {**result, "number": "0xffff", "timestamp": hex(int(result["timestamp"], 16) + 86400)}
    return {**result, "number": "0x0"}


def with_status(status, *methods):
    def rule(method, params, result):
        told = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        return Raw(told, status) if not methods or method in methods else result

    return rule


def with_an_address_in_a_list(receipt):
    return receipt and {**receipt, "logs": [{**log, "address": [log["address"]]} for log in receipt["logs"]]}


NOT_READ = "ledger-unavailable"
FAULTS: dict[str, tuple[Rule, str]] = {
    "HTML instead of JSON": (lambda *_: Raw(b"<html>Bad gateway</html>", 200), NOT_READ),
    "an error page": (lambda *_: Raw(b"<html>Bad gateway</html>", 502), NOT_READ),
    "too many requests": (lambda *_: Raw(b'{"error":{"code":-32005,"message":"slow down"}}', 429), NOT_READ),
    "half an answer": (lambda *_: Raw(b'{"jsonrpc":"2.0","id":1,"resu'), NOT_READ),
    "nothing": (lambda *_: Raw(b""), NOT_READ),
    "another request's answer": (lambda *_: Raw(b'{"jsonrpc":"2.0","id":7,"result":"0x1"}'), NOT_READ),
    "no JSON-RPC": (lambda *_: Raw(b"[]"), NOT_READ),
    "an id that is true": (lambda *_: Raw(b'{"jsonrpc":"2.0","id":true,"result":"0x1"}'), NOT_READ),
    "an id with a point": (lambda *_: Raw(b'{"jsonrpc":"2.0","id":1.0,"result":"0x1"}'), NOT_READ),
    "an error without words": (lambda *_: Raw(b'{"jsonrpc":"2.0","id":1,"error":{"message":{}}}'), NOT_READ),
    "an answer beside an error of its own": (with_status(500), NOT_READ),
    "too long an answer": (lambda *_: Raw(b'"' + b" " * 5_000_000 + b'"'), NOT_READ),
    "blocks that nobody asked for": (always_block_zero, NOT_READ),
    "its own trust refused": (with_status(404, "provenport_trust"), "ledger-unknown"),
    "an address in a list": (changing("eth_getTransactionReceipt", with_an_address_in_a_list), "anchor-mismatch"),
    "a redirect": (lambda *_: Raw(b"", 307), NOT_READ),
    "another chain": (changing("eth_chainId", lambda _: "0x1"), "chain-mismatch"),
    "a chain that is no number": (changing("eth_chainId", lambda _: "one"), NOT_READ),
    "a chain in Python's digits": (changing("eth_chainId", lambda chain: f"{chain[:3]}_{chain[3:]}"), NOT_READ),
    "a chain of more digits than doubles hold": (changing("eth_chainId", lambda chain: chain + "0" * 12), NOT_READ),
    "words with spaces between": (calls(node_client.INSTANCE_ID, "0x" + "01 " * 21 + "0"), NOT_READ),
    "another deployment": (calls(node_client.INSTANCE_ID, "0x" + "01" * 32), "deployment-mismatch"),
    "no contract there": (calls(node_client.INSTANCE_ID, "0x"), "deployment-mismatch"),
    "a ledger that nobody names": (foreign, "ledger-unknown"),
    "an old head": (
        changing("eth_getBlockByNumber", lambda b: {**b, "timestamp": hex(int(b["timestamp"], 16) - 2 * 86400)}),
        "node-stale",
    ),
    "no head": (changing("eth_getBlockByNumber", lambda _: None), NOT_READ),
    "a batch of another form": (calls(node_client.BATCH_OF, "0x" + "00" * 32), NOT_READ),
    "a status that is none": (calls(node_client.STATUS_OF, "0x" + "00" * 31 + "0e"), "status-unknown"),
    "an accreditation of another form": (calls(node_client.ACCREDITATION_OF, "0xzz"), NOT_READ),
    "past terms of another form": (calls(node_client.TERMS_OF_SIGNATURE, "0xzz"), NOT_READ),
    "past terms withheld": (failing(node_client.TERMS_OF_SIGNATURE, "too many requests"), NOT_READ),
    "a revocation of another form": (calls(node_client.REVOCATION_OF, "0xzz"), NOT_READ),
    "no contract for revocations there": (calls(node_client.REVOCATION_OF, "0x"), "deployment-mismatch"),
    "no receipt": (changing("eth_getTransactionReceipt", lambda _: None), "not-final"),
    "a receipt of something else": (changing("eth_getTransactionReceipt", without_its_log), "anchor-mismatch"),
    "a receipt of a block that is gone": (
        changing("eth_getTransactionReceipt", lambda r: {**r, "blockHash": "0x" + "ab" * 32}),
        "chain-reorganised",
    ),
    "a reorganisation meanwhile": (reorganised_while_asked(), "chain-reorganised"),
    "a root that is gone, its transaction waiting": (
        without_the_batch(eth_getTransactionReceipt=lambda _: None),
        "anchor-missing",
    ),
    "a root that is gone with its block": (
        without_the_batch(
            eth_getTransactionReceipt=lambda _: None,
            eth_getTransactionByHash=lambda _: None,
            eth_getBlockByNumber=lambda b: {**b, "timestamp": hex(int(b["timestamp"], 16) - 1)},
        ),
        "anchor-missing",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_node_never_makes_valid_or_invalid(system, content, fault):
    rule, reason = FAULTS[fault]
    with serving(system, rule) as url:
        verdict, reasons = ask(url, content)
    assert (verdict, reason in reasons) == ("INDETERMINATE", True), reasons


@pytest.mark.parametrize("rule", [hang, hang_later], ids=["at once", "later"])
def test_a_node_that_hangs_is_given_up(system, content, rule):
    with serving(system, rule) as url:
        assert ask(url, content, seconds=0.5)[0] == "INDETERMINATE"


@pytest.mark.parametrize("dribble", [b"X-More: 1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["headers", "continue"])
def test_dribbling_node_is_given_up_in_time(content, dribble):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                if dribble.startswith(b"X"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(600):
                    connection.sendall(dribble)
                    time.sleep(0.05)

        threading.Thread(target=answer, daemon=True).start()
        began = time.monotonic()
        verdict, reasons = ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", content, seconds=0.5)
    assert (verdict, reasons[0]) == ("INDETERMINATE", NOT_READ)
    assert time.monotonic() - began < 10, "it would have dribbled for half a minute"


def test_a_node_that_is_not_there_is_told(content):
    verdict, reasons = ask("http://127.0.0.1:9/", content)
    assert (verdict, reasons[0]) == ("INDETERMINATE", NOT_READ)


def test_root_a_settled_ledger_lacks_is_forged(system, content):
    """Unless somebody trusted saw it there: then the chain was reorganised or put back."""
    rule = without_the_batch(eth_getTransactionReceipt=lambda _: None, eth_getTransactionByHash=lambda _: None)
    own = json.loads(content)
    own["snapshot"] = None
    with serving(system, rule) as url:
        assert ask(url, json.dumps(own).encode())[0] == "INVALID"
        assert ask(url, content, trust_of(system.ctx, "Operator"))[0] == "INDETERMINATE"


def test_a_revoked_record_is_invalid(system, api, settle):
    made = api.certificate()
    settle()
    content = api.get(f"/records/{made['id']}/evidence", "merchant").get_data()
    before = datetime.now(UTC)
    api.post(f"/records/{made['id']}/revocation", "chamber", {"reason": "wrong goods"})
    settle()
    with serving(system) as url:
        assert ask(url, content) == ("INVALID", ["revoked"])
        assert ask(url, content, moment=before - timedelta(hours=2))[0] != "VALID"


def narrowed_since(api, settle):
    """A certificate's bundle whose chamber was accredited for other chapters after it was recorded."""
    body = {"role": "chamber", "name": "Narrowed Chamber", "email": f"{api.fresh('narrowed')}@example.org"}
    joined = api.post("/organisations", "authority", body).get_json()
    terms = {"validFrom": "2026-01-01T00:00:00Z"}
    api.post(f"/issuers/{joined['id']}/accreditation", "authority", terms)
    settle()
    api.bearers["narrowed"] = {"Authorization": f"Bearer {joined['token']}"}
    fields = certificate_fields(certificateNumber=api.fresh("N"))
    made = api.post("/certificates-of-origin", "narrowed", fields).get_json()
    settle()
    api.post(f"/issuers/{joined['id']}/accreditation", "authority", {"chapters": [61]})
    settle()
    return api.get(f"/records/{made['id']}/evidence", "narrowed").get_data()


def test_node_tells_terms_of_the_past(system, api, settle):
    """The issuer's present terms do not cover the goods; those that the ledger held when it signed do."""
    content = narrowed_since(api, settle)
    reading = snapshot.read(json.loads(content)["snapshot"]).snapshot.readings[0]
    assert not reading.accreditation.covers_chapter(94)
    assert reading.accreditation_at_issue.covers_chapter(94)
    with serving(system) as url:
        assert ask(url, content) == ("VALID", [])
        if node() is not None:
            question = Question(content, Trust(), datetime.now(UTC), rpc=url)
            assert next(by_page([question])).verdict == "VALID"
    for by in (by_product, by_program):
        assert by(Question(content, trust_of(system.ctx, "Operator"), datetime.now(UTC))).verdict == "VALID"


def test_contract_of_earlier_version_is_still_read(system, api, settle):
    """It has no answer about a signature: what it held at the times in question is asked instead."""
    content = narrowed_since(api, settle)
    with serving(system, failing(node_client.TERMS_OF_SIGNATURE, "execution reverted")) as url:
        assert ask(url, content) == ("VALID", [])
        if node() is not None:
            question = Question(content, Trust(), datetime.now(UTC), rpc=url)
            assert next(by_page([question])).verdict == "VALID"


def test_altered_snapshot_is_reported_despite_the_node(system, content):
    changed = json.loads(content)
    changed["snapshot"] = changed["snapshot"][:-4] + "AAAA"
    with serving(system) as url:
        assert ask(url, json.dumps(changed).encode()) == ("INDETERMINATE", ["snapshot-altered"])


@pytest.mark.skipif(node() is None, reason="there is no Node.js here: make verifiers-check brings one")
@pytest.mark.slow
def test_page_asking_a_node_concludes_the_same(system, content, tmp_path):
    page = changed_page(tmp_path, [("const TIMEOUT = 10_000", "const TIMEOUT = 1_000")])
    question = Question(content, Trust(), datetime.now(UTC))
    sound: dict[str, tuple[Rule, str]] = {
        "none": (lambda m, p, result: result, "ledger-consulted"),
        "hangs": (hang, NOT_READ),
    }
    for fault, (rule, reason) in (sound | FAULTS).items():
        if fault == "a reorganisation meanwhile":
            rule = reorganised_while_asked()
        with serving(system, rule) as url:
            ((verdict, checks, _),) = by_page([replace(question, rpc=url)], page)
        assert verdict == ("VALID" if fault == "none" else "INDETERMINATE"), (fault, checks)
        assert reason in {check[2] for check in checks}, (fault, checks)
