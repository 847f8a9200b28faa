"""What writing to a disk needs beyond the standard library."""

import errno
import os
from pathlib import Path

from backend.domain.errors import StorageFull, StorageUnavailable


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def not_kept(what: str, error: OSError) -> StorageUnavailable:
    """A failed write in our words: StorageFull where there was no room."""
    kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageUnavailable
    return kind(f"{what}: {error.strerror}")
