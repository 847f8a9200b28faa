"""Copies of a data folder, made while the server runs, and put back.

The keys that open what records say lie beside the copies, once: the newest. So what is erased stays erased when an
older copy is put back, and everything else in it can be read.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from backend.adapters.disk import sync
from backend.adapters.record_keys import goes_on_from
from backend.adapters.vault import next_to
from backend.data_folder import DataFolder, UnusableFolder

_DATABASES = ("provenport.sqlite", "chain.sqlite")
_APART = "record.keys"
_NAME = "%Y-%m-%dT%H%M%SZ"
_UNFINISHED = ".unfinished"


def back_up(folder: DataFolder, to: Path, now: datetime) -> Path:
    """Copy the data folder into a folder of its own under ``to``, and the keys to ``to`` itself; returns the copy.

    The database is copied before the chain, so that the chain knows all that the database does, and the keys come last,
    so that they open all of it. Raises UnusableFolder, also where ``to`` holds keys that these would not replace.
    """
    if not folder.marker.exists():
        raise UnusableFolder(f"{folder.path} holds no installation yet: start it once with provenport serve")
    to = to.resolve()
    if to.is_relative_to(folder.path.resolve()):
        raise UnusableFolder(f"{to} lies in the data folder: a copy belongs on another disk")
    try:
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(to):
            return _copy_all(folder, to, _unused(to / f"{now.astimezone(UTC):{_NAME}}"))
    except (OSError, sqlite3.Error) as error:
        raise UnusableFolder(f"the copy in {to} is not whole and does not count: {error}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One copy at a time: an earlier one's keys must not take the place of a later one's. None is left half made."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _sweep(folder)  # after a kill or a power cut
        try:
            yield
        finally:
            _sweep(folder)
    finally:
        os.close(handle)


def _sweep(to: Path) -> None:
    """Remove what a copy that was cut short has left: it counts for nothing and holds signing keys."""
    for left in to.glob(f"????-??-??T??????Z*{_UNFINISHED}"):
        shutil.rmtree(left)


def _unused(copy: Path) -> Path:
    """The name itself, or with -2, -3 … behind it: two copies may fall into one second, and a clock may go back."""
    numbered = (copy.with_name(f"{copy.name}-{number}") for number in count(2))
    return next(name for name in chain([copy], numbered) if not name.exists())


def _copy_all(folder: DataFolder, to: Path, copy: Path) -> Path:
    unfinished = copy.with_name(copy.name + _UNFINISHED)
    unfinished.mkdir(mode=0o700)
    master_keys = _master_keys(folder)
    for name in _DATABASES:
        _copy_database(folder.path / name, unfinished / name)
    for path in sorted(folder.path.iterdir()):
        with suppress(FileNotFoundError):  # gone since it was listed
            _copy_other(path, unfinished / path.name)
    if _master_keys(folder) != master_keys:
        raise UnusableFolder("the master key was changed meanwhile, so that this copy does not count: make another")
    _copy_keys(folder.record_keys, to / _APART)
    sync(unfinished)
    unfinished.rename(copy)
    sync(to)
    return copy


def _master_keys(folder: DataFolder) -> list[bytes]:
    present = (folder.master_key, next_to(folder.master_key))
    return [path.read_bytes() if path.exists() else b"" for path in present]


def restore(copy: Path, into: DataFolder) -> None:
    """Put a copy into a data folder that is empty or not there; raises UnusableFolder."""
    keys = copy.parent / _APART
    if not (copy / "provenport.json").exists() or copy.name.endswith(_UNFINISHED):
        raise UnusableFolder(f"{copy} is no finished copy of a data folder")
    if not keys.exists():
        raise UnusableFolder(f"{keys} is missing: without it nothing that records say can be read")
    if into.path.exists() and any(into.path.iterdir()):
        raise UnusableFolder(f"{into.path} is not empty: name an empty folder with DATA_DIR=…")
    try:
        unfinished = DataFolder(into.path.with_name(into.path.name + _UNFINISHED))
        shutil.rmtree(unfinished.path, ignore_errors=True)
        unfinished.path.mkdir(parents=True, mode=0o700)
        shutil.copytree(copy, unfinished.path, dirs_exist_ok=True)
        _write(keys, unfinished.record_keys)
        for path in (unfinished.path, *unfinished.path.rglob("*")):
            sync(path)
        unfinished.path.replace(into.path)
        sync(into.path.parent)
    except OSError as error:
        raise UnusableFolder(f"{into.path} could not be filled: {error}") from error


def _copy_database(source: Path, target: Path) -> None:
    if not source.exists():
        return
    reading = f"{source.resolve().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(reading, uri=True, timeout=30)) as present,
        closing(sqlite3.connect(target)) as copied,
    ):
        present.backup(copied)
        (whole,) = copied.execute("PRAGMA integrity_check").fetchone()
        if whole != "ok":
            raise sqlite3.DatabaseError(f"{source.name} is damaged: {whole}")
    target.chmod(0o600)
    sync(target)


def _copy_other(source: Path, target: Path) -> None:
    """Everything that is neither a database nor about to be replaced."""
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


def _copy_keys(source: Path, target: Path) -> None:
    """Let the newest keys take the place of those of an earlier copy, of which no byte is left."""
    fresh = target.with_name(target.name + ".new")
    _write(source, fresh)
    if target.exists() and not goes_on_from(fresh, target):
        fresh.unlink()
        raise UnusableFolder(
            f"{target} opens earlier copies that the keys of this data folder do not open: they are older, or another "
            "installation's. Nothing was replaced: name another folder"
        )
    if not target.exists():
        fresh.rename(target)
        return
    with target.open("r+b") as old:
        fresh.replace(target)
        sync(target.parent)
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
