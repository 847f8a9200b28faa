"""Attachments and simulations' results in an object store, by fsspec, for servers on several machines.

``FILES_URL`` names a bucket and perhaps a path in it, ``s3://BUCKET/PATH``. Below it lie ``files/`` and
``simulations/``, as in a data folder. Address, region and credentials of the store come from where its library looks
for them (``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID``, a profile, the machine's role).
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from backend.adapters.files import BEGINNING, FolderStorage
from backend.domain.errors import StorageUnavailable, TraceabilityError
from backend.store.disk import sync

log = structlog.get_logger()

CONNECT_SECONDS, READ_SECONDS, TRIES = 3, 10, 2
REST_SECONDS = 2.0
"""How long nothing is asked of a store that did not answer: a page of verdicts would wait for each of its files."""


class WrongStore(TraceabilityError):
    """Raised when the object store cannot be used as it is set."""

    code = "wrong-store"


class ObjectStore:
    """One bucket, or a path in it. Safe to use from several threads.

    Raises:
        WrongStore: At the start, where the library is missing, or the store has no such bucket or refuses us.
        StorageUnavailable: From every other method, where the store does not answer.
    """

    def __init__(self, url: str) -> None:
        try:
            from s3fs import S3FileSystem
        except ModuleNotFoundError as error:
            raise WrongStore(
                "FILES_URL names an object store, whose library is not installed here: install provenport[s3]"
            ) from error
        self._root = url.removeprefix("s3://").rstrip("/")
        self._fs: Any = S3FileSystem(
            # Others write here too: what was listed a moment ago tells nothing.
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": READ_SECONDS,
                "retries": {"total_max_attempts": TRIES},
            },
        )
        self._fs.retries = 1  # of its own, around the library's
        self._asleep_until = 0.0

    def check(self) -> None:
        """Make sure of the bucket at the start. One that does not answer now may do so later, which is logged.

        Raises:
            WrongStore: The store has no such bucket, or does not let us in.
        """
        try:
            self._ask_for_bucket()
        except (FileNotFoundError, PermissionError) as error:
            raise WrongStore(
                "the bucket {bucket} that FILES_URL names cannot be used, in the store's words: “{why}”",
                bucket=self._root.partition("/")[0],
                why=str(error),
            ) from error
        except StorageUnavailable as error:
            log.error("attachments and results cannot be read or stored for now", why=str(error))

    def _ask_for_bucket(self) -> None:
        with self._asking():
            self._fs.call_s3("head_bucket", Bucket=self._root.partition("/")[0])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Tell in our words where the store does not answer; that there is no such object is an answer."""
        if time.monotonic() < self._asleep_until:
            raise StorageUnavailable("the store of attachments does not answer")
        try:
            yield
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            # What the store's library and its libraries raise has no common base: whatever it is, nothing was told.
            self._asleep_until = time.monotonic() + REST_SECONDS
            raise StorageUnavailable(
                "the store of attachments does not answer: {why}", why=str(error) or type(error).__name__
            ) from error

    def _told(self, ask: Callable[[], Any]) -> Any:
        """Return what the store answers, or None where it has no such object."""
        try:
            with self._asking():
                return ask()
        except PermissionError as error:
            raise StorageUnavailable("the store of attachments refuses: {why}", why=str(error)) from error
        except FileNotFoundError:
            # A bucket that is gone says the same, which must not read as a file that is gone.
            try:
                self._ask_for_bucket()
            except (FileNotFoundError, PermissionError) as error:
                raise StorageUnavailable("the store of attachments has no bucket: {why}", why=str(error)) from error
            return None

    def write(self, path: str, content: bytes) -> None:
        """Store an object. It is replaced as a whole, and stored for good when this returns."""
        written = self._told(lambda: self._fs.pipe_file(self._at(path), content) or True)
        if written is None:
            raise StorageUnavailable("the store of attachments did not take the file")

    def upload(self, path: str, source: Path) -> None:
        """Store a file, whatever its size."""
        self._told(lambda: self._fs.put_file(str(source), self._at(path)))

    def read(self, path: str, end: int | None = None) -> bytes | None:
        """Return an object, or its first ``end`` bytes."""
        found = self._told(lambda: self._fs.cat_file(self._at(path), start=None if end is None else 0, end=end))
        return None if found is None else bytes(found)

    def state(self, path: str) -> tuple[object, ...] | None:
        """Return entity tag, size and time of an object. An object that was written again has another time or tag."""
        found = self._told(lambda: self._fs.info(self._at(path), refresh=True))
        if found is None or found.get("type") != "file":
            return None
        return found.get("ETag"), found.get("size"), found.get("LastModified"), found.get("VersionId")

    def below(self, path: str) -> dict[str, float]:
        """Return the paths of all objects below a path, with when each was written (seconds since the epoch)."""
        found = self._told(lambda: self._fs.find(self._at(path), detail=True, refresh=True)) or {}
        return {
            name.removeprefix(f"{self._root}/"): one["LastModified"].timestamp()
            for name, one in found.items()
            if one.get("type") == "file"
        }

    def remove(self, path: str) -> None:
        """Delete an object, which may be gone already."""
        self._told(lambda: self._fs.rm_file(self._at(path)))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


class ObjectStorage:
    """Implements Storage below ``files/`` of an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @staticmethod
    def path(digest: str) -> str:
        """Return the path of a file, the same as in a data folder."""
        return f"files/{digest[:2]}/{digest}"

    def write(self, digest: str, content: bytes) -> None:
        """Store the object by one request, which is done as a whole or not at all."""
        self._store.write(self.path(digest), content)

    def read(self, digest: str) -> bytes | None:
        """Return the whole object."""
        return self._store.read(self.path(digest))

    def beginning(self, digest: str) -> bytes | None:
        """Return its first bytes."""
        return self._store.read(self.path(digest), BEGINNING)

    def state(self, digest: str) -> tuple[object, ...] | None:
        """Return tag, size and time."""
        return self._store.state(self.path(digest))

    def freshen(self, digest: str) -> None:
        """Store it again as it is: the time of an object cannot be set."""
        content = self.read(digest)
        if content is None:
            raise StorageUnavailable("the file was deleted at the same moment: store it again")
        self.write(digest, content)

    def stored(self) -> Iterator[tuple[str, float]]:
        """Go through the store's own list."""
        for path, written in self._store.below("files").items():
            if re.fullmatch("files/[0-9a-f]{2}/[0-9a-f]{64}", path):
                yield path[-64:], written

    def remove(self, digest: str) -> None:
        """Delete the object."""
        self._store.remove(self.path(digest))

    def take_over(self, folder: Path) -> int:
        """Move encrypted files from a data folder into the store, and return how many.

        A file leaves the folder once the store has it, so that a run that is cut short is taken up by the next one. An
        object that is there already stays, since it was written later.

        Raises:
            StorageUnavailable: If the store does not answer.
        """
        here = FolderStorage(folder)
        moved = 0
        for digest, _ in list(here.stored()):
            content = here.read(digest)
            if content is not None and self.state(digest) is None:
                self.write(digest, content)
                moved += 1
            here.remove(digest)
        return moved

    def copy_to(self, folder: Path) -> None:
        """Write all files into a folder, synced, as they would lie in a data folder.

        Raises:
            OSError: If one cannot be written.
            StorageUnavailable: If the store does not answer.
        """
        there = FolderStorage(folder)
        for digest, _ in list(self.stored()):
            content = self.read(digest)
            if content is not None:  # deleted since it was listed
                there.write(digest, content)
        sync(folder)


class ResultStore:
    """Keeps simulations' files below ``simulations/`` of an object store, so that each server finds them."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._fetching = threading.Lock()

    def keep(self, simulation_id: str, folder: Path, last: str) -> None:
        """Store the files in a folder, the one named ``last`` after all others."""
        files = sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: (one.name == last, one.name))
        for file in files:
            self._store.upload(f"simulations/{simulation_id}/{file.name}", file)

    def fetch(self, simulation_id: str, name: str, into: Path) -> bool:
        """Bring a file into a folder, whole or not at all. Tells whether there was one."""
        with self._fetching:
            content = self._store.read(f"simulations/{simulation_id}/{name}")
            if content is None:
                return False
            into.mkdir(parents=True, exist_ok=True)
            fresh = into / f".{name}.fetched"
            fresh.write_bytes(content)
            fresh.replace(into / name)
            return True

    def forget(self, simulation_id: str) -> None:
        """Delete the files of a simulation."""
        for path in self._store.below(f"simulations/{simulation_id}"):
            self._store.remove(path)
