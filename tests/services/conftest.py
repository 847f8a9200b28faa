"""An installation of its own for each test: real database, real signatures, a ledger in memory."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, event

from backend.adapters.files import FolderFiles
from backend.adapters.keys.vault import KeyVault, OperatorKeys
from backend.domain.consignment import Consignment
from backend.domain.kinds import Kind, accreditation_bits
from backend.domain.parties import Person, Role
from backend.domain.records import RecordOnFile
from backend.services import accreditation, declarations, issuance
from backend.services.anchoring import release_lease, run_once
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import InstallationContext, Keys
from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys, keys_of
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.builders import certificate_fields, lodgement_fields, report_fields
from tests.helpers.fakes import Clock, FakeLedger, QuickPasswords
from tests.helpers.postgres import database_url, name_for, ours

NAMES = {
    "authority": (Role.AUTHORITY, "Accreditation Authority"),
    "merchant": (Role.MERCHANT, "Morning Star Trading Co., Ltd."),
    "rival": (Role.MERCHANT, "Evening Star Trading Co., Ltd."),
    "chamber": (Role.CHAMBER, "Zhejiang Chamber"),
    "other_chamber": (Role.CHAMBER, "Jiangsu Chamber"),
    "laboratory": (Role.LABORATORY, "Qiantang Laboratory"),
    "officer": (Role.OFFICER, "Yiwu Customs"),
    "other_officer": (Role.OFFICER, "Ningbo Customs"),
    "analyst": (Role.ANALYST, "Trade Facilitation Institute"),
}
OFFICES = {"officer": ("CNYIU", "2925"), "other_officer": ("CNNBO",)}


@dataclass
class Installation:
    """Everything that a story needs; the people are accredited for what their roles issue."""

    ctx: InstallationContext
    ledger: FakeLedger
    clock: Clock
    passwords: QuickPasswords
    people: dict[str, Person]

    def __getattr__(self, name: str) -> Any:
        if name in NAMES:
            return self.people[name]
        raise AttributeError(name)

    def settle(self, runs: int = 10) -> None:
        """Run rounds until nothing is under way."""
        for _ in range(runs):
            if not run_once(self.ctx):
                return
        raise AssertionError(f"still under way after {runs} rounds")

    def issue_certificate(self, **changes: Any) -> RecordOnFile:
        return issuance.issue(self.ctx, self.chamber, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(**changes))

    def issue_report(self, **changes: Any) -> RecordOnFile:
        return issuance.issue(self.ctx, self.laboratory, Kind.INSPECTION_REPORT, report_fields(**changes))

    def lodge(self, papers: list[RecordOnFile] | None = None, **changes: Any) -> Consignment:
        """Lodge a declaration, with a good certificate and report unless told otherwise."""
        named = [self.issue_certificate(), self.issue_report()] if papers is None else papers
        fields = lodgement_fields(records=[paper.id for paper in named], **changes)
        return declarations.lodge(self.ctx, self.merchant, fields)

    def record(self, record_id: str) -> RecordOnFile:
        with self.ctx.work(reading=True) as work:
            return work.records.get(record_id)

    def consignment(self, declaration_id: str) -> Consignment:
        with self.ctx.work(reading=True) as work:
            return work.consignments.get(declaration_id)

    def with_confirmations(self, count: int) -> None:
        self.ledger.confirmations = count


@dataclass(frozen=True)
class Blueprint:
    """An installation as it stands before every test: built once, copied for each."""

    folder: Path
    database: bytes | None
    """SQLite's file; on PostgreSQL a database is copied instead."""
    keys: bytes
    ledger: FakeLedger
    master: bytes
    ids: dict[str, str]


def engine_at(folder: Path, keys: DataKeys, template: Path | None = None) -> Engine:
    """An engine of its own on an installation's database, as another process has one."""
    return open_engine(database_url(folder, template) or f"sqlite:///{folder / 'db.sqlite'}", keys)


def app_context(
    folder: Path, ledger: FakeLedger, clock: Clock, master: bytes, template: Path | None = None
) -> tuple[InstallationContext, Engine]:
    keys = DataKeys(folder / "record.keys")
    engine = engine_at(folder, keys, template)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    ctx = InstallationContext(
        work=UnitOfWorkFactory(engine),
        ledger=ledger,
        files=FolderFiles(folder / "files", keys),
        keys=Keys(KeyVault(master), OperatorKeys(folder / "operator-keys.sealed", KeyVault(master)), QuickPasswords()),
        now=clock,
    )
    return ctx, engine


@pytest.fixture(scope="session")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Blueprint:
    """Eight organisations; those who issue something are accredited for it."""
    folder, master, clock = tmp_path_factory.mktemp("installation"), Fernet.generate_key(), Clock()
    ledger = FakeLedger(clock)
    ctx, engine = app_context(folder, ledger, clock, master)
    upgrade(engine)
    people = {
        name: register(ctx, OrganisationProfile(role, full, f"{name}@x.org", offices=OFFICES.get(name, ()))).person
        for name, (role, full) in NAMES.items()
    }
    for person in people.values():
        if accreditation_bits(person.role):
            accreditation.accredit(ctx, people["authority"], person.organisation.id)
    while run_once(ctx):
        continue
    release_lease(ctx)
    engine.dispose()  # the last connection to close moves the write-ahead log into the file
    keys_of(engine.dialect).close()
    database = (folder / "db.sqlite").read_bytes() if ours() is None else None
    ids = {name: person.id for name, person in people.items()}
    return Blueprint(folder, database, (folder / "record.keys").read_bytes(), ledger, master, ids)


@pytest.fixture
def installation(tmp_path: Path, blueprint: Blueprint) -> Iterator[Installation]:
    """An installation with its people, accredited and settled."""
    if blueprint.database is not None:
        (tmp_path / "db.sqlite").write_bytes(blueprint.database)
    (tmp_path / "record.keys").write_bytes(blueprint.keys)
    ledger = deepcopy(blueprint.ledger)
    ctx, engine = app_context(tmp_path, ledger, ledger.clock, blueprint.master, blueprint.folder)
    with ctx.work(reading=True) as work:
        people = {name: work.persons.find(person_id) for name, person_id in blueprint.ids.items()}
    yield Installation(ctx, ledger, ledger.clock, ctx.keys.passwords, people)
    engine.dispose()
    keys_of(engine.dialect).close()
    if (server := ours()) is not None:
        server.drop(name_for(tmp_path))


def somebody(installation: Installation, role: Role) -> Person:
    """Somebody of this role; one who joins now where the installation has none."""
    for person in installation.people.values():
        if person.role is role:
            return person
    return register(installation.ctx, OrganisationProfile(role, "Newcomer", f"{role.value}@x.org")).person
