"""Attachments on disk, sealed, each under the SHA-256 of its bytes; names that people gave never touch the disk.

Deleting one destroys the key that it was sealed under, so that older copies of the folder cannot be read either.
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
"""Bytes that hold the number of the key."""
MOST_REMEMBERED = 10_000
"""Files that are known to be right, at most."""


class FolderFiles:
    """The Files port over one folder."""

    def __init__(self, folder: Path, keys: DataKeys) -> None:
        self._folder = folder
        self._keys = keys
        self._intact: dict[str, tuple[tuple[int, ...], int | None]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store the bytes, on disk before this returns; returns their digest in hex."""
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
        """The bytes, or None where they are not here any more."""
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
        """Whether the bytes are those of the digest; None where they are not here any more.

        Once they were found right they are not read again, as long as the file system tells of no change to the file:
        its inode, size, and the times of its last writing and last change, which no program can set back.
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
        """Whether the bytes lie here, but their key was destroyed."""
        try:
            with self._path(digest).open("rb") as file:
                return self._keys.is_destroyed(key_number(file.read(_BEGINNING)))
        except FileNotFoundError:
            return False
        except NotEncrypted:
            return False

    def encrypt_plain(self) -> int:
        """Seal what lies here from before files were sealed; how many."""
        plain = [path for path in self._all() if sha256(path.read_bytes()).hexdigest() == path.name]
        for path in plain:
            self._write(path, self._keys.encrypt(path.read_bytes()))
        return len(plain)

    def unnamed(self, named: Collection[str]) -> list[str]:
        """The digests of files that are not among these, and that nobody has put here in the last hour."""
        before = time.time() - 3600
        return [path.name for path in self._all() if path.name not in named and path.stat().st_mtime < before]

    def _all(self) -> list[Path]:
        return [path for path in self._folder.glob("??/*") if re.fullmatch("[0-9a-f]{64}", path.name)]

    def delete(self, digest: str) -> bool:
        """Keep the bytes no longer, nor the key that opens copies of them; whether they were here."""
        sealed = self._sealed(digest)
        if sealed is None:
            return False
        with suppress(NotEncrypted):
            self._keys.destroy([key_number(sealed)])
        self._path(digest).unlink(missing_ok=True)
        sync(self._path(digest).parent)
        return True

    def _sealed(self, digest: str) -> bytes | None:
        if not re.fullmatch("[0-9a-f]{64}", digest):
            return None
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
