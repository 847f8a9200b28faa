"""Encrypts what records contain: each value under a key of its own, and erasing a value destroys its key.

All keys lie in one file beside the database, or in a database of their own (``key_database.py``). They are copied apart
from the database and only their newest copy is kept, so that erased values cannot be read in an older copy of the
database either, and everything else can.

The file has a header of 64 bytes (the text ``provenport keys``, a byte for the format, a secret of 32 bytes, the count
of destroyed keys in 8 bytes, 8 bytes unused), then 32 random bytes for each key, by its number. A destroyed key is all
zeros. Keys are created in blocks that are on disk before the first of them is used. Each key encrypts one value, once.
"""

import errno
import hmac
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Dialect, LargeBinary, String
from sqlalchemy.types import TypeDecorator

from backend.domain.errors import Message, TraceabilityError
from backend.store.disk import alone, not_kept, sync

_FORMAT = b"provenport keys\x01"
_HEADING = 64
KEY_LENGTH = 32
# One wait for the disk for so many texts, and 32 KiB at most that a stopped process leaves unused.
KEY_BLOCK = 1024
_SEALED = b"\x01"
"""The first byte of an encrypted value.

The key number in 8 bytes, the nonce, the text and its tag (AES-256-GCM) follow.
"""
# NIST SP 800-38D, section 5.2.1.1: 96 bits.
_NONCE = 12
_START = len(_SEALED) + 8 + _NONCE
_DESTROYED = bytes(KEY_LENGTH)


class KeyDestroyed(TraceabilityError):
    """Raised when a value cannot be decrypted because its key was destroyed."""

    code = "key-destroyed"


class KeyMissing(TraceabilityError):
    """Raised when the file of keys is older than a value: its newest copy must be restored."""

    code = "key-missing"


class NotEncrypted(TraceabilityError):
    """Raised when bytes were not encrypted here, or were altered since."""

    code = "not-sealed"


class KeyStore(ABC):
    """The keys of an installation, which several processes may use at once: in a file, or in a database of their own.

    Raises:
        StorageUnavailable: From every method, where the keys cannot be read or written.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.made = 0
        """One more than the highest key number created here and stored for good."""
        self._free: list[tuple[int, bytes]] = []
        self._owner = os.getpid()
        self._taking = threading.Lock()

    @abstractmethod
    def _append(self, keys: bytes) -> int:
        """Store a block of new keys for good, and return the number of the first."""

    @abstractmethod
    def _read(self, number: int) -> bytes:
        """Return a key.

        Raises:
            KeyDestroyed: if it was destroyed.
            KeyMissing: if there is no such key.
        """

    @abstractmethod
    def destroy(self, numbers: Iterable[int]) -> int:
        """Destroy these keys for good before this returns. Return how many still existed.

        Raises:
            OSError: if a file of keys cannot be written.
        """

    @abstractmethod
    def is_destroyed(self, number: int) -> bool:
        """Tell whether this key was destroyed."""

    @property
    @abstractmethod
    def present(self) -> int:
        """The number of keys, destroyed ones included."""

    @property
    @abstractmethod
    def destroyed(self) -> int:
        """The number of keys that were ever destroyed."""

    @abstractmethod
    def close(self) -> None:
        """Close file or connections."""

    # ---- encrypt and open

    def encrypt(self, content: bytes) -> bytes:
        """Encrypt the content under a new key with AES-256-GCM.

        Raises:
            StorageFull: if there is no room for new keys.
            StorageUnavailable: if new keys cannot be written.
        """
        number, key = self._take()
        nonce = os.urandom(_NONCE)
        # A key is used once, so a random nonce cannot repeat under it, which would break AES-GCM.
        return _SEALED + number.to_bytes(8, "big") + nonce + AESGCM(key).encrypt(nonce, content, None)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt the content.

        Raises:
            KeyDestroyed: if its key was destroyed.
            KeyMissing: if its key is not in the file.
            NotEncrypted: if it was altered or never encrypted.
        """
        return self.opened(sealed)[0]

    def opened(self, sealed: bytes) -> tuple[bytes, int]:
        """Decrypt the content, and return it with the number of its key.

        Raises:
            KeyDestroyed: if its key was destroyed.
            KeyMissing: if its key is not in the file.
            NotEncrypted: if it was altered or never encrypted.
        """
        number = key_number(sealed)
        key = self._read(number)
        try:
            content = AESGCM(key).decrypt(sealed[_START - _NONCE : _START], sealed[_START:], None)
        except InvalidTag as error:
            raise NotEncrypted("altered since it was sealed") from error
        return content, number

    def mark(self, text: str) -> str:
        """Return 60 hexadecimal digits that stand for a text, by which it can be found again.

        It is a truncated HMAC-SHA-256 under the file's secret: without this file, guessed texts cannot be tried.
        """
        return hmac.digest(self._secret, text.encode(), "sha256").hex()[:60]

    # ---- make keys

    def reserve(self, count: int) -> None:
        """Have at least ``count`` keys ready, on disk.

        Raises:
            StorageFull: if there is no room for new keys.
            StorageUnavailable: if new keys cannot be written.
        """
        with self._taking:
            self._make(count)

    def _take(self) -> tuple[int, bytes]:
        with self._taking:
            self._make(1)
            return self._free.pop()

    def _make(self, count: int) -> None:
        if self._owner != os.getpid():  # a fork must not use what its parent will use
            self._free, self._owner = [], os.getpid()
        while len(self._free) < count:
            keys = os.urandom(KEY_LENGTH * KEY_BLOCK)
            try:
                first = self._append(keys)
            except OSError as error:
                raise not_kept(Message("no keys could be made"), error) from error
            made = [(first + n, keys[n * KEY_LENGTH : (n + 1) * KEY_LENGTH]) for n in range(KEY_BLOCK)]
            # Numbers are popped in rising order. Unused ones of a stopped process are never used again, which costs 32
            # bytes each.
            self._free = [*reversed(made), *self._free]
            self.made = first + KEY_BLOCK


class DataKeys(KeyStore):
    """The keys in one file.

    Raises:
        NotEncrypted: if the file is not a file of keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with alone(self._path):  # a lock belongs to its opening of the file
            if os.fstat(self._handle).st_size < _HEADING:
                # Under the lock: two processes at the first start would write different secrets.
                os.pwrite(self._handle, _FORMAT + os.urandom(32) + bytes(16), 0)
                os.fsync(self._handle)
                sync(path.parent)
        heading = os.pread(self._handle, _HEADING, 0)
        if not heading.startswith(_FORMAT):
            self.close()
            raise NotEncrypted("{path} is no file of keys", path=path)
        super().__init__(heading[len(_FORMAT) : len(_FORMAT) + 32])

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _read(self, number: int) -> bytes:
        # By its place: threads share the handle, and a seek of one would move the other's.
        key = os.pread(self._handle, KEY_LENGTH, _place(number))
        if key == _DESTROYED:
            raise KeyDestroyed("its key was destroyed", key=number)
        if len(key) != KEY_LENGTH:
            raise KeyMissing(
                "{path} is older than what was sealed with it: put its newest copy back", key=number, path=self._path
            )
        return key

    def _append(self, keys: bytes) -> int:
        with alone(self._path):
            size = os.fstat(self._handle).st_size
            first = -(-(size - _HEADING) // KEY_LENGTH)  # after a block that was cut short
            written = os.pwrite(self._handle, keys, _place(first))
            # A short write means a full disk. The keys of an incomplete block are not used.
            if written != len(keys):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._handle)
        return first

    def destroy(self, numbers: Iterable[int]) -> int:
        """Overwrite these keys, synced to disk before this returns. Return how many still existed.

        Raises:
            OSError: if the file cannot be written.
        """
        with alone(self._path):
            there = [one for one in sorted(set(numbers)) if self._is_there(one)]
            if there:  # the count goes up first: by it an older copy of the database knows that something went
                count = (self.destroyed + len(there)).to_bytes(8, "big")
                os.pwrite(self._handle, count, len(_FORMAT) + 32)
                os.fsync(self._handle)
            for number in there:
                os.pwrite(self._handle, _DESTROYED, _place(number))
            os.fsync(self._handle)
        return len(there)

    def _is_there(self, number: int) -> bool:
        key = os.pread(self._handle, KEY_LENGTH, _place(number))
        return len(key) == KEY_LENGTH and key != _DESTROYED

    def is_destroyed(self, number: int) -> bool:
        """Tell whether this key was destroyed."""
        return os.pread(self._handle, KEY_LENGTH, _place(number)) == _DESTROYED

    @property
    def present(self) -> int:
        """The number of keys in the file, destroyed ones included."""
        return max(os.fstat(self._handle).st_size - _HEADING, 0) // KEY_LENGTH

    @property
    def destroyed(self) -> int:
        """The number of keys that were destroyed since the file was created."""
        return int.from_bytes(os.pread(self._handle, 8, len(_FORMAT) + 32), "big")


def key_number(sealed: object) -> int:
    """Return the number of the key under which a value was encrypted.

    Raises:
        NotEncrypted: if the value has no valid header.
    """
    if not isinstance(sealed, bytes) or len(sealed) < 9 or not sealed.startswith(_SEALED):
        raise NotEncrypted("not sealed, or cut short")
    number = int.from_bytes(sealed[1:9], "big")
    # A file offset must stay within 63 bits: an altered number would otherwise crash the read.
    if number >= 2**48:
        raise NotEncrypted("no such key")
    return number


def file_of_keys(secret: bytes, destroyed: int, keys: Iterable[bytes | None]) -> Iterator[bytes]:
    """Yield the content of a file of keys, by number; None stands for a destroyed one."""
    yield _FORMAT + secret + destroyed.to_bytes(8, "big") + bytes(8)
    for key in keys:
        yield key or _DESTROYED


def read_file_of_keys(path: Path) -> tuple[bytes, int, list[bytes | None]]:
    """Return the secret, the count of destroyed keys and the keys of a file; None stands for a destroyed one.

    Raises:
        NotEncrypted: if it is no file of keys.
    """
    content = path.read_bytes()
    if not content.startswith(_FORMAT) or len(content) < _HEADING:
        raise NotEncrypted("{path} is no file of keys", path=path)
    whole = (len(content) - _HEADING) // KEY_LENGTH  # a block may have been cut short
    keys = (content[_place(number) : _place(number + 1)] for number in range(whole))
    start = len(_FORMAT)
    return (
        content[start : start + 32],
        int.from_bytes(content[start + 32 : start + 40], "big"),
        [None if key == _DESTROYED else key for key in keys],
    )


def goes_on_from(later: Path, earlier: Path) -> bool:
    """Tell whether a file of keys opens all that an earlier one does, apart from what was destroyed since."""
    with later.open("rb") as new, earlier.open("rb") as old:
        # The secret identifies the file. The count of destroyed keys may differ.
        if new.read(_HEADING)[: len(_FORMAT) + 32] != old.read(_HEADING)[: len(_FORMAT) + 32]:
            return False
        while before := old.read(KEY_LENGTH * KEY_BLOCK):
            now = new.read(len(before))
            if now != before and not all(
                now[n : n + KEY_LENGTH] in (before[n : n + KEY_LENGTH], _DESTROYED)
                for n in range(0, len(before) - KEY_LENGTH + 1, KEY_LENGTH)
            ):
                return False
    return True


def _place(number: int) -> int:
    return _HEADING + number * KEY_LENGTH


Content = TypeVar("Content")


def let_find(dialect: Dialect, keys: KeyStore) -> None:
    """Attach the keys to an engine's dialect, where its columns find them."""
    dialect.data_keys = keys  # type: ignore[attr-defined]


def keys_of(dialect: Dialect) -> KeyStore:
    """Return the keys that this engine's columns are encrypted with."""
    keys: KeyStore = dialect.data_keys  # type: ignore[attr-defined]
    return keys


class KeyedValue:
    """A value read from an encrypted column: its key number, and whether it was stored unaltered."""

    key_number: int | None = None
    is_whole = True


class KeptText(KeyedValue, str):
    """A text read from an encrypted column."""


class KeptBytes(KeyedValue, bytes):
    """Bytes read from an encrypted column."""


class KeptList(KeyedValue, list[Any]):
    """A list read from an encrypted column."""


class KeptMembers(KeyedValue, dict[str, Any]):
    """An object read from an encrypted column."""


class Encrypted(bytes):
    """A value for an encrypted column that was encrypted before its transaction began, and is stored as it is."""


class EncryptedValue(TypeDecorator[Content]):
    """An encrypted column. A value whose key was destroyed is read as empty."""

    impl = LargeBinary
    cache_ok = True
    kept: ClassVar[Callable[..., Any]]
    """Wraps a value that was read, with its key number."""
    altered: ClassVar[Any] = None
    """The value that is returned for one that was altered; it cannot be mistaken for a real one."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Encrypt a value for the database; an empty value stays empty."""
        if value is None or isinstance(value, Encrypted):
            return value
        return self.encrypted(value, keys_of(dialect))

    def encrypted(self, value: Any, keys: KeyStore) -> Encrypted:
        """Encrypt a value with these keys; an empty value stays empty."""
        # An empty value needs no key, and is what an erased one is read as.
        return Encrypted(keys.encrypt(self.packed(value)) if value else b"")

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Return the function that decrypts values of one engine.

        It is built once, since whole batches are read through it.
        """
        opened, kept, unpacked, altered = keys_of(dialect).opened, self.kept, self.unpacked, self.altered

        def read(value: Any) -> Any:
            if value is None:
                return None
            if not value:
                return kept()
            try:
                content, number = opened(value)
                found = kept(unpacked(content))
            except KeyDestroyed:
                return kept()
            except (
                KeyMissing,
                NotEncrypted,
                ValueError,
            ):  # keys that are too old stop the start: here a row was altered
                found = kept(altered)
                found.is_whole = False
                return found
            found.key_number = number
            return found

        return read

    @staticmethod
    def packed(value: Any) -> bytes:
        """Serialise a value to bytes."""
        return json.dumps(value).encode()

    @staticmethod
    def unpacked(content: bytes) -> Any:
        """Deserialise a value from bytes."""
        return json.loads(content)


class EncryptedText(EncryptedValue[str]):
    """A column of encrypted text."""

    cache_ok = True
    altered = ""
    kept = KeptText

    @staticmethod
    def packed(value: str) -> bytes:
        """Encode as UTF-8."""
        return value.encode()

    @staticmethod
    def unpacked(content: bytes) -> str:
        """Decode from UTF-8."""
        return content.decode()


class EncryptedBytes(EncryptedValue[bytes]):
    """A column of encrypted bytes."""

    cache_ok = True
    altered = b""
    kept = KeptBytes

    @staticmethod
    def packed(value: bytes) -> bytes:
        """Return the bytes."""
        return bytes(value)

    @staticmethod
    def unpacked(content: bytes) -> bytes:
        """Return the bytes."""
        return content


class EncryptedList(EncryptedValue[list[Any]]):
    """A column with an encrypted list of JSON values."""

    cache_ok = True
    altered = ("(altered)",)
    kept = KeptList


class EncryptedMembers(EncryptedValue[dict[str, Any]]):
    """A column with an encrypted JSON object."""

    cache_ok = True
    altered: ClassVar[Any] = {}
    kept = KeptMembers


class Fingerprint(TypeDecorator[str]):
    """A text that is only ever searched for: a keyed hash of it is stored, which tells nothing without the keys."""

    impl = String(60)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Hash a text for the database."""
        return None if value is None else keys_of(dialect).mark(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the stored hash."""
        return None if value is None else str(value)
