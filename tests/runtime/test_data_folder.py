"""What a data folder keeps to itself: modes of its databases, the copy before an upgrade, where it is served."""

import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from backend.runtime.app import running
from backend.runtime.backups import back_up
from backend.runtime.context import VERSION, opened
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.settings import Settings
from backend.store.database import copy_before

VECTORS = Path(__file__).parents[1] / "vectors"
DATABASES = ("provenport.sqlite", "chain.sqlite")


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_folder(tmp_path):
    """A folder that others may enter, under a umask that lets them read."""
    before = os.umask(0o022)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    yield folder
    os.umask(before)


def databases_of(folder):
    return {path.name: mode_of(path) for path in folder.iterdir() if path.name.startswith(DATABASES)}


def kept_apart(modes):
    return {name: mode for name, mode in modes.items() if not name.endswith((".lock", ".pid"))}


def test_databases_of_an_open_folder_stay_private(open_folder):
    with running(Settings(open_folder, demo=False)) as system:
        with system.ctx.work() as work:
            work.leases.delete("anchoring")
            work.commit()
        modes = kept_apart(databases_of(open_folder))
    assert mode_of(open_folder) == 0o755
    assert {*DATABASES, "provenport.sqlite-wal", "provenport.sqlite-shm", "chain.sqlite-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_databases_that_others_could_read_become_private(open_folder):
    with running(Settings(open_folder, demo=False)):
        pass
    for name in DATABASES:
        (open_folder / name).chmod(0o644)
    with running(Settings(open_folder, demo=False)):
        assert set(kept_apart(databases_of(open_folder)).values()) == {0o600}


@pytest.fixture
def earlier(tmp_path):
    """A data folder that an earlier version made."""
    with tarfile.open(VECTORS / "data-folder-v1.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "data"


def tables_of(database):
    with closing(sqlite3.connect(database)) as opened_database:
        return opened_database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_upgrade_is_told_and_copied_before(earlier):
    present, told = tables_of(earlier / "provenport.sqlite"), []
    with opened(Settings(earlier), told.append):
        pass
    copy = copy_before(earlier / "provenport.sqlite", present)
    assert tables_of(copy) == present
    assert mode_of(copy) == 0o600
    newest = tables_of(earlier / "provenport.sqlite")
    assert newest > present
    assert f"(tables {present}). Bringing it to {VERSION} (tables {newest})" in told[0]
    assert str(copy) in told[1]
    assert told[2].startswith("Upgraded.")
    assert DataFolder(earlier).noted_tables() == newest


def test_folder_of_this_version_is_opened_in_silence(earlier):
    with opened(Settings(earlier)):
        pass
    told = []
    with opened(Settings(earlier), told.append):
        pass
    assert told == []


def test_copy_before_an_upgrade_can_be_put_back(earlier):
    with opened(Settings(earlier)), closing(sqlite3.connect(earlier / "provenport.sqlite")) as database:
        count = database.execute("SELECT count(*) FROM person").fetchone()
    (copy,) = earlier.glob("provenport.sqlite.before-*")
    copy.replace(earlier / "provenport.sqlite")
    with opened(Settings(earlier)), closing(sqlite3.connect(earlier / "provenport.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM person").fetchone() == count


def test_nothing_is_upgraded_where_no_copy_can_be(earlier, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    present = tables_of(earlier / "provenport.sqlite")
    monkeypatch.setattr("backend.runtime.context.copy_database", full)
    with pytest.raises(UnusableFolder, match="Nothing was changed"), opened(Settings(earlier)):
        pass
    assert tables_of(earlier / "provenport.sqlite") == present


def test_copy_before_upgrade_goes_with_next_erasure(earlier, tmp_path, now):
    with opened(Settings(earlier)) as ctx:
        (copy,) = earlier.glob("provenport.sqlite.before-*")
        made = back_up(DataFolder(earlier), tmp_path / "copies", now)
        assert not list(made.glob("*before*"))
        ctx.work.scrub()
    assert not copy.exists()


@pytest.fixture
def now():
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_address_of_the_running_server_is_known(tmp_path):
    folder = DataFolder.open(tmp_path / "data", "test")
    assert folder.served_at() is None
    folder.note_server("http://127.0.0.1:8391")
    assert folder.served_at() == "http://127.0.0.1:8391"
    folder.forget_server()
    assert folder.served_at() is None


def test_address_of_a_killed_server_does_not_count(tmp_path):
    folder = DataFolder.open(tmp_path / "data", "test")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder.server.write_text(f'{{"url": "http://127.0.0.1:1", "pid": {ended.pid}}}', encoding="utf-8")
    assert folder.served_at() is None
