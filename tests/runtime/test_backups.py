"""A copy never costs an earlier one its keys, and is whole whatever happens meanwhile."""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from backend.runtime import backups
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.store.encryption import DataKeys, key_number

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def installation(path):
    folder = DataFolder.open(path, "1")
    folder.write_secret(folder.master_key, b"a master key")
    with closing(sqlite3.connect(path / "provenport.sqlite")) as database:
        database.execute("CREATE TABLE record (id)")
    (folder.files / "ab").mkdir(parents=True)
    (folder.files / "ab" / "abcd").write_bytes(b"a file")
    with closing(DataKeys(folder.data_keys)) as keys:
        return folder, keys.encrypt(b"a text")


def copies(safe):
    return sorted(path.name for path in safe.iterdir() if path.is_dir())


def test_later_keys_take_the_place_of_earlier_ones(tmp_path):
    folder, sealed = installation(tmp_path / "data")
    backups.back_up(folder, tmp_path / "safe", NOW)
    with closing(DataKeys(folder.data_keys)) as keys:
        keys.reserve(3000)
        keys.destroy([key_number(sealed)])
    backups.back_up(folder, tmp_path / "safe", LATER)
    assert (tmp_path / "safe" / "record.keys").read_bytes() == folder.data_keys.read_bytes()
    assert len(copies(tmp_path / "safe")) == 2
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "safe").iterdir()}
    assert modes == {0}


def test_copies_of_one_second_get_distinct_names(tmp_path):
    folder, _ = installation(tmp_path / "data")
    made = [backups.back_up(folder, tmp_path / "safe", NOW).name for _ in range(3)]
    assert made == ["2026-03-02T120000Z", "2026-03-02T120000Z-2", "2026-03-02T120000Z-3"]
    assert copies(tmp_path / "safe") == made
    backups.restore(tmp_path / "safe" / made[2], DataFolder(tmp_path / "again"))
    assert (tmp_path / "again" / "files" / "ab" / "abcd").read_bytes() == b"a file"


def test_next_backup_removes_only_a_killed_ones_remains(tmp_path):
    folder, _ = installation(tmp_path / "data")
    for name in ("2026-03-02T110000Z.unfinished", "2026-03-02T110000Z-2.unfinished", "letters.unfinished"):
        (tmp_path / "safe" / name).mkdir(parents=True)
        (tmp_path / "safe" / name / "master.key").write_bytes(b"a master key")
    backups.back_up(folder, tmp_path / "safe", NOW)
    assert copies(tmp_path / "safe") == ["2026-03-02T120000Z", "letters.unfinished"]


@pytest.mark.parametrize("which", ["another installation", "before an erasure", "before a block", "another way since"])
def test_keys_unable_to_open_existing_copies_replace_none(tmp_path, which):
    folder, sealed = installation(tmp_path / "data")
    other = DataFolder(tmp_path / "other")
    if which == "another installation":
        installation(other.path)
    else:
        shutil.copytree(folder.path, other.path)
    with closing(DataKeys(folder.data_keys)) as keys:
        if which == "before an erasure":
            keys.destroy([key_number(sealed)])
        else:
            keys.reserve(3000)
    if which == "another way since":
        with closing(DataKeys(other.data_keys)) as keys:
            keys.reserve(5000)
    backups.back_up(folder, tmp_path / "safe", NOW)
    before = (tmp_path / "safe" / "record.keys").read_bytes()
    with pytest.raises(UnusableFolder, match="Nothing was replaced"):
        backups.back_up(other, tmp_path / "safe", LATER)
    assert (tmp_path / "safe" / "record.keys").read_bytes() == before
    assert len(copies(tmp_path / "safe")) == 1


def test_file_erased_while_being_copied_spoils_no_copy(tmp_path, monkeypatch):
    folder, _ = installation(tmp_path / "data")
    copy_file = shutil.copy2

    def late(source, target):
        (folder.files / "ab" / "abcd").unlink(missing_ok=True)
        return copy_file(source, target)

    monkeypatch.setattr(backups.shutil, "copy2", late)
    copy = backups.back_up(folder, tmp_path / "safe", NOW)
    assert (copy / "master.key").read_bytes() == b"a master key"
    assert not (copy / "files" / "ab" / "abcd").exists()


def test_a_master_key_that_changes_meanwhile_is_told(tmp_path, monkeypatch):
    folder, _ = installation(tmp_path / "data")
    monkeypatch.setattr(
        backups, "copy_database", lambda *_: folder.write_secret(folder.master_key, b"another master key")
    )
    with pytest.raises(UnusableFolder, match="make another"):
        backups.back_up(folder, tmp_path / "safe", NOW)
    assert copies(tmp_path / "safe") == []


@pytest.mark.parametrize("moment", ["while copying", "while moving", "at the very end"])
def test_restore_killed_halfway_can_be_done_again(tmp_path, monkeypatch, moment):
    folder, sealed = installation(tmp_path / "data")
    copy = backups.back_up(folder, tmp_path / "safe", NOW)
    into = DataFolder(tmp_path / "again")

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(backups.shutil, "rmtree", lambda *_, **__: None)  # a killed process tidies nothing
        if moment == "while copying":
            patched.setattr(backups, "_write", killed)
        elif moment == "while moving":
            patched.setattr(type(into.path), "rename", killed)
        else:
            patched.setattr(type(into.path), "rmdir", killed)
        with pytest.raises(Killed):
            backups.restore(copy, into)
    if moment != "at the very end":
        with pytest.raises(UnusableFolder, match="restore again"):
            DataFolder.open(into.path, "1")
        backups.restore(copy, into)
        assert not into.restoring.exists()
    assert into.path.stat().st_mode & 0o077 == 0
    with closing(DataKeys(into.data_keys)) as keys:
        assert keys.open(sealed) == b"a text"
    assert DataFolder.open(into.path, "1").marker.exists()


class Killed(BaseException):
    """The process ends here."""


def test_a_restore_that_fails_leaves_no_keys_behind(tmp_path):
    folder, _ = installation(tmp_path / "data")
    copy = backups.back_up(folder, tmp_path / "safe", NOW)
    (copy / "provenport.sqlite").write_bytes((copy / "provenport.sqlite").read_bytes()[:4096])
    (tmp_path / "again").mkdir()
    with pytest.raises(UnusableFolder, match="could not be filled"):
        backups.restore(copy, DataFolder(tmp_path / "again"))
    assert list((tmp_path / "again").iterdir()) == []


def test_restore_fills_an_empty_folder_behind_a_link(tmp_path):
    folder, _ = installation(tmp_path / "data")
    copy = backups.back_up(folder, tmp_path / "safe", NOW)
    (tmp_path / "volume").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "volume")
    (tmp_path / "volume.unfinished").mkdir()
    (tmp_path / "volume.unfinished" / "letters").write_text("precious")
    backups.restore(copy, DataFolder(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "volume" / "master.key").read_bytes() == b"a master key"
    assert (tmp_path / "volume.unfinished" / "letters").read_text() == "precious"


@pytest.mark.parametrize("what", ["no database", "an empty database", "in itself", "a file", "another restore"])
def test_restore_that_cannot_be_whole_changes_nothing(tmp_path, what):
    folder, _ = installation(tmp_path / "data")
    copy = backups.back_up(folder, tmp_path / "safe", NOW)
    into, why = tmp_path / "again", "could not be filled"
    if what == "no database":
        (copy / "provenport.sqlite").unlink()
        why = "provenport.sqlite is missing"
    elif what == "an empty database":
        (copy / "provenport.sqlite").write_bytes(b"")
        why = "it is empty"
    elif what == "in itself":
        into, why = copy / "data", "in the copy itself"
    elif what == "a file":
        into.write_text("mine")
    else:
        into.mkdir()
        handle = os.open(into, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        why = "another restore"
    with pytest.raises(UnusableFolder, match=why):
        backups.restore(copy, DataFolder(into))
    assert what == "a file" or not into.exists() or list(into.iterdir()) == []
    if what == "another restore":
        os.close(handle)


def test_copy_of_a_folder_without_database_is_refused(tmp_path):
    folder, _ = installation(tmp_path / "data")
    (tmp_path / "data" / "provenport.sqlite").unlink()
    with pytest.raises(UnusableFolder, match=r"provenport\.sqlite is missing"):
        backups.back_up(folder, tmp_path / "safe", NOW)
