"""The chain that anybody may read, and the figures for whoever watches over the system."""

import secrets
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest
from web3 import Web3
from web3.exceptions import ContractCustomError

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger import Deployment, EvmLedger
from backend.domain.errors import ForeignLedger, LedgerUnavailable, StorageUnavailable
from backend.services.audit import audit
from backend.services.ports import AdmissionLimits, NodeAgreement, ServiceSettings
from contracts import load
from tests.helpers.builders import Api, invoice_fields
from tests.helpers.nodes import binary
from tests.web.test_pages import signed_in  # noqa: F401 - a fixture


def rpc(client, method, *params):
    return client.post("/rpc", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}).json


@pytest.fixture(scope="module")
def web3(rpc_url):
    return Web3(Web3.HTTPProvider(rpc_url))


@pytest.fixture(scope="module")
def deployment(system):
    return Deployment.read(system.folder.deployment)


@pytest.fixture(scope="module")
def anchoring(system, settle):
    settle()
    return next(iter(system.ctx.ledger.anchorings()))


def test_web3_reads_the_chain(web3, system, deployment, anchoring):
    assert web3.eth.chain_id == deployment.chain_id
    assert web3.eth.block_number == system.chain.head().number
    block = web3.eth.get_block(anchoring.block_number, full_transactions=True)
    assert bytes(block["hash"]) == anchoring.block_hash
    assert anchoring.transaction_hash in [bytes(transaction["hash"]) for transaction in block["transactions"]]
    assert web3.eth.get_block(block["hash"])["number"] == anchoring.block_number
    assert web3.eth.get_code(deployment.ledger).hex() != ""
    assert int.from_bytes(web3.eth.get_storage_at(deployment.ledger, 0), "big") >= 0
    assert web3.client_version.startswith("Provenport/")
    assert web3.net.version == str(deployment.chain_id)


def test_web3_reads_transactions_receipts_and_events(web3, deployment, anchoring):
    receipt = web3.eth.get_transaction_receipt(anchoring.transaction_hash)
    transaction = web3.eth.get_transaction(anchoring.transaction_hash)
    assert (receipt["status"], receipt["to"]) == (1, deployment.ledger)
    assert receipt["from"] == transaction["from"] == anchoring.anchorer
    assert web3.eth.get_transaction_count(transaction["from"]) > transaction["nonce"]
    assert web3.eth.get_balance(transaction["from"]) > 0
    contract = web3.eth.contract(address=deployment.ledger, abi=load("TraceLedger").abi)
    (event,) = contract.events.BatchAnchored().process_receipt(receipt)
    assert bytes(event["args"]["batchKey"]) == anchoring.batch_key
    found = contract.events.BatchAnchored.get_logs(from_block=anchoring.block_number, to_block=anchoring.block_number)
    assert anchoring.batch_key in [bytes(one["args"]["batchKey"]) for one in found]


def test_web3_calls_our_contract_and_reads_its_errors(web3, deployment, anchoring):
    contract = web3.eth.contract(address=deployment.ledger, abi=load("TraceLedger").abi)
    assert bytes(contract.functions.instanceId().call()) == deployment.instance_id
    assert contract.functions.batchOf(anchoring.batch_key).call()[0] > 0
    with pytest.raises(ContractCustomError):
        contract.functions.anchor(secrets.token_bytes(32), 0, 0, 0, 1).call()


def test_nothing_can_be_sent(web3):
    for method in ("eth_sendRawTransaction", "eth_sendTransaction", "evm_mine", "eth_accounts"):
        assert "not offered" in web3.provider.make_request(method, [])["error"]["message"]


def test_our_own_adapter_audits_over_it(rpc_url, system, deployment, settle, anchoring):
    """Without the key of any account."""
    settle()
    ledger = EvmLedger(JsonRpcChain(rpc_url), deployment, {"anchorer": SimpleNamespace(address=anchoring.anchorer)})
    found = audit(replace(system.ctx, ledger=ledger))
    assert found.batches == found.batches_on_ledger > 0
    assert [str(one) for one in found.discrepancies] == []


@pytest.mark.anvil
@pytest.mark.skipif(binary("cast") is None, reason="cast is not installed: make anvil-check installs it")
def test_cast_reads_the_chain(rpc_url, deployment, anchoring):
    def cast(*arguments):
        command = [binary("cast"), *arguments, "--rpc-url", rpc_url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    assert cast("chain-id") == str(deployment.chain_id)
    assert cast("call", deployment.ledger, "instanceId()(bytes32)") == "0x" + deployment.instance_id.hex()
    receipt = cast("receipt", "0x" + anchoring.transaction_hash.hex())
    assert str(anchoring.block_number) in receipt
    assert "success" in receipt
    assert "0x" + anchoring.block_hash.hex() in cast("block", str(anchoring.block_number))


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_nothing", [], -32601),
        ("eth_call", [], -32602),
        ("eth_call", [{"data": "0x60005260206000f3"}], -32602),
        ("eth_getBalance", ["0x12"], -32602),
        ("eth_getBalance", [{}], -32602),
        ("eth_getBlockByNumber", ["latest", False, 1, 2, 3], -32602),
        ("eth_getTransactionReceipt", ["0x00"], -32602),
        ("eth_getStorageAt", ["0x" + "11" * 20, "zz"], -32602),
        ("eth_getBalance", ["0x" + "11" * 20, "0xffffffff"], -32000),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "0x0", "topics": [[1]]}], -32602),
    ],
)
def test_wrong_questions_get_a_nodes_error(client, method, params, code):
    answer = rpc(client, method, *params)
    assert (answer["error"]["code"], answer["id"]) == (code, 7)


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("eth_getBlockByNumber", [1, False], "0x10 for 16"),
        ("eth_getBlockByNumber", ["16", False], "0x10 for 16"),
        ("eth_getBlockByNumber", [True, False], "0x10 for 16"),
        ("eth_getBlockByNumber", [{"blockNumber": 1}, False], "0x10 for 16"),
        ("eth_getStorageAt", ["0x" + "11" * 20, 0], "0x10 for 16"),
        ("eth_getLogs", [{"fromBlock": 0, "toBlock": "latest"}], "0x10 for 16"),
        ("eth_getLogs", [5], "an object is expected"),
        ("eth_getLogs", [{"topics": 5}], "a list is expected"),
        ("eth_call", ["0x"], "an object is expected"),
        ("eth_call", [{"to": "0x" + "11" * 20, "gas": 21000}], "0x10 for 16"),
        *(("eth_call", [{"to": "0x" + "11" * 20, name: 5}], "0x10 for 16") for name in ("value", "gasPrice", "nonce")),
        ("eth_getBalance", [1], "40 hexadecimal digits"),
        ("eth_getBalance", [], "takes other ones"),
        ("eth_getTransactionByHash", ["0xzz"], "two hexadecimal digits"),
    ],
)
def test_wrong_parameters_are_named_plainly(client, method, params, said):
    error = rpc(client, method, *params)["error"]
    assert error["code"] == -32602
    assert said in error["message"]


def test_null_is_a_member_left_out(client):
    """Clients write null for what they do not give."""
    every = dict.fromkeys(("fromBlock", "toBlock", "blockHash", "address", "topics"))
    assert rpc(client, "eth_getLogs", every)["result"] == rpc(client, "eth_getLogs", {})["result"]
    call = {"to": "0x" + "11" * 20, "from": None, "gas": None, "value": None, "data": None, "input": None}
    assert rpc(client, "eth_call", call)["result"] == "0x"


def test_notifications_are_not_answered(client):
    """JSON-RPC 2.0, section 4.1: not even with an error; a batch of them alone gets nothing at all."""
    one = {"jsonrpc": "2.0", "method": "eth_chainId"}
    for sent in (one, one | {"method": "eth_nothing"}, one | {"params": {}}, [one, one]):
        answer = client.post("/rpc", json=sent)
        assert (answer.status_code, answer.data) == (204, b"")
    mixed = client.post("/rpc", json=[one, one | {"id": 3}, one | {"id": None}]).json
    assert [(answer["id"], "result" in answer) for answer in mixed] == [(3, True), (None, True)]


NO_REQUESTS = [
    ({"id": 1}, None),
    (5, None),
    ({"id": {}, "method": "eth_chainId"}, None),
    ({"id": True, "method": "x"}, None),
    ({"id": 1, "method": "eth_chainId"}, 1),
    ({"id": 1, "method": "eth_chainId", "jsonrpc": "1.0"}, 1),
    ({"id": 1, "method": "eth_chainId", "jsonrpc": "2.0", "params": "0x1"}, 1),
    ({"id": 1, "method": "eth_chainId", "jsonrpc": "2.0", "params": None}, 1),
]
"""What is sent, and the id that it is answered with."""


@pytest.mark.parametrize("switch", ["false", 1, "0x0", []])
def test_block_switch_is_true_or_false(client, switch):
    first = rpc(client, "eth_getBlockByNumber", "0x0", False)["result"]["hash"]
    for method, block in (("eth_getBlockByNumber", "0x0"), ("eth_getBlockByHash", first)):
        assert rpc(client, method, block, switch)["error"]["code"] == -32602


@pytest.mark.parametrize(("sent", "number"), NO_REQUESTS)
def test_what_is_no_request_is_refused(client, sent, number):
    answer = client.post("/rpc", json=sent).json
    assert (answer["error"]["code"], answer["id"]) == (-32600, number)


def test_what_is_not_there_is_null(client):
    assert rpc(client, "eth_getBlockByNumber", "0xffffff", False)["result"] is None
    assert rpc(client, "eth_getBlockByHash", "0x" + "11" * 32, False)["result"] is None
    assert rpc(client, "eth_getTransactionReceipt", "0x" + "11" * 32)["result"] is None
    assert rpc(client, "eth_getTransactionByHash", "0x" + "11" * 32)["result"] is None


def test_a_call_that_never_ends_is_cut_short(client):
    forever = "0x" + "11" * 20
    assert rpc(client, "eth_call", {"to": forever, "data": "0x", "gas": hex(10**12)}, "latest")["result"] == "0x"


def test_batches_are_answered_up_to_twenty(client):
    one = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    answers = client.post("/rpc", json=[one | {"id": number} for number in range(20)]).json
    assert [answer["id"] for answer in answers] == list(range(20))
    assert client.post("/rpc", json=[one] * 21).json["error"]["code"] == -32600
    assert client.post("/rpc", json=[]).json["error"]["code"] == -32600
    assert client.post("/rpc", json=[7]).json[0]["error"]["code"] == -32600


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 10_000, b"\xff", b"7", b'{"method": 7}', b'{"id": 1, "method": "x", "params": {}}']
)
def test_nonsense_is_answered_by_an_error(client, body):
    assert "error" in client.post("/rpc", data=body, content_type="application/json").json


def test_large_requests_are_refused(client):
    assert client.post("/rpc", data=b" " * 70_000, content_type="application/json").status_code == 413


# ---- figures


def test_healthz_tells_proof_states_and_affordable_transactions(client, settle):
    settle()
    answer = client.get("/healthz")
    assert answer.status_code == 200
    checks = answer.json["checks"]
    assert checks["anchoring"]["proofs"] == {}
    assert checks["anchoring"]["quarantined"] == 0
    assert checks["ledger"]["transactionsLeft"]["anchorer"] == 1_000_000


def test_metrics_are_for_prometheus(client, settle):
    settle()
    text = client.get("/metrics").get_data(as_text=True)
    assert 'provenport_records{state="submitted"} 0.0' in text
    assert "provenport_ledger_up 1.0" in text
    assert "provenport_oldest_unanchored_seconds 0.0" in text
    assert 'provenport_transactions_left{account="anchorer"} 1e+06' in text


def test_another_chain_is_told_with_the_choices(client, system, monkeypatch):
    def foreign(self):
        raise ForeignLedger("the node is on chain 1, not 131277322940537")

    monkeypatch.setattr(EvmLedger, "head", foreign)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    told = answer.json["checks"]["ledger"]
    assert told["error"] == "foreign-ledger"
    assert any("chain deploy --again" in choice for choice in told["choices"])
    assert "provenport_ledger_foreign 1.0" in client.get("/metrics").get_data(as_text=True)


@pytest.fixture
def without_database(app):
    """The application while its database is away."""

    class Away:
        def __call__(self, *, reading=False):
            raise StorageUnavailable("the database could not be written or read: {why}", why="away")

        def run(self, use_case):
            return use_case()

    ctx, instance = app.extensions["provenport"]
    app.extensions["provenport"] = (replace(ctx, work=Away()), instance)
    yield
    app.extensions["provenport"] = (ctx, instance)


def test_process_is_ready_with_its_database(client, monkeypatch):
    def silent(self):
        raise LedgerUnavailable("it does not answer")

    monkeypatch.setattr(EvmLedger, "head", silent)
    assert client.get("/readyz").json["status"] == "ready"
    assert client.get("/healthz").status_code == 503


def test_several_nodes_are_told_of(app, client, monkeypatch):
    ctx, instance = app.extensions["provenport"]
    assert "nodes" not in client.get("/readyz").json
    of_nodes = replace(instance, ledger_nodes=lambda: NodeAgreement(2, 3, 4))
    monkeypatch.setitem(app.extensions, "provenport", (ctx, of_nodes))
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["nodes"]) == (200, {"agreeing": 2, "needed": 3, "all": 4})
    assert client.get("/healthz").json["checks"]["ledger"]["nodes"]["agreeing"] == 2
    assert "provenport_ledger_nodes_agreeing 2.0" in client.get("/metrics").get_data(as_text=True)


@pytest.mark.parametrize("path", ["/readyz", "/api/v1/me", "/healthz"])
def test_program_is_told_that_the_database_is_away(client, people, without_database, path):
    answer = client.get(path, headers=people["merchant"].bearer)
    assert answer.status_code == 503
    if path != "/healthz":
        assert (answer.mimetype, answer.json["code"]) == ("application/problem+json", "storage-unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_person_is_told_that_the_database_is_away(request):
    browser = request.getfixturevalue("signed_in")("merchant")
    assert browser.client.get("/records").status_code == 200
    request.getfixturevalue("without_database")
    answer = browser.client.get("/records")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "Nothing was half done; try again shortly." in answer.get_data(as_text=True)


@pytest.mark.parametrize("limits", [{"most_waiting": 0}, {"least_free_bytes": 2**62}], ids=["queue", "disk"])
def test_healthz_is_not_ok_while_intake_is_refused(client, app, system, people, limits):
    settings = ServiceSettings(admission=AdmissionLimits(**limits))
    ctx, instance = app.extensions["provenport"]
    app.extensions["provenport"] = (replace(ctx, settings=settings), instance)
    try:
        assert Api(client, people).post("/invoices", "merchant", invoice_fields()).status_code == 429
        answer = client.get("/healthz")
        assert "provenport_intake_open 0.0" in client.get("/metrics").get_data(as_text=True)
    finally:
        app.extensions["provenport"] = (ctx, instance)
    assert (answer.status_code, answer.json["status"]) == (503, "failing")
    assert answer.json["checks"]["intake"]["error"] == "too-much-waiting"
    assert client.get("/healthz").json["checks"]["intake"]["ok"] is True
