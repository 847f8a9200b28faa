"""Migrations are whole: the tables that they lead to are those of the code, and a kill leaves old or new ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from backend.adapters.record_keys import RecordKeys
from backend.adapters.store.database import open_engine, upgrade
from backend.adapters.store.tables import metadata

ROOT = Path(__file__).parents[2]


def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", RecordKeys(tmp_path / "record.keys"))
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


@pytest.mark.slow
def test_a_migration_killed_at_any_statement_leaves_the_old_tables_or_the_new_ones(tmp_path):
    command = [sys.executable, "-m", "tests.killed_migration", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(re.match(r"(\d+) kills", ended.stdout)[1]) >= 10
