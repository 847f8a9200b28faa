"""What the services need from outside: the protocols that adapters implement, and the context that services receive."""

import shutil
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar
from uuid import uuid4

from backend.domain.errors import StorageUnavailable
from backend.domain.evidence import LedgerName, NamedAnchorer
from backend.domain.ledger import (
    Accreditation,
    AgentAccount,
    AnchoredBatch,
    Anchoring,
    CertificateBalance,
    DrawdownSet,
    Head,
    LedgerCall,
    LedgerRecord,
    Receipt,
    Revocation,
    RoleHolders,
    SignedTransaction,
)
from backend.domain.records import RecordOnFile
from backend.domain.sd_jwt import Jwk
from backend.domain.signature_terms import KeyHistory, SignatureTerms
from backend.domain.simulation import Scenario, Simulation
from backend.domain.snapshot import Snapshot
from backend.store.coordination import AdvisoryLeadership, Listener
from backend.store.unit_of_work import Headroom, JoinedWork, Work


class Ledger(Protocol):
    """An EVM chain that carries our contracts.

    Accounts are called by name: ``authority``, ``anchorer``, ``office``, ``guardian``, or the code of a customs
    office. Implementations are safe to call from several threads. A read never returns a guess.

    Raises:
        LedgerUnavailable: From every method, where the chain cannot be asked.
    """

    def head(self) -> Head:
        """Return the newest block.

        Raises:
            ForeignLedger: The contracts are not those of our deployment.
        """

    def at_one_block(self) -> AbstractContextManager[None]:
        """Let what this thread asks within be answered as of one block, the newest when it first asks, or a later one.

        A list of verdicts asks a thousand questions, and would otherwise ask for the newest block before each.
        """

    def anchorer(self) -> int:
        """Return the number of our anchorer among the ledger's agents. It is 0 if it is none."""

    def named_anchorer(self) -> NamedAnchorer | None:
        """Return our anchorer as records name it, or None if it is no agent. Asks the chain once, then never again."""

    @property
    def offices(self) -> frozenset[str]:
        """The codes of the customs offices whose own accounts are here. An account is called by its office's code."""

    def account(self, name: str) -> str | None:
        """Return the address of an account by its name, or None if there is none of that name here."""

    def read_address(self, typed: str) -> str | None:
        """Return an address as it is compared here, or None if it is none, or mistyped by its letters' case."""

    def agent(self, account: str) -> AgentAccount:
        """Return what the ledger says of the account at an address."""

    def prepare_account(self, name: str) -> str:
        """Create the key that will be an account's once the ledger knows it, and return its address.

        Whoever asks again gets the same, until it has become the account's.
        """

    def take_over_account(self, name: str, account: str) -> None:
        """Let the key that was prepared for an account, and has this address, sign for it. Doing it twice is no error.

        It takes effect in every process of the installation.
        """

    @property
    def gives_money(self) -> bool:
        """Whether accounts get the money that they need from the authority's, because it has no value here."""

    def office(self, code: str) -> int:
        """Return the number of a customs office's own account among the ledger's agents. It is 0 if it is none."""

    def deciding_office(self, key: bytes) -> int:
        """Return the number of the agent that alone decides on the declarations of a batch, or 0 for any office."""

    def batch_key(self, root: bytes, transaction: bytes | None = None) -> bytes:
        """Return the key of our own batch with this root, or of the batch that a transaction anchored under it.

        The same root may be anchored by several agents. A key tells their batches apart, and nobody can anchor under
        another's key. Where the transaction anchored no such batch, our own key is returned.
        """

    def batch(self, key: bytes) -> AnchoredBatch | None:
        """Return the batch that has this key, or None."""

    def status(self, key: bytes, leaf_index: int) -> int:
        """Return the 4-bit status of a leaf of a batch. It is 0 if it was never changed."""

    @property
    def publishes_revocations(self) -> bool:
        """Whether revocations of records can be published here. Contracts older than that cannot."""

    def revocation(self, leaf: bytes, anchorer: int | None = None) -> Revocation | None:
        """Return what is published of the record with this leaf, wherever it stands, or None.

        With an anchorer's number only what was published from batches of that one.
        """

    def revocations(self) -> Iterator[tuple[bytes, LedgerRecord]]:
        """Iterate over the revocations in the ledger's events, oldest first: the leaf, and where it has ended."""

    def accreditation(self, key: bytes) -> Accreditation | None:
        """Return the accreditation of a key (32-byte JWK thumbprint, RFC 7638), or None if it never had one."""

    @property
    def confirmations(self) -> int:
        """The number of blocks that must follow a block before it counts as final."""

    @property
    def counts_quantities(self) -> bool:
        """Whether certificates can be drawn down here. Contracts older than drawdowns cannot."""

    def delay(self, call: LedgerCall) -> timedelta:
        """Return how long before a change it must be announced. Zero means that it may be made at once."""

    def announced(self, call: LedgerCall) -> datetime | None:
        """Return from when on an announced call may be made. None if it is not announced, was made or was cancelled."""

    def operation(self, call: LedgerCall) -> bytes:
        """Return the identifier under which a call is announced, by which the guardian cancels it."""

    def paused_until(self) -> datetime | None:
        """Return when the pause ends by itself, also where that is past. None if there was none, or it was ended.

        Contracts of an earlier version name no end. There it is the last moment that there is.
        """

    def role_holders(self, accounts: Sequence[str]) -> RoleHolders | None:
        """Return which roles over the contracts these accounts have, with ours and those of the deployment.

        The contracts do not list who has a role: accounts that got one elsewhere must be named. None on contracts of an
        earlier version, where the authority alone has all roles.
        """

    def carried_to(self, certificate: LedgerRecord) -> LedgerRecord | None:
        """Return the certificate that goes on with the account of a superseded one, or None."""

    def certificate_balance(self, certificate: LedgerRecord) -> CertificateBalance | None:
        """Return a certificate's quantity and what remains of it, or None if it was not activated."""

    def is_refunded(self, drawdown_set: bytes, position: int) -> bool | None:
        """Tell whether a drawdown was refunded. None if there is no such set of drawdowns."""

    def drawdown_sets(self) -> Iterator[DrawdownSet]:
        """Iterate over the sets of drawdowns in the ledger's events, oldest first."""

    def accreditation_at(self, key: bytes, time: datetime) -> Accreditation | None:
        """Return the accreditation of a key as the ledger held it at a time, or None if it had none yet."""

    def terms_of_signature(self, key: bytes, issued: datetime, anchored: datetime | None) -> SignatureTerms:
        """Return the terms by which a signature of that moment is judged, which was anchored at the other."""

    @property
    def lists_terms(self) -> bool:
        """Whether the versions of a key's terms can be listed. Contracts of earlier versions keep no list."""

    def history(self, key: bytes, first: int, count: int) -> KeyHistory | None:
        """Return at most ``count`` versions of a key's terms from number ``first`` on, and all its suspensions.

        None if it was never accredited.

        Raises:
            Invalid: The contracts are of an earlier version and keep no list.
        """

    def accredited_keys(self) -> Iterator[bytes]:
        """Iterate over every key that was ever accredited here, in the order of the first accreditation."""

    def next_nonce(self, signer: str) -> int:
        """Return the number of transactions mined from this account, which is its next nonce."""

    def sign(self, call: LedgerCall, nonce: int) -> SignedTransaction:
        """Build and sign the transaction for a call. Nothing is sent or stored."""

    def replace_by_fee(self, signer: str, raw: bytes) -> SignedTransaction | None:
        """Sign a transaction of ours again for a higher fee. None if the highest fee that we may pay is reached."""

    def simulate(self, call: LedgerCall) -> None:
        """Ask by ``eth_call`` whether the contract would accept a call now.

        Raises:
            LedgerRefused: The contract would revert. The error names the reason.
        """

    def send(self, raw: bytes) -> None:
        """Send a signed transaction. Sending one that is known or mined already is no error.

        Raises:
            LedgerRefused: The node does not accept it, for example because its nonce is used or its account is empty.
        """

    def transactions_left(self) -> dict[str, int]:
        """Return how many more transactions each account can pay for, at most a million."""

    def statuses(self, key: bytes, size: int) -> list[int]:
        """Return the statuses of all leaves of a batch, by leaf index."""

    def anchorings(self, key: bytes | None = None) -> Iterator[Anchoring]:
        """Iterate over the anchorings in the ledger's events, oldest first, or over that of one batch."""

    def anchoring_of(self, key: bytes, batch: AnchoredBatch) -> Anchoring | None:
        """Return the transaction that anchored a batch."""

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt, or None while the transaction is in no block."""


class NodeRefused(Exception):
    """A node's JSON-RPC error, with its code and data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.code, self.data = code, data
        super().__init__(message)


JsonRpc = Callable[[str, Sequence[Any]], Any]
"""A chain that others may read: (method, parameters) of Ethereum's JSON-RPC to the result.

Raises:
    NodeRefused: The node answered with an error.
    LedgerUnavailable: The node cannot be asked.
"""


@dataclass(frozen=True)
class NodeAgreement:
    """How many of the ledger's nodes agree on the newest block now, how many must, and how many there are."""

    agreeing: int
    needed: int
    nodes: int


class Vault(Protocol):
    """Creates, stores and uses the organisations' signing keys."""

    def new_key(self) -> tuple[Jwk, bytes]:
        """Create a P-256 key. Returns the public JWK, and the private key encrypted for storage."""

    def sign(self, encrypted_private: bytes, signing_input: bytes) -> bytes:
        """Return the 64-byte ES256 signature (RFC 7518, section 3.4) over the signing input."""

    def reencrypt(self, sealed: bytes) -> bytes:
        """Encrypt the same private key under the newest master key."""


class Operator(Protocol):
    """Signs statements of what the ledger held, for readers who trust the operator of this installation."""

    def thumbprints(self) -> tuple[str, ...]:
        """Return the thumbprints of the keys that sign or have signed here, newest first."""

    def sign(self, stated: Snapshot) -> str:
        """Return the snapshot as a signed text."""

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """Return the ledgers that were used here before, each with the address of its accreditation contract."""


class Files(Protocol):
    """Stores attachments under their digest. When ``put`` returns, the bytes are stored for good.

    Raises:
        StorageUnavailable: From every method, where the storage does not answer.
    """

    def put(self, content: bytes) -> str:
        """Store the bytes and return their SHA-256 in hex. Storing the same bytes twice is no error."""

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes, or None if they are not here."""

    def is_intact(self, sha256: str) -> bool | None:
        """Tell whether the stored bytes have this digest. None if nothing is stored."""

    def key_number(self, sha256: str) -> int | None:
        """Return the number of the key under which a file is encrypted. None if nothing is stored."""

    def delete(self, sha256: str) -> bool:
        """Delete a file and tell whether it was there."""

    def check(self, sha256: str) -> None:
        """Return if the storage answers for this file, whether it is there or not."""

    def unnamed(self, named: Collection[str]) -> Sequence[str]:
        """List stored digests that are not in ``named``, without files uploaded in the last hour."""


class Passwords(Protocol):
    """Hashes and checks passwords."""

    def hashed(self, password: str) -> str:
        """Return the hash to store."""

    def matches(self, password_hash: str, password: str) -> bool:
        """Tell whether the password is right. An empty or wrong hash takes as long as a right one."""


class Stopped(Exception):
    """A simulation was stopped before its end, on request."""


class Simulator(Protocol):
    """The simulator of the clearance procedure, run as a separate program with bounded time and memory."""

    def scenarios(self) -> Sequence[Scenario]:
        """List the scenarios that come with the simulator.

        Raises:
            SimulatorMissing: It cannot be started.
        """

    def read(self, text: str, language: str) -> Scenario:
        """Check a scenario file. Faults are reported in ``language``.

        Raises:
            WrongScenario: The file has faults. All are listed.
        """

    def run(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> Mapping[str, Any]:
        """Run a simulation to its end and return its result.

        ``go_on`` is called with (done, total) at least once a second. If it returns false, the program is stopped.

        Raises:
            Stopped: ``go_on`` returned false.
            WrongScenario: The program refused the scenario, ran too long or used too much memory.
        """

    def add_files(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> None:
        """Make the files that accompany a result, and store them where every server finds them.

        A file that cannot be made is left out. Another process may have begun: what it left is used or made again.

        Raises:
            Stopped: ``go_on`` returned false.
            StorageUnavailable: The files are made, and could not be stored. Storing them may be tried again.
        """

    def file(self, simulation_id: str, name: str) -> Path | None:
        """Return the path of a file that a simulation left, or None."""

    def forget(self, simulation_id: str) -> None:
        """Delete the files that a simulation left."""


def free_bytes(path: Path = Path("/")) -> int:
    """Return how many bytes can still be written to the disk that holds ``path``."""
    return shutil.disk_usage(path).free


@dataclass(frozen=True)
class AdmissionLimits:
    """When no more records are taken in: too many wait for the ledger, one too long, or the disk is nearly full."""

    most_waiting: int = 100_000
    longest_wait: timedelta = timedelta()
    """For the ledger, of the oldest record. Zero: as long as it takes."""
    least_free_bytes: int = 0
    free_bytes: Callable[[], int] = free_bytes
    headroom: Headroom = field(default_factory=Headroom, compare=False)


@dataclass(frozen=True)
class Keys:
    """The secrets of an installation: organisations' signing keys, the operator's key, and password hashing."""

    vault: Vault
    operator: Operator
    passwords: Passwords


@dataclass(frozen=True)
class ServiceSettings:
    """The operator's settings that services use."""

    public_url: str | None = None
    """The public address of this server, which is part of the schemas' names."""
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    """When no more records are taken in."""


NoteAttributes = Callable[[Mapping[str, Any]], None]
Trace = Callable[[str], AbstractContextManager[NoteAttributes]]
"""Begins a span of this name, within the one that this thread is in. What it yields adds attributes to it."""


@contextmanager
def no_trace(name: str) -> Iterator[NoteAttributes]:
    """Trace nothing."""
    yield lambda attributes: None


RememberedTerms = tuple[datetime, Accreditation, Accreditation, NamedAnchorer | None]


@dataclass(frozen=True)
class AppContext:
    """What services work with: database, ledger, keys, attachments and clock."""

    work: Work
    ledger: Ledger
    keys: Keys
    files: Files
    now: Callable[[], datetime]
    settings: ServiceSettings = field(default_factory=ServiceSettings)
    wake_anchoring: Callable[[], None] = lambda: None
    """Wakes the anchoring worker, because there is something to send."""
    signer_terms: dict[bytes, tuple[datetime, Accreditation, Accreditation, NamedAnchorer | None]] = field(
        default_factory=dict
    )
    """By key: when the ledger was asked, the newest terms, and the terms at that second."""


@dataclass(frozen=True)
class AnchoringContext(AppContext):
    """What the anchoring pipeline needs in addition."""

    holder: str = field(default_factory=lambda: str(uuid4()))
    """The name under which this process holds the lease."""
    leadership: AdvisoryLeadership | None = None
    """Decides on PostgreSQL who anchors; None where the lease's row does."""
    waited_for: set[str] = field(default_factory=set)
    """Holders of the lease that were reported already."""
    reached: Callable[[str], None] = lambda point: None
    """Called at every point where a crash would leave a step half done, so that tests can crash there."""
    trace: Trace = no_trace


@dataclass(frozen=True)
class SimulationContext(AppContext):
    """What simulations need in addition."""

    simulator: Simulator | None = None
    wake_simulating: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class InstallationContext(AnchoringContext, SimulationContext):
    """Everything that one installation consists of. Each service is typed to the part that it uses."""

    listener: Callable[[Mapping[str, Callable[[], None]]], Listener] | None = None
    """Makes what hears other processes' news, by topic (``ANCHORING``, ``SIMULATING``); None on SQLite."""


Context = TypeVar("Context", bound=AppContext)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def rerunnable(
    use_case: Callable[Concatenate[Context, Arguments], Result],
) -> Callable[Concatenate[Context, Arguments], Result]:
    """Mark a use case that writes and may run again from its beginning, as long as nothing of it is committed.

    PostgreSQL ends one of two units of work that could not have come one after the other. That one is not refused but
    run again, and sees what the other has done. So whatever a use case does outside of the database before its commit
    must bear repetition. ``tests/services/test_contention.py`` names every use case that writes and is not marked.
    """

    @wraps(use_case)
    def run(ctx: Context, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return ctx.work.run(lambda: use_case(ctx, *args, **kwargs))

    return run


@contextmanager
def joined(ctx: AppContext) -> Iterator[AppContext]:
    """Yield a context in which every use case joins one unit of work, committed at the end of the block.

    An error in the block rolls everything back. Anchoring is woken once, after the commit, since before it there is
    nothing to see.
    """
    with ctx.work() as outer:
        work = JoinedWork(outer)
        yield replace(ctx, work=work, wake_anchoring=lambda: None)
        outer.commit()
    for step in work.steps:
        step()
    ctx.wake_anchoring()


# Records that come at the same moment

MOST_TOGETHER = 32
"""Records that are stored together, so that none of them waits long for the others."""
Item = TypeVar("Item")


@dataclass(eq=False)
class _Member(Generic[Item]):
    item: Item
    woken: threading.Event = field(default_factory=threading.Event)
    outcome: object = None
    """None where it is this one's turn to store."""


class GroupCommit(Generic[Item]):
    """Lets the threads of one process store records together (decision 0038).

    Whoever comes while nobody stores, stores by itself at once. Who comes meanwhile waits for that to end; then one of
    those who wait stores for all of them, by ``store``. So nobody waits for company, and a group is as large as the
    load makes it.
    """

    def __init__(self, store: Callable[[AppContext, Sequence[Item]], Sequence[object]]) -> None:
        self._store_all = store
        self._lock = threading.Lock()
        self._waiting: deque[_Member[Item]] = deque()
        self._is_taken = False

    def sign(self, ctx: AppContext, item: Item, alone: Callable[[], RecordOnFile]) -> RecordOnFile:
        """Sign and store a record, together with those that others bring meanwhile.

        It returns once the record is on disk. ``alone`` is the use case that does it without company; it also decides
        on a record that could not be stored in company, so that a refusal is the same as ever.

        Raises:
            StorageUnavailable: The database stored nothing of the group.
            TraceabilityError: Whatever ``alone`` raises.
        """
        if not ctx.work.commits_by_itself:
            return alone()  # it belongs to a larger unit of work, such as that of an Idempotency-Key
        own = _Member(item)
        if not self._takes_turn(own):
            own.woken.wait()
        if own.outcome is None:
            group = self._group()
            try:
                if len(group) == 1:
                    return alone()
                self._store(ctx, group)
            finally:
                self._end_turn()
        if isinstance(own.outcome, StorageUnavailable):
            raise own.outcome  # it may have been stored all the same: nobody knows after a lost connection
        return own.outcome if isinstance(own.outcome, RecordOnFile) else alone()

    def _takes_turn(self, own: _Member[Item]) -> bool:
        with self._lock:
            self._waiting.append(own)
            is_taken, self._is_taken = self._is_taken, True
            return not is_taken

    def _group(self) -> list[_Member[Item]]:
        """Take those who wait, the one whose turn it is first."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]

    def _end_turn(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].woken.set()
            else:
                self._is_taken = False

    def _store(self, ctx: AppContext, group: list[_Member[Item]]) -> None:
        # What holds where this thread is ended before it knows better.
        outcomes: Sequence[object] = [StorageUnavailable() for _ in group]
        try:
            outcomes = self._store_all(ctx, [member.item for member in group])
        except StorageUnavailable as error:
            outcomes = [type(error)(error.message, **error.values) for _ in group]  # one for each thread that raises it
        except Exception as error:
            outcomes = [error for _ in group]
        finally:
            for member, outcome in zip(group, outcomes, strict=True):
                member.outcome = outcome
                member.woken.set()
