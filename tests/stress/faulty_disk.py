"""Lets writes and syncs of database and attachments fail, or kills the process at them, and looks at what is left.

``make disk-faults`` runs it: strace makes the system calls fail, and counts those that it did. Fewer faults than were
planned fail the run, since a fault that never fired proves nothing.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import cast

from cryptography.fernet import Fernet

from backend.adapters.files import FolderFiles
from backend.adapters.keys.vault import KeyVault, OperatorKeys
from backend.domain.errors import StorageUnavailable
from backend.domain.kinds import Kind
from backend.domain.parties import Role
from backend.runtime.context import LedgerOutOfReach
from backend.services import files, issuance
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import InstallationContext, Keys, Ledger
from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys, NotEncrypted
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.builders import PDF, certificate_fields
from tests.helpers.fakes import QuickPasswords

ROUNDS = 12
"""Records that one process stores."""
CALLS = ("pwrite64", "write", "fdatasync", "fsync")
ERRORS = ("EIO", "ENOSPC")


@dataclass
class Outcome:
    """What a run of faults found."""

    fired: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    refused: int = 0
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)


def current_context(folder: Path) -> InstallationContext:
    """An installation without its ledger: records are only stored."""
    vault, keys = KeyVault((folder / "master").read_bytes()), DataKeys(folder / "record.keys")
    return InstallationContext(
        work=UnitOfWorkFactory(open_engine(f"sqlite:///{folder / 'db.sqlite'}", keys)),
        ledger=cast(Ledger, LedgerOutOfReach(0)),
        keys=Keys(vault, OperatorKeys(folder / "operator-keys.sealed", vault), QuickPasswords()),
        files=FolderFiles(folder / "files", keys),
        now=lambda: datetime.now(UTC),
    )


def prepare(folder: Path) -> None:
    """A chamber that may sign."""
    (folder / "master").write_bytes(Fernet.generate_key())
    upgrade(open_engine(f"sqlite:///{folder / 'db.sqlite'}", DataKeys(folder / "record.keys")))
    register(current_context(folder), OrganisationProfile(Role.CHAMBER, "Chamber", "chamber@x.org"))


def work(folder: Path, told: int) -> None:
    """Store attachments and records; tell of each that was taken, and of each refusal."""
    ctx = current_context(folder)
    with ctx.work(reading=True) as reading:
        chamber = reading.persons.find_by_email("chamber@x.org")
    assert chamber is not None
    for number in range(ROUNDS):
        try:
            pdf = files.store_pdf(ctx, chamber, PDF + f"% {os.getpid()} {number}\n".encode())
            attachment = {"fileName": "a.pdf", "size": pdf.size, "sha256": pdf.sha256}
            name = f"F-{os.getpid()}-{number}"
            fields = certificate_fields(certificateNumber=name, attachments=[attachment])
            record = issuance.issue(ctx, chamber, Kind.CERTIFICATE_OF_ORIGIN, fields)
        except StorageUnavailable:
            os.writev(told, [b"refused\n"])
        else:
            os.writev(told, [f"{record.id} {pdf.sha256}\n".encode()])  # writev: no fault is put into our own telling


def inject(folder: Path, call: str, how: str, outcome: Outcome) -> None:
    """One process with faults in one system call."""
    told, trace = folder / "told", folder / "trace"
    told.unlink(missing_ok=True)
    command = ["strace", "-f", "--seccomp-bpf", "-q", "-o", str(trace), "-e", f"trace={call}"]
    command += ["-P", str(folder / "db.sqlite"), "-P", str(folder / "db.sqlite-wal")] if call == "pwrite64" else []
    command += [
        "-e",
        f"inject={call}:{how}",
        sys.executable,
        "-m",
        "tests.stress.faulty_disk",
        "work",
        str(folder),
        str(told),
    ]
    before = len(_stored(folder))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    traced = trace.read_text(errors="replace") if trace.exists() else ""
    fired = traced.count("(INJECTED)") + ("signal=KILL" in how and "killed by SIGKILL" in traced)
    outcome.fired[f"{call} {how.split(':')[0]}"] += fired
    if ended.returncode != 0 and "KILL" not in how:
        outcome.faults.append(f"{call} {how}: the process ended with {ended.returncode}: {ended.stderr[-300:]}")
    lines = told.read_text().split("\n") if told.exists() else []
    _judge(folder, [line for line in lines if line], before, outcome, f"{call} {how}")


def _judge(folder: Path, lines: list[str], before: int, outcome: Outcome, what: str) -> None:
    answered = [line.split() for line in lines if line != "refused"]
    stored = _stored(folder)
    outcome.answered += len(answered)
    outcome.refused += lines.count("refused")
    outcome.unanswered += len(stored) - before - len(answered)
    kept = FolderFiles(folder / "files", DataKeys(folder / "record.keys"))
    for record_id, digest in answered:
        if record_id not in stored:
            outcome.faults.append(f"{what}: record {record_id} was answered and is lost")
        if sha256(kept.get(digest) or b"").hexdigest() != digest:
            outcome.faults.append(f"{what}: attachment {digest} was answered and is lost")
    for record_id, (signed_jwt, digest) in stored.items():
        if sha256(signed_jwt.encode()).hexdigest() != digest:
            outcome.faults.append(f"{what}: record {record_id} is half written")


def _stored(folder: Path) -> dict[str, tuple[str, str]]:
    with closing(sqlite3.connect(folder / "db.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the database is corrupt"
        rows = connection.execute("SELECT id, signed_jwt, digest FROM record").fetchall()
    with closing(DataKeys(folder / "record.keys")) as keys:
        return {row[0]: (_opened(keys, row[1]), row[2]) for row in rows}


def _opened(keys: DataKeys, sealed: bytes) -> str:
    try:
        return keys.open(sealed).decode()
    except NotEncrypted:
        return "not what was sealed"


def run(folder: Path, planned: int) -> Outcome:
    """Put in faults until as many have fired as were planned."""
    prepare(folder)
    outcome, number = Outcome(), 0
    while sum(outcome.fired.values()) < planned and number < planned:
        call = CALLS[number % len(CALLS)]
        nth = number // len(CALLS) + 1
        kinds = [f"error={error}:when={nth}+3" for error in ERRORS] + [f"signal=KILL:when={nth}"]
        inject(folder, call, kinds[number % len(kinds)], outcome)
        number += 1
    return outcome


def main() -> None:
    """Run from the command line: how many faults must fire."""
    if sys.argv[1:2] == ["work"]:
        handle = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        work(Path(sys.argv[2]), handle)
        return
    planned = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    if shutil.which("strace") is None:
        print("skipped: there is no strace here (Debian: apt-get install strace)")
        return
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), planned)
    fired = sum(outcome.fired.values())
    for what, count in sorted(outcome.fired.items()):
        print(f"  {what:<24}{count:>5}")
    print(f"{fired} faults fired of {planned} planned, {outcome.answered} records answered, {outcome.refused} refused,")
    print(f"{outcome.unanswered} kept and not answered, {len(outcome.faults)} lost, half written or failed otherwise")
    print(*outcome.faults[:10], sep="\n")
    sys.exit(0 if fired >= planned and not outcome.faults and re.search("KILL", str(outcome.fired)) else 1)


if __name__ == "__main__":
    main()
