"""The main database goes back to a moment before an erasure; the keys, which lie apart, do not: the text stays gone."""

from contextlib import closing, contextmanager

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from backend.adapters.files import FolderFiles, FolderStorage
from backend.adapters.keys.vault import KeyVault, OperatorKeys
from backend.domain.errors import NotFound
from backend.domain.kinds import accreditation_bits
from backend.services import accreditation, erasure
from backend.services import files as files_service
from backend.services.anchoring import run_once
from backend.services.audit import audit
from backend.services.organisations import OrganisationProfile, register
from backend.services.ports import InstallationContext, Keys
from backend.store.crypto_shredding import follow_the_keys
from backend.store.database import copy_database, open_engine, upgrade
from backend.store.encryption import DataKeys, KeyDestroyed
from backend.store.key_database import DatabaseKeys
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.fakes import Clock, FakeLedger, QuickPasswords
from tests.helpers.nodes import free_port
from tests.helpers.postgres import USER, programs, running_postgres, unprivileged
from tests.journeys.test_runbook import commands, run, shared  # noqa: F401 (a fixture)
from tests.services.conftest import NAMES, OFFICES, Installation
from tests.services.test_erasure import PDF

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite,  # starts the clusters that it needs by itself
    pytest.mark.skipif(programs() is None, reason="PostgreSQL's programs are not here: make postgres-check"),
]
OTHER_PDF = PDF.replace(b"/Size 4", b"/Size  4")
SECRET = "Salmon-coloured lamp for Mr Tan of Bukit Timah"


class SqliteMain:
    """SQLite as the main database, which goes back by a copy."""

    def __init__(self, tmp_path):
        self.file, self.copy = tmp_path / "main.sqlite", tmp_path / "before.sqlite"
        self.url = f"sqlite:///{self.file}"

    def note_moment(self):
        copy_database(self.file, self.copy)

    @contextmanager
    def restored(self):
        yield f"sqlite:///{self.copy}"


class PostgresMain:
    """PostgreSQL as the main database, which goes back by point-in-time recovery, as the runbook says."""

    def __init__(self, server, folder, wal):
        self.server, self.wal = server, wal
        self.url = server.create("provenport")
        with server.connect("provenport") as connection:
            connection.execute(b"ALTER SYSTEM SET max_connections = 300")
        self.environment = {
            "PATH": f"{programs()}:/usr/bin:/bin",
            "PGHOST": str(server.folder),
            "PGUSER": USER,
            "WAL": str(wal),
            "COPY": str(folder / "copy"),
            "RESTORED": str(folder / "restored"),
            "DRILL_PORT": str(free_port()),
        }
        self.as_user = unprivileged()

    def note_moment(self):
        run(commands("Backup", "postgres"), self.environment, **self.as_user)
        with self.server.connect("provenport") as connection:
            (self.moment,) = connection.execute(b"SELECT clock_timestamp()::text").fetchone()

    @contextmanager
    def restored(self):
        with self.server.connect("provenport") as connection:
            (segment,) = connection.execute(b"SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        run(f"for i in $(seq 600); do test -f {self.wal}/{segment} && exit; sleep 0.1; done; exit 1", self.environment)
        run(commands("Restore drill", "postgres"), {**self.environment, "MOMENT": self.moment}, **self.as_user)
        try:
            port = self.environment["DRILL_PORT"]
            yield f"postgresql://{USER}@/provenport?host={self.server.folder}&port={port}"
        finally:
            run('pg_ctl stop --mode=immediate --pgdata "$RESTORED"', self.environment, **self.as_user)


@pytest.fixture(params=["sqlite", "postgresql"])
def main(request, tmp_path, shared):  # noqa: F811
    if request.param == "sqlite":
        yield SqliteMain(tmp_path)
        return
    wal = shared / "wal"
    wal.mkdir()
    unprivileged(wal)
    archive = f"archive_command=test ! -f {wal}/%f && cp %p {wal}/%f"
    with running_postgres("wal_level=replica", "archive_mode=on", archive) as server:
        yield PostgresMain(server, shared, wal)


@pytest.fixture
def keys():
    with running_postgres() as apart, closing(DatabaseKeys.opened_at(apart.create("keys"))) as opened:
        yield opened


def opened_on(url, keys, folder, ledger, clock, master):
    engine = open_engine(url, keys)
    ctx = InstallationContext(
        work=UnitOfWorkFactory(engine),
        ledger=ledger,
        files=FolderFiles(folder / "files", keys),
        keys=Keys(KeyVault(master), OperatorKeys(folder / "operator-keys.sealed", KeyVault(master)), QuickPasswords()),
        now=clock,
    )
    return engine, ctx


def an_installation(ctx, ledger, clock):
    people = {
        name: register(ctx, OrganisationProfile(role, full, f"{name}@x.org", offices=OFFICES.get(name, ()))).person
        for name, (role, full) in NAMES.items()
    }
    for person in people.values():
        if accreditation_bits(person.role):
            accreditation.accredit(ctx, people["authority"], person.organisation.id)
    while run_once(ctx):
        continue
    return Installation(ctx, ledger, clock, ctx.keys.passwords, people)


def encrypted_text(engine, record_id):
    with engine.connect() as connection:
        chosen = text("SELECT signed_jwt FROM record WHERE id = :id")
        return bytes(connection.execute(chosen, {"id": record_id}).scalar_one())


def test_erased_text_survives_no_recovery(main, keys, tmp_path):
    clock, master = Clock(), Fernet.generate_key()
    ledger = FakeLedger(clock)
    engine, ctx = opened_on(main.url, keys, tmp_path, ledger, clock, master)
    upgrade(engine)
    installation = an_installation(ctx, ledger, clock)
    stored = files_service.store_pdf(ctx, installation.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    gone = installation.issue_certificate(description=SECRET, certificateNumber="R-1", attachments=bound)
    other = files_service.store_pdf(ctx, installation.chamber, OTHER_PDF)
    bound = [{"fileName": "lamp.pdf", "size": other.size, "sha256": other.sha256}]
    kept = installation.issue_certificate(description=SECRET, certificateNumber="R-2", attachments=bound)
    installation.settle()
    keys.write_file(tmp_path / "keys-of-before")  # which nobody may keep

    main.note_moment()
    erasure.erase(ctx, installation.merchant, gone.id)
    later = installation.issue_certificate(certificateNumber="R-3")
    engine.dispose()

    with main.restored() as url:
        engine, ctx = opened_on(url, keys, tmp_path, ledger, clock, master)
        back = encrypted_text(engine, gone.id)
        with closing(DataKeys(tmp_path / "keys-of-before")) as before:
            assert before.open(back).startswith(b"eyJ")  # all of the text came back but its key
        with pytest.raises(KeyDestroyed):
            keys.open(back)
        with ctx.work(reading=True) as work:
            assert not work.records.get(gone.id).signed_jwt  # before anything follows the keys it reads as erased
        assert follow_the_keys(engine, ctx.files.is_erased, clock()) == 1
        with ctx.work(reading=True) as work:
            assert work.records.get(gone.id).erased_at is not None
            assert work.records.get(kept.id).signed_jwt
            with pytest.raises(NotFound):
                work.records.get(later.id)
        assert ctx.files.get(stored.sha256) is None
        # The files did not go back with the database. The destroyed key tells what was deleted since from what is lost.
        assert audit(ctx).discrepancies == ()
        assert FolderStorage(tmp_path / "files").read(other.sha256) is not None
        FolderStorage(tmp_path / "files").remove(other.sha256)
        missing = [(one.name, one.about) for one in audit(ctx).discrepancies]
        assert missing == [("attachment-missing", {"sha256": other.sha256})]
        engine.dispose()
