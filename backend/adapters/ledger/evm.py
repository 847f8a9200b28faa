"""The services' ``Ledger`` over an EVM chain: encodes calls, signs transactions, and caches what contracts answer."""

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, wraps
from itertools import count as numbers_from
from typing import Any, TypeVar, cast

from eth_utils.address import is_hex_address, to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.keys.vault import AccountKeys
from backend.adapters.ledger.calls import (
    ACCOUNT_NAMES,
    ADMIN,
    GUARDIAN,
    LOG_BLOCKS,
    Accounts,
    ContractCall,
    Fees,
    account_in,
    asking,
    has_view,
    interface,
    logs_between,
    operation_id,
    refusal,
    replace_by_fee,
    sign_call,
    view,
)
from backend.adapters.ledger.chain import (
    BATCH_ANCHORED,
    DRAWN,
    REVOCATION_PUBLISHED,
    Block,
    Chain,
    ChainReceipt,
    FoundLog,
    anchoring_of_event,
    drawdowns_of,
)
from backend.adapters.ledger.deployment import Deployment
from backend.domain.errors import ForeignLedger, Invalid
from backend.domain.evidence import NamedAnchorer, Segments, Tree
from backend.domain.ledger import (
    Accredit,
    Accreditation,
    ActivateCertificate,
    AgentAccount,
    AllowDrawdowns,
    AnchorBatch,
    AnchoredBatch,
    Anchoring,
    Announce,
    CancelAnnounced,
    CancelNonce,
    CertificateBalance,
    ChangeStatuses,
    CorrectActivation,
    DrawdownSet,
    FundAccount,
    GrantRole,
    Head,
    LedgerCall,
    LedgerDrawdown,
    LedgerRecord,
    LedgerRole,
    MakeDrawdowns,
    MoveAgent,
    PauseLedger,
    PublishRevocation,
    Receipt,
    RefundDrawdown,
    RegisterAgent,
    RenewPause,
    Revocation,
    RevokeRole,
    RoleHolder,
    RoleHolders,
    RotateKey,
    SetOffice,
    SignedTransaction,
    SuspendAccreditation,
    SuspendAgent,
    accreditation_in,
    batch_key,
    ledger_time,
)
from backend.domain.parties import is_office_code
from backend.domain.signature_terms import KeyHistory, SignatureTerms, Suspension, TermsVersion, terms_of_signature

STATUSES_PER_WORD = 64
HIGHEST_STATUS = 14
"""Four bits hold 16 values, and one of them means "unchanged"."""

TRANSACTION_GAS_LIMIT = 16_777_216
"""The maximum for one transaction on public chains since Osaka (EIP-7825)."""

PLAIN_GAS = 30_000
ANCHOR_GAS = 150_000
AUTHORITY_GAS = 600_000
"""Every change of an accreditation is stored beside the earlier ones, and a rotation writes two."""
ACTIVATION_GAS = 400_000
REFUND_GAS = 200_000
REVOCATION_GAS = 200_000
CONSENT_GAS = 150_000
OFFICE_GAS = 100_000
AGENT_GAS = 200_000
FUNDS_WEI = 10**24
"""What a new account gets where money has no value."""
DRAWDOWNS_GAS = 100_000
DRAWDOWN_GAS = 45_000
"""Enough for a drawdown that shares no storage with its neighbours."""
MAX_DRAWDOWNS = 248
LARGEST_QUANTITY = 2**88 - 1
NO_END = 2**40 - 1
_ANCHORED = keccak(text=BATCH_ANCHORED)
ROLE_GRANTED = keccak(text="RoleGranted(uint64,address,uint32,uint48,bool)")
BEFORE_LEDGER = 10
"""The manager is deployed in a block before that of the ledger, or in the same."""
EARLIER_ACCREDIT = "accredit(bytes32,uint8,uint128,uint40,uint40)"
"""As contracts know it that earlier versions deployed."""
STATUSES_GAS = 100_000
STATUS_WORD_GAS = 45_000
"""Enough for a word that is written for the first time and whose statuses change in every allowed way."""

MOST_SUBJECTS = 20_000
"""Maximum number of batches, keys and transactions in the cache."""
MOST_QUESTIONS = 20_000
"""Maximum number of answers about one subject: a key's accreditation is asked at the time of each record that it
signed.
"""


class ContractAnswers:
    """A cache of contracts' answers, each kept until an event names its subject.

    The subject of an answer is a batch's root, an issuer's key or a transaction's hash. Every change in our contracts
    emits an event that holds it, as a topic or as a word of its data. The newest block is compared before every answer,
    so that a cached one is never outdated. If the last seen block has left the chain, the whole cache is dropped.
    """

    def __init__(self, chain: Chain, contracts: Sequence[str], newest: Callable[[], Block] | None = None) -> None:
        self._chain = chain
        self._contracts = contracts
        self._newest = newest or chain.head
        self._lock = threading.Lock()
        self._at: Block | None = None
        self._kept: dict[bytes, dict[Hashable, Any]] = {}

    def ask(self, subject: bytes, question: Hashable, asked: Callable[[], Any]) -> Any:
        """Return the answer to a question about the subject at the newest block; None is never cached."""
        head = self._newest()
        with self._lock:
            self._follow(head)
            kept = self._kept.get(subject, {}).get(question)
        if kept is not None:
            return kept
        # Asked without the lock: a slow node must not hold up answers about other subjects.
        answer = asked()
        # Asked at another block than the one looked at, it may rest on one that leaves the chain again.
        if answer is not None and self._chain.head().block_hash == head.block_hash:
            with self._lock:
                if self._at is not None and self._at.block_hash == head.block_hash:
                    self._keep(subject, question, answer)
        return answer

    def _keep(self, subject: bytes, question: Hashable, answer: Any) -> None:
        if subject not in self._kept and len(self._kept) >= MOST_SUBJECTS:
            self._kept.pop(next(iter(self._kept)))
        about = self._kept.setdefault(subject, {})
        if len(about) >= MOST_QUESTIONS:
            about.pop(next(iter(about)))
        about[question] = answer

    def _follow(self, head: Block) -> None:
        """Drop answers that the blocks since the last look have changed."""
        before = self._at
        if before is not None and before.block_hash == head.block_hash:
            return
        # If the block seen last is gone, the chain was reorganised, and any kept answer may rest on a block that is
        # gone.
        standing = self._chain.block(before.number) if before is not None else None
        if before is None or standing is None or standing.block_hash != before.block_hash:
            self._kept.clear()
        elif head.number <= before.number:
            return  # another thread has looked since
        elif head.number - before.number > LOG_BLOCKS:
            # So many blocks would need several queries for events. Asking the contracts again costs less.
            self._kept.clear()
        else:
            for address in self._contracts:
                for found in self._chain.logs(before.number + 1, head.number, address):
                    self._forget(found)
        self._at = head

    def _forget(self, found: FoundLog) -> None:
        data = found.log.data
        for word in (*found.log.topics, *(data[start : start + 32] for start in range(0, len(data), 32))):
            self._kept.pop(word, None)


Method = TypeVar("Method", bound=Callable[..., Any])


def _once_at_one_block(method: Method) -> Method:
    """Ask once within ``at_one_block`` what is asked again about each record of a list: its batch and its issuer."""

    @wraps(method)
    def asked(self: "EvmLedger", *arguments: Hashable) -> Any:
        answers = getattr(self._here, "answers", None)
        if answers is None:
            return method(self, *arguments)
        question = (method, *arguments)
        if question not in answers:
            answers[question] = method(self, *arguments)
        return answers[question]

    return cast(Method, asked)


class EvmLedger:
    """Implements ``backend.services.ports.Ledger``.

    It holds no connection and caches answers until a block changes them.

    Every method that asks the chain raises ``LedgerUnavailable`` where it does not answer and ``ForeignLedger`` where
    it is not the chain of our deployment.
    """

    def __init__(
        self,
        chain: Chain,
        deployment: Deployment,
        accounts: Accounts,
        fees: Fees | None = None,
        confirmations: int = 0,
        *,
        gives_money: bool = False,
    ) -> None:
        self._chain = chain
        self._deployment = deployment
        self._accounts = accounts
        self._fees = fees or Fees()
        self.confirmations = confirmations
        """Number of further blocks after which a block is treated as final."""
        self.gives_money = gives_money
        """Whether accounts that are new get money from the authority's, as on the embedded chain."""
        self._checked_landmark: bytes | None = None
        self._is_current = True
        self._is_balance_current: bool | None = None
        self._agents: dict[str, int] = {}
        self._head: Head | None = None
        contracts = [
            deployment.ledger,
            deployment.accreditation,
            *filter(None, [deployment.balance, deployment.revocations]),
        ]
        self._answers = ContractAnswers(chain, contracts, self._newest)
        self._here = threading.local()

    @contextmanager
    def at_one_block(self) -> Iterator[None]:
        """Ask for the newest block once for everything that this thread asks within; what is nested takes the same."""
        if getattr(self._here, "is_fixed", False):
            yield
            return
        self._here.is_fixed, self._here.block, self._here.answers = True, None, {}
        try:
            yield
        finally:
            self._here.is_fixed, self._here.block, self._here.answers = False, None, None

    def _newest(self) -> Block:
        if not getattr(self._here, "is_fixed", False):
            return self._chain.head()
        if self._here.block is None:
            self._here.block = self._chain.head()
        block: Block = self._here.block
        return block

    def head(self) -> Head:
        """Return the newest block.

        Raises:
            ForeignLedger: if the contracts are not those of our deployment.
            LedgerUnavailable: if the chain does not answer.
        """
        with asking():
            block, known = self._newest(), self._head
            if known is not None and known.block_hash == block.block_hash:
                return known
            self._require_ours()
        self._head = Head(
            chain_id=self._deployment.chain_id,
            number=block.number,
            block_hash=block.block_hash,
            block_time=block.time,
            instance_id=self._deployment.instance_id,
            ledger_address=self._deployment.ledger,
            accreditation_address=self._deployment.accreditation,
            revocations_address=self._deployment.revocations,
        )
        return self._head

    def anchorer(self) -> int:
        """Return the number of our anchorer among the ledger's agents; 0 where it is none.

        An agent keeps its number for ever, also where it moves to another account.
        """
        return self._agent("anchorer")

    def named_anchorer(self) -> NamedAnchorer | None:
        """Return our anchorer as records name it, or None if it is no agent."""
        number = self.anchorer()
        return NamedAnchorer(self._deployment.ledger_name, number) if number else None

    @property
    def offices(self) -> frozenset[str]:
        """The codes of the customs offices whose own accounts are here."""
        return frozenset(filter(is_office_code, self._accounts))

    def account(self, name: str) -> str | None:
        """Return the address of an account by its name, or None if there is none of that name here."""
        return self._accounts[name].address if name in self._accounts else None

    def read_address(self, typed: str) -> str | None:
        """Return an address with the case of letters that checks it (EIP-55); None if it is none, or nobody's."""
        if not (typed.startswith("0x") and is_hex_address(typed) and int(typed, 16)):
            return None
        checked, digits = to_checksum_address(typed), typed[2:]
        is_unchecked = digits in (digits.lower(), digits.upper())
        return checked if is_unchecked or typed == checked else None

    def agent(self, account: str) -> AgentAccount:
        """Return what the ledger says of the account at an address."""
        roles, number, _ = self._ask_ledger("agentOf", account)
        successor = account_in(self._ask_ledger("agentSuccessor", account)) if self._has_current_contracts() else None
        return AgentAccount(number, roles, successor)

    def prepare_account(self, name: str) -> str:
        """Create the key that will be an account's once the ledger knows it, and return its address."""
        return self._account_keys().prepare(name)

    def take_over_account(self, name: str, account: str) -> None:
        """Let the key that was prepared for an account, and has this address, sign for it."""
        self._account_keys().take_over(name, account)

    def _account_keys(self) -> AccountKeys:
        if not isinstance(self._accounts, AccountKeys):
            raise Invalid("the keys of these accounts are not kept here")
        return self._accounts

    def office(self, code: str) -> int:
        """Return the number of a customs office's own account among the ledger's agents; 0 if it is none."""
        return self._agent(code) if code in self.offices and self._has_current_contracts() else 0

    def deciding_office(self, key: bytes) -> int:
        """Return the number of the agent that alone decides on the declarations of a batch; 0 for any office."""
        if not self._has_current_contracts():
            return 0
        number: int = self._ask_ledger("decidingOffice", _word(key, "batch key"), about=key)
        return number

    def _agent(self, name: str) -> int:
        if not self._agents.get(name):
            address = self._address(name)
            number = self._ask_ledger("agentOf", address)[1]
            # Our account gave way to another one that this process does not have yet: the batches are still ours.
            while number == 0 and self._is_current:
                successor = account_in(self._ask_ledger("agentSuccessor", address))
                if successor is None:
                    break
                address, number = successor, self._ask_ledger("agentOf", successor)[1]
            self._agents[name] = number
        return self._agents[name]

    @_once_at_one_block
    def batch_key(self, root: bytes, transaction: bytes | None = None) -> bytes:
        """Return the key of our batch with this root, or of that which a transaction anchored, whosever it is."""
        root = _word(root, "root")
        if not self._has_current_contracts():
            return root
        if transaction is not None and (found := self._key_anchored_by(transaction, root)) is not None:
            return found
        return batch_key(self.anchorer(), root)

    def _key_anchored_by(self, transaction: bytes, root: bytes) -> bytes | None:
        mined = self._mined(transaction)
        keys_by: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for log in () if mined is None or not mined.succeeded else mined.logs:
            if log.address == self._deployment.ledger and log.topics[0] == _ANCHORED:
                keys_by[log.topics[2]].append(log.topics[1])
        # One question for each anchorer, however many batches a stranger's transaction anchored.
        for keys in keys_by.values():
            batch = self.batch(keys[0])
            if batch is not None and (key := batch_key(batch.anchorer, root)) in keys:
                return key
        return None

    @_once_at_one_block
    def batch(self, key: bytes) -> AnchoredBatch | None:
        """Return the batch that has this key, or None."""
        anchored_at, number, anchorer, *ends = self._ask_ledger("batchOf", _word(key, "batch key"), about=key)
        if anchored_at == 0:
            return None
        return AnchoredBatch(ledger_time(anchored_at), number, anchorer, Segments(*ends))

    def status(self, key: bytes, leaf_index: int) -> int:
        """Return the 4-bit status of a leaf of a batch.

        It is 0 where nothing was ever changed, and also where there is no such batch.
        """
        index, position = divmod(leaf_index, STATUSES_PER_WORD)
        word: int = self._ask_ledger("statusWord", _word(key, "batch key"), index, about=key)
        return word >> 4 * position & 15

    @property
    def publishes_revocations(self) -> bool:
        """Whether revocations of records can be published here; False where the contracts are older than that."""
        return self._deployment.revocations is not None

    def revocation(self, leaf: bytes, anchorer: int | None = None) -> Revocation | None:
        """Return what is published of the record with this leaf, or None. Older contracts have nothing published.

        With an anchorer's number only what was published from batches of that one.
        """
        if self._deployment.revocations is None:
            return None
        asked = _word(leaf, "leaf") if anchorer is None else batch_key(anchorer, _word(leaf, "leaf"))
        answer = self._ask("Revocations", self._deployment.revocations, "revocationOf", asked, about=leaf)
        status, since, published_at = answer
        return Revocation(status, ledger_time(since), ledger_time(published_at)) if since else None

    def revocations(self) -> Iterator[tuple[bytes, LedgerRecord]]:
        """Yield the leaf of every revocation in the ledger's events with the place that it was published from."""
        topics = (keccak(text=REVOCATION_PUBLISHED),)
        for event in self._events(self._revocations(), topics) if self.publishes_revocations else ():
            _, leaf, batch = event.log.topics
            yield leaf, LedgerRecord(batch, int.from_bytes(event.log.data[:32], "big"))

    @_once_at_one_block
    def accreditation(self, key: bytes) -> Accreditation | None:
        """Return a key's present accreditation, or None where there never was one."""
        return accreditation_in(self._ask_accreditation("accreditationOf", _word(key, "key"), about=key))

    def accreditation_at(self, key: bytes, time: datetime) -> Accreditation | None:
        """Return a key's accreditation as the ledger held it at a time, or None where it had none yet."""
        at = _word(key, "key"), max(0, _seconds(time))
        return accreditation_in(self._ask_accreditation("accreditationAt", *at, about=key))

    def terms_of_signature(self, key: bytes, issued: datetime, anchored: datetime | None) -> SignatureTerms:
        """Return the terms by which a signature of that moment is judged, which was anchored at the other."""
        if not self._has_current_contracts():
            # It took over no history, but was never strict about terms that were recorded later either: its papers stay
            # what they were.
            always = datetime.max.replace(tzinfo=UTC)
            return terms_of_signature(lambda time: self.accreditation_at(key, time), issued, anchored, (), always)
        moments = max(0, _seconds(issued)), max(0, _seconds(anchored or issued))
        terms = self._ask_accreditation("termsOfSignature", _word(key, "key"), *moments, about=key)
        return SignatureTerms(*map(accreditation_in, terms))

    def successor(self, key: bytes) -> bytes | None:
        """Return the key that replaced this one, or None."""
        return self._neighbour("successorOf", key)

    def _neighbour(self, function: str, key: bytes) -> bytes | None:
        answer = self._ask_accreditation(function, _word(key, "key"), about=key)
        return bytes(answer) if any(answer) else None

    @property
    def lists_terms(self) -> bool:
        """Whether the versions of a key's terms can be listed; False where the contracts are of an earlier version."""
        return self._has_current_contracts()

    def history(self, key: bytes, first: int, count: int) -> KeyHistory | None:
        """Return at most ``count`` versions of a key's terms from number ``first`` on; None if it has none.

        Raises:
            Invalid: if the contracts are of an earlier version and keep no list.
        """
        if not self.lists_terms:
            raise Invalid("the contracts are of an earlier version and list no versions of a key's accreditation")
        total: int = self._ask_accreditation("versionCount", _word(key, "key"), about=key)
        if total == 0:
            return None
        suspensions = self._ask_accreditation("suspensionsOf", key, about=key)
        return KeyHistory(
            count=total,
            versions=tuple(self._version(key, number) for number in range(first, min(first + count, total))),
            before=self._version(key, first - 1) if 0 < first <= total else None,
            suspensions=tuple(
                Suspension(ledger_time(since), ledger_time(lifted) if lifted else None) for since, lifted in suspensions
            ),
            predecessor=self._neighbour("predecessorOf", key),
            successor=self._neighbour("successorOf", key),
        )

    def _version(self, key: bytes, number: int) -> TermsVersion:
        terms, recorded = self._ask_accreditation("version", key, number, about=key)
        held = accreditation_in(terms)
        assert held is not None, "a version that was recorded covers something"
        return TermsVersion(number, held, ledger_time(recorded))

    def accredited_keys(self) -> Iterator[bytes]:
        """Yield every key that was ever accredited here, in the order of the first accreditation."""
        # Without the cache: a key that is not there yet must not stay missing.
        for number in numbers_from(1):
            key = bytes(self._ask_accreditation("keyOf", number))
            if not any(key):
                return
            yield key

    def _ask_accreditation(self, function: str, *arguments: Hashable, about: bytes | None = None) -> Any:
        return self._ask("Accreditation", self._deployment.accreditation, function, *arguments, about=about)

    def certificate_balance(self, certificate: LedgerRecord) -> CertificateBalance | None:
        """Return a certificate's quantity and remaining quantity, or None where it was not activated.

        Raises:
            Invalid: if this deployment has no contract for certificates' quantities.
        """
        place = _word(certificate.batch_key, "batch key"), certificate.leaf_index
        about = certificate.batch_key
        answer = self._ask("CertificateBalance", self._balance(), "balanceOf", *place, about=about)
        quantity, remaining, issuer, valid_until = answer
        return CertificateBalance(quantity, remaining, issuer, ledger_time(valid_until)) if issuer else None

    def carried_to(self, certificate: LedgerRecord) -> LedgerRecord | None:
        """Return the certificate that goes on with the account of a superseded one, or None."""
        if not self._carries_over():
            return None
        place = _word(certificate.batch_key, "batch key"), certificate.leaf_index
        about = certificate.batch_key
        key, leaf_index = self._ask("CertificateBalance", self._balance(), "carriedTo", *place, about=about)
        return LedgerRecord(key, leaf_index) if any(key) else None

    def delay(self, call: LedgerCall) -> timedelta:
        """Return how long before a change it must be announced by who makes it; zero where it need not."""
        contract_call = self._contract_call(call)
        if isinstance(call, GrantRole | RevokeRole):
            # The manager answers "canCall" for other contracts' functions only.
            _, seconds = self._ask_manager("hasRole", LedgerRole.ADMIN, self._address(contract_call.signer))
            at_once = isinstance(call, RevokeRole) and call.role is not LedgerRole.ADMIN
            return timedelta(0) if at_once else timedelta(seconds=seconds)
        _, seconds = self._ask_manager(
            "canCall", self._address(contract_call.signer), contract_call.to, contract_call.data[:4]
        )
        return timedelta(seconds=seconds)

    def announced(self, call: LedgerCall) -> datetime | None:
        """Return when an announced call may be done; None where it was never announced, is done, or was cancelled."""
        seconds: int = self._ask_manager("getSchedule", self.operation(call))
        return ledger_time(seconds) if seconds else None

    def operation(self, call: LedgerCall) -> bytes:
        """Return the identifier under which a call is announced; ``chain withdraw`` takes it."""
        made = self._contract_call(call)
        assert made.to is not None, "acts never deploy"
        return operation_id(self._address(made.signer), made.to, made.data)

    def paused_until(self) -> datetime | None:
        """Return when the pause ends by itself; None where none was begun or its end was a moment of the past.

        Contracts of an earlier version name no end: there it is the last moment that there is.
        """
        if not self._has_current_contracts():
            return datetime.max.replace(tzinfo=UTC) if self._ask_ledger("isPaused") else None
        seconds: int = self._ask_ledger("pausedUntil")
        return ledger_time(seconds) if seconds else None

    def role_holders(self, accounts: Sequence[str]) -> RoleHolders | None:
        """Return which roles over the contracts some accounts have, with those of ours and of the deployment.

        None on contracts of an earlier version, where the authority administers alone.
        """
        if not self._has_current_contracts():
            return None
        own = (self.account(name) for name in (*ACCOUNT_NAMES, GUARDIAN))
        asked = dict.fromkeys([*filter(None, own), *self._deployed_with_roles, *map(to_checksum_address, accounts)])
        questions = [(role, account) for role in LedgerRole for account in asked]
        manager = interface("AccessManager")
        calls = [manager.call_data("getAccess", int(role), account) for role, account in questions]
        # One question for all: the manager answers several calls at once.
        admins, *answers = self._ask_manager("multicall", [manager.call_data("adminCount"), *calls])
        holders = []
        for (role, account), answer in zip(questions, answers, strict=True):
            since, notice, _, _ = manager.answer("getAccess", answer)
            if since:
                holders.append(RoleHolder(role, account, ledger_time(since), notice))
        return RoleHolders(manager.answer("adminCount", admins), tuple(holders))

    @cached_property
    def _deployed_with_roles(self) -> tuple[str, ...]:
        """The accounts to which the deployment gave roles: the guardian and the admin may be wallets elsewhere."""
        first = max(self._deployment.block - BEFORE_LEDGER, 0)
        with asking():
            self._require_ours()
            last = min(self._chain.head().number, first + LOG_BLOCKS - 1)
            found = list(logs_between(self._chain, first, last, self._deployment.manager, [ROLE_GRANTED]))
        return tuple(dict.fromkeys(to_checksum_address(event.log.topics[2][-20:]) for event in found))

    def _ask_manager(self, function: str, *arguments: object) -> Any:
        return self._ask("AccessManager", self._deployment.manager, function, *arguments)

    @property
    def counts_quantities(self) -> bool:
        """Whether certificates can be drawn down here; False where the contracts are older than that feature."""
        return self._deployment.balance is not None

    def is_refunded(self, drawdown_set: bytes, position: int) -> bool | None:
        """Tell whether a drawdown was refunded; None where there is no such drawdown set."""
        word: int = self._ask("CertificateBalance", self._balance(), "drawingOf", _word(drawdown_set, "drawing"))
        return bool(word >> position & 1) if word else None

    def drawdown_sets(self) -> Iterator[DrawdownSet]:
        """Yield every drawdown set in the ledger's events, in order, without those of blocks that left the chain."""
        # Contracts that counted before hold the events of their time; the present one knows what was refunded since.
        for address in (*self._deployment.earlier_balances, self._balance()):
            for event in self._events(address, (keccak(text=DRAWN),)):
                drawn = drawdowns_of(event)
                word: int = self._ask("CertificateBalance", self._balance(), "drawingOf", drawn.set_root)
                back = frozenset(position for position in range(len(drawn.drawdowns)) if word >> position & 1)
                yield DrawdownSet(drawn, back, event.transaction_hash, event.block_number)

    def next_nonce(self, signer: str) -> int:
        """Return the number of transactions mined from this account."""
        address = self._address(signer)
        with asking():
            return self._chain.transaction_count(address)

    def sign(self, call: LedgerCall, nonce: int) -> SignedTransaction:
        """Build and sign the transaction for a call.

        Raises:
            ForeignLedger: if the node is on another chain, so that nothing is signed for it.
            LedgerUnavailable: if the chain does not answer.
            Invalid: if the call cannot be encoded.
        """
        contract_call = self._contract_call(call)
        with asking():
            # Before every signature: a signature for another chain with the same accounts could be used there.
            self._require_ours()
            fees = self._fees.at(self._chain.price())
        return sign_call(contract_call, self._accounts, self._deployment.chain_id, nonce, fees)

    def replace_by_fee(self, signer: str, raw: bytes) -> SignedTransaction | None:
        """Sign one of our transactions again with higher fees; None where the configured maximum is reached."""
        self._address(signer)
        with asking():
            self._require_ours()
            price = self._chain.price()
        signed = replace_by_fee(raw, self._accounts[signer], price, self._fees)
        return None if signed is None else replace(signed, signer=signer)

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the chain. One that is already known or mined is no error.

        Raises:
            LedgerRefused: if the chain does not take it.
            LedgerUnavailable: if the chain does not answer.
        """
        with asking():
            self._chain.send_raw(raw)

    @_once_at_one_block
    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt, or None while the transaction is not in a block."""
        mined = self._mined(transaction_hash)
        if mined is None:
            return None
        said = None if mined.succeeded or mined.revert_data is None else refusal(mined.revert_data)
        return Receipt(
            transaction_hash=transaction_hash,
            block_number=mined.block.number,
            block_hash=mined.block.block_hash,
            block_time=mined.block.time,
            succeeded=mined.succeeded,
            refusal=said.error if said else None,
        )

    def _mined(self, transaction_hash: bytes) -> ChainReceipt | None:
        with asking():
            mined: ChainReceipt | None = self._answers.ask(
                transaction_hash, "receipt", lambda: self._chain.receipt(transaction_hash)
            )
        return mined

    def simulate(self, call: LedgerCall) -> None:
        """Ask whether the contract would accept a call now (a dry run with ``eth_call``).

        Raises:
            LedgerRefused: if it would not, with the contract's error and arguments.
            LedgerUnavailable: if the chain does not answer.
        """
        contract_call = self._contract_call(call)
        assert contract_call.to is not None, "acts never deploy"
        with asking():
            self._chain.call(contract_call.to, contract_call.data, self._accounts[contract_call.signer].address)

    def anchorings(self, key: bytes | None = None) -> Iterator[Anchoring]:
        """Yield every anchoring in the ledger's events, in order, or that of one batch."""
        topics = (_ANCHORED, *(() if key is None else (_word(key, "batch key"),)))
        return (anchoring_of_event(event) for event in self._events(self._deployment.ledger, topics))

    def _events(self, address: str, topics: tuple[bytes, ...]) -> Iterator[FoundLog]:
        with asking():
            self._require_ours()
            first, last = self._deployment.block, self._chain.head().number
        yield from logs_between(self._chain, first, last, address, topics)

    def anchoring_of(self, key: bytes, batch: AnchoredBatch) -> Anchoring | None:
        """Find the transaction that anchored a batch, by a binary search for the block of the batch's time."""
        with asking():
            low, high = self._deployment.block, (newest := self._chain.head().number)
            while low < high:
                middle = (low + high) // 2
                block = self._chain.block(middle)
                if block is None:
                    return None
                low, high = (middle + 1, high) if block.time < batch.anchored_at else (low, middle)
            topics = (_ANCHORED, key)
            # Test nodes give one time to many blocks; the key tells them apart.
            last = min(low + 100, newest)
            found = self._chain.logs(low, last, self._deployment.ledger, topics) if low <= last else ()
        return anchoring_of_event(found[0]) if found else None

    def transactions_left(self) -> dict[str, int]:
        """Return how many more transactions each account can pay for, at most a million."""
        with asking():
            cost = self._fees.at(self._chain.price()).max_fee_per_gas * ANCHOR_GAS
            balances = {name: self._chain.balance(account.address) for name, account in self._accounts.items()}
        # Where gas is free, accounts own nothing and lack nothing.
        return {name: min(1_000_000, balance // cost) if cost else 1_000_000 for name, balance in balances.items()}

    def statuses(self, key: bytes, size: int) -> list[int]:
        """Return the statuses of all leaves of a batch, in order."""
        # Without the cache: the audit compares the database with what the contract holds now.
        words = [self._ask_ledger("statusWord", key, index) for index in range(-(-size // STATUSES_PER_WORD))]
        return [
            words[leaf_index // STATUSES_PER_WORD] >> 4 * (leaf_index % STATUSES_PER_WORD) & 15
            for leaf_index in range(size)
        ]

    def _contract_call(self, call: LedgerCall) -> ContractCall:
        """Encode a ledger call as a contract call. No other code does."""
        match call:
            case CancelNonce(by):
                return ContractCall(by, self._address(by), b"", PLAIN_GAS)
            case AnchorBatch(root, segments, office):
                ends = (segments.origin_end, segments.inspection_end, segments.declaration_end, segments.size)
                if not self._has_current_contracts():
                    return self._ledger_call("anchorer", ANCHOR_GAS, "anchor", _word(root, "root"), *ends)
                return self._ledger_call(
                    "anchorer", ANCHOR_GAS, "anchorFor", _word(root, "root"), _fields(ends, office)
                )
            case ChangeStatuses():
                return self._status_call(call)
            case Accredit(key, accreditation):
                return self._accreditation_call("accredit", _word(key, "key"), *_terms(accreditation))
            case SuspendAccreditation(key, since) if since is not None:
                return self._accreditation_call("suspend", _word(key, "key"), _seconds(since))
            case SuspendAccreditation(key):
                return self._accreditation_call("reinstate", _word(key, "key"))
            case RotateKey(key, successor):
                return self._accreditation_call("rotate", _word(key, "key"), _word(successor, "successor"))
            case ActivateCertificate():
                return self._activation_call(call)
            case MakeDrawdowns(drawdowns):
                gas = DRAWDOWNS_GAS + DRAWDOWN_GAS * len(drawdowns)
                return self._balance_call(gas, "draw", _drawdowns(call))
            case RefundDrawdown(drawn, position):
                return self._balance_call(REFUND_GAS, "giveBack", *_refund(drawn, position))
            case PublishRevocation(document, entry, path):
                place = _word(document.batch_key, "batch key"), document.leaf_index
                proof = [_word(node, "node of a path") for node in path]
                data = interface("Revocations").call_data("publish", *place, entry, proof)
                return ContractCall("anchorer", self._revocations(), data, REVOCATION_GAS)
            case CorrectActivation(activation):
                certificate, _, _, statement = _activation(activation)
                return self._balance_call(ACTIVATION_GAS, "correct", certificate, statement)
            case AllowDrawdowns(account, is_allowed):
                return self._balance_call(CONSENT_GAS, "allowDrawdowns", account, is_allowed)
            case SetOffice(batch_key, office, by):
                self._address(by)
                return self._ledger_call(by, OFFICE_GAS, "setOffice", _word(batch_key, "batch key"), office)
            case RegisterAgent(account, roles):
                return self._ledger_call("authority", AGENT_GAS, "registerAgent", to_checksum_address(account), roles)
            case SuspendAgent(account):
                return self._ledger_call("authority", AGENT_GAS, "suspendAgent", account)
            case MoveAgent(account, successor):
                return self._ledger_call("authority", AGENT_GAS, "moveAgent", account, to_checksum_address(successor))
            case FundAccount(account):
                return ContractCall("authority", account, b"", PLAIN_GAS, FUNDS_WEI)
            case Announce(announced):
                inner = self._contract_call(announced)
                return self._manager_call(inner.signer, "schedule", inner.to, inner.data, 0)
            case CancelAnnounced(announced, by):
                inner = self._contract_call(announced)
                return self._manager_call(by, "cancel", self._address(inner.signer), inner.to, inner.data)
            case PauseLedger(paused):
                return self._ledger_call("authority", AUTHORITY_GAS, "pause" if paused else "resume")
            case RenewPause():
                return self._ledger_call("authority", AUTHORITY_GAS, "renewPause")
            case GrantRole(role, account, notice):
                return self._manager_call(ADMIN, "grantRole", int(role), to_checksum_address(account), notice)
            case RevokeRole(role, account):
                return self._manager_call(ADMIN, "revokeRole", int(role), to_checksum_address(account))

    def _status_call(self, call: ChangeStatuses) -> ContractCall:
        self._address(call.by)
        words = _changes(call.places)
        gas = STATUSES_GAS + STATUS_WORD_GAS * len(words)
        if gas > TRANSACTION_GAS_LIMIT:
            raise Invalid("too many places for one transaction", words=len(words))
        digest = _word(call.reason_digest, "reason digest")
        key = _word(call.batch_key, "batch key")
        return self._ledger_call(call.by, gas, "changeStatuses", key, list(words.items()), digest)

    def _ledger_call(self, signer: str, gas: int, function: str, *arguments: object) -> ContractCall:
        return ContractCall(
            signer, self._deployment.ledger, interface("TraceLedger").call_data(function, *arguments), gas
        )

    def _balance_call(self, gas: int, function: str, *arguments: object) -> ContractCall:
        return ContractCall(
            "anchorer", self._balance(), interface("CertificateBalance").call_data(function, *arguments), gas
        )

    def _activation_call(self, call: ActivateCertificate) -> ContractCall:
        arguments, superseded = _activation(call), call.superseded
        if call.is_named:
            place = (
                (bytes(32), 0) if superseded is None else (_word(superseded.batch_key, "key"), superseded.leaf_index)
            )
            return self._balance_call(ACTIVATION_GAS, "openNamed", *arguments, place)
        # Contracts of an earlier version begin anew with a successor; there the server's own count is all there is.
        if superseded is None or not self._carries_over():
            return self._balance_call(ACTIVATION_GAS, "open", *arguments)
        place = _word(superseded.batch_key, "batch key"), superseded.leaf_index
        return self._balance_call(ACTIVATION_GAS, "openSuccessor", *arguments, place)

    def _carries_over(self) -> bool:
        """Tell whether the contract for quantities is of this version."""
        if self._is_balance_current is None:
            with asking():
                self._require_checked()
                self._is_balance_current = has_view(self._chain, "CertificateBalance", self._balance(), "phase")
        return self._is_balance_current

    def _balance(self) -> str:
        if self._deployment.balance is None:
            raise Invalid("this deployment has no contract for certificates' quantities")
        return self._deployment.balance

    def _revocations(self) -> str:
        if self._deployment.revocations is None:
            raise Invalid("this deployment has no contract for revocations")
        return self._deployment.revocations

    def _manager_call(self, signer: str, function: str, *arguments: object) -> ContractCall:
        self._address(signer)
        data = interface("AccessManager").call_data(function, *arguments)
        return ContractCall(signer, self._deployment.manager, data, AUTHORITY_GAS)

    def _accreditation_call(self, function: str, *arguments: object) -> ContractCall:
        data = interface("Accreditation").call_data(function, *arguments)
        if function == "accredit" and not self._has_current_contracts():
            # The words of the call are the same: eight bits of kinds, and more were never in use there.
            data = keccak(text=EARLIER_ACCREDIT)[:4] + data[4:]
        return ContractCall("authority", self._deployment.accreditation, data, AUTHORITY_GAS)

    def _ask_ledger(self, function: str, *arguments: Hashable, about: bytes | None = None) -> Any:
        return self._ask("TraceLedger", self._deployment.ledger, function, *arguments, about=about)

    def _ask(self, contract: str, address: str, function: str, *arguments: Hashable, about: bytes | None = None) -> Any:
        """Call a view.

        The answer is cached if ``about`` names a subject that every event changing the answer carries.
        """

        def call() -> Any:
            return view(self._chain, contract, address, function, *arguments)

        with asking():
            self._require_checked()
            return call() if about is None else self._answers.ask(about, (address, function, arguments), call)

    def _has_current_contracts(self) -> bool:
        """Tell contracts of this version from those that an earlier one deployed.

        Those know batches by their roots alone, and keep no suspension that was lifted.
        """
        with asking():
            self._require_checked()
        return self._is_current

    def _require_checked(self) -> None:
        if self._checked_landmark is None:
            self._require_ours()

    def _require_ours(self) -> None:
        """Raise ForeignLedger if the chain is not the one of our deployment.

        The hash of the block that carries our contracts commits to all blocks before it. While it is the one seen at
        the last full check, nothing else needs to be asked.
        """
        # Asked every time: a node behind the same address may be replaced while the server runs.
        chain_id = self._chain.chain_id()
        if chain_id != self._deployment.chain_id:
            raise ForeignLedger(
                "the node is on chain {chain_id}, not {expected}",
                chain_id=chain_id,
                expected=self._deployment.chain_id,
            )
        landmark = self._chain.block(self._deployment.block)
        if landmark is None:
            raise ForeignLedger("the chain ends before our contracts", block=self._deployment.block)
        if landmark.block_hash != self._checked_landmark:
            self._check_identity()
            # Set only after the check has passed, so that a failed one is repeated.
            self._checked_landmark = landmark.block_hash

    def _check_identity(self) -> None:
        expected = self._deployment
        chain_id, genesis = self._chain.chain_id(), self._chain.block(0)
        if chain_id != expected.chain_id or genesis is None or genesis.block_hash != expected.genesis_hash:
            raise ForeignLedger("the chain is another one than that of our deployment", chain_id=chain_id)
        if view(self._chain, "TraceLedger", expected.ledger, "instanceId") != expected.instance_id:
            raise ForeignLedger("the contract is of another deployment", ledger=expected.ledger)
        # Whether the contracts are of this version: they are deployed together, so one of them answers for all.
        self._is_current = has_view(self._chain, "TraceLedger", expected.ledger, "batchKeyOf", 0, bytes(32))
        self._agents = {}

    def _address(self, name: str) -> str:
        if name not in self._accounts:
            raise Invalid("there is no account named {account}", account=name)
        return self._accounts[name].address


def _changes(places: tuple[tuple[int, int], ...]) -> dict[int, int]:
    """Pack status changes into words by rising index: 4 bits per leaf, 0 for "unchanged", else new status plus 1."""
    wanted: defaultdict[int, int] = defaultdict(int)
    seen: set[int] = set()
    for leaf_index, status in places:
        if leaf_index in seen or leaf_index < 0 or not 0 <= status <= HIGHEST_STATUS:
            raise Invalid(
                "a place is named twice, or no place or status has that number", leaf_index=leaf_index, status=status
            )
        seen.add(leaf_index)
        index, position = divmod(leaf_index, STATUSES_PER_WORD)
        wanted[index] |= status + 1 << 4 * position
    return dict(sorted(wanted.items()))


def _fields(ends: tuple[int, ...], office: int) -> int:
    """Pack a batch's segments, size and office into one word, as TraceLedger.sol stores them."""
    if not all(0 <= end < 1 << 32 for end in ends) or not 0 <= office < 1 << 24:
        raise Invalid("a batch's segments or office have too large a number", office=office)
    return sum(end << 104 + 32 * position for position, end in enumerate(ends)) | office << 232


def _activation(call: ActivateCertificate) -> tuple[object, ...]:
    valid_until = NO_END if call.valid_until is None else _seconds(call.valid_until)
    statement = (_word(call.issuer_key, "key"), call.chapter, _seconds(call.issued_at), valid_until)
    certificate = (_word(call.certificate.batch_key, "batch key"), call.certificate.leaf_index)
    return certificate, call.entry, [_word(node, "node of a path") for node in call.path], statement


def _drawdowns(drawn: MakeDrawdowns) -> list[tuple[object, ...]]:
    if not 0 < len(drawn.drawdowns) <= MAX_DRAWDOWNS:
        raise Invalid("a transaction makes 1 to 248 drawdowns", drawdowns=len(drawn.drawdowns))
    return [_drawdown(drawdown) for drawdown in drawn.drawdowns]


def _drawdown(drawdown: LedgerDrawdown) -> tuple[object, ...]:
    if not 0 < drawdown.quantity <= LARGEST_QUANTITY:
        raise Invalid("such a quantity cannot be drawn", quantity=drawdown.quantity)
    certificate, declaration = drawdown.certificate, drawdown.declaration
    return (
        _word(certificate.batch_key, "batch key"),
        certificate.leaf_index,
        _word(declaration.batch_key, "batch key"),
        declaration.leaf_index,
        drawdown.quantity,
    )


def _refund(drawn: MakeDrawdowns, position: int) -> tuple[object, ...]:
    if not 0 <= position < len(drawn.drawdowns):
        raise Invalid("there is no such drawdown", position=position)
    path = Tree([drawdown.leaf for drawdown in drawn.drawdowns]).proof(position).path
    return _drawdown(drawn.drawdowns[position]), drawn.set_root, position, list(path)


def _terms(accreditation: Accreditation) -> tuple[int, int, int, int]:
    if accreditation.suspended_since is not None:
        raise Invalid("a suspension is a change of its own")
    valid_from, valid_until = _seconds(accreditation.valid_from), _seconds(accreditation.valid_until)
    return accreditation.kinds, accreditation.chapters, valid_from, valid_until


def _word(value: bytes, meaning: str) -> bytes:
    if len(value) != 32:
        raise Invalid("a {meaning} has 32 bytes, not {count}", meaning=meaning, count=len(value))
    return value


def _seconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Invalid("a moment without a time zone means nothing", moment=moment.isoformat())
    return int(moment.timestamp())
