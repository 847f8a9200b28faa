"""Each text has a key of its own: what its key is gone for cannot be opened, and everything else can."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from backend.domain.errors import StorageFull
from backend.store import encryption
from backend.store.encryption import (
    DataKeys,
    KeyDestroyed,
    KeyMissing,
    NotEncrypted,
    key_number,
)


@pytest.fixture
def keys(tmp_path):
    with closing(DataKeys(tmp_path / "record.keys")) as opened:
        yield opened


def test_sealed_text_opens_and_shows_no_plaintext(keys):
    sealed = keys.encrypt(b"Mr Tan of Bukit Timah")
    assert keys.open(sealed) == b"Mr Tan of Bukit Timah"
    assert b"Tan" not in sealed
    assert keys.encrypt(b"Mr Tan of Bukit Timah") != sealed


def test_every_text_has_its_own_key(keys):
    numbers = [key_number(keys.encrypt(b"x")) for _ in range(3_000)]
    assert len(set(numbers)) == 3_000


def test_any_byte_altered_is_noticed(keys):
    sealed = keys.encrypt(b"a text")
    for ctx in range(9, len(sealed)):
        with pytest.raises(NotEncrypted):
            keys.open(sealed[:ctx] + bytes([sealed[ctx] ^ 1]) + sealed[ctx + 1 :])
    for other in (b"", b"\x01", b"\x02" + sealed[1:], b"\x01" + b"\xff" * 40, "a text", sealed[:-1]):
        with pytest.raises(NotEncrypted):
            keys.open(other)


def test_destroyed_key_opens_nothing_and_others_still_open(keys, tmp_path):
    """Its bytes are gone from the file, also for whoever opens it again."""
    gone, stays = keys.encrypt(b"gone"), keys.encrypt(b"stays")
    before = (tmp_path / "record.keys").read_bytes()
    assert keys.destroy([key_number(gone), key_number(gone)]) == 1
    assert keys.destroy([key_number(gone)]) == 0
    assert keys.destroyed == 1
    with pytest.raises(KeyDestroyed):
        keys.open(gone)
    assert keys.open(stays) == b"stays"
    key = before[64 + 32 * key_number(gone) :][:32]
    assert key != bytes(32)
    assert key not in (tmp_path / "record.keys").read_bytes()
    with closing(DataKeys(tmp_path / "record.keys")) as again:
        assert again.open(stays) == b"stays"
        assert again.destroyed == 1


def test_keys_older_than_what_was_sealed_say_so(keys, tmp_path):
    older = (tmp_path / "record.keys").read_bytes()
    sealed = keys.encrypt(b"x")
    (tmp_path / "older").write_bytes(older)
    with closing(DataKeys(tmp_path / "older")) as old, pytest.raises(KeyMissing, match="put its newest copy back"):
        old.open(sealed)


def test_parallel_processes_and_threads_share_no_key(keys, tmp_path):
    program = (
        "import sys, pathlib; from backend.store.encryption import DataKeys, key_number\n"
        "keys = DataKeys(pathlib.Path(sys.argv[1]))\n"
        "print(*(key_number(keys.encrypt(b'x')) for _ in range(2500)))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / "record.keys"], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    numbers = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(key_number(keys.encrypt(b"x")) for _ in range(1500)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in started:
        numbers += map(int, process.communicate()[0].split())
    assert len(numbers) == len(set(numbers)) == 2 * 2_500 + 3 * 1_500


def test_a_fork_uses_no_key_of_its_parent(keys):
    keys.encrypt(b"x")
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(key_number(keys.encrypt(b"x"))).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(read, 100)) != key_number(keys.encrypt(b"x"))


def test_truncated_block_of_keys_is_skipped(keys, tmp_path):
    first = keys.encrypt(b"x")
    with (tmp_path / "record.keys").open("ab") as file:
        file.write(os.urandom(17))
    with closing(DataKeys(tmp_path / "record.keys")) as again:
        second = again.encrypt(b"y")
        assert key_number(second) > 1024
        assert (again.open(first), again.open(second)) == (b"x", b"y")


def test_full_disk_refuses_sealing_until_there_is_room(keys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(encryption.os, "pwrite", full)
        with pytest.raises(StorageFull):
            keys.encrypt(b"x")
    assert keys.open(keys.encrypt(b"x")) == b"x"


def test_key_file_is_private_and_others_refused(tmp_path, keys):
    assert (tmp_path / "record.keys").stat().st_mode & 0o777 == 0o600
    (tmp_path / "other").write_bytes(b"x" * 100)
    with pytest.raises(NotEncrypted, match="is no file of keys"):
        DataKeys(tmp_path / "other")


def test_mark_identifies_a_text_within_one_installation(keys, tmp_path):
    with closing(DataKeys(tmp_path / "another")) as another:
        assert keys.mark("co1") == keys.mark("co1") != keys.mark("co2")
        assert keys.mark("co1") != another.mark("co1")
