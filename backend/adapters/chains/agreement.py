"""Several nodes as one chain, of which is believed what enough of them say alike.

A node may lie, lag, hang, or follow a fork that the others do not follow. What is told of the chain is therefore told
of one block: the newest that enough nodes have, and it counts what enough of those that have it say of its state. As
that block is named by its hash, nodes that are a block apart do not seem to contradict each other.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from statistics import median_high, median_low
from threading import Lock, Thread, local
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import structlog

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger.chain import (
    Block,
    CallReverted,
    ChainReceipt,
    ChainUnavailable,
    FoundLog,
    Price,
    TransactionRejected,
)
from backend.domain.errors import Message, message_of
from backend.services.ports import NodeAgreement

MOST_BEHIND = 8
"""Blocks below the newest, in which nodes that are behind or see another tip are given a common one."""
TIMEOUT_SECONDS = 5.0
"""In which every question is answered or given up, however many nodes hang."""
PATIENCE_SECONDS = 0.5
"""How long nodes are waited for beyond those that must agree, where what they say could make a difference."""
SILENT_SECONDS = 2.0
"""A node that owes an answer for so long is asked nothing more until it gives it."""
DISTRUST_SECONDS = 60.0
"""How long the others' blocks are preferred to those of a node that contradicted them."""
NEVER_BACK_SECONDS = 30.0
"""How long after a block was told of none below it is. Later, a chain that is shorter now is believed to be so."""
MOST_AT_ONCE = 16
"""Questions that one node is asked at the same time."""
IDLE_SECONDS = 30.0
STANDING_SECONDS = 2.0

Value = TypeVar("Value")
Subject = TypeVar("Subject")
Question = Callable[[JsonRpcChain], Any]
log = structlog.get_logger()


class _Member:
    """One of the nodes, asked by threads of its own, so that one that hangs holds up nobody else's question."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        # A key may stand in the address, in its path or before the host: people read neither.
        self.name = urlsplit(url).netloc.rpartition("@")[2]
        self.distrusted_until = 0.0
        self._chain = JsonRpcChain(url, timeout_seconds=timeout_seconds, name=self.name)
        self._lock = Lock()
        self._asked: SimpleQueue[tuple[object, Question, SimpleQueue[tuple[_Member, Any]]]] = SimpleQueue()
        self._since: dict[object, float] = {}
        self._threads = 0

    @property
    def is_silent(self) -> bool:
        """Whether it has owed an answer for long."""
        with self._lock:
            oldest = next(iter(self._since.values()), None)
        return oldest is not None and time.monotonic() - oldest > SILENT_SECONDS

    def ask(self, question: Question, answers: "SimpleQueue[tuple[_Member, Any]]") -> None:
        """Have a question answered; the answer, or the error in its place, is put among ``answers``."""
        with self._lock:
            one = object()
            self._since[one] = time.monotonic()
            self._asked.put((one, question, answers))
            if self._threads < min(len(self._since), MOST_AT_ONCE):
                self._threads += 1
                Thread(target=self._answer, daemon=True, name=f"node {self.name}").start()

    def _answer(self) -> None:
        while True:
            try:
                one, question, answers = self._asked.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if not self._asked.empty():
                        continue
                    self._threads -= 1
                    return
            try:
                said = question(self._chain)
            except Exception as fault:  # raised again where the question was asked
                said = fault
            with self._lock:
                del self._since[one]
            answers.put((self, said))


class AgreedChain:
    """A chain as ``agree`` of these nodes tell it; implements ``backend.adapters.ledger.chain.Chain``.

    Every method raises ``ChainUnavailable`` within ``timeout_seconds`` if fewer say the same, so that nothing is signed
    on what they do not all tell. Transactions are handed to every node.
    """

    def __init__(self, urls: Sequence[str], agree: int, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        if not len(urls) // 2 < agree <= len(urls):
            # Two groups of nodes could otherwise agree on two chains.
            raise ValueError("more than half of the nodes must agree")
        self._members = [_Member(url, timeout_seconds) for url in urls]
        self._agree = agree
        self._timeout = timeout_seconds
        self._seen = local()
        self._newest: tuple[int, float] = (0, 0.0)
        """The number of the newest block that was told of, and when last (monotonic seconds)."""
        self._standing: tuple[float, NodeAgreement | None] = (0.0, None)

    def chain_id(self) -> int:
        """Return the chain id, which signatures are bound to (EIP-155)."""
        return self._of_all(lambda node: node.chain_id())

    def head(self) -> Block:
        """Return the newest block that enough nodes have, at most ``MOST_BEHIND`` below what they name."""
        block, _ = next(self._common_blocks(self._deadline()))
        self._go_on_to(block)
        self._seen.head = block
        return block

    def block(self, number: int) -> Block | None:
        """Return a canonical block, or None beyond the head."""
        return self._of_all(lambda node: node.block(number))

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """Run a contract's view at the head and return its raw answer (ABI-encoded).

        Raises:
            CallReverted: if the contract reverts.
            ChainUnavailable: if fewer nodes say so than must.
        """
        return self._at_head(lambda node, at: node.call(to, data, sender, at=at))

    def transaction_count(self, address: str) -> int:
        """Return the number of mined transactions of this account, which is its next nonce."""
        return self._at_head(lambda node, at: node.transaction_count(address, at=at))

    def balance(self, address: str) -> int:
        """Return the account's balance at the head, in wei."""
        return self._at_head(lambda node, at: node.balance(address, at=at))

    def receipt(self, transaction_hash: bytes) -> ChainReceipt | None:
        """Return the receipt, or None while the transaction is not in a canonical block up to the head."""

        def question(node: JsonRpcChain, at: Block) -> ChainReceipt | None:
            found = node.receipt(transaction_hash)
            # A node that is ahead of the others knows of it earlier.
            return None if found is None or found.block.number > at.number else found

        return self._at_head(question)

    def logs(self, first: int, last: int, address: str, topics: Sequence[bytes] = ()) -> Sequence[FoundLog]:
        """Return one contract's events in blocks ``first`` to ``last``, both included, in order.

        ``topics`` are the leading topics that an event must have.
        """
        return self._at_head(lambda node, at: tuple(node.logs(first, last, address, topics)), down_to=last)

    def price(self) -> Price:
        """Return the median of the prices that the nodes name."""
        said = self._ask(self._answering(), lambda node: node.price(), self._deadline(), lambda said: False)
        prices = [price for price in said.values() if isinstance(price, Price)]
        if len(prices) < self._agree:
            raise self._too_few(said)
        base_fees = [price.base_fee for price in prices if price.base_fee is not None]
        if 2 * len(base_fees) < len(prices):
            return Price(None, median_low([price.tip for price in prices if price.base_fee is None]))
        # Of the base fee the chain takes what it is, of the tip what was offered.
        tips = [price.tip for price in prices if price.base_fee is not None]
        return Price(median_high(base_fees), median_low(tips))

    def send_raw(self, raw: bytes) -> None:
        """Hand a signed transaction to every node. One that is already known or mined is no error.

        Raises:
            TransactionRejected: if so many nodes refuse it that what they say counts.
            ChainUnavailable: if none takes it, or too few answer.
        """

        def refused(said: Mapping[_Member, Any]) -> list[TransactionRejected]:
            return [answer for answer in said.values() if isinstance(answer, TransactionRejected)]

        def has_taken(said: Mapping[_Member, Any]) -> bool:
            return list(said.values()).count(None) >= self._agree

        said = self._ask(
            self._answering(),
            lambda node: node.send_raw(raw),
            self._deadline(),
            lambda said: has_taken(said) or len(refused(said)) >= self._agree,
            is_patient=True,
        )
        if len(refused(said)) >= self._agree:
            raise refused(said)[0]
        # One honest node that takes it hands it on. It is sent again in every round until it is mined.
        if None not in said.values():
            raise self._too_few(said)

    def standing(self) -> NodeAgreement:
        """Tell how many nodes agree on the newest block, within a second; asked anew every two seconds at most."""
        asked_at, known = self._standing
        now = time.monotonic()
        if known is not None and now - asked_at < STANDING_SECONDS:
            return known
        deadline = now + min(1.0, self._timeout)
        try:
            heads = self._heads(deadline, of_all=True)
            count = max((len(there) for _, there in self._common(heads, deadline)), default=0)
        except ChainUnavailable:
            count = 0
        known = NodeAgreement(count, self._agree, len(self._members))
        self._standing = time.monotonic(), known
        return known

    # ---- the block that is spoken of

    def _heads(self, deadline: float, of_all: bool) -> dict[_Member, Block]:
        """Return the newest blocks of the nodes; where ``of_all`` is not wanted, until enough name the same one."""
        said = self._ask(
            self._answering(),
            lambda node: node.head(),
            deadline,
            lambda said: not of_all and self._largest(self._of_trusted(said)) is not None,
        )
        heads = {member: answer for member, answer in said.items() if isinstance(answer, Block)}
        if len(heads) < self._agree:
            raise self._too_few(said)
        return heads

    def _common_blocks(self, deadline: float) -> Iterator[tuple[Block, list[_Member]]]:
        """Yield the newest block that enough nodes have, with these, then others that perhaps more of them have.

        Raises:
            ChainUnavailable: if there is none, instead of yielding one.
        """
        heads = self._heads(deadline, of_all=False)
        found = self._largest(self._of_most_trusted(heads))
        if found is not None:
            yield found
            # One of those may have named the block and now denies its state: perhaps others have it too by now.
            heads = self._heads(deadline, of_all=True)
        is_any = found is not None
        # Distrust only helps to find a block that the others have in common. What counts is that enough say the same.
        trusted = self._of_most_trusted(heads)
        for those in [trusted, heads] if len(trusted) < len(heads) else [heads]:
            for common in self._common(those, deadline):
                is_any = True
                yield common
        if not is_any:
            raise self._too_few(heads)

    def _common(self, heads: Mapping[_Member, Block], deadline: float) -> Iterator[tuple[Block, list[_Member]]]:
        if len(heads) < self._agree:
            return
        numbers = sorted((block.number for block in heads.values()), reverse=True)
        highest, is_any = numbers[self._agree - 1], False
        for number in range(highest, max(highest - MOST_BEHIND, 0) - 1, -1):
            # Below a block that enough have, only one that still others have brings anything new.
            if is_any and number not in numbers:
                continue
            known: dict[_Member, Any] = {member: block for member, block in heads.items() if block.number == number}
            above = [member for member, block in heads.items() if block.number > number]
            known |= self._ask(
                above,
                _about(number, lambda node, number: node.block(number)),
                deadline,
                lambda said: False,
                counted=len(known),
            )
            found = self._largest(known)
            if found is not None and found[0] is not None:
                is_any = True
                yield found

    # ---- what is said of it

    def _at_head(self, question: Callable[[JsonRpcChain, Block], Value], down_to: int = 0) -> Value:
        """Return what enough nodes say of the newest block that they have in common, or of a lower one.

        Raises:
            CallReverted: if that is what they say.
            ChainUnavailable: if fewer say the same, or only about a block below ``down_to`` or below the head that this
                thread was told last: answers of two blocks must not pass for one state.
        """
        deadline = self._deadline()
        seen: Block | None = getattr(self._seen, "head", None)
        said: Mapping[_Member, Any] = {}
        for block, members in self._common_blocks(deadline):
            if block.number < down_to:
                raise self._too_low(block)
            said = self._ask_for_vote(members, _about(block, question), deadline)
            found = self._largest(said)
            if found is None:
                continue
            self._distrust(said, found[1], block)
            if seen is not None and block.number < seen.number:
                raise self._too_low(block)
            self._go_on_to(block)
            return cast(Value, self._said(found[0]))
        raise self._too_few(said)

    def _of_all(self, question: Callable[[JsonRpcChain], Value]) -> Value:
        """Return what enough nodes say alike of something that does not change from block to block."""
        said = self._ask_for_vote(self._answering(), question, self._deadline())
        found = self._largest(said)
        if found is None:
            raise self._too_few(said)
        return cast(Value, self._said(found[0]))

    def _go_on_to(self, block: Block) -> None:
        """Note that this block is told of.

        Raises:
            ChainUnavailable: if a later one was, a moment ago: of two blocks the older one has not yet what was done.
        """
        number, told_at = self._newest
        now = time.monotonic()
        if block.number < number and now < told_at + NEVER_BACK_SECONDS:
            raise self._too_low(block)
        self._newest = block.number, now

    @staticmethod
    def _too_low(block: Block) -> ChainUnavailable:
        return ChainUnavailable(
            Message("the nodes agree on block {number} only, not on a later one", number=block.number)
        )

    @staticmethod
    def _said(answer: Any) -> Any:
        if isinstance(answer, CallReverted):
            raise answer
        return answer

    def _largest(self, said: Mapping[_Member, Any]) -> tuple[Any, list[_Member]] | None:
        """Return what enough nodes say alike, with these nodes."""
        by_answer: defaultdict[object, list[_Member]] = defaultdict(list)
        for member, answer in said.items():
            if not isinstance(answer, ChainUnavailable):
                by_answer[_compared(answer)].append(member)
        members = max(by_answer.values(), key=len, default=[])
        if len(members) < self._agree:
            return None
        answer = said[members[0]]
        if isinstance(answer, ChainReceipt):
            # Not every node can tell why a transaction failed; what is told must be told by enough all the same.
            reasons = [said[member].revert_data for member in members]
            reason = max(reasons, key=reasons.count)
            answer = replace(answer, revert_data=reason if reasons.count(reason) >= self._agree else None)
        return answer, members

    def _distrust(self, said: Mapping[_Member, Any], right: Sequence[_Member], block: Block) -> None:
        for member, answer in said.items():
            if member not in right and not isinstance(answer, ChainUnavailable):
                member.distrusted_until = time.monotonic() + DISTRUST_SECONDS
                log.error("a node contradicts the others about a block", node=member.name)
                log.info("what it said and of which block", answer=repr(answer)[:200], block=block.number)

    # ---- asking

    def _answering(self) -> list[_Member]:
        return [member for member in self._members if not member.is_silent]

    @staticmethod
    def _of_trusted(said: Mapping[_Member, Value]) -> dict[_Member, Value]:
        now = time.monotonic()
        return {member: answer for member, answer in said.items() if member.distrusted_until <= now}

    def _of_most_trusted(self, said: Mapping[_Member, Value]) -> dict[_Member, Value]:
        """Return what trusted nodes say; of the others as many as must agree, whose fault is the longest ago."""
        trusted = self._of_trusted(said)
        others = sorted(said.keys() - trusted.keys(), key=lambda member: member.distrusted_until)
        return trusted | {member: said[member] for member in others[: max(0, self._agree - len(trusted))]}

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    def _ask_for_vote(self, members: Sequence[_Member], question: Question, deadline: float) -> dict[_Member, Any]:
        """Ask until enough say the same, or until it is clear that they will not."""

        def is_decided(said: Mapping[_Member, Any]) -> bool:
            counts: defaultdict[object, int] = defaultdict(int)
            for answer in said.values():
                if not isinstance(answer, ChainUnavailable):
                    counts[_compared(answer)] += 1
            most = max(counts.values(), default=0)
            return most >= self._agree or most + len(members) - len(said) < self._agree

        return self._ask(members, question, deadline, is_decided, is_patient=True)

    def _ask(
        self,
        members: Iterable[_Member],
        question: Question,
        deadline: float,
        is_enough: Callable[[Mapping[_Member, Any]], bool],
        is_patient: bool = False,
        counted: int = 0,
    ) -> dict[_Member, Any]:
        """Ask nodes at the same time; return what each says: a value, or an error that a node may answer with.

        Ends when it is enough, when all have answered, or at the deadline; without ``is_patient`` also a moment after
        as many have answered as must agree, ``counted`` of them before.
        """
        answers: SimpleQueue[tuple[_Member, Any]] = SimpleQueue()
        said: dict[_Member, Any] = {}
        asked = list(members)
        for member in asked:
            member.ask(question, answers)
        while len(said) < len(asked) and not is_enough(said):
            try:
                member, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if isinstance(answer, Exception) and not isinstance(
                answer, ChainUnavailable | CallReverted | TransactionRejected
            ):
                raise answer
            said[member] = answer
            if not is_patient and len(said) + counted >= self._agree:
                deadline = min(deadline, time.monotonic() + PATIENCE_SECONDS)
        return said

    def _too_few(self, said: Mapping[_Member, Any]) -> ChainUnavailable:
        """Return the error that tells why there is no agreement: the first node's fault, or that they differ."""
        faults = [answer for answer in said.values() if isinstance(answer, ChainUnavailable)]
        if faults:
            why = message_of(faults[0])
        elif len(said) < self._agree:
            why = Message("the others do not answer")
        else:
            why = Message("they say different things")
        return ChainUnavailable(
            Message(
                "fewer than {needed} of {nodes} nodes say the same ({why})",
                needed=self._agree,
                nodes=len(self._members),
                why=why,
            )
        )


def _about(subject: Subject, question: Callable[[JsonRpcChain, Subject], Value]) -> Callable[[JsonRpcChain], Value]:
    """Ask about this block or number, also where a node hangs and is asked once it is the next one's turn."""
    return lambda node: question(node, subject)


def _compared(answer: Any) -> object:
    """Return what of an answer must be alike."""
    if isinstance(answer, CallReverted):
        return CallReverted, answer.data
    if isinstance(answer, ChainReceipt):
        return replace(answer, revert_data=None)
    return answer
