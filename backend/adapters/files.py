"""Attachments, encrypted, each under the SHA-256 of its content. Users' file names never reach the storage.

Deleting a file also destroys its encryption key, so that older copies of the storage cannot be read either. The storage
is a folder here, or an object store (``object_storage.py``).
"""

import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from backend.domain.errors import Message
from backend.store.disk import not_kept, sync
from backend.store.encryption import (
    KeyDestroyed,
    KeyMissing,
    KeyStore,
    NotEncrypted,
    key_number,
)

BEGINNING = 9
"""Length in bytes of the prefix that holds the key number."""
MOST_REMEMBERED = 10_000
"""Maximum number of files that are remembered as intact."""


class Storage(Protocol):
    """Where encrypted files lie, each under the digest of its content. It knows no keys.

    Raises:
        StorageUnavailable: From every method, where it does not answer.
        OSError: Likewise, where it is a folder.
    """

    def write(self, digest: str, content: bytes) -> None:
        """Store a file, or replace it. When this returns, all of it is stored for good; before, none of it is."""

    def read(self, digest: str) -> bytes | None:
        """Return a file, or None if it is not here."""

    def beginning(self, digest: str) -> bytes | None:
        """Return the first ``BEGINNING`` bytes of a file, or None if it is not here."""

    def state(self, digest: str) -> tuple[object, ...] | None:
        """Return what changes whenever the file changes, or None if it is not here."""

    def freshen(self, digest: str) -> None:
        """Let a file count as stored now."""

    def stored(self) -> Iterator[tuple[str, float]]:
        """Yield each file's digest, and when it was stored (seconds since the epoch)."""

    def remove(self, digest: str) -> None:
        """Delete a file, which may be gone already."""


class FolderStorage:
    """Implements Storage in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where a file lies."""
        return self.folder / digest[:2] / digest

    def write(self, digest: str, content: bytes) -> None:
        """Write a file of its own, synced, and rename it."""
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        # Two processes may store the same content at once: each writes a file of its own, and the rename is atomic.
        fresh = path.with_suffix(f".{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync(path.parent)

    def read(self, digest: str) -> bytes | None:
        """Return the whole file."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def beginning(self, digest: str) -> bytes | None:
        """Return its first bytes."""
        try:
            with self.path(digest).open("rb") as file:
                return file.read(BEGINNING)
        except FileNotFoundError:
            return None

    def state(self, digest: str) -> tuple[object, ...] | None:
        """Return inode, size, modification time and change time. No program can set the change time back."""
        try:
            found = self.path(digest).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def freshen(self, digest: str) -> None:
        """Set its modification time."""
        os.utime(self.path(digest))

    def stored(self) -> Iterator[tuple[str, float]]:
        """Go through the folder, without files that are still written."""
        for path in self.folder.glob("??/*"):
            if re.fullmatch("[0-9a-f]{64}", path.name):
                with suppress(FileNotFoundError):  # deleted since it was listed
                    yield path.name, path.stat().st_mtime

    def remove(self, digest: str) -> None:
        """Delete the file, synced."""
        self.path(digest).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            sync(self.path(digest).parent)


class EncryptedFiles:
    """Implements the Files port over a storage."""

    def __init__(self, storage: Storage, keys: KeyStore) -> None:
        self._storage = storage
        self._keys = keys
        self._intact: dict[str, tuple[tuple[object, ...], int | None]] = {}

    def put(self, content: bytes) -> str:
        """Store the bytes, for good before this returns, and return their SHA-256 in hex.

        Raises:
            StorageFull: if there is no room on the disk.
            StorageUnavailable: if the file cannot be written.
        """
        digest = sha256(content).hexdigest()
        # What lies there may have been damaged since: then the good bytes take its place.
        try:
            if self.get(digest) == content:
                self._storage.freshen(digest)  # wanted again: no sweep takes it
            else:
                self._storage.write(digest, self._keys.encrypt(content))
        except OSError as error:
            raise not_kept(Message("the file could not be kept"), error) from error
        return digest

    def get(self, digest: str) -> bytes | None:
        """Return the bytes, or None where the file is missing or its key was destroyed.

        A damaged file is returned as it is stored: the caller compares the digest.

        Raises:
            StorageUnavailable: if the storage does not answer.
        """
        sealed = self._sealed(digest)
        if sealed is None:
            return None
        try:
            return self._keys.open(sealed)
        except KeyDestroyed:
            return None
        except (KeyMissing, NotEncrypted):
            return sealed  # altered, or from before files were sealed: the digest tells which

    def is_intact(self, digest: str) -> bool | None:
        """Tell whether the bytes match the digest; None where they are not here.

        A file that matched once is not read again while the storage tells of no change.

        Raises:
            StorageUnavailable: if the storage does not answer.
        """
        seen = self._storage.state(digest) if _is_digest(digest) else None
        if seen is None:
            self._intact.pop(digest, None)
            return None
        kept = self._intact.get(digest)
        if kept is not None and kept[0] == seen and not (kept[1] is not None and self._keys.is_destroyed(kept[1])):
            return True
        content = self.get(digest)
        if content is None or sha256(content).hexdigest() != digest:
            self._intact.pop(digest, None)
            return None if content is None else False
        if len(self._intact) >= MOST_REMEMBERED:
            self._intact.pop(next(iter(self._intact)))
        self._intact[digest] = seen, self.key_number(digest)
        return True

    def key_number(self, digest: str) -> int | None:
        """Return the number of the key under which a file is encrypted; None where it is not here, or damaged.

        Raises:
            StorageUnavailable: if the storage does not answer.
        """
        beginning = self._storage.beginning(digest)
        try:
            return None if beginning is None else key_number(beginning)
        except NotEncrypted:
            return None

    def is_erased(self, digest: str) -> bool:
        """Tell whether the file is still here although its key was destroyed."""
        number = self.key_number(digest)
        return number is not None and self._keys.is_destroyed(number)

    def encrypt_plain(self) -> int:
        """Encrypt files that were stored before files were encrypted, and return how many."""
        plain = 0
        for digest, _ in list(self._storage.stored()):
            content = self._storage.read(digest)
            if content is not None and sha256(content).hexdigest() == digest:
                self._storage.write(digest, self._keys.encrypt(content))
                plain += 1
        return plain

    def unnamed(self, named: Collection[str]) -> list[str]:
        """Return the digests of files that are not in ``named`` and were not stored within the last hour."""
        # A file is written before the row that names it is committed: a young file without a row may be part of a
        # request.
        before = time.time() - 3600
        return [digest for digest, stored in self._storage.stored() if digest not in named and stored < before]

    def delete(self, digest: str) -> bool:
        """Delete the file and destroy its key, which also opens older copies. Return whether the file was here."""
        sealed = self._sealed(digest)
        if sealed is None:
            return False
        # The key goes first: after a crash in between the rest is unreadable, and is swept up at the next start.
        with suppress(NotEncrypted):
            self._keys.destroy([key_number(sealed)])
        self._storage.remove(digest)
        return True

    def check(self, digest: str) -> None:
        """Ask the storage for a file.

        Raises:
            StorageUnavailable: if it does not answer.
        """
        self._storage.state(digest)

    def _sealed(self, digest: str) -> bytes | None:
        # A digest from a request becomes a path: anything else, such as "../", must not reach the storage.
        return self._storage.read(digest) if _is_digest(digest) else None


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None


class FolderFiles(EncryptedFiles):
    """Files in a folder."""

    def __init__(self, folder: Path, keys: KeyStore) -> None:
        storage = FolderStorage(folder)
        super().__init__(storage, keys)
        self._folder, self._path = folder, storage.path
