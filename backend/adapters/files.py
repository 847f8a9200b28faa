"""Attachments on disk, encrypted, each under the SHA-256 of its content. Users' file names never reach the disk.

Deleting a file also destroys its encryption key, so that older copies of the folder cannot be read either.
"""

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from backend.domain.errors import Message
from backend.store.disk import not_kept, sync
from backend.store.encryption import (
    DataKeys,
    KeyDestroyed,
    KeyMissing,
    NotEncrypted,
    key_number,
)

_BEGINNING = 9
"""Length in bytes of the prefix that holds the key number."""
MOST_REMEMBERED = 10_000
"""Maximum number of files that are remembered as intact."""


class FolderFiles:
    """Implements the Files port over one folder."""

    def __init__(self, folder: Path, keys: DataKeys) -> None:
        self._folder = folder
        self._keys = keys
        self._intact: dict[str, tuple[tuple[int, ...], int | None]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store the bytes, synced to disk before this returns, and return their SHA-256 in hex.

        Raises:
            StorageFull: if there is no room on the disk.
            StorageUnavailable: if the file cannot be written.
        """
        digest = sha256(content).hexdigest()
        # What lies there may have been damaged since: then the good bytes take its place.
        try:
            if self.get(digest) == content:
                os.utime(self._path(digest))  # wanted again: no sweep takes it
            else:
                self._write(self._path(digest), self._keys.encrypt(content))
        except OSError as error:
            raise not_kept(Message("the file could not be kept"), error) from error
        return digest

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
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

    def get(self, digest: str) -> bytes | None:
        """Return the bytes, or None where the file is missing or its key was destroyed.

        A damaged file is returned as it is stored: the caller compares the digest.
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

        A file that matched once is not read again while its inode, size, modification time and change time stay the
        same. No program can set the change time back.
        """
        try:
            found = self._path(digest).stat() if re.fullmatch("[0-9a-f]{64}", digest) else None
        except FileNotFoundError:
            found = None
        if found is None:
            self._intact.pop(digest, None)
            return None
        seen = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        kept = self._intact.get(digest)
        if kept is not None and kept[0] == seen and not (kept[1] is not None and self._keys.is_destroyed(kept[1])):
            return True
        content = self.get(digest)
        if content is None or sha256(content).hexdigest() != digest:
            self._intact.pop(digest, None)
            return None if content is None else False
        if len(self._intact) >= MOST_REMEMBERED:
            self._intact.pop(next(iter(self._intact)))
        self._intact[digest] = seen, self._number(digest)
        return True

    def _number(self, digest: str) -> int | None:
        try:
            with self._path(digest).open("rb") as file:
                return key_number(file.read(_BEGINNING))
        except (FileNotFoundError, NotEncrypted):
            return None

    def is_erased(self, digest: str) -> bool:
        """Tell whether the file is still here although its key was destroyed."""
        try:
            with self._path(digest).open("rb") as file:
                return self._keys.is_destroyed(key_number(file.read(_BEGINNING)))
        except FileNotFoundError:
            return False
        except NotEncrypted:
            return False

    def encrypt_plain(self) -> int:
        """Encrypt files that were stored before files were encrypted, and return how many."""
        plain = [path for path in self._all() if sha256(path.read_bytes()).hexdigest() == path.name]
        for path in plain:
            self._write(path, self._keys.encrypt(path.read_bytes()))
        return len(plain)

    def unnamed(self, named: Collection[str]) -> list[str]:
        """Return the digests of files that are not in ``named`` and were not stored within the last hour."""
        # A file is written before the row that names it is committed: a young file without a row may be part of a
        # request.
        before = time.time() - 3600
        return [path.name for path in self._all() if path.name not in named and path.stat().st_mtime < before]

    def _all(self) -> list[Path]:
        return [path for path in self._folder.glob("??/*") if re.fullmatch("[0-9a-f]{64}", path.name)]

    def delete(self, digest: str) -> bool:
        """Delete the file and destroy its key, which also opens older copies. Return whether the file was here."""
        sealed = self._sealed(digest)
        if sealed is None:
            return False
        # The key goes first: after a crash in between the rest is unreadable, and is swept up at the next start.
        with suppress(NotEncrypted):
            self._keys.destroy([key_number(sealed)])
        self._path(digest).unlink(missing_ok=True)
        sync(self._path(digest).parent)
        return True

    def _sealed(self, digest: str) -> bytes | None:
        # A digest from a request becomes a path: anything else, such as "../", must not reach the file system.
        if not re.fullmatch("[0-9a-f]{64}", digest):
            return None
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
