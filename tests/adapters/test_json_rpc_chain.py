"""A node that lies, hangs or talks nonsense: nothing is known then, and nothing is guessed."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from eth_utils.crypto import keccak

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger.chain import CallReverted, ChainUnavailable, TransactionRejected
from backend.domain.errors import message_of
from backend.messages.catalogue import say

RAW = b"\x02\xc0"
HASH = "0x" + keccak(RAW).hex()
WORD = "0x" + "11" * 32
BLOCK = {"number": "0x1", "hash": WORD, "parentHash": WORD, "timestamp": "0x6", "baseFeePerGas": "0x7"}
RECEIPT = {
    "transactionHash": WORD,
    "blockNumber": "0x1",
    "blockHash": WORD,
    "status": "0x1",
    "gasUsed": "0x5208",
    "logs": [],
}


class Node:
    """Answers by method: a value, an error as a dict in a tuple, or raw bytes."""

    def __init__(self):
        self.answers = {"eth_getBlockByNumber": BLOCK, "eth_getTransactionByHash": None}
        self.asked = []
        self.status = 200

    def respond(self, request):
        self.asked.append(request["method"])
        answer = self.answers.get(request["method"])
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, bytes):
            return answer
        body = {"jsonrpc": "2.0", "id": request["id"]}
        return json.dumps(body | ({"error": answer[0]} if isinstance(answer, tuple) else {"result": answer})).encode()


@pytest.fixture
def node():
    fake = Node()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = fake.respond(request)
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}/v3/a-secret-key"
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def chain(node):
    return JsonRpcChain(node.url, timeout_seconds=0.5)


QUESTIONS = {
    "chain_id": lambda chain: chain.chain_id(),
    "head": lambda chain: chain.head(),
    "block": lambda chain: chain.block(1),
    "call": lambda chain: chain.call("0x" + "11" * 20, b""),
    "transaction_count": lambda chain: chain.transaction_count("0x" + "11" * 20),
    "send_raw": lambda chain: chain.send_raw(RAW),
    "receipt": lambda chain: chain.receipt(bytes.fromhex("11" * 32)),
    "balance": lambda chain: chain.balance("0x" + "11" * 20),
    "price": lambda chain: chain.price(),
    "logs": lambda chain: chain.logs(0, 1, "0x" + "11" * 20),
}
NONSENSE = [b"<html>502 Bad Gateway</html>", b"", b"[]", b"7", b'{"jsonrpc":"2.0"}', b"[" * 100_000, b"\xff\xfe"]
NONSENSE += [b'{"jsonrpc":"2.0","id":999999,"result":"0x1"}']


@pytest.mark.parametrize("question", QUESTIONS)
def test_nonsense_is_no_answer(node, chain, question):
    for nonsense in NONSENSE:
        node.answers = dict.fromkeys(ALL_METHODS, nonsense)
        with pytest.raises(ChainUnavailable) as unavailable:
            QUESTIONS[question](chain)
        assert "secret" not in str(unavailable.value)


ALL_METHODS = [
    "eth_call",
    "eth_chainId",
    "eth_getBalance",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_sendRawTransaction",
]


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"block", "receipt"}))
@pytest.mark.parametrize("value", [None, 7, "7", "0xzz", [], {}, "0x" + "1" * 200, True])
def test_an_answer_of_another_type_is_no_answer(node, chain, question, value):
    if (question, value) in (("logs", []), ("call", "0x" + "1" * 200)):
        pytest.skip("that is a right answer")
    node.answers = dict.fromkeys(ALL_METHODS, value)
    with pytest.raises(ChainUnavailable):
        QUESTIONS[question](chain)


def test_an_error_object_is_no_answer(node, chain):
    for question in QUESTIONS.values():
        node.answers = {method: ({"code": -32005, "message": "limit exceeded"},) for method in ALL_METHODS}
        with pytest.raises(ChainUnavailable):
            question(chain)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_troubled_status_is_no_answer(node, chain, status):
    node.status = status
    node.answers["eth_chainId"] = "0x1"
    with pytest.raises(ChainUnavailable):
        chain.chain_id()


def test_a_node_that_hangs_is_given_up(node, chain):
    node.answers["eth_chainId"] = lambda request: time.sleep(12) or "0x1"
    started = time.monotonic()
    with pytest.raises(ChainUnavailable):
        chain.chain_id()
    assert time.monotonic() - started < 10


def test_a_node_that_trickles_is_given_up():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Trickle) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(ChainUnavailable):
            JsonRpcChain(f"http://127.0.0.1:{server.server_port}", timeout_seconds=0.5).chain_id()
        assert time.monotonic() - started < 10
        server.shutdown()


class _Trickle(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(120):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def log_message(self, *_):
        pass


def test_a_node_that_is_not_there_is_unavailable():
    with pytest.raises(ChainUnavailable):
        JsonRpcChain("http://127.0.0.1:9", timeout_seconds=0.5).chain_id()


def test_missing_block_and_receipt_are_none(node, chain):
    node.answers |= {"eth_getBlockByNumber": None, "eth_getTransactionReceipt": None}
    assert chain.block(5) is None
    assert chain.receipt(b"\1" * 32) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "0x2"},
        {"status": None},
        {"transactionHash": "0x" + "22" * 32},
        {"gasUsed": None},
        {"logs": None},
        {"logs": [{}]},
        {"blockNumber": "0x3"},
    ],
)
def test_unfitting_receipt_makes_the_chain_unavailable(node, chain, change):
    node.answers["eth_getTransactionReceipt"] = RECEIPT | change
    with pytest.raises(ChainUnavailable):
        chain.receipt(bytes.fromhex("11" * 32))


@pytest.mark.parametrize("change", [{"blockHash": "0x" + "22" * 32}, {"blockHash": None}])
def test_a_receipt_from_another_branch_does_not_count(node, chain, change):
    node.answers["eth_getTransactionReceipt"] = RECEIPT | change
    assert chain.receipt(bytes.fromhex("11" * 32)) is None


def test_node_naming_another_transaction_is_not_believed(node, chain):
    node.answers["eth_sendRawTransaction"] = WORD
    with pytest.raises(ChainUnavailable):
        chain.send_raw(RAW)


@pytest.mark.parametrize("words", ["already known", "known transaction: 11", "ALREADY_EXISTS: already known"])
def test_what_the_node_knows_already_was_sent(node, chain, words):
    node.answers["eth_sendRawTransaction"] = ({"code": -32000, "message": words},)
    chain.send_raw(RAW)


def test_resending_mined_transaction_succeeds_despite_nodes_error(node, chain):
    node.answers["eth_sendRawTransaction"] = ({"code": -32000, "message": "nonce too low"},)
    node.answers["eth_getTransactionByHash"] = {"hash": HASH}
    chain.send_raw(RAW)


@pytest.mark.parametrize(
    "words",
    [
        "nonce too low: next nonce 5, tx nonce 2",
        "insufficient funds for gas * price + value",
        "replacement transaction underpriced",
        "max fee per gas less than block base fee",
        "intrinsic gas too low",
        "FeeTooLow, EffectivePriorityFeePerGas too low",
    ],
)
def test_nodes_refusal_is_told_in_its_words(node, chain, words):
    node.answers["eth_sendRawTransaction"] = ({"code": -32000, "message": words},)
    with pytest.raises(TransactionRejected, match=r"nonce|funds|underpriced|fee|gas|Fee"):
        chain.send_raw(RAW)


@pytest.mark.parametrize("words", ["nonce too low: next nonce 5", "internal error"])
def test_nodes_words_are_quoted_in_readers_language(node, chain, words):
    node.answers["eth_sendRawTransaction"] = ({"code": -32000, "message": words},)
    with pytest.raises((TransactionRejected, ChainUnavailable)) as refused:
        chain.send_raw(RAW)
    said = say(message_of(refused.value), "zh")
    assert re.fullmatch(f"\\S+ (拒绝该交易|返回错误)，原文为：“.*{words}”", said), said


def test_what_a_node_should_have_answered_is_named(node, chain):
    node.answers["eth_chainId"] = "x"
    with pytest.raises(ChainUnavailable) as odd:
        chain.chain_id()
    assert "数字" in say(message_of(odd.value), "zh")


@pytest.mark.parametrize("words", ["internal error", "txpool is full", "daily request count exceeded", ""])
def test_other_node_errors_are_not_a_refusal(node, chain, words):
    node.answers["eth_sendRawTransaction"] = ({"code": -32000, "message": words},)
    with pytest.raises(ChainUnavailable):
        chain.send_raw(RAW)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        ({"code": 3, "message": "execution reverted", "data": "0xc0ffee00"}, "c0ffee00"),
        ({"code": -32000, "message": "execution reverted", "data": {"data": "0xc0ffee00"}}, "c0ffee00"),
        ({"code": -32015, "message": "VM execution error: revert", "data": "Reverted 0xc0ffee00"}, "c0ffee00"),
        ({"code": 3, "message": "execution reverted"}, ""),
        ({"code": 3, "message": "execution reverted", "data": "0xnonsense"}, ""),
    ],
)
def test_revert_data_is_read_from_every_nodes_format(node, chain, error, data):
    node.answers["eth_call"] = (error,)
    with pytest.raises(CallReverted) as reverted:
        chain.call("0x" + "11" * 20, b"")
    assert reverted.value.data.hex() == data


def test_a_node_that_suggests_no_tip_leaves_ours(node, chain):
    node.answers["eth_maxPriorityFeePerGas"] = ({"code": -32601, "message": "method not found"},)
    assert (chain.price().base_fee, chain.price().tip) == (7, 10**9)


@pytest.mark.parametrize("absent", [{}, {"baseFeePerGas": None}])
def test_chain_without_base_fee_has_one_price(node, chain, absent):
    block = {name: value for name, value in BLOCK.items() if name != "baseFeePerGas"}
    node.answers |= {"eth_getBlockByNumber": block | absent, "eth_gasPrice": "0x5"}
    assert (chain.price().base_fee, chain.price().tip) == (None, 5)


@pytest.mark.parametrize(("gas_price", "tip"), [("0x0", 0), ("0x3", 9)])
def test_base_fee_of_zero_is_free_or_not(node, chain, gas_price, tip):
    node.answers["eth_getBlockByNumber"] = BLOCK | {"baseFeePerGas": "0x0"}
    node.answers |= {"eth_gasPrice": gas_price, "eth_maxPriorityFeePerGas": "0x9"}
    assert (chain.price().base_fee, chain.price().tip) == (0, tip)


def test_state_is_asked_at_blocks_hash(node, chain):
    asked = []
    node.answers |= dict.fromkeys(
        ("eth_call", "eth_getBalance", "eth_getTransactionCount"),
        lambda request: asked.append(request["params"][1]) or "0x1" * (request["method"] != "eth_call") or "0x",
    )
    at = chain.head()
    address = "0x" + "11" * 20
    chain.call(address, b"", at=at)
    assert (chain.balance(address, at=at), chain.transaction_count(address, at=at), chain.balance(address)) == (1, 1, 1)
    assert asked == [{"blockHash": WORD, "requireCanonical": True}] * 3 + ["latest"]
