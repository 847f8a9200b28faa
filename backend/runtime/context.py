"""Opens one installation's database, keys and files, for the server or for a command beside it."""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
from sqlalchemy import Engine

from backend.adapters.files import EncryptedFiles, FolderFiles
from backend.adapters.keys.vault import (
    Argon2Passwords,
    KeyVault,
    OperatorKeys,
    is_master_key,
    new_master_key,
    next_to,
    opened_vault,
)
from backend.adapters.object_storage import ObjectStorage, ObjectStore
from backend.domain.errors import LedgerUnavailable, Message, StorageUnavailable, message_of
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.services.keys import reencrypt_all
from backend.services.ports import InstallationContext, Keys, Ledger
from backend.settings import Settings, WrongSetting
from backend.store.coordination import ANCHORING, SIMULATING, AdvisoryLeadership, Listener, notify
from backend.store.crypto_shredding import follow_the_keys, note_keys_of_files
from backend.store.database import (
    alone_in_database,
    copy_before,
    copy_database,
    open_engine,
    revisions,
    upgrade,
    usable,
)
from backend.store.disk import alone, overwrite, sync, write_new
from backend.store.encryption import DataKeys, KeyStore
from backend.store.key_database import DatabaseKeys
from backend.store.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from backend.adapters.keys.hsm import TokenVault

VERSION = version("provenport")

log = structlog.get_logger()


def on_stderr(message: Message) -> None:
    """Print a message in English; commands translate it instead."""
    print(message, file=sys.stderr)


class LedgerOutOfReach:
    """Stands for the ledger where a command works beside the server, which alone may open the chain."""

    def __init__(self, confirmations: int) -> None:
        self.confirmations = confirmations

    def __getattr__(self, name: str) -> Any:
        raise LedgerUnavailable("the server holds the chain")


@contextmanager
def opened(settings: Settings, report: Callable[[Message], None] = on_stderr) -> Iterator[InstallationContext]:
    """Open a data folder that a server may be using, without the ledger. An upgrade of it is reported.

    What is stored reaches the ledger when the server runs.

    Raises:
        UnusableFolder: if there is no installation, or it cannot be used.
        ForeignDatabase: if the database is of a later version.
        WrongMasterKey: if the master key is missing or malformed.
        KeyMissing: if the file of keys is older than the database or belongs to another one.
    """
    if not (settings.data_dir / "provenport.json").exists():
        raise UnusableFolder(
            "{path} holds no installation yet: start it once with provenport serve", path=settings.data_dir
        )
    folder = DataFolder.open(settings.data_dir, VERSION)
    vault = vault_of(folder, settings)
    ledger = cast(Ledger, LedgerOutOfReach(settings.ledger_confirmations))
    with store_in(
        folder, vault, ledger, report, settings.database_url, object_store(settings), settings.keys_database_url
    ) as ctx:
        yield ctx


def vault_of(folder: DataFolder, settings: Settings) -> KeyVault:
    """Open the vault: in the data folder, or in the token that PKCS11_MODULE names.

    Raises:
        WrongMasterKey: if a master key is missing or malformed.
        WrongToken: if the token cannot be used.
    """
    former = partial(opened_vault, folder.master_key, settings.master_key, settings.next_master_key)
    if settings.pkcs11_module is None:
        return former()
    from backend.adapters.keys.hsm import Token, TokenVault  # heavy, and few have one

    token = Token(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin)
    return TokenVault(token, cache(former), settings.pkcs11_ledger_accounts)


@contextmanager
def store_in(
    folder: DataFolder,
    vault: KeyVault,
    ledger: Ledger,
    report: Callable[[Message], None] = on_stderr,
    database_url: str | None = None,
    store: ObjectStore | None = None,
    keys_url: str | None = None,
) -> Iterator[InstallationContext]:
    """Open the ports over a data folder, upgrading the tables first.

    ``database_url`` names a PostgreSQL database; without it, SQLite in the folder is used. Attachments lie in
    ``store``, without it in the folder; the keys of texts in a PostgreSQL database at ``keys_url``, likewise.

    Raises:
        UnusableFolder: if the database is missing although keys exist, or cannot be copied before an upgrade.
        ForeignDatabase: if the database is of a later version.
        WrongDatabase: if the PostgreSQL database cannot be reached or used.
        KeyMissing: if the file of keys is older than the database or belongs to another one.
    """
    keys = _keys(folder, keys_url)
    try:
        with folder.starting():
            engine = _engine(folder, database_url, keys)
    except BaseException:
        keys.close()
        raise
    try:
        files = _files(folder, keys, store)
        with folder.starting(), usable(engine), alone_in_database(engine, "upgrade"):
            if database_url is not None and keys.present and revisions(engine)[0] is None:
                raise UnusableFolder(
                    "the database that DATABASE_URL names is empty, and {path} belongs to one that is not: name "
                    "that one, or restore it (pg_restore)",
                    path=folder.path,
                )
            # A copy is made first, and the upgrade is one transaction: there are the old tables or the new ones, never
            # between.
            with _upgrading(folder, engine, report):
                upgrade(engine, first=files.encrypt_plain)
            _note_keys_of_files(engine, files)
            follow_the_keys(engine, files.is_erased, datetime.now(UTC))
        ctx = InstallationContext(
            work=UnitOfWorkFactory(engine),
            ledger=ledger,
            keys=Keys(vault, OperatorKeys(folder.operator_keys, vault), Argon2Passwords()),
            files=files,
            now=partial(datetime.now, UTC),
        )
        if engine.dialect.name == "sqlite":
            yield ctx
        else:
            with _beside_others(ctx, engine) as ours:
                yield ours
    finally:
        engine.dispose()
        keys.close()


def _keys(folder: DataFolder, url: str | None) -> KeyStore:
    """Open the keys of texts. A file of keys moves into the database that is named for them.

    Raises:
        UnusableFolder: if the folder's keys lie in a database, and none is named.
        KeyMissing: if the database holds another installation's keys.
        WrongDatabase: if it cannot be reached or used.
    """
    if url is None:
        if folder.keys_are_elsewhere:
            raise UnusableFolder(
                "the keys of the texts of {path} lie in a database: name it with KEYS_DATABASE_URL=…", path=folder.path
            )
        return DataKeys(folder.data_keys)
    keys = DatabaseKeys.opened_at(url)
    try:
        with folder.starting():
            if folder.keys_are_elsewhere and not keys.present and not folder.data_keys.exists():
                raise UnusableFolder(
                    "the database that KEYS_DATABASE_URL names has no keys, and {path} belongs to one that has: name "
                    "that one, or restore it (pg_restore)",
                    path=folder.path,
                )
            if folder.data_keys.exists():
                keys.take_over(folder.data_keys)
            folder.note_keys_elsewhere()
            if folder.data_keys.exists():
                overwrite(folder.data_keys)
    except BaseException:
        keys.close()
        raise
    return keys


def _note_keys_of_files(engine: Engine, files: EncryptedFiles) -> None:
    try:
        note_keys_of_files(engine, files.key_number)
    except StorageUnavailable as error:
        log.warning("which keys earlier attachments have is noted at the next start", why=str(error))


def object_store(settings: Settings) -> ObjectStore | None:
    """Return the object store that FILES_URL names.

    Raises:
        WrongStore: if it cannot be used.
    """
    if settings.files_url is None:
        return None
    store = ObjectStore(settings.files_url)
    store.check()
    return store


def _files(folder: DataFolder, keys: KeyStore, store: ObjectStore | None) -> EncryptedFiles:
    """Open the attachments. Those that lie in the folder go to the store, where there is one."""
    if store is None:
        return FolderFiles(folder.files, keys)
    storage = ObjectStorage(store)
    with folder.starting():
        if folder.files.exists() and (moved := storage.take_over(folder.files)):
            log.warning("attachments were moved from the data folder to the store", count=moved)
    return EncryptedFiles(storage, keys)


def _engine(folder: DataFolder, database_url: str | None, keys: KeyStore) -> Engine:
    """Open PostgreSQL or the folder's SQLite. A new, empty database must not silently take the place of a lost one."""
    if database_url is not None:
        folder.note_database("postgresql")
        return open_engine(database_url, keys)
    if folder.noted_database() == "postgresql":
        raise UnusableFolder("{path} belongs to a PostgreSQL database: name it with DATABASE_URL=…", path=folder.path)
    if keys.present and not _is_there(folder.database_file):
        raise UnusableFolder("{path} is missing: put a copy back (provenport restore)", path=folder.database_file)
    folder.keep_private(folder.database_file)
    return open_engine(f"sqlite:///{folder.database_file}", keys)


@contextmanager
def _beside_others(ctx: InstallationContext, engine: Engine) -> Iterator[InstallationContext]:
    """Let the processes on one PostgreSQL know of one another."""
    leadership = AdvisoryLeadership(engine, ANCHORING)
    try:
        yield replace(
            ctx,
            leadership=leadership,
            wake_anchoring=partial(notify, engine, ANCHORING),
            wake_simulating=partial(notify, engine, SIMULATING),
            listener=partial(Listener, engine),
        )
    finally:
        leadership.release()


def _is_there(file: Path) -> bool:
    """Tell whether the file exists and is not empty; SQLite would take an empty one for a new database."""
    return file.exists() and file.stat().st_size > 0


@contextmanager
def _upgrading(folder: DataFolder, engine: Engine, report: Callable[[Message], None]) -> Iterator[None]:
    """Copy the database before an upgrade of its tables, and report before and after it."""
    present, newest = revisions(engine)
    if present is None or present == newest:
        yield
        if folder.noted_tables() != newest:
            folder.note_version(VERSION, newest)
        return
    version = folder.noted_version()
    report(
        Message(
            "The data folder {path} was made by version {version} (tables {present}). Bringing it to {own} (tables "
            "{newest}).",
            path=folder.path,
            version=version,
            present=present,
            own=VERSION,
            newest=newest,
        )
    )
    if engine.dialect.name != "sqlite":
        # Its own tools copy it better, and the upgrade is one transaction there too.
        yield
        folder.note_version(VERSION, newest)
        report(Message("Upgraded. To go back, restore the copy of the database that you made before (pg_restore)."))
        return
    copy = copy_before(folder.database_file, present)
    try:
        copy_database(folder.database_file, copy)
    except (OSError, sqlite3.Error) as error:
        raise UnusableFolder(
            "the data folder {path} must be upgraded, and no copy of it can be made first: {why}. Nothing was changed",
            path=folder.path,
            why=message_of(error),
        ) from error
    report(Message("Before that, its database was copied to {copy}.", copy=copy))
    yield
    folder.note_version(VERSION, newest)
    report(
        Message(
            "Upgraded. To go back, stop the server and put {copy} in the place of {database}; delete it once all is "
            "well. The next erasure deletes it too.",
            copy=copy.name,
            database=folder.database_file.name,
        )
    )


def rotate_master_key(settings: Settings, reached: Callable[[str], None] = lambda point: None) -> int:
    """Encrypt everything under a new master key, and return the number of keys.

    An interrupted run is continued by another.

    The next key is on disk before anything is encrypted under it, and the present one stays until nothing needs it, so
    that either opens at every point in between. With the key in the environment, the next one is
    PROVENPORT_NEXT_MASTER_KEY. ``reached`` is called at each of these points, for tests.

    Raises:
        WrongSetting: if the next key is missing in the environment.
        UnusableFolder: if another command is changing keys, or the folder cannot be used.
        WrongMasterKey: if the present master key does not open the keys.
    """
    if settings.pkcs11_module is not None:
        raise WrongSetting("the master key lies in the token and never leaves it: it is not replaced by this command")
    folder = DataFolder.open(settings.data_dir, VERSION)
    in_files = settings.master_key is None
    if not in_files and settings.next_master_key is None:
        raise WrongSetting("PROVENPORT_MASTER_KEY is set: give the key that replaces it as PROVENPORT_NEXT_MASTER_KEY")
    busy = UnusableFolder("another command is changing the keys of this data folder: wait for it")
    # Two rotations at once would each encrypt some keys under a master key that the other replaces.
    with alone(folder.path, busy):
        return _rotated(settings, folder, in_files, reached)


def bring_keys_to_token(settings: Settings) -> int:
    """Bring the signing keys, the operator's keys and the ledger accounts into the token, and return how many.

    All processes are stopped. A run that was cut short is continued by another: each step leaves what either the former
    master key or the token opens, and the former one goes last.

    Raises:
        WrongSetting: if PKCS11_MODULE is not set.
        WrongToken: if the token cannot be used, or does not take a key.
        WrongMasterKey: if the former master key does not open the keys.
    """
    if settings.pkcs11_module is None:
        raise WrongSetting("PKCS11_MODULE is not set: it names the library of the token that the keys go to")
    folder = DataFolder.open(settings.data_dir, VERSION)
    with alone(folder.path, UnusableFolder("another command is changing the keys of this data folder: wait for it")):
        with opened(settings) as ctx:
            vault = cast("TokenVault", ctx.keys.vault)
            count = 0
            if folder.ledger_accounts.exists():
                # First: a token that does not take secp256k1 refuses before anything has changed.
                keys = json.loads(vault.decrypt(folder.ledger_accounts.read_bytes()))
                moved = {name: vault.bring_account_key(key) for name, key in keys.items()}
                folder.write_secret(folder.ledger_accounts, vault.encrypt(json.dumps(moved).encode()))
                count += len(moved)
            count += reencrypt_all(ctx)
            count += OperatorKeys(folder.operator_keys, vault).bring(vault) if folder.operator_keys.exists() else 0
        if folder.master_key.exists():
            overwrite(folder.master_key)
    return count


def _rotated(settings: Settings, folder: DataFolder, in_files: bool, reached: Callable[[str], None]) -> int:
    coming = next_to(folder.master_key)
    if in_files:
        if coming.exists() and not is_master_key(coming.read_bytes()):
            coming.unlink()  # cut short while it was written, so nothing is sealed under it
        if not coming.exists():
            write_new(coming, new_master_key())
    reached("next-written")
    with opened(settings) as ctx:
        count = reencrypt_all(ctx)
        reached("keys-resealed")
        if folder.ledger_accounts.exists():
            sealed = ctx.keys.vault.reencrypt(folder.ledger_accounts.read_bytes())
            folder.write_secret(folder.ledger_accounts, sealed)
        if folder.operator_keys.exists():
            folder.write_secret(folder.operator_keys, ctx.keys.vault.reencrypt(folder.operator_keys.read_bytes()))
    reached("accounts-resealed")
    if in_files:
        # Last: until this rename the old master key opens what is not encrypted anew yet.
        coming.replace(folder.master_key)
        sync(folder.path)
    reached("renamed")
    return count
