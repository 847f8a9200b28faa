"""Attachments: one behaviour over a folder and over an object store, which can be out of reach as well."""

import hashlib
import os
import socket

import pytest

from backend.adapters import object_storage
from backend.adapters.files import EncryptedFiles, FolderFiles
from backend.adapters.object_storage import ObjectStorage, ObjectStore, ResultStore, WrongStore
from backend.domain.errors import StorageFull, StorageUnavailable
from backend.domain.verdict import Outcome
from backend.services.verification import _attachments as attachments_of
from backend.store.encryption import DataKeys
from tests.helpers import object_stores

PDF = b"%PDF- one"
NEVER_STORED = "ab" * 32


class Place:
    """Files under test, with what a test does to them behind their back."""

    def __init__(self, tmp_path, store):
        self.keys, self.store, self.folder = DataKeys(tmp_path / "record.keys"), store, tmp_path / "files"
        self.files = self.open()

    def open(self):
        """As another process has them."""
        if self.store is None:
            return FolderFiles(self.folder, self.keys)
        return EncryptedFiles(ObjectStorage(ObjectStore(self.store.url)), self.keys)

    def stored(self):
        if self.store is None:
            return sorted(path.name for path in self.folder.rglob("*") if path.is_file())
        return sorted(key.rpartition("/")[2] for key in self.store.objects())

    def alter(self, digest):
        if self.store is not None:
            self.store.alter(f"provenport/{ObjectStorage.path(digest)}")
            return
        path = self.folder / digest[:2] / digest
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))


@pytest.fixture
def store(monkeypatch):
    with object_stores.started(monkeypatch) as started:
        yield started


@pytest.fixture(params=["folder", "objects"])
def place(request, tmp_path):
    return Place(tmp_path, request.getfixturevalue("store") if request.param == "objects" else None)


def test_stored_file_is_there_for_other_processes(place):
    digest = place.files.put(PDF)
    assert digest == hashlib.sha256(PDF).hexdigest()
    assert (place.open().get(digest), place.open().is_intact(digest)) == (PDF, True)
    assert place.files.get(NEVER_STORED) is place.files.is_intact(NEVER_STORED) is None


def test_same_bytes_twice_are_one_file(place):
    assert place.files.put(PDF) == place.open().put(PDF)
    assert len(place.stored()) == 1


def test_no_byte_lies_readable(place):
    digest = place.files.put(PDF)
    beginning = place.files._storage.beginning(digest)
    assert len(beginning) == 9
    assert PDF not in place.files._storage.read(digest)
    assert place.files._storage.read(digest).startswith(beginning)


def test_altered_file_is_told_and_replaced(place):
    digest = place.files.put(PDF)
    assert place.files.is_intact(digest)
    place.alter(digest)
    assert place.files.is_intact(digest) is False
    place.files.put(PDF)
    assert place.files.is_intact(digest)


def test_intact_file_is_not_read_again(place, monkeypatch):
    digest = place.files.put(PDF)
    assert place.files.is_intact(digest)
    monkeypatch.setattr(place.files, "get", lambda digest: pytest.fail("read again"))
    assert place.files.is_intact(digest)


def test_deleted_file_leaves_no_readable_copy(place):
    digest = place.files.put(PDF)
    copy = place.files._storage.read(digest)
    assert place.files.delete(digest)
    assert not place.files.delete(digest)
    assert place.stored() == []
    place.files._storage.write(digest, copy)  # out of an older copy
    assert place.files.get(digest) is place.files.is_intact(digest) is None
    assert place.files.is_erased(digest)
    assert not place.files.is_erased(NEVER_STORED)


def test_digest_that_is_a_path_is_refused(place):
    for path in ("../../record.keys", "/etc/passwd", "", "A" * 64):
        assert place.files.get(path) is place.files.is_intact(path) is None
        assert not place.files.delete(path)


def test_sweep_spares_named_and_young_files(place, monkeypatch):
    named, left = place.files.put(PDF), place.files.put(PDF + b"two")
    assert place.files.unnamed([named]) == []
    later = object_storage.time.time() + 3700
    monkeypatch.setattr("backend.adapters.files.time.time", lambda: later)
    assert place.files.unnamed([named]) == [left]


def test_file_stored_again_counts_as_young(place):
    """Else the sweep could take what a request is about to name."""
    digest = place.files.put(PDF)
    before = place.files._storage.state(digest)
    if place.store is None:
        os.utime(place.files._path(digest), (1, 1))
    else:
        object_storage.time.sleep(1.1)  # the store counts seconds
    place.files.put(PDF)
    assert place.files._storage.state(digest) != before
    assert place.files.unnamed([]) == []


# ---- out of reach


@pytest.fixture
def objects(tmp_path, store):
    return Place(tmp_path, store)


def wake(place):
    place.files._storage._store._asleep_until = 0.0


def test_store_out_of_reach_is_told(objects):
    digest = objects.files.put(PDF)
    assert objects.files.is_intact(digest)
    objects.store.stop()
    for ask in (objects.files.get, objects.files.is_intact, objects.files.delete, objects.files.check):
        wake(objects)
        with pytest.raises(StorageUnavailable, match="does not answer") as told:
            ask(digest)
        assert told.value.retry_after_seconds
        assert not isinstance(told.value, StorageFull)
    wake(objects)
    with pytest.raises(StorageUnavailable):
        objects.files.put(PDF + b"two")
    objects.store.start()
    wake(objects)
    assert objects.files.get(digest) == PDF  # its key was not destroyed
    assert objects.stored() == [digest]


def test_store_out_of_reach_rests(objects):
    objects.store.stop()
    with pytest.raises(StorageUnavailable):
        objects.files.get(NEVER_STORED)
    before = object_storage.time.monotonic()
    for _ in range(100):
        with pytest.raises(StorageUnavailable):
            objects.files.get(NEVER_STORED)
    assert object_storage.time.monotonic() - before < 5
    objects.store.start()


def test_store_that_hangs_is_told(objects, monkeypatch):
    """It takes connections and never answers."""
    monkeypatch.setattr(object_storage, "READ_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        hanging = ObjectStorage(ObjectStore(objects.store.url))
        before = object_storage.time.monotonic()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            hanging.read(NEVER_STORED)
        assert object_storage.time.monotonic() - before < 15


def test_lost_bucket_is_no_lost_file(objects):
    digest = objects.files.put(PDF)
    objects.store.drop()
    with pytest.raises(StorageUnavailable, match="bucket"):
        objects.files.get(digest)
    with pytest.raises(StorageUnavailable):
        objects.files.is_intact(digest)
    with pytest.raises(StorageUnavailable):
        objects.files.put(PDF)


def test_start_without_bucket_is_refused(store):
    ObjectStore(store.url).check()
    with pytest.raises(WrongStore, match="nobodys"):
        ObjectStore("s3://nobodys/papers").check()


def test_start_while_store_is_away_goes_on(store):
    store.stop()
    ObjectStore(store.url).check()
    store.start()


class Record:
    """A signed record that binds one file."""

    def __init__(self, digest):
        self.subject = {"attachments": [{"fileName": "lamp.pdf", "sha256": digest}]}


@pytest.mark.parametrize("are_needed", [True, False])
def test_unreadable_attachment_is_indeterminate(objects, are_needed):
    digest = objects.files.put(PDF)

    class Context:
        files = objects.files

    def outcome():
        wake(objects)
        return attachments_of(Context, Record(digest), are_needed=are_needed)[0].outcome

    assert outcome() is Outcome.PASS
    objects.store.stop()
    assert outcome() is Outcome.INDETERMINATE
    objects.store.start()
    objects.store.alter(f"provenport/{ObjectStorage.path(digest)}")
    assert outcome() is Outcome.FAIL


# ---- from folder to store and back


def test_folders_files_move_into_the_store(objects, tmp_path):
    folder = FolderFiles(tmp_path / "files", objects.keys)
    digests = [folder.put(PDF + bytes([n])) for n in range(3)]
    storage = objects.files._storage
    storage.write(digests[0], folder._storage.read(digests[0]))  # an earlier run was cut short here
    assert storage.take_over(tmp_path / "files") == 2
    assert [objects.files.get(one) for one in digests] == [PDF + bytes([n]) for n in range(3)]
    assert [folder.get(one) for one in digests] == [None] * 3
    assert storage.take_over(tmp_path / "files") == 0


def test_move_without_store_leaves_files_alone(objects, tmp_path):
    folder = FolderFiles(tmp_path / "files", objects.keys)
    digest = folder.put(PDF)
    objects.store.stop()
    with pytest.raises(StorageUnavailable):
        objects.files._storage.take_over(tmp_path / "files")
    assert folder.get(digest) == PDF
    objects.store.start()


def test_copy_of_the_store_is_a_folder(objects, tmp_path):
    digest = objects.files.put(PDF)
    objects.files._storage.copy_to(tmp_path / "copy")
    assert FolderFiles(tmp_path / "copy", objects.keys).get(digest) == PDF


def test_results_are_found_by_another_server(objects, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for name in ("complete", "result.json", "trace.parquet"):
        (here / name).write_bytes(name.encode())
    results = ResultStore(ObjectStore(objects.store.url))
    assert not results.fetch("one", "result.json", there)
    results.keep("one", here, last="complete")
    assert results.fetch("one", "result.json", there)
    assert (there / "result.json").read_bytes() == b"result.json"
    results.forget("one")
    assert not results.fetch("one", "trace.parquet", there)
    assert objects.store.objects() == []
