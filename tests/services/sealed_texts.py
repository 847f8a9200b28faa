"""Looks at what lies on disk of records, sealed and in the open, and at older copies of it."""

import json
import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

from sqlalchemy import text

from backend.adapters.files import FolderFiles
from backend.domain import bundle
from backend.services import erasure, selective_disclosure
from backend.store import tables
from backend.store.crypto_shredding import follow_the_keys
from backend.store.data_keys import KeyDestroyed, RecordKeys
from backend.store.database import open_engine
from backend.store.encrypted_types import Sealed, keys_of
from backend.store.unit_of_work import UnitOfWorkFactory

SECRET = "Salmon-coloured lamp for Mr Tan of Bukit Timah"


def shown(house, record, audience=None, *names):
    choice = selective_disclosure.choose(house.ctx, house.merchant, record.id, audience, names)
    return bundle.write(selective_disclosure.present(house.ctx, choice))


def held_certificate(house, **changes):
    record = house.issue_certificate(description=SECRET, **changes)
    house.settle()
    assert record.holder.id == house.merchant.organisation.id
    return record


def erase(house, record):
    return erasure.erase(house.ctx, house.merchant, record.id)


def bytes_on_disk(house):
    folder = house.ctx.files._folder.parent
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def everything_sealed(house):
    """Each sealed value of the database and each attachment, as it lies there."""
    found = [path.read_bytes() for path in house.ctx.files._folder.glob("??/*")]
    with house.ctx.work(reading=True) as work:
        connection = work._session.connection()
        for table in tables.metadata.tables.values():
            for column in table.columns:
                if isinstance(column.type, Sealed):
                    rows = connection.execute(text(f"SELECT {column.name} FROM {table.name}")).scalars()
                    found += [bytes(one) for one in rows if one]
    return found


def readable_in(copies, house):
    """What the keys of today open of what a copy holds."""
    opened = []
    for sealed in copies:
        with suppress(KeyDestroyed):
            opened.append(keys(house).open(sealed))
    return opened


def older_copy(house, folder):
    """The house's database and files as they are now, to be opened beside it."""
    house.ctx.scrub()
    shutil.copytree(house.ctx.files._folder.parent, folder)
    return folder


def put_newest_keys(house, copy):
    shutil.copy(house.ctx.files._folder.parent / "record.keys", copy / "record.keys")


@contextmanager
def opened_again(house, copy):
    """A copy of the database and the files, opened as at a start, with the keys that were put beside it."""
    with closing(RecordKeys(copy / "record.keys")) as newest:
        engine = open_engine(f"sqlite:///{copy / 'db.sqlite'}", newest)
        stored = FolderFiles(copy / "files", newest)
        erased = follow_the_keys(engine, stored, house.clock())
        yield replace(house, ctx=replace(house.ctx, work=UnitOfWorkFactory(engine), files=stored)), erased
        engine.dispose()


def engine_of(house):
    with house.ctx.work(reading=True) as work:
        return work._session.get_bind()


def keys(house):
    return keys_of(engine_of(house).dialect)


def disclosures_in(opened):
    return [one for content in opened if content.startswith(b"[") for one in json.loads(content)]
