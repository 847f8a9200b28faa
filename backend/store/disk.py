"""Durable and atomic file operations that the standard library does not offer."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from backend.domain.errors import Message, StorageFull, StorageUnavailable


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to disk.

    Raises:
        OSError: if it cannot be flushed.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, content: bytes) -> None:
    """Write a new file atomically, with mode 600.

    Raises:
        FileExistsError: if the file exists.
        OSError: if it cannot be written.
    """
    with _aside(path, content, 0o600) as aside:
        # A link, unlike a rename, refuses an existing name: of two processes that create the file, one wins.
        os.link(aside, path)
    # The folder's entry too: without it, a power cut may take back the new name.
    sync(path.parent)


def write_over(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file atomically, replacing one that may exist; by default with mode 600.

    Raises:
        OSError: if it cannot be written, in which case the old file stays.
    """
    with _aside(path, content, mode) as aside:
        aside.replace(path)
    sync(path.parent)


def overwrite(path: Path) -> None:
    """Delete a file after zeros were written over it, on disk before it goes."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
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
    """Hold an exclusive lock on this file or folder.

    A second caller waits. Where ``busy`` is given, that is raised instead.
    """
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
    """Turn a failed write into a domain error: StorageFull where there was no room, else StorageUnavailable."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("{what}: {why}", what=what, why=error.strerror)
    return StorageUnavailable("{what}: {why}", what=what, why=error.strerror)
