"""Looks at what lies on disk of records, sealed and in the open, and at older copies of it."""

import json
import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

from sqlalchemy import text

from backend.adapters.files import FolderFiles
from backend.domain import bundle
from backend.services import bundles, erasure
from backend.store import tables
from backend.store.crypto_shredding import follow_the_keys
from backend.store.encryption import DataKeys, EncryptedValue, KeyDestroyed, keys_of
from backend.store.unit_of_work import UnitOfWorkFactory
from tests.helpers.postgres import copy_of_database, ours, stored_bytes
from tests.services.conftest import engine_at

SECRET = "Salmon-coloured lamp for Mr Tan of Bukit Timah"


def shown(installation, record, audience=None, *names):
    choice = bundles.choose(installation.ctx, installation.merchant, record.id, audience, names)
    return bundle.write(bundles.present(installation.ctx, choice))


def held_certificate(installation, **changes):
    record = installation.issue_certificate(description=SECRET, **changes)
    installation.settle()
    assert record.holder.id == installation.merchant.organisation.id
    return record


def erase(installation, record):
    return erasure.erase(installation.ctx, installation.merchant, record.id)


def bytes_on_disk(installation):
    folder = installation.ctx.files._folder.parent
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return files if ours() is None else files + stored_bytes(folder, "*")


def everything_encrypted(installation):
    """Each sealed value of the database and each attachment, as it lies there."""
    found = [path.read_bytes() for path in installation.ctx.files._folder.glob("??/*")]
    with installation.ctx.work(reading=True) as work:
        connection = work._session.connection()
        for table in tables.metadata.tables.values():
            for column in table.columns:
                if isinstance(column.type, EncryptedValue):
                    rows = connection.execute(text(f"SELECT {column.name} FROM {table.name}")).scalars()
                    found += [bytes(one) for one in rows if one]
    return found


def readable_in(copies, installation):
    """What the keys of today open of what a copy holds."""
    opened = []
    for sealed in copies:
        with suppress(KeyDestroyed):
            opened.append(keys(installation).open(sealed))
    return opened


def older_copy(installation, folder):
    """The installation's database and files as they are now, to be opened beside it."""
    installation.ctx.work.scrub()
    source = installation.ctx.files._folder.parent
    shutil.copytree(source, folder)
    engine_of(installation).dispose()
    copy_of_database(source, folder)
    return folder


def put_newest_keys(installation, copy):
    shutil.copy(installation.ctx.files._folder.parent / "record.keys", copy / "record.keys")


@contextmanager
def opened_again(installation, copy):
    """A copy of the database and the files, opened as at a start, with the keys that were put beside it."""
    with closing(DataKeys(copy / "record.keys")) as newest:
        engine = engine_at(copy, newest)
        stored = FolderFiles(copy / "files", newest)
        erased = follow_the_keys(engine, stored.is_erased, installation.clock())
        yield replace(installation, ctx=replace(installation.ctx, work=UnitOfWorkFactory(engine), files=stored)), erased
        engine.dispose()


def engine_of(installation):
    with installation.ctx.work(reading=True) as work:
        return work._session.get_bind()


def keys(installation):
    return keys_of(engine_of(installation).dialect)


def disclosures_in(opened):
    return [one for content in opened if content.startswith(b"[") for one in json.loads(content)]
