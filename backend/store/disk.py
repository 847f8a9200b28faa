"""What writing to a disk needs beyond the standard library."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from backend.domain.errors import Message, StorageFull, StorageUnavailable


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, all or nothing; FileExistsError where one is there."""
    with _aside(path, content, 0o600) as aside:
        os.link(aside, path)
    sync(path.parent)


def write_over(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file, all or nothing, in the place of one that may be there; by default only its owner may read it."""
    with _aside(path, content, mode) as aside:
        aside.replace(path)
    sync(path.parent)


@contextmanager
def _aside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    aside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.new")
    aside.unlink(missing_ok=True)  # of a process that was killed
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def alone(path: Path, busy: Exception | None = None) -> Iterator[None]:
    """One at a time with this file or folder; the second waits, or has ``busy`` raised where that is given."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from error
        yield
    finally:
        os.close(handle)


def not_kept(what: Message, error: OSError) -> StorageUnavailable:
    """A failed write in our words: StorageFull where there was no room."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("{what}: {why}", what=what, why=error.strerror)
    return StorageUnavailable("{what}: {why}", what=what, why=error.strerror)
