"""Migrations are whole: the tables that they lead to are those of the code, and a kill leaves old or new ones."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.adapters.files import FolderFiles
from backend.domain.kinds import Kind
from backend.domain.outbox import Prepared, StatusChange
from backend.domain.records import RecordOnFile
from backend.messages.verdict import REASONS
from backend.store.data_keys import RecordKeys
from backend.store.database import open_engine, upgrade
from backend.store.tables import decision, metadata
from backend.store.unit_of_work import Repositories

ROOT = Path(__file__).parents[2]


def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", RecordKeys(tmp_path / "record.keys"))
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_what_lay_open_in_an_earlier_version_is_sealed_and_read_as_before(tmp_path):
    path = tmp_path / "db.sqlite"
    with closing(RecordKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{path}", keys)
        upgrade(engine, "0004")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(_OF_0004)
        assert upgrade(engine)
        with Session(engine) as session:
            record = session.get_one(RecordOnFile, "r")
            assert (record.signed_jwt, record.disclosures, record.status_reason) == ("a.b.c", ["WyJz"], "Mrs Wong")
            (change,) = session.scalars(select(StatusChange))
            assert (change.reason, change.reason_salt) == ("Mrs Wong", b"\1" * 32)
            assert session.get_one(RecordOnFile, "gone").signed_jwt == ""
            assert session.get_one(Prepared, "p").arguments == {"document": {"number": "4711"}}
            assert Repositories(session).records.number_is_taken(record.issuer, Kind.CERTIFICATE_OF_ORIGIN, "CO 4711")
            assert not Repositories(session).records.number_is_taken(
                record.issuer, Kind.CERTIFICATE_OF_ORIGIN, "CO 4712"
            )
        assert not upgrade(engine)
        engine.dispose()
    lying = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"a chamber" in lying  # the search finds what is there
    for secret in (b"a.b.c", b"WyJz", b"Mrs Wong", b"4711"):
        assert secret not in lying


def test_files_are_sealed_before_the_tables_are_new_so_that_a_crash_leaves_none_open(tmp_path):
    content = b"%PDF-1.7 Mr Tan of Bukit Timah"
    digest = sha256(content).hexdigest()
    with closing(RecordKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        upgrade(engine, "0004")
        stored = FolderFiles(tmp_path / "files", keys)
        path = tmp_path / "files" / digest[:2] / digest
        path.parent.mkdir()

        def killed():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            upgrade(engine, first=killed)
        path.write_bytes(content)
        assert upgrade(engine, first=stored.seal_plain)
        assert (stored.get(digest), content in path.read_bytes()) == (content, False)
        engine.dispose()


_OF_0004 = """
INSERT INTO organisation (id, role, name, country_code, registered_at)
  VALUES ('o', 'chamber', 'a chamber', 'CN', '2026-03-02 12:00:00');
INSERT INTO person (id, organisation_id, email, password_hash, is_active) VALUES ('q', 'o', 'q@x.org', 'x', 1);
INSERT INTO record (id, kind, assurance, issuer_id, holder_id, signed_jwt, disclosures, number, quantity, digest,
    issued_at, recorded_at, label_code, status, status_reason, path)
  VALUES ('r', 1, 'issued', 'o', 'o', 'a.b.c', '["WyJz"]', 'co4711', '5', 'd', '2026-03-02 12:00:00',
    '2026-03-02 12:00:00', 'l', 2, 'Mrs Wong', x''),
  ('gone', 1, 'issued', 'o', 'o', '', '[]', NULL, '5', 'e', '2026-03-02 12:00:00',
    '2026-03-02 12:00:00', 'm', 0, NULL, x'');
INSERT INTO status_change (id, record_id, new_status, signer, reason, reason_salt, asked_at)
  VALUES ('c', 'r', 2, 'anchorer', 'Mrs Wong', x'0101010101010101010101010101010101010101010101010101010101010101',
    '2026-03-02 12:00:00');
INSERT INTO prepared (id, person_id, thumbprint, act, arguments, moment, seed, text_digest)
  VALUES ('p', 'q', 't', 'issue', '{"document": {"number": "4711"}}', '2026-03-02 12:00:00', x'00', 'x');
"""


def test_a_verdict_kept_with_a_decision_is_told_in_words_of_today(tmp_path):
    path = tmp_path / "db.sqlite"
    with closing(RecordKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{path}", keys)
        upgrade(engine, "0005")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(_DECISION_OF_0005)
        assert upgrade(engine)
        with Session(engine) as session:
            kept = session.scalars(select(decision.c.verdict)).one()
        engine.dispose()
    assert (kept["verdict"], kept["asOf"]) == ("INDETERMINATE", "2026-03-02T12:00:00+00:00")
    told = [(check["code"], check["outcome"], check["reason"], check["values"]) for check in kept["checks"]]
    assert told == [
        ("SIGNATURE", "pass", "signature-valid", {"issuer": "A"}),
        ("ANCHOR", "pass", "anchor-final", {"state": "final", "block": "7"}),
        ("DOCUMENTS", "indeterminate", "certificate-of-origin-missing", {}),
        ("QUANTITY_AVAILABLE", "pass", "quantity-available", {"left": "5 KGM"}),
        ("STATUS", "pass", "in-force", {}),
    ]
    assert {check["reason"] for check in kept["checks"]} <= set(REASONS)


_DECISION_OF_0005 = """
INSERT INTO decision (id, consignment_id, decision, reason, officer_id, office_id, decided_at, verdict)
  VALUES ('d', 'c', 'release', 'In order', 'q', 'o', '2026-03-02 12:00:00', '{
    "verdict": "CANNOT_TELL", "asOf": "2026-03-02T12:00:00+00:00", "checks": [
    {"code": "SIGNATURE", "outcome": "pass", "reason": "signed", "record": "r", "values": {"issuer": "A"}},
    {"code": "ANCHOR", "outcome": "pass", "reason": "anchored", "record": "r",
     "values": {"final": "True", "block": "7"}},
    {"code": "DOCUMENTS", "outcome": "cannot_tell", "reason": "no-certificate-of-origin", "record": null, "values": {}},
    {"code": "QUANTITY_LEFT", "outcome": "pass", "reason": "quantity-left", "record": "r", "values": {"left": "5 KGM"}},
    {"code": "STATUS", "outcome": "pass", "reason": "in-force", "record": "r", "values": {}}]}');
"""


@pytest.mark.slow
def test_a_migration_killed_at_any_statement_leaves_the_old_tables_or_the_new_ones(tmp_path):
    command = [sys.executable, "-m", "tests.stress.killed_migration", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(re.match(r"(\d+) kills", ended.stdout)[1]) >= 10
