"""Crypto-shredding: destroys the keys of encrypted values that are replaced or whose rows are deleted, and no others.

The key numbers are written in the transaction that drops the values. The keys are destroyed once it is committed, and
after a crash in between at the next start. Destroying a key makes the value unreadable in every copy of the database.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    Select,
    bindparam,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Mapper, Session, sessionmaker

from backend.domain.records import RecordOnFile, StoredFile
from backend.store import tables as t
from backend.store.database import AT_ONCE
from backend.store.encryption import (
    EncryptedValue,
    KeyMissing,
    KeyStore,
    NotEncrypted,
    key_number,
    keys_of,
)

# A record's: signed text, disclosures, reason of its status.
_MOST_OF_A_ROW = 3
_OURS = "record.keys"
"""The text whose mark, stored in the database, identifies the file of keys."""
_NONE = 2**48
"""A number that no key has."""


def watch(sessions: sessionmaker[Session]) -> None:
    """Record the keys of replaced and deleted values at every flush of these sessions."""
    event.listen(sessions, "before_flush", _note)


def _note(session: Session, *_: Any) -> None:
    new, dirty, deleted = (
        [thing for thing in things if _sealed(thing)] for things in (session.new, session.dirty, session.deleted)
    )
    if not (new or dirty or deleted):
        return
    keys = keys_of(session.get_bind().dialect)
    # The keys for this flush are made now, so that the count stored below includes them.
    keys.reserve((len(new) + len(dirty)) * _MOST_OF_A_ROW)
    connection = session.connection()
    note_keys_made(connection, keys)
    gone = {number for thing in dirty for number in _numbers_of(connection, thing, _given_way(thing))}
    gone |= {number for thing in deleted for number in _numbers_of(connection, thing, _sealed(thing))}
    # Several flushes of one transaction may record the same key, which is the table's primary key.
    gone -= set(connection.scalars(select(t.key_to_destroy.c.number))) if gone else set()
    if gone:
        connection.execute(insert(t.key_to_destroy), [{"number": number} for number in sorted(gone)])
        session.info["forgotten"] = True


def note_keys_made(connection: Connection, keys: KeyStore) -> None:
    """Let the database remember how many keys there must be: a start with an older file of keys is refused by it."""
    if connection.execute(select(t.key_state.c.made)).scalar_one() < keys.made:
        _remember(connection, made=keys.made)


def _sealed(thing: object) -> list[Column[Any]]:
    return _sealed_columns(inspect(thing).mapper)


@cache
def _sealed_columns(mapper: Mapper[Any]) -> list[Column[Any]]:
    return [column for column in mapper.columns if isinstance(column.type, EncryptedValue)]


def _given_way(thing: object) -> list[Column[Any]]:
    state = inspect(thing)
    names = {column: state.mapper.get_property_by_column(column).key for column in _sealed(thing)}
    return [column for column, name in names.items() if state.attrs[name].history.has_changes()]


def _numbers_of(connection: Connection, thing: object, columns: list[Column[Any]]) -> Iterator[int]:
    """Yield the key numbers in these columns of an entity's row.

    They are read from the row, because the object's own values may come from elsewhere.
    """
    state = inspect(thing)
    if not columns or state.identity is None:
        return
    its_row = [column == value for column, value in zip(state.mapper.primary_key, state.identity, strict=True)]
    for kept in connection.execute(select(*columns).where(*its_row)).first() or ():
        if kept is not None and kept.key_number is not None:
            yield kept.key_number


def destroy_forgotten(engine: Engine) -> None:
    """Destroy the recorded keys, so that the values encrypted under them cannot be decrypted in any copy.

    Raises:
        OSError: if the file of keys cannot be written. The numbers stay recorded and are tried again.
    """
    keys = keys_of(engine.dialect)
    with _blind(engine) as connection, connection.begin():
        numbers = list(connection.scalars(select(t.key_to_destroy.c.number)))
        if not numbers:
            return
        # Before the rows go: a crash after this line repeats the destruction at the next start, which does no harm.
        keys.destroy(numbers)
        ended = delete(t.key_to_destroy).where(t.key_to_destroy.c.number == bindparam("ended"))
        connection.execute(ended, [{"ended": number} for number in numbers])
        _remember(connection, destroyed=keys.destroyed)


def _blind(engine: Engine) -> Connection:
    """Connect for changes that rest on nothing they read, and need not run again for the sake of others."""
    connection = engine.connect()
    postgresql = connection.dialect.name == "postgresql"
    return connection.execution_options(isolation_level="READ COMMITTED") if postgresql else connection


def _remember(connection: Connection, **state: int) -> None:
    """Store how many keys exist at least, and how many destroyed ones the database knows of."""
    connection.execute(update(t.key_state).values(state))


def follow_the_keys(engine: Engine, is_file_erased: Callable[[str], bool], now: datetime) -> int:
    """Erase in an older copy of the database what was erased since it was made, by its destroyed keys. Return how many.

    ``is_file_erased`` tells by an attachment's SHA-256 whether it can never be read again.

    Raises:
        KeyMissing: if the file of keys is older than the database or belongs to another one, so that its newest copy
            must be restored.
    """
    keys = keys_of(engine.dialect)
    _check_they_fit(engine, keys)
    destroy_forgotten(engine)
    sessions = sessionmaker(engine)
    watch(sessions)
    with sessions() as session:
        # Equal counts mean that nothing was erased since this database was copied, so no row needs to be read.
        if session.execute(select(t.key_state.c.destroyed)).scalar_one() == keys.destroyed:
            return 0
        gone = [one for one, sealed in session.execute(_numbers()) if keys.is_destroyed(_number(sealed))]
        for record_id in gone:
            session.get_one(RecordOnFile, record_id).erase(now)
        for stored in session.scalars(select(StoredFile)).unique().all():
            # Its destroyed key is what is left of a file that was deleted since. A lost one's key is still there.
            number = stored.key_number
            if (number is not None and keys.is_destroyed(number)) or is_file_erased(stored.sha256):
                session.delete(stored)
        session.flush()
        _remember(session.connection(), destroyed=keys.destroyed)
        session.commit()
    destroy_forgotten(engine)
    return len(gone)


def note_keys_of_files(engine: Engine, number_of: Callable[[str], int | None]) -> int:
    """Note the keys of attachments that an earlier version stored, and return how many.

    ``number_of`` tells the key's number by an attachment's SHA-256, None where the file is not here.

    Raises:
        StorageUnavailable: if the storage of attachments does not answer.
    """
    c, count, last = t.stored_file.c, 0, ""
    unknown = select(c.sha256).where(c.key_number.is_(None)).distinct().order_by(c.sha256).limit(AT_ONCE)
    noting = update(t.stored_file).where(c.sha256 == bindparam("digest")).values(key_number=bindparam("number"))
    with _blind(engine) as connection:
        while True:
            # A portion at a time: another start goes on where this one was stopped.
            with connection.begin():
                digests = connection.scalars(unknown.where(c.sha256 > last)).all()
                numbers = ((digest, number_of(digest)) for digest in digests)
                found = [{"digest": digest, "number": number} for digest, number in numbers if number is not None]
                if found:
                    connection.execute(noting, found)
            count += len(found)
            if len(digests) < AT_ONCE:
                return count
            last = digests[-1]


def _numbers() -> Select[str, bytes]:
    """Select each readable record's id and the beginning of its encrypted text, which holds the key number."""
    beginning = type_coerce(func.substr(t.record.c.signed_jwt, 1, 9), LargeBinary)
    return select(t.record.c.id, beginning).where(t.record.c.erased_at.is_(None))


def _number(sealed: bytes) -> int:
    try:
        return key_number(sealed)
    except NotEncrypted:
        return _NONE


def _check_they_fit(engine: Engine, keys: KeyStore) -> None:
    with engine.connect() as connection:
        state = connection.execute(select(t.key_state)).one()
    # The mark is an HMAC under the file's secret: only the database's own file of keys reproduces it.
    if state.mark != keys.mark(_OURS):
        raise KeyMissing("the file of keys is not the one of this database: put its newest copy back")
    if keys.present < state.made or keys.destroyed < state.destroyed:
        raise KeyMissing("the file of keys is older than the database: put its newest copy back, and start again")
