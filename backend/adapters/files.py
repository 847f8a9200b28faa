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


class FolderFiles:
    """The Files port over one folder."""

    def __init__(self, folder: Path, keys: DataKeys) -> None:
        self._folder = folder
        self._keys = keys
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
