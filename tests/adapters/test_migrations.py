"""Migrations are whole: the tables that they lead to are those of the code, and a kill leaves old or new ones."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, Boolean, DateTime, Engine, Integer, LargeBinary, MetaData, select, text
from sqlalchemy.orm import Session

from backend.adapters.files import FolderFiles
from backend.domain.kinds import Kind
from backend.domain.outbox import SigningRequest
from backend.domain.records import RecordOnFile, StatusChange
from backend.messages.verdict import REASONS
from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys
from backend.store.tables import decision, metadata, paper
from backend.store.unit_of_work import Repositories

ROOT = Path(__file__).parents[2]

_LATER = {
    "api_token": ("name", "scope", "expires_at", "last_used_at"),
    "organisation": ("folded_name",),
    "request": ("content",),
    "answer": ("response",),
}
"""Columns that came later, in tables of 0005."""


def test_migrations_lead_to_the_tables_of_the_code(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", DataKeys(tmp_path / "record.keys"))
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_rows_of_renamed_tables_all_survive(tmp_path):
    """One row in every table of 0005: each value stands under its new name afterwards, each key still holds."""
    path = tmp_path / "db.sqlite"
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{path}", keys)
        upgrade(engine, "0005")
        old = _tables(engine)
        with engine.begin() as connection:
            rows = {table.name: _row(table) for table in old.sorted_tables if table.name not in _OWN_ROWS}
            for name, row in rows.items():
                connection.execute(old.tables[name].insert(), row)
        assert upgrade(engine)
        new = _tables(engine)
        with engine.connect() as connection:
            for name, row in rows.items():
                renamed = _COLUMNS.get(name, {})
                (found,) = connection.execute(select(new.tables[_TABLES.get(name, name)])).mappings()
                expected = {renamed.get(column, column): value for column, value in row.items()}
                assert {column: found[column] for column in expected} == expected
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
            schema = " ".join(connection.scalars(text("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")))
        engine.dispose()
    gone = [*_TABLES, *(column for renamed in _COLUMNS.values() for column in renamed)]
    assert "drawdown" in schema
    assert [name for name in gone if re.search(rf"(\b|[a-z]_){name}(\b|_(id|hash|state|signer|number))", schema)] == []


def test_earlier_duplicates_lose_only_what_finds_them(tmp_path):
    """The earliest keeps its number, the named successor its link; nothing that is signed changes."""
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        upgrade(engine, "0011")
        then = _tables(engine).tables
        records = then["record"]
        shared = _row(records) | {"batch_id": None, "leaf_index": None, "superseded_by_id": None, "number": "n"}
        rows = [
            {"id": "c", "assurance": "issued", "supersedes_id": None, "superseded_by_id": "e", "recorded_at": 3},
            {"id": "b", "assurance": "issued", "supersedes_id": None, "recorded_at": 2},
            {"id": "a", "assurance": "stated", "supersedes_id": None, "recorded_at": 1},
            {"id": "d", "assurance": "issued", "supersedes_id": "c", "recorded_at": 4, "number": "other"},
            {"id": "e", "assurance": "issued", "supersedes_id": "c", "recorded_at": 5, "number": "another"},
        ]
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for name in ("organisation", "product"):
                connection.execute(then[name].insert(), _row(then[name]))
            for row in rows:
                made = row | {"recorded_at": datetime(2026, 3, row["recorded_at"])}
                unlike = {"digest": row["id"], "label_code": row["id"]}
                connection.execute(records.insert(), shared | unlike | made)
        before = _texts(engine, records)
        assert upgrade(engine)
        after = _tables(engine).tables["record"]
        with engine.connect() as connection:
            found = {row.id: (row.number, row.supersedes_id) for row in connection.execute(select(after))}
        assert found == {
            "a": ("n", None),
            "b": ("n", None),
            "c": (None, None),
            "d": ("other", None),
            "e": ("another", "c"),
        }
        assert _texts(engine, after) == before
        engine.dispose()


def _texts(engine, records):
    c = records.c
    with engine.connect() as connection:
        return sorted(connection.execute(select(c.id, c.signed_jwt, c.disclosures, c.digest)).all())


def test_transactions_of_earlier_versions_keep_their_state(tmp_path):
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        upgrade(engine, "0005")
        transaction = _tables(engine).tables["sending"]
        with engine.begin() as connection:
            for state in ("displaced", "refused"):
                row = _row(transaction) | {"id": state, "state": state, "transaction_hash": state.encode()}
                connection.execute(transaction.insert(), row)
        upgrade(engine)
        with engine.connect() as connection:
            states = connection.execute(text("SELECT id, state FROM outbound_transaction")).all()
        engine.dispose()
    assert sorted(states) == [("displaced", "replaced"), ("refused", "refused")]


@contextmanager
def upgraded(tmp_path: Path, revision: str) -> Iterator[tuple[sqlite3.Connection, Callable[[], Engine]]]:
    """A database of an earlier revision to be filled, and what upgrades it and gives an engine on it."""
    path = tmp_path / "db.sqlite"
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{path}", keys)
        upgrade(engine, revision)
        with closing(sqlite3.connect(path)) as connection:

            def finish() -> Engine:
                connection.commit()
                assert upgrade(engine)
                return engine

            yield connection, finish
        engine.dispose()


_BEFORE_0009 = """
INSERT INTO organisation (id, role, name, country_code, registered_at) VALUES
  ('yiwu', 'officer', 'A', 'CN', '2026-03-02'), ('port', 'officer', 'B', 'CN', '2026-03-02'),
  ('trader', 'merchant', 'C', 'CN', '2026-03-02');
INSERT INTO consignment (id, merchant_id, reference, customs_office, lodged_at, status) VALUES
  ('c1', 'trader', '1', 'YIWU-DEMO', '2026-03-02', 2), ('c2', 'trader', '2', 'Main hall', '2026-03-02', 0);
INSERT INTO decision (id, consignment_id, decision, reason, officer_id, office_id, decided_at, verdict) VALUES
  ('d1', 'c1', 'release', 'In order', 'q', 'yiwu', '2026-03-02 12:00:00', '{}'),
  ('d2', 'c1', 'examine', 'Look', 'q', 'yiwu', '2026-03-02 12:10:00', '{}');
INSERT INTO status_change (id, record_id, new_status, signer, reason, reason_salt, asked_at) VALUES
  ('s1', 'c1', 4, 'office', '', '', '2026-03-02 12:00:00'),
  ('undone', 'c1', 3, 'office', '', '', '2026-03-02 12:05:00'),
  ('s2', 'c1', 2, 'office', '', '', '2026-03-02 12:10:00');
"""


def test_earlier_offices_and_decisions_keep_their_place(tmp_path):
    """An office serves what it decided on, all serve what nobody decided; a decision finds its own change of status."""
    with upgraded(tmp_path, "0007") as (before, finish):
        before.executescript(_BEFORE_0009)
        with finish().connect() as connection:
            served = connection.execute(text("SELECT code, organisation_id FROM customs_office")).all()
            changes = connection.execute(text("SELECT id, change_id FROM decision ORDER BY id")).all()
    both = {("Main hall", "yiwu"), ("Main hall", "port")}
    assert set(served) == {("YIWU-DEMO", "yiwu"), ("CNYIU", "yiwu"), *both}
    assert changes == [("d1", "s1"), ("d2", "s2")]


_BEFORE_0012 = """
INSERT INTO organisation (id, role, name, country_code, registered_at) VALUES
  ('trader', 'merchant', 'C', 'CN', '2026-03-02');
INSERT INTO record (id, kind, assurance, issuer_id, holder_id, signed_jwt, disclosures, quantity, digest, issued_at,
    recorded_at, label_code, status, path)
  VALUES ('r', 1, 'issued', 'trader', 'trader', x'', x'', '5', 'd', '2026-03-02', '2026-03-02', 'l', 0, x'');
INSERT INTO consignment (id, merchant_id, reference, customs_office, lodged_at, status) VALUES
  ('open', 'trader', '1', 'CNYIU', '2026-03-02 12:00:00', 0),
  ('released', 'trader', '2', '2925', '2026-03-02 12:00:00', 4),
  ('withdrawn', 'trader', '3', 'NL000396', '2026-03-02 12:00:00', 8);
INSERT INTO paper (consignment_id, record_id) VALUES ('open', 'r'), ('released', 'r'), ('withdrawn', 'r');
INSERT INTO event (id, consignment_id, step, occurred_at, recorded_at) VALUES
  ('1', 'released', 'examination', '2026-07-01', '2026-07-01'),
  ('2', 'released', 'released', '2026-05-01', '2026-05-01'),
  ('3', 'withdrawn', 'withdrawn', '2027-01-20', '2027-01-20'), ('4', 'open', 'detained', '2026-09-01', '2026-09-01');
"""


def test_earlier_declarations_keep_their_papers_too(tmp_path):
    with upgraded(tmp_path, "0011") as (before, finish):
        before.executescript(_BEFORE_0012)
        with finish().connect() as connection:
            kept = dict(connection.execute(select(paper.c.consignment_id, paper.c.kept_until)).all())
    assert {name: until.date().isoformat() for name, until in kept.items()} == {
        "open": "2029-03-04",
        "released": "2029-05-03",
        "withdrawn": "2031-01-02",
    }


def test_earlier_ends_of_issued_documents_are_published(tmp_path):
    """Not those of declarations, whose numbers mean other things, nor of statements that an issuer confirmed."""
    rows = {
        "active": (1, "issued", 0),
        "revoked": (1, "issued", 2),
        "superseded": (2, "issued", 3),
        "stated": (1, "stated", 3),
        "examined": (3, "issued", 2),
    }
    with upgraded(tmp_path, "0013") as (before, finish):
        before.executescript(_BEFORE_0012.partition("INSERT INTO record")[0])
        for name, (kind, assurance, status) in rows.items():
            before.execute(
                "INSERT INTO record (id, kind, assurance, issuer_id, holder_id, signed_jwt, disclosures, quantity,"
                " digest, issued_at, recorded_at, label_code, status, path) VALUES (?, ?, ?, 'trader', 'trader',"
                " x'', x'', '5', ?, '2026-03-02', '2026-03-02', ?, ?, x'')",
                (name, kind, assurance, name, name, status),
            )
        with Session(finish()) as session:
            notices = Repositories(session).revocations.all()
            found = {(one.record_id, one.transaction, one.settled) for one in notices}
    assert found == {("revoked", None, None), ("superseded", None, None)}


def test_earlier_products_with_one_code_all_survive(tmp_path):
    """The oldest keeps the bar code to itself."""
    with upgraded(tmp_path, "0014") as (connection, finish):
        connection.executescript(_BEFORE_0012.partition("INSERT INTO record")[0])
        for name, gtin in (("oldest", "036000291452"), ("twin", "0036000291452"), ("plain", None)):
            connection.execute(
                "INSERT INTO product (id, merchant_id, name, hs_code, unit_code, origin_country, description, gtin,"
                " added_at) VALUES (?, 'trader', 'Lamp', '940521', 'H87', 'CN', 'A lamp', ?, ?)",
                (name, gtin, "2026-03-01" if name == "oldest" else "2026-03-02"),
            )
        finish()
        found = dict(connection.execute("SELECT id, gtin_key FROM product"))
        assert connection.execute("SELECT DISTINCT version, retired_at FROM product").fetchall() == [(1, None)]
    assert found == {"oldest": "00036000291452", "twin": None, "plain": None}


def test_names_go_back_where_migration_is_undone(tmp_path):
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", keys)
        upgrade(engine, "0006")
        before = _schema(engine)
        upgrade(engine, "0007")
        assert _schema(engine) != before
        config = Config()
        config.set_main_option("script_location", str(ROOT / "backend/store/migrations"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0006")
        assert _schema(engine) == before
        engine.dispose()


def _schema(engine):
    query = text("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    with engine.connect() as connection:
        return [(name, " ".join(sql.replace('"', "").split())) for name, sql in connection.execute(query)]


def _tables(engine):
    tables = MetaData()
    tables.reflect(engine)
    return tables


def _row(table):
    """A row with values of its columns' types; the keys of all tables are the same, so that each points to another."""
    return {column.name: _value(column) for column in table.columns}


def _value(column):
    match column.type:
        case DateTime():
            return datetime(2026, 3, 2, 12)
        case JSON():
            return {"checks": []} if column.name == "verdict" else []
        case LargeBinary():
            return column.name.encode()
        case Boolean():
            return True
        case Integer():
            return 1
        case _:
            return "1" if column.primary_key or column.foreign_keys else column.name[:3]


_OWN_ROWS = ("alembic_version", "key_state")
_TABLES = {
    "sending": "outbound_transaction",
    "claim": "lease",
    "opening": "activation",
    "draw": "planned_drawdown",
    "certificate_draw": "drawdown",
    "accreditation_act": "accreditation_change",
    "answer": "idempotency_record",
    "prepared": "signing_request",
    "forgotten_key": "key_to_destroy",
}
_COLUMNS = {
    "signing_key": {"sealed_private": "encrypted_private"},
    "sending": {"earlier": "earlier_attempts"},
    "record": {"place": "leaf_index"},
    "opening": {"sending_id": "transaction_id"},
    "certificate_draw": {
        "line_id": "original_id",
        "sending_id": "transaction_id",
        "drawing": "set_root",
        "back_asked_at": "refund_asked_at",
        "back_sending_id": "refund_transaction_id",
        "given_back_at": "refunded_at",
    },
    "status_change": {"sending_id": "transaction_id"},
    "accreditation_act": {"verb": "operation", "sending_id": "transaction_id", "cancelling_id": "cancellation_id"},
}


def test_texts_of_an_earlier_version_are_sealed(tmp_path):
    path = tmp_path / "db.sqlite"
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
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
            assert session.get_one(SigningRequest, "p").arguments == {"document": {"number": "4711"}}
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


def test_files_are_sealed_before_tables_are_new(tmp_path):
    content = b"%PDF-1.7 Mr Tan of Bukit Timah"
    digest = sha256(content).hexdigest()
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
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
        assert upgrade(engine, first=stored.encrypt_plain)
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


def test_verdict_kept_with_decision_uses_current_words(tmp_path):
    path = tmp_path / "db.sqlite"
    with closing(DataKeys(tmp_path / "record.keys")) as keys:
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
def test_migration_killed_anywhere_leaves_whole_tables(tmp_path):
    command = [sys.executable, "-m", "tests.stress.killed_migration", str(tmp_path), "30"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("30 kills: ")
