"""What the services need from outside, owned here: adapters obey these protocols."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from backend.domain.ledger import (
    Accreditation,
    AnchoredBatch,
    Anchoring,
    CertificateBalance,
    DrawdownSet,
    Head,
    LedgerCall,
    Receipt,
    SignedTransaction,
)
from backend.domain.sd_jwt import Jwk
from backend.domain.simulation import Scenario, Simulation
from backend.domain.snapshot import Snapshot
from backend.domain.trust import LedgerName
from backend.store.unit_of_work import Headroom, JoinedWork, Work


class Ledger(Protocol):
    """An EVM chain that carries our contracts.

    Every method may raise ``LedgerUnavailable`` (nothing is known); reads never answer a guess. Accounts are called
    by name: ``authority``, ``anchorer``, ``office``. Safe to call from several threads.
    """

    def head(self) -> Head:
        """The newest block; raises ``ForeignLedger`` where the contracts are not those of our deployment."""

    def batch(self, root: bytes) -> AnchoredBatch | None:
        """The batch anchored under this root, or None where there is none."""

    def status(self, root: bytes, leaf_index: int) -> int:
        """The 4-bit status of a place; 0 where nothing was ever changed."""

    def accreditation(self, key: bytes) -> Accreditation | None:
        """The accreditation of a key (32-byte JWK thumbprint), or None where there never was one."""

    @property
    def confirmations(self) -> int:
        """Blocks that must follow another one before nothing in it is expected to change any more."""

    @property
    def counts_quantities(self) -> bool:
        """Whether certificates can be drawn here; not so where the contracts are older than that."""

    def delay(self, call: LedgerCall) -> timedelta:
        """How long a change of the authority's is announced before it is done; zero where it may be done at once."""

    def announced(self, call: LedgerCall) -> datetime | None:
        """From when on an announced call may be done; None where it was never announced, was done, or was cancelled."""

    def certificate_balance(self, root: bytes, leaf_index: int) -> CertificateBalance | None:
        """A certificate's quantity and what is left of it, or None where it was not opened."""

    def is_refunded(self, drawdown_set: bytes, position: int) -> bool | None:
        """Whether a drawdown was refunded; None where there is no such drawdown set."""

    def drawdown_sets(self) -> Iterator[DrawdownSet]:
        """Every drawdown set that the ledger's events tell of, in order."""

    def accreditation_at(self, key: bytes, time: datetime) -> Accreditation | None:
        """The accreditation of a key as the ledger held it at a time, or None where it had none yet."""

    def next_nonce(self, signer: str) -> int:
        """The number of transactions mined from this account."""

    def sign(self, call: LedgerCall, nonce: int) -> SignedTransaction:
        """Make and sign the transaction for a call. Sends nothing, keeps nothing."""

    def replace_by_fee(self, signer: str, raw: bytes) -> SignedTransaction | None:
        """Sign a transaction of ours again for a higher fee; None where the highest that we may pay is reached."""

    def simulate(self, call: LedgerCall) -> None:
        """Ask by eth_call whether the contract would take a call now.

        Raises:
            LedgerRefused: It would not, for these reasons.
        """

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the chain. Sending what is already known or mined is no error.

        Raises ``LedgerRefused`` where the chain does not take it: its number is used up, nobody can pay.
        """

    def transactions_left(self) -> dict[str, int]:
        """How many more transactions each account can pay for, at most a million."""

    def statuses(self, root: bytes, size: int) -> list[int]:
        """The statuses of all places of a batch."""

    def anchorings(self, root: bytes | None = None) -> Iterator[Anchoring]:
        """Every anchoring that the ledger's events tell of, in order, or that of one root."""

    def anchoring_of(self, root: bytes, batch: AnchoredBatch) -> Anchoring | None:
        """The transaction that anchored a batch."""

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """The receipt, or None while the transaction is not in a block."""


class NodeRefused(Exception):
    """A node's error, as JSON-RPC tells it."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.code, self.data = code, data
        super().__init__(message)


class Node(Protocol):
    """A chain that others may read, in the words of Ethereum's JSON-RPC."""

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """The result; raises NodeRefused, or LedgerUnavailable where nothing is known."""


class Vault(Protocol):
    """Makes and keeps the organisations' signing keys."""

    def new_key(self) -> tuple[Jwk, bytes]:
        """A fresh P-256 key: the public JWK, and the private key sealed for storage."""

    def sign(self, encrypted_private: bytes, signing_input: bytes) -> bytes:
        """The 64-byte ES256 signature."""

    def reencrypt(self, sealed: bytes) -> bytes:
        """The same secret, sealed under the newest master key."""


class Operator(Protocol):
    """Signs what the ledger held, for readers who trust whoever runs this installation."""

    def thumbprints(self) -> tuple[str, ...]:
        """The keys that sign or have signed here, the newest first."""

    def sign(self, stated: Snapshot) -> str:
        """The signed text."""

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """The ledgers that were used here before, each with the address of its accreditation."""


class Files(Protocol):
    """Keeps attachments under their digest; what ``put`` has returned for is on disk."""

    def put(self, content: bytes) -> str:
        """Store the bytes; returns their SHA-256 in hex. Storing the same bytes twice is no error."""

    def get(self, sha256: str) -> bytes | None:
        """The bytes, or None where they are not here."""

    def is_intact(self, sha256: str) -> bool | None:
        """Whether what lies there has this digest; None where nothing does."""

    def delete(self, sha256: str) -> bool:
        """Keep them no longer; whether they were here."""

    def unnamed(self, named: Collection[str]) -> Sequence[str]:
        """The digests of files that are not among these, and that nobody has put here in the last hour."""


class Passwords(Protocol):
    """Hashes and checks passwords."""

    def hashed(self, password: str) -> str:
        """The text to keep."""

    def matches(self, password_hash: str, password: str) -> bool:
        """Whether the password is right; takes as long for a wrong one."""


class Stopped(Exception):
    """A simulation was ended before its time, because somebody wanted it so."""


class Simulator(Protocol):
    """The simulator of the clearance procedure, a program of its own with bounded time and memory."""

    def scenarios(self) -> Sequence[Scenario]:
        """The scenarios that come with it; raises SimulatorMissing where it cannot be started."""

    def read(self, text: str, language: str) -> Scenario:
        """Look through a scenario file; raises WrongScenario with every fault."""

    def run(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> Mapping[str, Any]:
        """Run it to its end and give its result.

        ``go_on`` is told how much is done, at least once a second; where it answers no, the program is ended and
        ``Stopped`` raised. Raises WrongScenario where the program refuses, runs too long or takes too much.
        """

    def add_files(self, simulation: Simulation, go_on: Callable[[int, int], bool]) -> None:
        """Make the files that go with a result; what cannot be made is left out. Raises Stopped."""

    def file(self, simulation_id: str, name: str) -> Path | None:
        """A file that a simulation left, or None."""

    def forget(self, simulation_id: str) -> None:
        """Delete what a simulation left."""


_ROOT_USAGE = partial(shutil.disk_usage, "/")


class HasFree(Protocol):
    """How full a disk is, as ``shutil.disk_usage`` tells it."""

    @property
    def free(self) -> int:
        """Bytes that can still be written."""


@dataclass(frozen=True)
class AdmissionLimits:
    """When to take no more in: so many records wait for the ledger, or so few bytes are left on the disk."""

    most_waiting: int = 100_000
    least_free_bytes: int = 0
    disk_usage: Callable[[], HasFree] = _ROOT_USAGE
    headroom: Headroom = field(default_factory=Headroom, compare=False)


@dataclass(frozen=True)
class Keys:
    """What the installation keeps secret: organisations' signing keys, the operator's, and how passwords are kept."""

    vault: Vault
    operator: Operator
    passwords: Passwords


@dataclass(frozen=True)
class ServiceSettings:
    """What the operator has set that the services go by."""

    public_url: str | None = None
    """Under which address everybody reaches this server: schemas are named by it."""
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    """How much may wait for the ledger before no more is taken in."""


@dataclass(frozen=True)
class AppContext:
    """What a service works with: the database, the ledger, the keys, the attachments and the time."""

    work: Work
    ledger: Ledger
    keys: Keys
    files: Files
    now: Callable[[], datetime]
    settings: ServiceSettings = field(default_factory=ServiceSettings)
    wake_anchoring: Callable[[], None] = lambda: None
    """Tells the anchoring worker that the outbox has something new."""
    signer_terms: dict[bytes, tuple[datetime, Accreditation, Accreditation]] = field(default_factory=dict)
    """By key: when the ledger was asked, what it held, and what it held by that second."""


@dataclass(frozen=True)
class AnchoringContext(AppContext):
    """What the anchoring pipeline needs besides."""

    holder: str = field(default_factory=lambda: str(uuid4()))
    """Who we are to other processes on the same database."""
    reached: Callable[[str], None] = lambda point: None
    """Told at every point where a crash would leave something half done; does nothing but in tests that crash there."""


@dataclass(frozen=True)
class SimulationContext(AppContext):
    """What simulations need besides."""

    simulator: Simulator | None = None
    wake_simulating: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class InstallationContext(AnchoringContext, SimulationContext):
    """Everything that one installation was put together with; each service is typed to the part that it uses."""


@contextmanager
def joined(ctx: AppContext) -> Iterator[AppContext]:
    """A context in which every use case joins one unit of work, committed at the end of the block.

    Nothing stands unless the block ends well. Anchoring is woken once, after the commit.
    """
    with ctx.work() as outer:
        yield replace(ctx, work=JoinedWork(outer), wake_anchoring=lambda: None)
        outer.commit()
    ctx.wake_anchoring()
