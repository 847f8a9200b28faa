"""Destroys the keys of sealed texts that give way to others or whose rows go, and of no others.

The numbers are noted in the transaction that lets the texts go; the keys are destroyed once it is committed, and after
a crash in between when the installation is opened again.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    Select,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session, sessionmaker

from backend.adapters.files import FolderFiles
from backend.adapters.record_keys import KeyMissing, NotSealed, RecordKeys, key_number
from backend.adapters.store import tables as t
from backend.adapters.store.sealed import Sealed, keys_of
from backend.domain.records import RecordOnFile, StoredFile

_MOST_OF_A_ROW = 3
_NONE = 2**48
"""A number that no key has."""


def watch(sessions: sessionmaker[Session]) -> None:
    """Note the keys of what goes, at every flush of these sessions."""
    event.listen(sessions, "before_flush", _note)


def _note(session: Session, *_: Any) -> None:
    written = len(session.new) + len(session.dirty)
    keys_of(session.get_bind().dialect).reserve(written * _MOST_OF_A_ROW)
    gone = [number for thing in session.dirty for number in _given_way(thing)]
    gone += [number for thing in session.deleted for number in _of(thing)]
    if gone:
        session.connection().execute(insert(t.forgotten_key), [{"number": number} for number in gone])
        session.info["forgotten"] = True


def _sealed_attributes(thing: object) -> Iterator[Any]:
    state = inspect(thing)
    for name, column in state.mapper.columns.items():
        if isinstance(column.type, Sealed):
            yield state.attrs[name]


def _given_way(thing: object) -> Iterator[int]:
    for attribute in _sealed_attributes(thing):
        for old in attribute.history.deleted or ():
            if (number := getattr(old, "key_number", None)) is not None:
                yield number


def _of(thing: object) -> Iterator[int]:
    for attribute in _sealed_attributes(thing):
        if (number := getattr(attribute.value, "key_number", None)) is not None:
            yield number


def destroy_forgotten(engine: Engine) -> None:
    """Destroy the keys that were noted; what was sealed under them cannot be opened any more, in no copy either."""
    keys = keys_of(engine.dialect)
    with engine.begin() as connection:
        numbers = list(connection.scalars(select(t.forgotten_key.c.number)))
        if not numbers:
            return
        keys.destroy(numbers)
        connection.execute(delete(t.forgotten_key).where(t.forgotten_key.c.number.in_(numbers)))
        _remember(connection, keys)


def _remember(connection: Connection, keys: RecordKeys) -> None:
    if connection.execute(update(t.key_state).values(destroyed=keys.destroyed)).rowcount == 0:
        connection.execute(insert(t.key_state).values(id=1, destroyed=keys.destroyed))


def follow_the_keys(engine: Engine, files: FolderFiles, now: datetime) -> int:
    """Where the database is an older copy, erase what was erased since it was made: its keys are gone. How many.

    Raises KeyMissing where the keys are older than the database: then their newest copy must be put back.
    """
    destroy_forgotten(engine)
    keys = keys_of(engine.dialect)
    with Session(engine) as session:
        _check_they_fit(session, keys)
        if (session.execute(select(t.key_state.c.destroyed)).scalar() or 0) == keys.destroyed:
            return 0
        gone = [one for one, sealed in session.execute(_numbers()) if keys.is_destroyed(_number(sealed))]
        for record_id in gone:
            session.get_one(RecordOnFile, record_id).erase(now)
        for stored in session.scalars(select(StoredFile)).unique().all():
            if files.is_erased(stored.sha256):
                session.delete(stored)
        session.flush()
        _remember(session.connection(), keys)
        session.commit()
    return len(gone)


def sweep(engine: Engine, files: FolderFiles) -> int:
    """Delete files that nothing on file names any more, as a crash during an erasure leaves them; how many."""
    with engine.connect() as connection:
        named = set(connection.scalars(select(t.stored_file.c.sha256)))
    return sum(files.delete(digest) for digest in files.unnamed(named))


def _numbers() -> Select[str, bytes]:
    """Each readable record's id, and the beginning of its sealed text."""
    beginning = type_coerce(func.substr(t.record.c.signed_jwt, 1, 9), LargeBinary)
    return select(t.record.c.id, beginning).where(t.record.c.erased_at.is_(None))


def _number(sealed: bytes) -> int:
    try:
        return key_number(sealed)
    except NotSealed:
        return _NONE


def _check_they_fit(session: Session, keys: RecordKeys) -> None:
    newest = session.execute(_numbers().order_by(t.record.c.recorded_at.desc()).limit(1)).first()
    number = _NONE if newest is None else _number(newest[1])
    if number != _NONE and keys.is_missing(number):
        raise KeyMissing("the file of keys is older than the database: put its newest copy back, and start again")
