"""Reads the ledger's facts about a bundle from any EVM node by plain JSON-RPC, for a reader who has only its URL.

It needs no library and no ABI: six views and one event, by their constants (a test compares them with the artefacts).
All is read at one block. Unless the node's answer is clear, the result is INDETERMINATE.
"""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from backend.domain import bundle_verification, strict_json, trust
from backend.domain.bundle import Bundle
from backend.domain.bundle_verification import FactSource
from backend.domain.dossier import LEDGER
from backend.domain.errors import Message, message_of
from backend.domain.evidence import Anchor, Evidence, Segments, ledger_of
from backend.domain.ledger import (
    Accreditation,
    AnchoredBatch,
    Revocation,
    accreditation_in,
    batch_key,
    earliest,
    ledger_time,
)
from backend.domain.records import ProofState
from backend.domain.sd_jwt import issued_at
from backend.domain.signature_terms import SignatureTerms, terms_of_signature
from backend.domain.trust import MalformedTrust, Trust, Trusted
from backend.domain.verdict import CLOCKS_MAY_DIFFER, LedgerFacts, Unknown

INSTANCE_ID = "04fad28d"
BATCH_OF = "aee05732"
STATUS_OF = "39d28c41"
ACCREDITATION_OF = "77d46c38"
ACCREDITATION_AT = "234f3694"
TERMS_OF_SIGNATURE = "fd40dcc7"
REVOCATION_OF = "cb74c873"
BATCH_ANCHORED = "0xca65e7ac50e92c0eb54af2e1aed198d5d6fd0d48add265a322c34fa1c08bcb95"

TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER = 4 * 1024 * 1024
_WORD = re.compile("0x[0-9a-f]{64}")


class NodeResponseError(Exception):
    """Raised when the node's answer cannot be relied on; ``reason`` names the message, ``values`` fill it."""

    def __init__(self, reason: str, **values: Any) -> None:
        self.reason, self.values = reason, values
        super().__init__(str(values.get("why", reason)))


class _ErrorAnswer(Exception):
    """Raised when the node answers with an error object."""


@dataclass(frozen=True)
class Block:
    """The fields of a block that are needed here."""

    number: int
    block_hash: str
    time: datetime


class Node:
    """A node at a URL. Every call ends within the timeout, and messages show nothing but its host name."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout = timeout_seconds
        self._worker = _TimeoutWorker()
        self.name = urlsplit(url).hostname or "the node"
        # The reader names the node: neither a proxy variable nor a redirect may send the question elsewhere.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of a method.

        Raises:
            NodeResponseError: if there is none, also for an error object.
        """
        try:
            return self.answer(method, *params)
        except _ErrorAnswer as error:
            raise self._error_response(error) from error

    def answer(self, method: str, *params: Any) -> Any:
        """Return the result of a method.

        Raises:
            _ErrorAnswer: if the node answers with an error object.
            NodeResponseError: if the answer is anything else than a result.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        try:
            content = self._posted(body)
            # The node may be hostile: duplicate keys or deep nesting are refused as in bundles.
            answer = strict_json.loads(content)
        except (OSError, ValueError, http.client.HTTPException, urllib.error.URLError) as fault:
            raise self._response_error(Message("it cannot be reached ({fault})", fault=type(fault).__name__)) from fault
        except strict_json.HostileJson as fault:
            raise self._response_error("it answered no JSON") from fault
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            message = answer["error"].get("message")
            raise _ErrorAnswer(message[:200] if isinstance(message, str) else "")
        if not isinstance(answer, dict) or not _is_one(answer.get("id")) or "result" not in answer:
            raise self._response_error("it answered something that is no JSON-RPC answer")
        return answer["result"]

    def _posted(self, body: bytes) -> bytes:
        """Return the answer's content within the timeout, also from a node that sends its headers byte by byte."""
        try:
            return self._worker.within(self._timeout, lambda: self._read(body))
        except TimeoutError as late:
            raise self._response_error("it answered too much or too slowly") from late

    def _read(self, body: bytes) -> bytes:
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        deadline = time.monotonic() + self._timeout
        with self._opener.open(request, timeout=self._timeout) as response:
            content = b""
            while chunk := response.read1(64 * 1024):
                content += chunk
                if len(content) > LARGEST_ANSWER or time.monotonic() > deadline:
                    raise self._response_error("it answered too much or too slowly")
            return content

    def block(self, which: int | str) -> Block | None:
        """Return a block by number or tag, or None where there is none.

        Raises:
            NodeResponseError: if the answer is not that block.
        """
        found = self.ask("eth_getBlockByNumber", which if isinstance(which, str) else hex(which), False)
        if found is None:
            return None
        if not isinstance(found, dict) or not isinstance(found.get("hash"), str):
            raise self._response_error("it showed no block")
        number, seconds = self.quantity(found.get("number")), self.quantity(found.get("timestamp"))
        if isinstance(which, int) and number != which:
            raise self._response_error("it showed another block than was asked for")
        return Block(number, found["hash"], ledger_time(seconds))

    def words(self, contract: str, data: str, count: int, block: int) -> list[int]:
        """Return the 32-byte words that a view answers at a block, as integers.

        Raises:
            NodeResponseError: if no contract is there or it answers in another form.
        """
        return self._words_in(self.ask("eth_call", {"to": contract, "data": f"0x{data}"}, hex(block)), count)

    def words_or_none(self, contract: str, data: str, count: int, block: int) -> list[int] | None:
        """Return the same, or None where the contract has no such view.

        Raises:
            NodeResponseError: as above.
        """
        try:
            answer = self.answer("eth_call", {"to": contract, "data": f"0x{data}"}, hex(block))
        except _ErrorAnswer as error:
            # Any other error is not the contract's: it must not make a reader judge by less than the ledger holds.
            if "revert" in message_of(error).lower():
                return None
            raise self._error_response(error) from error
        return self._words_in(answer, count)

    def _words_in(self, answer: Any, count: int) -> list[int]:
        if answer == "0x":
            raise NodeResponseError("deployment-mismatch", node=self.name)  # no contract stands there
        if not isinstance(answer, str) or not re.fullmatch(f"0x[0-9a-fA-F]{{{64 * count}}}", answer):
            raise self._response_error("a contract answered in another form than ours")
        content = bytes.fromhex(answer[2:])
        return [int.from_bytes(content[at : at + 32], "big") for at in range(0, len(content), 32)]

    def quantity(self, value: Any) -> int:
        """Read a JSON-RPC quantity.

        Raises:
            NodeResponseError: if it is not one.
        """
        if isinstance(value, str) and re.fullmatch("0x[0-9a-fA-F]{1,13}", value):  # what JavaScript counts exactly
            return int(value, 16)
        raise self._response_error("it answered no number where one was asked for")

    def _error_response(self, error: _ErrorAnswer) -> NodeResponseError:
        return self._response_error(
            Message("it answered an error, in its own words: “{error}”", error=message_of(error))
        )

    def _response_error(self, why: str) -> NodeResponseError:
        return NodeResponseError("ledger-unavailable", why=Message("{node}: {why}", node=self.name, why=Message(why)))


class _TimeoutWorker:
    """Runs calls in a second thread, so that a call that does not return can be abandoned there."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], bytes], Future[bytes]] | None] | None = None

    def within(self, seconds: float, call: Callable[[], bytes]) -> bytes:
        """Return the call's result, or raise its error.

        Raises:
            TimeoutError: if the time is over.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_made, args=(self._calls,), daemon=True).start()
        answered: Future[bytes] = Future()
        self._calls.put((call, answered))
        try:
            return answered.result(seconds)
        except TimeoutError:
            self._calls.put(None)  # ends that thread, if ever it comes back; the next call begins another
            self._calls = None
            raise


def _made(calls: "SimpleQueue[tuple[Callable[[], bytes], Future[bytes]] | None]") -> None:
    while (asked := calls.get()) is not None:
        call, answered = asked
        try:
            answered.set_result(call())
        except Exception as fault:
            answered.set_exception(fault)


def _is_one(value: Any) -> bool:
    return type(value) is int and value == 1


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class NodeFacts:
    """The facts that a node gave about a bundle, with the block and the trusted ledger they were read from."""

    source: FactSource
    node: str
    block: Block | None = None
    ledger: Trusted | None = None


def facts_by_node(bundle: Bundle, node: Node, trusted: Trust, moment: datetime, max_age: timedelta) -> FactSource:
    """Return the ledger's facts about a bundle at ``moment`` from a node. A faulty node raises nothing."""
    return node_facts(bundle, node, trusted, moment, max_age).source


def node_facts(
    bundle: Bundle, node: Node, trusted: Trust, moment: datetime, max_age: timedelta, *, node_may_name: bool = True
) -> NodeFacts:
    """Return the same facts with where they were read.

    With ``node_may_name`` False, only the reader's trust file can name the right ledger, not the node itself.
    """
    checks = bundle_verification.integrity(bundle)
    try:
        reading = _Reading(bundle, node, trusted, moment, max_age, node_may_name)
        facts = {id(one): reading.facts(one) for one in bundle.records}
        reading.require_unchanged()
    except NodeResponseError as unclear:
        told = LEDGER.answer(unclear.reason, unclear.values)
        unknown = Unknown(unclear.values.get("why", ""), "ledger-not-consulted")
        nothing = LedgerFacts(moment, unknown, unknown, unknown)
        return NodeFacts(FactSource((*checks, told), lambda _: nothing, moment), node.name)
    values = {"node": node.name, "block": reading.block.number, "block_time": reading.block.time}
    read = LEDGER.answer("ledger-consulted", values)
    source = FactSource((*checks, read), lambda one: facts[id(one)], moment)
    return NodeFacts(source, node.name, reading.block, reading.ledger)


class _Reading:
    """One reading of one node at one block."""

    def __init__(
        self, bundle: Bundle, node: Node, trusted: Trust, moment: datetime, max_age: timedelta, node_may_name: bool
    ) -> None:
        self._node, self._trusted, self._node_may_name = node, trusted, node_may_name
        self.ledger: Trusted | None = None
        self._chain_id = node.quantity(node.ask("eth_chainId"))
        self._as_of = moment
        head = node.block("latest")
        if head is None or (abs(moment - head.time) > max_age and head.time < moment):
            values = (
                {"node": node.name, "block_time": head.time}
                if head
                else {"why": Message("{node}: no newest block", node=node.name)}
            )
            raise NodeResponseError("node-stale" if head else "ledger-unavailable", **values)
        self._head = head
        self.block = head if head.time - moment <= CLOCKS_MAY_DIFFER else _last_before(node, head, moment)
        self._snapshot = bundle_verification.snapshot_facts(bundle, trusted, moment, timedelta.max)

    def require_unchanged(self) -> None:
        """Raise NodeResponseError if the chain was reorganised during the reading."""
        again = self._node.block(self.block.number)
        if again is None or again.block_hash != self.block.block_hash:
            raise NodeResponseError("chain-reorganised", node=self._node.name)

    def facts(self, one: Evidence) -> LedgerFacts:
        """Return what the ledger holds about one record."""
        anchor, proof = one.anchor, one.proof
        if anchor is None or proof is None:
            return LedgerFacts(
                self._as_of,
                bundle_verification.NOT_SEALED,
                bundle_verification.NOT_SEALED,
                bundle_verification.NOT_AT_HAND,
            )
        ledger = self._trusted_ledger(anchor)
        receipt = self._receipt(anchor)
        key_there = self._batch_key(anchor, receipt)
        batch = self._batch(anchor, key_there)
        block, state = self._anchoring(anchor, ledger, receipt, key_there)
        key = bundle_verification.key_named(one.record)
        accreditation = None if key is None else self._accreditation(ledger, ACCREDITATION_OF + key.hex())
        terms = self._terms_of_signature(ledger, key, issued_at(one.record), batch)
        if batch is None:
            gone = Unknown(str(anchor.block), "anchor-missing") if self._may_be_gone(one, anchor, ledger) else None
            absent = gone or Unknown("the ledger shows no such record", "ledger-not-consulted")
            facts = LedgerFacts(self._as_of, gone, absent, accreditation)
        else:
            status = self._status(anchor, key_there, proof.leaf_index) if proof.leaf_index < batch.segments.size else 0
            facts = LedgerFacts(self._as_of, batch, status, accreditation, state, block)
            facts = replace(facts, revocation=self._revocation(ledger, one), succeeds=ledger.succeeds)
        return replace(
            facts, accreditation_at_issue=terms.signed_under, accreditation_at_anchoring=terms.anchored_under
        )

    def _trusted_ledger(self, anchor: Anchor) -> Trusted:
        """Return the trust entry for an anchor's ledger, from the reader's trust file, else from the node itself.

        A reader who asks a node trusts it about the chain. A Provenport node also tells which ledger on it is its own.
        """
        name = ledger_of(anchor)
        if self._chain_id != name.chain_id:
            raise NodeResponseError("chain-mismatch", node=self._node.name, chain=self._chain_id)
        found = self._trusted.of(name) or (self._node_own().of(name) if self._node_may_name else ())
        (instance,) = self._node.words(name.address, INSTANCE_ID, 1, self.block.number)
        if instance != int.from_bytes(name.instance_id, "big"):
            raise NodeResponseError("deployment-mismatch", node=self._node.name)
        if not found:
            raise NodeResponseError(
                "ledger-unknown" if self._node_may_name else "ledger-untrusted", ledger=name.address
            )
        self.ledger = found[0]
        return found[0]

    def _node_own(self) -> Trust:
        try:
            return trust.read(self._node.answer("provenport_trust"))
        except (_ErrorAnswer, NodeResponseError, MalformedTrust):
            return Trust()

    def _receipt(self, anchor: Anchor) -> dict[str, Any] | None:
        """Return the receipt of the named transaction, or None while it is in no block."""
        receipt = self._node.ask("eth_getTransactionReceipt", "0x" + anchor.transaction.hex())
        return receipt if isinstance(receipt, dict) and receipt.get("blockNumber") is not None else None

    def _batch_key(self, anchor: Anchor, receipt: dict[str, Any] | None) -> bytes:
        """Return the key of the batch that the named transaction anchored under the root, else of one in its block.

        It is the root itself on ledgers of an earlier version, and where no such batch is found.
        """
        of_transaction = None if receipt is None or receipt.get("status") != "0x1" else receipt.get("logs")
        found = self._key_among(_anchored(of_transaction, anchor), anchor)
        return found or self._key_among(_anchored(self._logs_there(anchor), anchor), anchor) or anchor.root

    def _key_among(self, anchored: dict[str, list[bytes]], anchor: Anchor) -> bytes | None:
        for keys in anchored.values():
            if anchor.root in keys:
                return anchor.root
            # One question for each anchorer, however many batches there are.
            batch = self._batch(anchor, keys[0])
            if batch is not None and (key := batch_key(batch.anchorer, anchor.root)) in keys:
                return key
        return None

    def _logs_there(self, anchor: Anchor) -> Any:
        """Return the anchorings in the named block. Nodes forget after a while which block a transaction is in."""
        if anchor.block > self.block.number:
            return None
        number = hex(anchor.block)
        query = {"fromBlock": number, "toBlock": number, "address": anchor.ledger, "topics": [BATCH_ANCHORED]}
        return self._node.ask("eth_getLogs", query)

    def _batch(self, anchor: Anchor, key: bytes) -> AnchoredBatch | None:
        data = BATCH_OF + key.hex()
        anchored_at, number, anchorer, *ends = self._node.words(anchor.ledger, data, 7, self.block.number)
        if anchored_at == 0:
            return None
        return AnchoredBatch(ledger_time(anchored_at), number, anchorer, Segments(*ends))

    def _status(self, anchor: Anchor, key: bytes, leaf_index: int) -> int:
        data = f"{STATUS_OF}{key.hex()}{leaf_index:064x}"
        return self._node.words(anchor.ledger, data, 1, self.block.number)[0]

    def _revocation(self, ledger: Trusted, one: Evidence) -> Revocation | None:
        """Return what is published of a record, wherever it stands, by the contract that the trust entry names."""
        if ledger.revocations is None:
            return None
        named = one.named_anchorer
        keys = one.leaves if named is None else (batch_key(named.agent, one.leaves[0]),)
        return earliest(self._published(str(ledger.revocations), key) for key in keys)

    def _published(self, contract: str, key: bytes) -> Revocation | None:
        data = f"{REVOCATION_OF}{key.hex()}"
        status, since, published_at = self._node.words(contract, data, 3, self.block.number)
        return Revocation(status, ledger_time(since), ledger_time(published_at)) if since else None

    def _accreditation(self, ledger: Trusted, data: str) -> Accreditation | None:
        return accreditation_in(self._node.words(ledger.accreditation, data, 5, self.block.number))

    def _terms_of_signature(
        self, ledger: Trusted, key: bytes | None, issued: datetime | None, batch: AnchoredBatch | None
    ) -> SignatureTerms:
        """Return the terms by which a record's signature is judged."""
        if key is None or issued is None:
            return SignatureTerms()
        anchored = batch.anchored_at if batch else None
        data = f"{TERMS_OF_SIGNATURE}{key.hex()}{_seconds(issued):064x}{_seconds(anchored or issued):064x}"
        words = self._node.words_or_none(ledger.accreditation, data, 10, self.block.number)
        if words is not None:
            return SignatureTerms(accreditation_in(words[:5]), accreditation_in(words[5:]))

        def ask(then: datetime) -> Accreditation | None:
            return self._accreditation(ledger, f"{ACCREDITATION_AT}{key.hex()}{_seconds(then):064x}")

        # A contract of an earlier version, which has no such answer and was not strict about later terms.
        return terms_of_signature(ask, issued, anchored, (), datetime.max.replace(tzinfo=UTC))

    def _anchoring(
        self, anchor: Anchor, ledger: Trusted, receipt: dict[str, Any] | None, key: bytes
    ) -> tuple[int | None, ProofState]:
        """Return the block in which the named transaction anchored the batch, and whether it is final."""
        if receipt is None:
            return None, ProofState.ANCHORED
        anchored = _anchored(receipt.get("logs"), anchor)
        if receipt.get("status") != "0x1" or not any(key in keys for keys in anchored.values()):
            return -1, ProofState.ANCHORED  # no block: the named transaction did something else
        number = self._node.quantity(receipt["blockNumber"])
        block = self._node.block(number)
        if block is None or block.block_hash != receipt.get("blockHash"):
            raise NodeResponseError("chain-reorganised", node=self._node.name)
        # By the confirmations in the trust entry: how deep a block must be is for the reader to say, not for the
        # bundle.
        is_final = self.block.number - number >= ledger.confirmations
        return number, ProofState.FINAL if is_final else ProofState.ANCHORED

    def _may_be_gone(self, one: Evidence, anchor: Anchor, ledger: Trusted) -> bool:
        """Tell whether an absent root may have been there before, so that it proves no forgery."""
        if self.block.number < anchor.block + ledger.confirmations:
            return True
        there = self._node.block(anchor.block)
        if there is None or there.time != anchor.block_time:
            return True
        if self._node.ask("eth_getTransactionByHash", "0x" + anchor.transaction.hex()) is not None:
            return True
        return isinstance(self._snapshot.facts(one).batch, AnchoredBatch)  # somebody trusted saw it there


def _anchored(logs: Any, anchor: Anchor) -> dict[str, list[bytes]]:
    """Return the keys of the batches that the ledger accepted by these events, by their anchorer's address."""
    found: dict[str, list[bytes]] = {}
    for event in logs if isinstance(logs, list) else []:
        if not isinstance(event, dict) or not isinstance(event.get("topics"), list):
            continue
        address, topics = event.get("address"), event["topics"]
        is_ours = isinstance(address, str) and address.lower() == anchor.ledger.lower()
        is_sound = len(topics) == 3 and all(isinstance(topic, str) and _WORD.fullmatch(topic) for topic in topics)
        if is_ours and is_sound and topics[0] == BATCH_ANCHORED:
            found.setdefault(topics[2], []).append(bytes.fromhex(topics[1][2:]))
    return found


def _last_before(node: Node, head: Block, moment: datetime) -> Block:
    """Find the newest block that is not later than the moment, by binary search."""
    first, last = 0, head.number
    found: Block | None = None
    while first <= last:
        middle = node.block((first + last) // 2)
        if middle is None:
            raise NodeResponseError(
                "ledger-unavailable", why=Message("{node}: it does not show its blocks", node=node.name)
            )
        if middle.time <= moment:
            found, first = middle, middle.number + 1
        else:
            last = middle.number - 1
    if found is None:
        raise NodeResponseError(
            "ledger-unavailable", why=Message("{node}: the chain is younger than the time asked about", node=node.name)
        )
    return found


def _seconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp()))  # the ledger counts none before 1970
