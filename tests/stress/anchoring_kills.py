"""Kills the anchoring process with SIGKILL at named points, again and again, and looks at what is left.

``make stress`` runs 1,000 kills; the tests run 200 as a part of every run. Each child is forked after the imports,
opens the same data folder (SQLite, embedded chain), stores records, and anchors until it is killed at a point that
was drawn for it. ``PROVENPORT_TORTURE_SEED`` repeats a run.
"""

import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import structlog
from cryptography.fernet import Fernet

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.files import FolderFiles
from backend.adapters.keys.vault import KeyVault, OperatorKeys
from backend.adapters.ledger import ACCOUNT_NAMES, Deployment, EvmLedger, accounts_from_keys, deploy
from backend.domain.consignment import Decision
from backend.domain.kinds import Kind
from backend.domain.ledger import ChangeStatuses, DeclarationStatus, DocumentStatus
from backend.domain.outbox import TransactionState
from backend.domain.parties import Role
from backend.domain.records import ProofState
from backend.services import accreditation, anchoring, decisions, declarations, issuance
from backend.services.anchoring import run_once
from backend.services.audit import audit
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import InstallationContext, Keys, Ledger
from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.builders import certificate_fields, goods_item, lodgement_fields
from tests.helpers.fakes import QuickPasswords

POINTS = (
    "before-seal",
    "before-seal-commit",
    "after-seal",
    "anchor-signed",
    "before-anchor-commit",
    "anchor-kept",
    "anchor-sent",
    "receipt-seen",
    "before-receipt-commit",
    "receipt-noted",
    "sent-again",
    "status-signed",
    "status-kept",
    "status-sent",
    "change-signed",
    "change-kept",
    "change-sent",
    "revocation-signed",
    "revocation-kept",
    "revocation-sent",
    "activation-signed",
    "activation-kept",
    "activation-sent",
    "drawdown-signed",
    "drawdown-kept",
    "drawdown-sent",
    "before-undo-commit",
    "refund-signed",
    "refund-kept",
    "refund-sent",
)
DRAWING = POINTS[POINTS.index("activation-signed") :]
SECONDS_TO_RECOVER = 30


@dataclass
class Ground:
    """Where the stress takes place."""

    folder: Path
    master: bytes
    keys: dict[str, bytes]

    @property
    def answered(self) -> Path:
        """The ids of records whose issuer was answered, one a line."""
        return self.folder / "answered"

    @property
    def elsewhere(self) -> Path:
        """The accounts that signed something past our database, one a line."""
        return self.folder / "elsewhere"

    @contextmanager
    def opened(self) -> Iterator[InstallationContext]:
        accounts = accounts_from_keys(self.keys)
        keys = DataKeys(self.folder / "record.keys")
        engine = open_engine(f"sqlite:///{self.folder / 'db.sqlite'}", keys)
        funded = [account.address for account in accounts.values()]
        with EmbeddedChain(self.folder / "chain.sqlite", funded, in_real_time=False) as chain:
            deployment = Deployment.read(self.folder / "deployment.json")
            if deployment is None:
                deployment = deploy(chain, accounts)
                deployment.write(self.folder / "deployment.json")
                upgrade(engine)
            yield InstallationContext(
                work=UnitOfWorkFactory(engine),
                ledger=EvmLedger(chain, deployment, accounts),
                files=FolderFiles(self.folder / "files", keys),
                keys=Keys(
                    KeyVault(self.master),
                    OperatorKeys(self.folder / "operator-keys.sealed", KeyVault(self.master)),
                    QuickPasswords(),
                ),
                now=lambda: datetime.now(UTC),
            )
        engine.dispose()


def prepare(folder: Path) -> Ground:
    """A data folder with an accredited chamber; in a child, so that the parent keeps no thread or lock."""
    keys = {name: os.urandom(32) for name in ACCOUNT_NAMES}
    ground = Ground(folder, Fernet.generate_key(), keys)
    _in_child(lambda: _populate(ground))
    ground.answered.touch()
    ground.elsewhere.touch()
    return ground


def _populate(ground: Ground) -> None:
    with ground.opened() as ctx:
        authority = register(ctx, OrganisationProfile(Role.AUTHORITY, "Authority", "authority@x.org")).person
        chamber = register(ctx, OrganisationProfile(Role.CHAMBER, "Chamber", "chamber@x.org")).person
        merchant = register(ctx, OrganisationProfile(Role.MERCHANT, "Merchant", "merchant@x.org")).person
        register(ctx, OrganisationProfile(Role.OFFICER, "Office", "officer@x.org", offices=("CNYIU",)))
        for issuer in (chamber, merchant):
            accreditation.accredit(ctx, authority, issuer.organisation.id)
        _settle(ctx)
        anchoring.release_lease(ctx)


def _in_child(work) -> int:  # type: ignore[no-untyped-def]
    """Do something in a forked child; how it ended, as os.waitstatus_to_exitcode tells it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _settle(ctx: InstallationContext, seconds: float = SECONDS_TO_RECOVER) -> float:
    """Anchor until nothing is under way; how long that took."""
    started = time.monotonic()
    while run_once(ctx):
        assert time.monotonic() - started < seconds, "did not recover in time"
        time.sleep(0.002)
    return time.monotonic() - started


def _work_until_killed(ground: Ground, point: str, nth: int, number: int) -> None:
    with ground.opened() as ctx:
        _free_turn(ctx)
        remaining = [nth]

        def kill_here(reached: str) -> None:
            if reached == point:
                remaining[0] -= 1
                if remaining[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        ctx = replace(ctx, reached=kill_here)
        if point == "sent-again":
            ctx = replace(ctx, ledger=cast(Ledger, _Swallowing(ctx.ledger)))
        chamber, authority = (_person(ctx, f"{name}@x.org") for name in ("chamber", "authority"))
        if point in DRAWING:
            _release_until_killed(ground, ctx, point, f"{number}-{os.getpid()}")
            return
        for turn in range(8):
            record = issuance.issue(
                ctx,
                chamber,
                Kind.CERTIFICATE_OF_ORIGIN,
                certificate_fields(certificateNumber=f"T-{number}-{turn}-{os.getpid()}"),
            )
            _note(ground, record.id)
            run_once(ctx)
            if "status" in point or "revocation" in point or turn % 3 == 2:
                issuance.revoke(ctx, chamber, record.id, "stress")
            if "act" in point:
                accreditation.accredit(ctx, authority, chamber.organisation.id)
            run_once(ctx)


def _release_until_killed(ground: Ground, ctx: InstallationContext, point: str, name: str) -> None:
    """Lodge and release on one certificate; where the point asks for it, another server is quicker on the ledger."""
    chamber, merchant, officer = (_person(ctx, f"{who}@x.org") for who in ("chamber", "merchant", "officer"))
    for turn in range(3):
        fields = certificate_fields(certificateNumber=f"D-{name}-{turn}", exporter={"name": "Merchant"}, quantity="9")
        certificate = issuance.issue(ctx, chamber, Kind.CERTIFICATE_OF_ORIGIN, fields)
        _note(ground, certificate.id)
        asked = lodgement_fields(
            declarationReference=f"L-{name}-{turn}", records=[certificate.id], items=[goods_item(quantity="2")]
        )
        lodged = declarations.lodge(ctx, merchant, asked)
        _note(ground, lodged.id)
        _until_final(ctx, lodged.id)
        decisions.decide(ctx, officer, lodged.id, Decision.RELEASE, "stress", accept_indeterminate=True)
        if "undo" in point:
            _revoke_elsewhere(ground, ctx, chamber, certificate.id)
        if "back" in point:
            while _is_being_drawn(ctx, lodged.id):
                run_once(ctx)
            _write(ground, ctx, lodged.id, DeclarationStatus.REJECTED, "office")
        for _ in range(4):
            run_once(ctx)


def _until_final(ctx: InstallationContext, record_id: str) -> None:
    for _ in range(500):
        run_once(ctx)
        with ctx.work(reading=True) as work:
            if work.records.get(record_id).proof_state is ProofState.FINAL:
                return
        time.sleep(0.002)
    raise AssertionError("not final in 500 rounds")


def _is_being_drawn(ctx: InstallationContext, declaration_id: str) -> bool:
    with ctx.work(reading=True) as work:
        return any(one.refusal is None and one.made_at is None for one in work.drawdowns.of_declaration(declaration_id))


def _revoke_elsewhere(ground: Ground, ctx: InstallationContext, chamber, certificate_id: str) -> None:  # type: ignore[no-untyped-def]
    """The issuer revokes; what we queued for it comes to the ledger before our draw does."""
    issuance.revoke(ctx, chamber, certificate_id, "stress")
    _write(ground, ctx, certificate_id, DocumentStatus.REVOKED, "anchorer")


def _write(ground: Ground, ctx: InstallationContext, record_id: str, status: int, signer: str) -> None:
    """Change a status on the ledger past the database, as another server would."""
    with ctx.work(reading=True) as work:
        record = work.records.get(record_id)
        taken = work.outbox.open_nonces(signer)
    batch = ctx.ledger.batch_key(record.batch.root)
    call = ChangeStatuses(batch, ((record.leaf_index, int(status)),), os.urandom(32), signer)
    nonce = max([ctx.ledger.next_nonce(signer), *(number + 1 for number in taken)])
    ctx.ledger.send(ctx.ledger.sign(call, nonce).raw)
    with ground.elsewhere.open("a") as file:
        file.write(f"{signer}\n")
    for _ in range(500):
        if ctx.ledger.status(batch, record.leaf_index) == status:
            return
        time.sleep(0.002)


class _Swallowing:
    """A ledger that loses every other transaction, so that there is something to send again."""

    def __init__(self, real: Ledger) -> None:
        self._real, self._sent = real, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def send(self, raw: bytes) -> None:
        self._sent += 1
        if self._sent % 2 == 0:
            self._real.send(raw)


def _free_turn(ctx: InstallationContext) -> None:
    """As the server does on the embedded chain, whose file lock says that nobody else is at work."""
    with ctx.work() as work:
        work.leases.delete("anchoring")
        work.commit()


def _person(ctx: InstallationContext, email: str):  # type: ignore[no-untyped-def]
    with ctx.work(reading=True) as work:
        return work.persons.find_by_email(email)


def _note(ground: Ground, record_id: str) -> None:
    with ground.answered.open("a") as file:
        file.write(record_id + "\n")


@dataclass
class Outcome:
    """What a run of stress found."""

    kills: Counter[str]
    missed: int
    lost: list[str]
    twice: list[str]
    gaps: list[str]
    refused: list[str]
    records: int
    recovery_seconds: float
    differences: list[str]


def stress(folder: Path, kills: int, seconds: float | None = None, seed: int | None = None) -> Outcome:
    """Kill that many times, or as often as the time allows; then recover and count what is missing."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chance = random.Random(seed)
    ground, counted, missed = prepare(folder), Counter[str](), 0
    deadline = None if seconds is None else time.monotonic() + seconds
    number = 0
    while sum(counted.values()) < kills and (deadline is None or time.monotonic() < deadline):
        point = POINTS[number % len(POINTS)]
        nth = chance.randint(1, 2 if point in DRAWING else 3)
        code = _in_child(lambda p=point, n=nth, k=number: _work_until_killed(ground, p, n, k))
        assert code in (0, -signal.SIGKILL), f"a child failed at {point}"
        if code == -signal.SIGKILL:
            counted[point] += 1
        else:
            missed += 1
        number += 1
    return _evaluated(ground, counted, missed)


def _evaluated(ground: Ground, counted: Counter[str], missed: int) -> Outcome:
    with ground.opened() as ctx:
        _free_turn(ctx)
        recovery = _settle(ctx)
        answered = set(ground.answered.read_text().split())
        with ctx.work(reading=True) as work:
            lost = [i for i in answered if not _is_whole(ctx, work.records.get(i))]
            batches = work.batches.all()
            refused = [
                transaction.refusal
                for transaction in _transactions(work)
                if transaction.state is TransactionState.REFUSED
            ]
            gaps, elsewhere = [], Counter(ground.elsewhere.read_text().split())
            for signer in ACCOUNT_NAMES:
                ours = sorted(s.nonce for s in _transactions(work) if s.signer == signer and s.block is not None)
                used = len(ours) + elsewhere[signer]
                if len(set(ours)) != len(ours) or (ours and ctx.ledger.next_nonce(signer) != ours[0] + used):
                    gaps.append(
                        f"{signer}: {len(ours)} transactions and {elsewhere[signer]} elsewhere, first {ours[0]}"
                    )
        keys = Counter(anchoring_.batch_key for anchoring_ in ctx.ledger.anchorings())
        ours = {ctx.ledger.batch_key(b.root) for b in batches}
        twice = [key.hex() for key, count in keys.items() if count > 1]
        twice += [key.hex() for key in ours if keys[key] != 1]
        twice += [key.hex() for key in keys if key not in ours]
        differences = [str(found) for found in audit(ctx).discrepancies]
    return Outcome(counted, missed, lost, twice, gaps, refused, len(answered), recovery, differences)


def _transactions(work):  # type: ignore[no-untyped-def]
    from sqlalchemy import select

    from backend.domain.outbox import OutboundTransaction

    return work._session.scalars(select(OutboundTransaction)).all()


def _is_whole(ctx: InstallationContext, record) -> bool:  # type: ignore[no-untyped-def]
    """Final, included under its root, and with its status on the ledger."""
    if record.proof_state is not ProofState.FINAL or record.proof is None:
        return False
    entry_is_signed = sha256(record.signed_jwt.encode()).hexdigest() == record.digest
    on_ledger = ctx.ledger.status(ctx.ledger.batch_key(record.batch.root), record.leaf_index) == record.status
    return entry_is_signed and on_ledger and record.proof.proves(record.entry.encode(), record.batch.root)


def main() -> None:
    """Run from the command line: how many kills, and for how many seconds at most."""
    import tempfile

    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else None
    seed = int(os.environ.get("PROVENPORT_TORTURE_SEED", random.SystemRandom().randrange(10**6)))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = stress(Path(folder), kills, seconds, seed)
    print(f"seed {seed}: {sum(outcome.kills.values())} kills at {len(outcome.kills)} points", end=" ")
    print(f"in {timedelta(seconds=round(time.monotonic() - started))}, {outcome.records} records answered")
    for point, count in sorted(outcome.kills.items()):
        print(f"  {point:<24}{count:>5}")
    print(f"lost {len(outcome.lost)}, anchored twice {len(outcome.twice)}, number gaps {len(outcome.gaps)}", end=", ")
    print(f"differences between database and ledger {len(outcome.differences)}", end=", ")
    print(f"refused {len(outcome.refused)}, recovered in {outcome.recovery_seconds:.1f} s")
    for found in (outcome.lost + outcome.twice + outcome.gaps + outcome.differences)[:20]:
        print(f"  {found}")
    bad = (
        outcome.lost
        or outcome.twice
        or outcome.gaps
        or outcome.differences
        or outcome.recovery_seconds > SECONDS_TO_RECOVER
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
