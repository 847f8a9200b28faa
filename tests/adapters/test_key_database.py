"""The keys of texts in a database of their own: the same behaviour as in a file, and the way from one to the other."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.domain.errors import StorageUnavailable
from backend.runtime.backups import back_up, restore
from backend.runtime.context import _keys, opened
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.settings import Settings, WrongSetting
from backend.store import key_database
from backend.store.database import WrongDatabase
from backend.store.encryption import DataKeys, KeyDestroyed, KeyMissing, NotEncrypted, goes_on_from, key_number
from backend.store.key_database import DatabaseKeys
from tests.conftest import copied, people_in
from tests.helpers.postgres import programs, running_postgres

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL's programs are not here: make postgres-check")

NOW, LATER = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster():
    with running_postgres() as started:
        yield started


@pytest.fixture
def url(cluster, request):
    name = f"keys_{abs(hash(request.node.name))}"
    yield cluster.create(name)
    cluster.drop(name)


class Home:
    """Where keys lie; opened once for each process."""

    def __init__(self, open_keys):
        self.opened, self._open = [], open_keys

    def open(self):
        self.opened.append(self._open())
        return self.opened[-1]


@pytest.fixture(params=["file", "database"])
def home(request, tmp_path):
    if request.param == "file":
        found = Home(lambda: DataKeys(tmp_path / "record.keys"))
    else:
        url = request.getfixturevalue("url")
        found = Home(lambda: DatabaseKeys.opened_at(url))
    yield found
    for keys in found.opened:
        keys.close()


def test_text_opens_in_another_process(home):
    here, there = home.open(), home.open()
    sealed = [here.encrypt(b"a text"), there.encrypt(b"another")]
    assert len({key_number(one) for one in sealed}) == 2
    assert [there.open(sealed[0]), here.open(sealed[1])] == [b"a text", b"another"]
    assert here.mark("number") == there.mark("number")
    assert here.present == there.present == 2048


def test_destroyed_key_opens_nothing_anywhere(home):
    here, there = home.open(), home.open()
    gone, kept = here.encrypt(b"gone"), here.encrypt(b"kept")
    assert there.open(gone) == b"gone"  # remembered by the other process
    assert there.destroy([key_number(gone)]) == 1
    assert there.destroy([key_number(gone)]) == 0
    with pytest.raises(KeyDestroyed):
        there.open(gone)
    key_database.time.sleep(key_database.FRESH_SECONDS)
    with pytest.raises(KeyDestroyed):
        here.open(gone)
    assert here.is_destroyed(key_number(gone))
    assert not here.is_destroyed(key_number(kept))
    assert (here.open(kept), here.destroyed, there.destroyed) == (b"kept", 1, 1)


def test_unknown_and_altered_are_told_apart(home):
    keys = home.open()
    sealed = bytearray(keys.encrypt(b"a text"))
    sealed[-1] ^= 1
    with pytest.raises(NotEncrypted):
        keys.open(bytes(sealed))
    sealed[1:9] = (10**6).to_bytes(8, "big")
    with pytest.raises(KeyMissing, match="newest copy"):
        keys.open(bytes(sealed))
    assert not keys.is_destroyed(10**6)


def test_processes_at_once_number_no_key_twice(home):
    processes, ready = [home.open() for _ in range(4)], threading.Barrier(4)

    def encrypt(keys):
        ready.wait()
        return [key_number(keys.encrypt(b"x")) for _ in range(1500)]

    with ThreadPoolExecutor(4) as pool:
        numbers = [number for some in pool.map(encrypt, processes) for number in some]
    assert len(set(numbers)) == len(numbers) == 6000


# ---- the database alone


def test_keys_are_read_a_block_at_a_time(url, monkeypatch):
    with closing(DatabaseKeys.opened_at(url)) as one, closing(DatabaseKeys.opened_at(url)) as other:
        sealed = [one.encrypt(bytes([n])) for n in range(200)]
        asked = []
        read = DatabaseKeys._read_block
        monkeypatch.setattr(DatabaseKeys, "_read_block", lambda self, n: asked.append(n) or read(self, n))
        assert [other.open(text) for text in sealed] == [bytes([n]) for n in range(200)]
        assert asked == [0]


def test_database_of_keys_away_is_told(cluster, url):
    with closing(DatabaseKeys.opened_at(url)) as keys:
        sealed = keys.encrypt(b"a text")
        name = url.split("/")[3].partition("?")[0]
        cluster.drop(name)
        key_database.time.sleep(key_database.FRESH_SECONDS)
        with pytest.raises(StorageUnavailable, match="does not answer"):
            keys.open(sealed)
        with pytest.raises(StorageUnavailable):
            keys.reserve(5000)
        with pytest.raises(StorageUnavailable):
            keys.destroy([0])
        cluster.create(name)
    with pytest.raises(WrongDatabase, match="KEYS_DATABASE_URL"):
        DatabaseKeys.opened_at("postgresql://nobody@127.0.0.1:1/keys")


# ---- from a file into the database and back


@pytest.fixture
def folder_and_texts(tmp_path):
    made = DataFolder.open(tmp_path / "data", "0.1.0")
    with closing(DataKeys(made.data_keys)) as keys:
        gone, kept = keys.encrypt(b"gone"), keys.encrypt(b"kept")
        keys.destroy([key_number(gone)])
        return made, gone, kept, keys.mark("number")


def holds(keys, gone, kept, mark):
    assert (keys.open(kept), keys.mark("number"), keys.destroyed) == (b"kept", mark, 1)
    with pytest.raises(KeyDestroyed):
        keys.open(gone)


def test_file_of_keys_moves_into_the_database(folder_and_texts, url):
    folder, *texts = folder_and_texts
    with closing(_keys(folder, url)) as keys:
        holds(keys, *texts)
        keys.encrypt(b"later")
    assert not folder.data_keys.exists()
    with pytest.raises(UnusableFolder, match="KEYS_DATABASE_URL"):
        _keys(folder, None)
    with closing(_keys(folder, url)) as keys:
        holds(keys, *texts)


@pytest.mark.parametrize("killed_at", ["take_over", "note_keys_elsewhere", "overwrite"])
def test_killed_move_is_taken_up(folder_and_texts, url, monkeypatch, killed_at):
    """Killed before and after each step, and after all of them the next start goes on."""
    folder, *texts = folder_and_texts

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        if killed_at == "overwrite":
            patch.setattr("backend.runtime.context.overwrite", killed)
        else:
            patch.setattr(DatabaseKeys if killed_at == "take_over" else DataFolder, killed_at, killed)
        with pytest.raises(Killed):
            _keys(folder, url)
    assert folder.data_keys.exists()
    with closing(_keys(folder, url)) as keys:
        holds(keys, *texts)
    assert not folder.data_keys.exists()


def test_older_file_brings_no_destroyed_key_back(folder_and_texts, url, tmp_path):
    folder, _gone, kept, _mark = folder_and_texts
    older = tmp_path / "older"
    shutil.copy(folder.data_keys, older)
    with closing(_keys(folder, url)) as keys:
        keys.destroy([key_number(kept)])
    shutil.copy(older, folder.data_keys)
    with closing(_keys(folder, url)) as keys:
        assert keys.is_destroyed(key_number(kept))
        assert keys.destroyed == 2


def test_file_destroys_what_was_destroyed_in_it(folder_and_texts, url, tmp_path):
    """A copy that was served from a file, and then goes back to its database."""
    folder, _gone, kept, _mark = folder_and_texts
    copy = tmp_path / "copy"
    with closing(_keys(folder, url)) as keys:
        keys.write_file(copy)
    with closing(DataKeys(copy)) as served:
        served.destroy([key_number(kept)])
    shutil.copy(copy, folder.data_keys)
    with closing(_keys(folder, url)) as keys:
        assert keys.is_destroyed(key_number(kept))


def test_others_keys_are_refused(folder_and_texts, url, tmp_path):
    folder, *texts = folder_and_texts
    with closing(DatabaseKeys.opened_at(url)) as others:
        others.encrypt(b"theirs")
    with pytest.raises(KeyMissing, match="another installation"):
        _keys(folder, url)
    with closing(_keys(folder, None)) as keys:
        holds(keys, *texts)


def test_keys_that_parted_are_refused(folder_and_texts, url, tmp_path):
    folder, *_ = folder_and_texts
    copy = tmp_path / "copy"
    shutil.copy(folder.data_keys, copy)
    with closing(_keys(folder, url)) as keys:
        keys.reserve(3000)
    with closing(DataKeys(copy)) as parted:
        parted.reserve(1)
    shutil.copy(copy, folder.data_keys)
    with pytest.raises(KeyMissing, match="each made keys"):
        _keys(folder, url)


def test_lost_database_of_keys_stops_the_start(folder_and_texts, url, cluster):
    folder, *_ = folder_and_texts
    _keys(folder, url).close()
    empty = cluster.create("empty_keys")
    with pytest.raises(UnusableFolder, match="has no keys"):
        _keys(folder, empty)
    cluster.drop("empty_keys")


def test_written_file_is_a_copy_of_the_database(folder_and_texts, url, tmp_path):
    folder, *_texts = folder_and_texts
    before = tmp_path / "before"
    shutil.copy(folder.data_keys, before)
    with closing(_keys(folder, url)) as keys:
        keys.write_file(tmp_path / "written")
    assert (tmp_path / "written").read_bytes() == before.read_bytes()
    assert goes_on_from(tmp_path / "written", before)


@pytest.mark.slow
@pytest.mark.sqlite
def test_backup_takes_keys_out_of_the_database(demonstration, url, tmp_path):
    """The copy goes back without the database of keys, and with it; what was erased since stays erased in both."""
    settings = replace(copied(demonstration, tmp_path / "data"), keys_database_url=url)
    with opened(settings) as ctx:
        with pytest.raises(UnusableFolder, match="KEYS_DATABASE_URL"):
            back_up(DataFolder(settings.data_dir), tmp_path / "safe", NOW)
        copy = back_up(DataFolder(settings.data_dir), tmp_path / "safe", NOW, keys_url=url)
        assert not (copy / "record.keys").exists()
        merchant, erased = erase_one(ctx, settings.data_dir)
        back_up(DataFolder(settings.data_dir), tmp_path / "safe", LATER, keys_url=url)
    for name, keys_url in {"file": None, "database": url}.items():
        restore(copy, DataFolder(tmp_path / name))
        with opened(Settings(tmp_path / name, keys_database_url=keys_url)) as ctx, ctx.work(reading=True) as work:
            assert work.records.get(erased).erased_at is not None
            assert any(work.records.readable_of(merchant.organisation))
        assert (tmp_path / name / "record.keys").exists() == (keys_url is None)


def erase_one(ctx, folder):
    """Erase the merchant's first record as the service does, but for its rule that lodged papers are kept."""
    with ctx.work() as work:
        merchant = work.persons.find_by_email(people_in(folder)["merchant"].email)
        record = next(iter(work.records.readable_of(merchant.organisation)))
        record.erase(ctx.now())
        work.commit()
        return merchant, record.id


def test_same_database_for_both_is_refused():
    one = "postgresql://u:secret@host/name"
    with pytest.raises(WrongSetting, match="same database") as told:
        Settings.from_environment({"DATABASE_URL": one, "KEYS_DATABASE_URL": one})
    assert "secret" not in str(told.value)
    both = Settings.from_environment({"DATABASE_URL": one, "KEYS_DATABASE_URL": f"{one}_keys"})
    assert "secret" not in repr(both)
