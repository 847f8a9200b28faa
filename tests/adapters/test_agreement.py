"""Several nodes as one chain: what enough of them say counts, and nothing else."""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.adapters.chains import agreement
from backend.adapters.chains.agreement import MOST_BEHIND, AgreedChain
from backend.adapters.ledger.chain import (
    Block,
    CallReverted,
    ChainReceipt,
    ChainUnavailable,
    FoundLog,
    Log,
    Price,
    TransactionRejected,
)
from backend.domain.errors import message_of
from backend.messages.catalogue import say
from backend.settings import Settings, WrongSetting

START = datetime(2026, 3, 1, tzinfo=UTC)
HASH = b"\x11" * 32
WHERE = "0x" + "11" * 20


def a_block(number, branch="main", branched_at=0):
    def name(of):
        return f"{branch if of > branched_at else 'main'} {of}".encode().ljust(32)

    return Block(number, name(number), name(number - 1), START + timedelta(seconds=number))


class Node:
    """A node with a chain, whose answers a test alters; in the place of the JSON-RPC client."""

    def __init__(self, height=20, branch="main", branched_at=0):
        self.height, self.branch, self.branched_at = height, branch, branched_at
        self.said = {}
        self.sent = []
        self.release = threading.Event()

    def _answer(self, name, right):
        altered = self.said.get("all", self.said.get(name, right))
        if altered == "hang":
            self.release.wait(20)
            raise ChainUnavailable("late")
        if isinstance(altered, Exception):
            raise altered
        return altered

    def chain_id(self):
        return self._answer("chain_id", 5)

    def head(self):
        return self._answer("head", self._at(self.height))

    def block(self, number):
        return self._answer("block", self._at(number) if number <= self.height else None)

    def _at(self, number):
        return a_block(number, self.branch, self.branched_at)

    def _has(self, at):
        if at.number > self.height or self._at(at.number) != at:
            raise ChainUnavailable("no such block")

    def call(self, to, data, sender=None, *, at):
        self._has(at)
        return self._answer("call", f"state of {at.number}".encode())

    def transaction_count(self, address, *, at):
        self._has(at)
        return self._answer("transaction_count", at.number)

    def balance(self, address, *, at):
        self._has(at)
        return self._answer("balance", 7)

    def receipt(self, transaction_hash):
        mined = ChainReceipt(transaction_hash, self._at(18), True, 21_000)
        return self._answer("receipt", mined if self.height >= 18 else None)

    def logs(self, first, last, address, topics=()):
        found = [
            FoundLog(Log(address, (), b""), number, self._at(number).block_hash, HASH, 0, 0)
            for number in range(first, min(last, self.height) + 1)
        ]
        return self._answer("logs", found)

    def price(self):
        return self._answer("price", Price(100, 10))

    def send_raw(self, raw):
        self.sent.append(raw)
        self._answer("send_raw", None)


@pytest.fixture
def of(monkeypatch):
    """Make a chain of nodes; whoever hangs is let go at the end."""
    made = []

    def chain(*nodes, agree=3, timeout_seconds=20.0):
        by_url = {f"http://node-{number}:8545/secret": node for number, node in enumerate(nodes)}
        made.extend(nodes)
        monkeypatch.setattr(agreement, "JsonRpcChain", lambda url, **_: by_url[url])
        return AgreedChain(list(by_url), agree, timeout_seconds=timeout_seconds)

    yield chain
    for node in made:
        node.release.set()


DOWN = {"all": ChainUnavailable("node cannot be reached")}
QUESTIONS = {
    "chain_id": lambda chain: chain.chain_id(),
    "head": lambda chain: chain.head(),
    "block": lambda chain: chain.block(7),
    "call": lambda chain: chain.call(WHERE, b""),
    "transaction_count": lambda chain: chain.transaction_count(WHERE),
    "balance": lambda chain: chain.balance(WHERE),
    "receipt": lambda chain: chain.receipt(HASH),
    "logs": lambda chain: chain.logs(3, 7, WHERE),
    "price": lambda chain: chain.price(),
    "send_raw": lambda chain: chain.send_raw(b"raw"),
}
RIGHT = {
    "chain_id": 5,
    "head": a_block(20),
    "block": a_block(7),
    "call": b"state of 20",
    "transaction_count": 20,
    "balance": 7,
    "receipt": ChainReceipt(HASH, a_block(18), True, 21_000),
    "logs": tuple(Node().logs(3, 7, WHERE)),
    "price": Price(100, 10),
    "send_raw": None,
}
LIES = {
    "chain_id": 6,
    "head": a_block(1_000, "lie"),
    "block": a_block(7, "lie"),
    "call": b"lie",
    "transaction_count": 21,
    "balance": 0,
    "receipt": ChainReceipt(HASH, a_block(18), False, 21_000),
    "logs": [],
    "price": Price(10**12, 10**12),
    "send_raw": TransactionRejected("nonce too low"),
}


def named(nodes, name, **said):
    for node in nodes:
        node.said |= {name: said["value"]} if "value" in said else {}
    return nodes


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("place", range(4))
def test_lie_of_one_node_changes_nothing(of, question, place):
    nodes = [Node() for _ in range(4)]
    nodes[place].said[question] = LIES[question]
    assert QUESTIONS[question](of(*nodes)) == RIGHT[question]


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_node_away_changes_nothing(of, question):
    away = Node()
    away.said = DOWN
    assert QUESTIONS[question](of(Node(), away, Node(), Node())) == RIGHT[question]


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"head", "call", "transaction_count"}))
def test_one_node_behind_changes_nothing(of, question):
    assert QUESTIONS[question](of(Node(), Node(15), Node(), Node())) == RIGHT[question]


@pytest.mark.parametrize("question", QUESTIONS)
def test_hanging_node_holds_nobody_up(of, question):
    hanging = Node()
    hanging.said["all"] = "hang"
    began = time.monotonic()
    assert QUESTIONS[question](of(Node(), hanging, Node(), Node(), timeout_seconds=10)) == RIGHT[question]
    assert time.monotonic() - began < 9, "it hangs for 20 seconds"


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"head", "price", "send_raw"}))
def test_what_too_few_say_is_not_believed(of, question):
    nodes = [Node() for _ in range(4)]
    named(nodes[:2], question, value=LIES[question])
    with pytest.raises(ChainUnavailable):
        QUESTIONS[question](of(*nodes))


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"send_raw"}))
def test_too_few_nodes_are_no_chain(of, question):
    away = [Node(), Node()]
    for node in away:
        node.said = DOWN
    with pytest.raises(ChainUnavailable) as fault:
        QUESTIONS[question](of(Node(), *away, Node()))
    assert "3 of 4" in str(fault.value)
    assert "不足 3 个" in say(message_of(fault.value), "zh")
    assert "secret" not in str(fault.value)


def test_all_hanging_are_given_up_in_time(of):
    nodes = [Node() for _ in range(4)]
    for node in nodes:
        node.said["all"] = "hang"
    chain = of(*nodes, timeout_seconds=0.5)
    began = time.monotonic()
    with pytest.raises(ChainUnavailable):
        chain.call(WHERE, b"")
    assert time.monotonic() - began < 10, "they hang for 20 seconds"


def test_silent_node_is_not_asked_until_it_answers(of, monkeypatch):
    monkeypatch.setattr(agreement, "SILENT_SECONDS", 0.2)
    hanging = Node()
    hanging.said["all"] = "hang"
    chain = of(Node(), Node(), Node(19), hanging)
    chain.head()
    time.sleep(0.3)
    began = time.monotonic()
    for _ in range(20):
        chain.head()
    assert time.monotonic() - began < 8, "patience with it would take 10 seconds"
    assert len(chain._members[3]._since) == 1
    hanging.said.clear()
    hanging.release.set()
    deadline = time.monotonic() + 20
    while chain._members[3].is_silent:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("heights", "number"),
    [((20, 20, 20, 20), 20), ((21, 20, 20, 19), 20), ((22, 21, 20, 3), 20), ((10**6, 20, 19, 19), 19)],
)
def test_head_is_the_newest_that_enough_have(of, heights, number):
    assert of(*map(Node, heights)).head() == a_block(number)


def test_head_of_split_tip_is_below_the_split(of):
    fork = [Node(20, "fork", branched_at=18) for _ in range(2)]
    assert of(Node(), Node(), *fork).head() == a_block(18)


def test_fork_that_enough_follow_is_the_chain(of):
    fork = [Node(21, "fork", branched_at=5) for _ in range(3)]
    assert of(Node(30), *fork).head() == a_block(21, "fork", 5)


def test_chain_split_long_ago_has_no_head(of):
    fork = [Node(20, "fork", branched_at=20 - MOST_BEHIND - 1) for _ in range(2)]
    with pytest.raises(ChainUnavailable, match="different things"):
        of(Node(), Node(), *fork).head()


def test_liar_and_laggard_leave_a_lower_block(of):
    liar = Node()
    liar.said["call"] = b"lie"
    chain = of(Node(), liar, Node(17), Node())
    deadline = time.monotonic() + 20
    # Where three others answer first, nobody hears the lie.
    while not chain._members[1].distrusted_until:
        assert chain.call(WHERE, b"") == b"state of 17"
        assert time.monotonic() < deadline
    # The liar is known now: the head is one that the others have in common.
    assert chain.head() == a_block(17)
    assert chain.call(WHERE, b"") == b"state of 17"


def test_second_liar_leaves_a_lower_block_too(of):
    """A node that lied a while ago counts rather than the one that lies now."""
    nodes = [Node(), Node(), Node(17), Node()]
    chain = of(*nodes)
    for liar in (nodes[0], nodes[1]):
        member = chain._members[nodes.index(liar)]
        liar.said["call"] = b"lie"
        deadline = time.monotonic() + 20
        while not member.distrusted_until:
            with suppress(ChainUnavailable):
                chain.call(WHERE, b"")
            assert time.monotonic() < deadline
        liar.said.clear()
    nodes[1].said["call"] = b"lie"
    assert chain.head() == a_block(17)
    assert chain.call(WHERE, b"") == b"state of 17"


def test_distrusted_node_counts_where_it_is_needed(of):
    liar = Node()
    liar.said["balance"] = 0
    nodes = [Node(), Node(), Node()]
    chain = of(liar, *nodes)
    assert chain.balance(WHERE) == 7
    liar.said.clear()
    nodes[0].said = DOWN
    assert chain.balance(WHERE) == 7


def test_answer_below_the_seen_head_is_refused(of):
    """Answers of two blocks must not pass for the state of one."""
    nodes = [Node() for _ in range(4)]
    chain = of(*nodes)
    assert chain.head() == a_block(20)
    for node in nodes[:2]:
        node.height = 19
    for question in (lambda: chain.call(WHERE, b""), chain.head):
        with pytest.raises(ChainUnavailable, match="block 19 only"):
            question()


def test_chain_goes_back_after_a_while_only(of, monkeypatch):
    """Whoever is shown an older block once would use a nonce again, and take what is final for lost."""
    nodes = [Node() for _ in range(4)]
    chain = of(*nodes)
    assert chain.head() == a_block(20)
    for node in nodes:
        node.height = 17
    with pytest.raises(ChainUnavailable, match="block 17 only"):
        chain.transaction_count(WHERE)
    told: list[object] = []

    def ask() -> None:
        try:
            told.append(chain.transaction_count(WHERE))
        except ChainUnavailable as error:
            told.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    assert [type(one) for one in told] == [ChainUnavailable]
    monkeypatch.setattr(agreement, "NEVER_BACK_SECONDS", 0.0)
    assert chain.head() == a_block(17)


def test_events_beyond_the_common_block_are_unknown(of):
    chain = of(Node(20), Node(20), Node(18), Node(18))
    assert len(chain.logs(3, 18, WHERE)) == 16
    with pytest.raises(ChainUnavailable, match="block 18 only"):
        chain.logs(3, 19, WHERE)


def test_receipt_beyond_the_common_block_is_none(of):
    assert of(Node(20), Node(20), Node(17), Node(17)).receipt(HASH) is None


def test_reverting_call_reverts_where_enough_say_so(of):
    nodes = [Node() for _ in range(4)]
    named(nodes[1:], "call", value=CallReverted(b"\1\2"))
    with pytest.raises(CallReverted) as reverted:
        of(*nodes).call(WHERE, b"")
    assert reverted.value.data == b"\1\2"


@pytest.mark.parametrize(("reasons", "reason"), [((b"a", b"a", b"a", None), b"a"), ((b"a", None, b"b", None), None)])
def test_reason_of_failure_is_told_by_enough(of, reasons, reason):
    failed = replace(RIGHT["receipt"], succeeded=False)
    nodes = [named([Node()], "receipt", value=replace(failed, revert_data=one))[0] for one in reasons]
    found = of(*nodes).receipt(HASH)
    assert (found.succeeded, found.revert_data in (reason, None)) == (False, True)


def test_transaction_is_handed_to_every_node(of):
    nodes = [Node() for _ in range(4)]
    of(*nodes).send_raw(b"raw")
    deadline = time.monotonic() + 5
    while not all(node.sent == [b"raw"] for node in nodes):
        assert time.monotonic() < deadline


def test_transaction_that_enough_refuse_is_rejected(of):
    nodes = named([Node() for _ in range(3)], "send_raw", value=TransactionRejected("insufficient funds"))
    with pytest.raises(TransactionRejected, match="funds"):
        of(Node(), *nodes).send_raw(b"raw")


def test_transaction_that_nobody_takes_is_unavailable(of):
    nodes = [Node() for _ in range(4)]
    for node in nodes:
        node.said = DOWN
    with pytest.raises(ChainUnavailable):
        of(*nodes).send_raw(b"raw")


def test_price_of_most_nodes_decides_its_kind(of):
    prices = [Price(None, 5), Price(None, 6), Price(None, 9), Price(100, 10)]
    nodes = [named([Node()], "price", value=price)[0] for price in prices]
    assert of(*nodes).price() == Price(None, 6)
    for node in nodes[1:]:
        node.said["price"] = Price(100, 10)
    assert of(*nodes).price() == Price(100, 10)


def test_standing_counts_who_agrees(of):
    away = Node()
    away.said = DOWN
    found = of(Node(), Node(19), away, Node()).standing()
    assert (found.agreeing, found.needed, found.nodes) == (3, 3, 4)
    assert of(away, away, Node(), Node()).standing().agreeing == 0


@pytest.mark.parametrize(("count", "agree"), [(4, 2), (2, 1), (3, 4), (4, 0)])
def test_fewer_than_half_cannot_be_asked_for(of, count, agree):
    with pytest.raises(ValueError, match="half"):
        of(*(Node() for _ in range(count)), agree=agree)


# ---- settings

ONE, TWO, THREE = "http://one.example/key", "http://two.example/key", "https://three.example"


@pytest.mark.parametrize(
    ("given", "nodes", "agree"),
    [
        ({}, (), None),
        ({"LEDGER_RPC_URL": ONE}, (ONE,), None),
        ({"LEDGER_RPC_URL": ONE, "LEDGER_RPC_AGREE": "1"}, (ONE,), 1),
        ({"LEDGER_RPC_URL": f"{ONE}, {TWO} {THREE}"}, (ONE, TWO, THREE), None),
        ({"LEDGER_RPC_URL": f"{ONE} {TWO} {THREE}", "LEDGER_RPC_AGREE": "3"}, (ONE, TWO, THREE), 3),
    ],
)
def test_nodes_are_read_from_the_environment(given, nodes, agree):
    settings = Settings.from_environment(given)
    assert (settings.ledger_nodes, settings.ledger_rpc_agree) == (nodes, agree)
    assert (settings.ledger_rpc_url is None) == (not nodes)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"LEDGER_RPC_URL": f"{ONE} two"}, "no http"),
        ({"LEDGER_RPC_URL": f"{ONE} {TWO} HTTP://one.example/key/".replace("HTTP", "http")}, "twice"),
        ({"LEDGER_RPC_URL": f"{ONE} {TWO} {THREE}", "LEDGER_RPC_AGREE": "1"}, "from 2 to 3"),
        ({"LEDGER_RPC_URL": f"{ONE} {TWO}", "LEDGER_RPC_AGREE": "3"}, "from 2 to 2"),
        ({"LEDGER_RPC_URL": ONE, "LEDGER_RPC_AGREE": "most"}, "from 1 to 1"),
        ({"LEDGER_RPC_AGREE": "2"}, "names 0 nodes"),
    ],
)
def test_nodes_that_cannot_agree_are_refused(given, words):
    with pytest.raises(WrongSetting, match=words) as wrong:
        Settings.from_environment(given)
    assert "key" not in str(wrong.value)
    assert "LEDGER_RPC" in say(message_of(wrong.value), "zh")
