"""Backups: copies of a data folder made while the server runs, and restored.

The keys of encrypted values are stored beside the copies, only once: the newest. So what was erased stays erased when
an older copy is restored, and everything else in it can be read.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path

from backend.adapters.keys.vault import next_to
from backend.adapters.object_storage import ObjectStorage, ObjectStore
from backend.domain.errors import message_of
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.store.database import check_database, copy_database
from backend.store.disk import alone, sync
from backend.store.encryption import goes_on_from
from backend.store.key_database import DatabaseKeys

_DATABASES = ("provenport.sqlite", "chain.sqlite")
_APART = "record.keys"
_NAME = "%Y-%m-%dT%H%M%SZ"
_UNFINISHED = ".unfinished"


def back_up(
    folder: DataFolder, to: Path, now: datetime, store: ObjectStore | None = None, keys_url: str | None = None
) -> Path:
    """Copy the data folder into a new folder under ``to``, and the keys to ``to`` itself. Return the copy's path.

    The database is copied before the chain, so that the chain knows everything that the database does. The keys come
    last, so that they open all of it. Attachments in an object store are copied as if they lay in the folder, and go
    to the store again when a server with FILES_URL opens what was restored. So are keys in a database at ``keys_url``.

    Raises:
        StorageUnavailable: if the object store does not answer.
        UnusableFolder: if there is no installation, the copy is not complete, or the keys in ``to`` must not be
            replaced.
    """
    if not folder.marker.exists():
        raise UnusableFolder("{path} holds no installation yet: start it once with provenport serve", path=folder.path)
    if folder.noted_database() is not None:
        raise UnusableFolder("{path} belongs to a PostgreSQL database: name it with DATABASE_URL=…", path=folder.path)
    if not folder.database_file.exists():
        raise UnusableFolder("{path} is missing: put a copy back (provenport restore)", path=folder.database_file)
    to = to.resolve()
    if to.is_relative_to(folder.path.resolve()):
        raise UnusableFolder("{to} lies in the data folder: a copy belongs on another disk", to=to)
    try:
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(to):  # else an earlier one's keys could take the place of a later one's
            _sweep(to)  # after a kill or a power cut
            try:
                return _copy_all(folder, to, _unused(to / f"{now.astimezone(UTC):{_NAME}}"), store, keys_url)
            finally:
                _sweep(to)
    except (OSError, sqlite3.Error) as error:
        raise UnusableFolder(
            "the copy in {to} is not whole and does not count: {error}", to=to, error=message_of(error)
        ) from error


def _sweep(to: Path) -> None:
    """Remove an interrupted copy, which is unusable and contains signing keys."""
    for left in to.glob(f"????-??-??T??????Z*{_UNFINISHED}"):
        if left.is_dir():
            shutil.rmtree(left)


def _unused(copy: Path) -> Path:
    """Return the name itself, or one with -2, -3 … appended.

    Two copies may be made in one second, and a clock may go back.
    """
    numbered = (copy.with_name(f"{copy.name}-{number}") for number in count(2))
    return next(n for n in chain([copy], numbered) if not n.exists() and not n.with_name(n.name + _UNFINISHED).exists())


def _copy_all(folder: DataFolder, to: Path, copy: Path, store: ObjectStore | None, keys_url: str | None) -> Path:
    unfinished = copy.with_name(copy.name + _UNFINISHED)
    unfinished.mkdir(mode=0o700)
    # Compared again below: keys that a rotation encrypts anew while they are copied would not fit the copied master
    # key.
    master_keys = _master_keys(folder)
    for name in _DATABASES:
        if (folder.path / name).exists():
            copy_database(folder.path / name, unfinished / name)
    for path in sorted(folder.path.iterdir()):
        with suppress(FileNotFoundError):  # gone since it was listed
            _copy_other(path, unfinished / path.name)
    if store is not None:
        ObjectStorage(store).copy_to(DataFolder(unfinished).files)
    if _master_keys(folder) != master_keys:
        raise UnusableFolder("the master key was changed meanwhile, so that this copy does not count: make another")
    _copy_keys(_written_by(folder, keys_url), to / _APART)
    sync(unfinished)
    # The rename marks the copy as complete: whatever is interrupted before has another name.
    unfinished.rename(copy)
    sync(to)
    return copy


def _master_keys(folder: DataFolder) -> list[bytes]:
    present = (folder.master_key, next_to(folder.master_key))
    return [path.read_bytes() if path.exists() else b"" for path in present]


def restore(copy: Path, into: DataFolder) -> None:
    """Restore a copy into a data folder that is empty or missing.

    Raises:
        UnusableFolder: if the copy is not complete, or the folder cannot be filled.
    """
    keys = copy.parent / _APART
    if not DataFolder(copy).marker.exists() or copy.name.endswith(_UNFINISHED):
        raise UnusableFolder("{copy} is no finished copy of a data folder", copy=copy)
    if not keys.exists():
        raise UnusableFolder("{keys} is missing: without it nothing that records say can be read", keys=keys)
    if not DataFolder(copy).database_file.exists():
        raise UnusableFolder("{copy} is not whole: {name} is missing", copy=copy, name=into.database_file.name)
    into = DataFolder(into.path.resolve())
    if into.path.is_relative_to(copy.resolve()):
        raise UnusableFolder("{path} lies in the copy itself: name another folder with DATA_DIR=…", path=into.path)
    try:
        into.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(into.path, UnusableFolder("another restore is filling {path}: wait for it", path=into.path)):
            _fill(into, copy, keys)
    except (OSError, sqlite3.Error, shutil.Error) as error:
        raise UnusableFolder("{path} could not be filled: {error}", path=into.path, error=message_of(error)) from error


def _fill(into: DataFolder, copy: Path, keys: Path) -> None:
    """Copy everything aside within the folder, check it, and move it to its place, the marker last."""
    if into.is_half_restored:  # all that is there came from a copy
        for left in into.path.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    if any(into.path.iterdir()):
        raise UnusableFolder("{path} is not empty: name an empty folder with DATA_DIR=…", path=into.path)
    aside = into.restoring
    try:
        shutil.copytree(copy, aside)
        aside.chmod(0o700)
        _write(keys, aside / _APART)
        DataFolder(aside).forget_keys_elsewhere()
        for name in _DATABASES:
            if (aside / name).exists():
                check_database(aside / name)
        for path in (aside, *aside.rglob("*")):
            sync(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # it holds keys
        raise
    # Until the marker is there, a start is refused and a second restore may begin again.
    for path in sorted(aside.iterdir(), key=lambda path: path.name == into.marker.name):
        path.rename(into.path / path.name)
    aside.rmdir()
    sync(into.path)


def _copy_other(source: Path, target: Path) -> None:
    """Copy everything that is neither a database nor a temporary file."""
    if source.is_dir():
        unfinished = shutil.ignore_patterns("*.*.*")
        shutil.copytree(source, target, ignore=unfinished, copy_function=_copy_if_there)
        for path in target.rglob("*"):
            sync(path)
    elif source.name != _APART and not source.name.startswith((*_DATABASES, ".")) and source.suffix != ".new":
        shutil.copy2(source, target)
        sync(target)


def _copy_if_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # deleted since it was listed
        shutil.copy2(source, target)


def _written_by(folder: DataFolder, keys_url: str | None) -> Callable[[Path], None]:
    """Return what writes the newest keys into a file, wherever they lie."""
    if keys_url is None:
        if folder.keys_are_elsewhere:
            raise UnusableFolder(
                "the keys of the texts of {path} lie in a database: name it with KEYS_DATABASE_URL=…", path=folder.path
            )
        return partial(_write, folder.data_keys)

    def write(target: Path) -> None:
        with closing(DatabaseKeys.opened_at(keys_url)) as keys:
            keys.write_file(target)

    return write


def _copy_keys(write: Callable[[Path], None], target: Path) -> None:
    """Replace an earlier copy's keys by the newest ones, and overwrite the earlier ones."""
    fresh = target.with_name(target.name + ".new")
    write(fresh)
    # Otherwise copies that only the keys in the target open would be lost.
    if target.exists() and not goes_on_from(fresh, target):
        fresh.unlink()
        raise UnusableFolder(
            "{target} opens earlier copies that the keys of this data folder do not open: they are older, "
            "or another installation's. Nothing was replaced: name another folder",
            target=target,
        )
    if not target.exists():
        fresh.rename(target)
        return
    with target.open("r+b") as old:
        fresh.replace(target)
        sync(target.parent)
        # The replaced file, which is still open, holds keys of values that were erased since: zeros are written over
        # them.
        old.write(bytes(target.stat().st_size))
        old.flush()
        os.fsync(old.fileno())


def _write(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        fcntl.flock(read.fileno(), fcntl.LOCK_SH)  # no key is made or destroyed in the middle
        os.fchmod(written.fileno(), 0o600)
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())
