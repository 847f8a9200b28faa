"""One installation's database, keys and files, opened: by the server, or by a command beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from backend.adapters.files import FolderFiles, PypdfReader
from backend.adapters.operator_keys import OperatorKeys
from backend.adapters.passwords import Argon2Passwords
from backend.adapters.store.database import SqlWork, open_engine, upgrade
from backend.adapters.vault import SealedVault, master_key
from backend.data_folder import DataFolder, UnusableFolder
from backend.domain.errors import LedgerUnavailable
from backend.services.ports import Ledger, Surroundings
from backend.settings import Settings

VERSION = version("provenport")


class _OutOfReach:
    """Stands for the ledger where a command works beside the server, which alone may open the chain."""

    def __getattr__(self, name: str) -> Any:
        raise LedgerUnavailable("the server holds the chain")


@contextmanager
def opened(settings: Settings) -> Iterator[Surroundings]:
    """Open a data folder that a server may be using; the ledger is out of reach.

    What is stored goes to the ledger when the server runs. Raises UnusableFolder where there is no installation.
    """
    if not (settings.data_dir / "provenport.json").exists():
        raise UnusableFolder(f"{settings.data_dir} holds no installation yet: start it once with provenport serve")
    folder = DataFolder.open(settings.data_dir, VERSION)
    vault = SealedVault(master_key(folder.master_key, settings.master_key))
    with store_in(folder, vault, cast(Ledger, _OutOfReach()), lambda: None) as at:
        yield at


@contextmanager
def store_in(
    folder: DataFolder,
    vault: SealedVault,
    ledger: Ledger,
    wake_anchoring: Callable[[], None],
    confirmations: int = 0,
) -> Iterator[Surroundings]:
    """The ports over a data folder, its tables brought up to date first."""
    engine = open_engine(folder.database)
    try:
        upgrade(engine)
        yield Surroundings(
            work=SqlWork(engine),
            ledger=ledger,
            vault=vault,
            files=FolderFiles(folder.files),
            pdf=PypdfReader(),
            passwords=Argon2Passwords(),
            operator=OperatorKeys(folder.operator_keys, vault),
            now=lambda: datetime.now(UTC),
            confirmations=confirmations,
            wake_anchoring=wake_anchoring,
        )
    finally:
        engine.dispose()
