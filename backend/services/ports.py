"""What the services need from outside: the protocols that adapters implement, and the context that services receive."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from uuid import uuid4

from backend.domain.ledger import (
    Accreditation,
    AnchoredBatch,
    Anchoring,
    CertificateBalance,
    DrawdownSet,
    Head,
    LedgerCall,
    LedgerRecord,
    Receipt,
    SignedTransaction,
)
from backend.domain.sd_jwt import Jwk
from backend.domain.signature_terms import SignatureTerms
from backend.domain.simulation import Scenario, Simulation
from backend.domain.snapshot import Snapshot
from backend.domain.trust import LedgerName
from backend.store.coordination import AdvisoryLeadership, Listener
from backend.store.unit_of_work import Headroom, JoinedWork, Work


class Ledger(Protocol):
    """An EVM chain that carries our contracts.

    Accounts are called by name: ``authority``, ``anchorer``, ``office``, ``guardian``. Implementations are safe to call
    from several threads. A read never returns a guess.

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

    def batch_key(self, root: bytes, transaction: bytes | None = None) -> bytes:
        """Return the key of our own batch with this root, or of the batch that a transaction anchored under it.

        The same root may be anchored by several agents. A key tells their batches apart, and nobody can anchor under
        another's key. Where the transaction anchored no such batch, our own key is returned.
        """

    def batch(self, key: bytes) -> AnchoredBatch | None:
        """Return the batch that has this key, or None."""

    def status(self, key: bytes, leaf_index: int) -> int:
        """Return the 4-bit status of a leaf of a batch. It is 0 if it was never changed."""

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
    """Stores attachments under their digest. When ``put`` returns, the bytes are on disk."""

    def put(self, content: bytes) -> str:
        """Store the bytes and return their SHA-256 in hex. Storing the same bytes twice is no error."""

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes, or None if they are not here."""

    def is_intact(self, sha256: str) -> bool | None:
        """Tell whether the stored bytes have this digest. None if nothing is stored."""

    def delete(self, sha256: str) -> bool:
        """Delete a file and tell whether it was there."""

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
        """Make the files that accompany a result. A file that cannot be made is left out.

        Raises:
            Stopped: ``go_on`` returned false.
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
    """When no more records are taken in: too many wait for the ledger, or too few bytes are free on the disk."""

    most_waiting: int = 100_000
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
    signer_terms: dict[bytes, tuple[datetime, Accreditation, Accreditation]] = field(default_factory=dict)
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
