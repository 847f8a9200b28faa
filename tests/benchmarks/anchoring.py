"""Sealing and anchoring: from stored records to anchored proofs, database and embedded chain included."""

import os
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet

from backend.adapters.ledger import ACCOUNT_NAMES
from backend.domain.kinds import Kind
from backend.domain.parties import Organisation, Role
from backend.domain.records import Assurance, ProofState, RecordOnFile
from backend.services.anchoring import run_once
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import AppContext
from tests.benchmarks.figure import Figure
from tests.stress.anchoring_kills import Ground

BATCH = 10_000
ALONE = 10
TYPICAL_LENGTH = 1_500
"""Bytes of a signed record of ours, its disclosures left out."""


def measure(scratch: Path) -> list[Figure]:
    """Records a second in batches of 10,000; the baseline gives each record a batch of its own."""
    ground = Ground(scratch, Fernet.generate_key(), {name: os.urandom(32) for name in ACCOUNT_NAMES})
    with ground.opened() as ctx:
        laboratory = register(
            ctx, OrganisationProfile(Role.LABORATORY, "Laboratory", "laboratory@x.org")
        ).person.organisation
        _run(ctx, laboratory, 1)
        one_by_one = ALONE / sum(_run(ctx, laboratory, 1) for _ in range(ALONE))
        taken = min(_run(ctx, laboratory, BATCH) for _ in range(3))
    return [
        Figure(
            f"stored to anchored with proofs, a batch of {BATCH:,}",
            BATCH / taken,
            "records/s",
            ">= 8,000",
            "a batch for each record",
            one_by_one,
        )
    ]


def _run(ctx: AppContext, laboratory: Organisation, count: int) -> float:
    """Store records, then seal and anchor them; how long the latter took."""
    stored = _store(ctx, laboratory, count)
    begun = time.perf_counter()
    while run_once(ctx):
        pass
    taken = time.perf_counter() - begun
    with ctx.work(reading=True) as work:
        records = [work.records.get(record_id) for record_id in (stored[0], stored[count // 2], stored[-1])]
        for record in records:
            assert record.proof_state in (ProofState.ANCHORED, ProofState.FINAL)
            assert record.batch is not None
            assert record.proof is not None
            assert record.batch.size == count
            assert record.proof.proves(record.entry.encode(), record.batch.root)
    return taken


def _store(ctx: AppContext, laboratory: Organisation, count: int) -> list[str]:
    records = [_a_record(laboratory) for _ in range(count)]
    with ctx.work() as work:
        for record in records:
            work.add(record)
        work.commit()
    return [record.id for record in records]


def _a_record(laboratory: Organisation) -> RecordOnFile:
    """An inspection report as it is stored: sealing looks at its bytes, not at what they say."""
    signed = os.urandom(TYPICAL_LENGTH // 2).hex()
    now = datetime.now(UTC)
    return RecordOnFile(
        id=os.urandom(16).hex(),
        kind=Kind.INSPECTION_REPORT,
        assurance=Assurance.ISSUED,
        issuer=laboratory,
        holder=laboratory,
        signed_jwt=signed,
        disclosures=[],
        quantity=0,
        digest=sha256(signed.encode("ascii")).hexdigest(),
        issued_at=now,
        recorded_at=now,
        label_code=os.urandom(12).hex(),
    )
