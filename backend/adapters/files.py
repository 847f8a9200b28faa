"""Attachments on disk, each under the SHA-256 of its bytes; names that people gave never touch the file system."""

import errno
import io
import os
import re
from hashlib import sha256
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from backend.domain.errors import StorageFull, StorageUnavailable


class FolderFiles:
    """The Files port over one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store the bytes, on disk before this returns; returns their digest in hex."""
        digest = sha256(content).hexdigest()
        path = self._path(digest)
        # What lies there may have been damaged since: then the good bytes take its place.
        if not path.exists() or sha256(path.read_bytes()).hexdigest() != digest:
            try:
                self._write(path, content)
            except OSError as error:
                kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageUnavailable
                raise kind(f"the file could not be kept: {error.strerror}") from error
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
        _sync_folder(path.parent)

    def get(self, digest: str) -> bytes | None:
        """The bytes, or None where they are not here."""
        if not re.fullmatch("[0-9a-f]{64}", digest) or not self._path(digest).exists():
            return None
        return self._path(digest).read_bytes()

    def delete(self, digest: str) -> None:
        """Keep the bytes no longer."""
        if re.fullmatch("[0-9a-f]{64}", digest):
            self._path(digest).unlink(missing_ok=True)
            if self._path(digest).parent.exists():
                _sync_folder(self._path(digest).parent)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class PypdfReader:
    """The PdfReader port over pypdf."""

    def is_pdf(self, content: bytes) -> bool:
        """Whether the bytes are a PDF with at least one page, not locked by a password."""
        if not content.startswith(b"%PDF-"):
            return False
        try:
            reader = PdfReader(io.BytesIO(content), strict=False)
            return not reader.is_encrypted and len(reader.pages) > 0
        except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError):
            return False  # pypdf lets these through from damaged files
