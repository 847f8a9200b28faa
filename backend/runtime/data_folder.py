"""The data folder, which holds everything that one installation stores, and the marker by which it is recognised."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from backend.domain.errors import TraceabilityError
from backend.store.disk import alone, write_over

FORMAT = 1
"""Incremented whenever older versions cannot use the folder any more."""


class UnusableFolder(TraceabilityError):
    """Raised when the data folder cannot be used as it is."""

    code = "unusable-folder"


@dataclass(frozen=True)
class DataFolder:
    """The paths in a data folder."""

    path: Path

    @classmethod
    def open(cls, path: Path, version: str) -> "DataFolder":
        """Create the folder, or check that this version can use it.

        Raises:
            UnusableFolder: if it cannot be written, was not made by Provenport, or has another format.
        """
        folder = cls(path)
        if folder.is_half_restored:
            raise UnusableFolder("a restore into {path} was cut short: run provenport restore again", path=path)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Permission bits do not tell about read-only file systems and full quotas: only a write does.
            with NamedTemporaryFile(prefix=".write-", dir=path):
                pass
        except OSError as error:
            raise UnusableFolder(
                "cannot write to the data folder {path} ({why}): choose another with DATA_DIR=…",
                path=path,
                why=error.strerror,
            ) from error
        if not folder.marker.exists():
            foreign = [p.name for p in path.iterdir() if p.name != "keys"]
            if foreign and (path / "provenport.sqlite").exists():
                raise UnusableFolder(
                    "{path} holds a database but no provenport.json: it was not made by Provenport", path=path
                )
            folder.write_marker({"format": FORMAT, "version": version})
        folder._check_format()
        return folder

    @property
    def restoring(self) -> Path:
        """Where a copy lies while it is restored."""
        return self.path / ".restoring"

    @property
    def is_half_restored(self) -> bool:
        """Whether a restore was interrupted: the marker is put in place last."""
        return self.restoring.exists() and not self.marker.exists()

    def _check_format(self) -> None:
        try:
            found = json.loads(self.marker.read_text(encoding="utf-8"))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableFolder("{path} is damaged", path=self.marker) from error
        if found != FORMAT:
            raise UnusableFolder(
                "the data folder {path} has format {found}, this version of Provenport uses format {format}: "
                "start the version that made it, or choose another folder with DATA_DIR=…",
                path=self.path,
                found=found,
                format=FORMAT,
            )

    def write_marker(self, content: dict[str, object]) -> None:
        """Replace the marker atomically."""
        write_over(self.marker, (json.dumps(content, indent=2) + "\n").encode(), mode=0o666)

    @property
    def marker(self) -> Path:
        """The file that states the folder's format and versions."""
        return self.path / "provenport.json"

    @property
    def database_file(self) -> Path:
        """The SQLite database's file; there is none where DATABASE_URL names a PostgreSQL database."""
        return self.path / "provenport.sqlite"

    @property
    def chain(self) -> Path:
        """The embedded chain's file."""
        return self.path / "chain.sqlite"

    @property
    def files(self) -> Path:
        """The folder of attachments."""
        return self.path / "files"

    @property
    def simulations(self) -> Path:
        """The folder of simulations' results, with one folder each."""
        return self.path / "simulations"

    @property
    def master_key(self) -> Path:
        """The master key of the encrypted signing keys, unless PROVENPORT_MASTER_KEY is set."""
        return self.path / "master.key"

    @property
    def data_keys(self) -> Path:
        """The keys of encrypted values, copied apart from the rest; only the newest copy is kept."""
        return self.path / "record.keys"

    @property
    def session_key(self) -> Path:
        """The key that signs sessions."""
        return self.path / "session.key"

    @property
    def ledger_accounts(self) -> Path:
        """The encrypted keys of the accounts that write to the ledger."""
        return self.path / "ledger-accounts.sealed"

    @property
    def operator_keys(self) -> Path:
        """The encrypted keys that sign snapshots."""
        return self.path / "operator-keys.sealed"

    @property
    def deployment(self) -> Path:
        """The addresses of the contracts."""
        return self.path / "deployment.json"

    @property
    def demo_credentials(self) -> Path:
        """The demonstration's users and passwords."""
        return self.path / "demo-credentials.json"

    @property
    def server(self) -> Path:
        """The address of the server that has the folder open; not part of a copy."""
        return self.path / ".server.json"

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Let one process at a time make what is missing here, so that several first ones make it once."""
        lock = self.path / ".starting.lock"
        lock.touch(mode=0o600)
        with alone(lock):
            yield

    def noted_version(self) -> str:
        """Return the version of Provenport that created the folder, or upgraded it last."""
        return str(json.loads(self.marker.read_text(encoding="utf-8")).get("version", "?"))

    def noted_tables(self) -> str | None:
        """Return the last recorded revision of the tables, or None."""
        found = json.loads(self.marker.read_text(encoding="utf-8")).get("tables")
        return None if found is None else str(found)

    def note_version(self, version: str, tables: str) -> None:
        """Record which version upgraded the tables, and to which revision."""
        content = json.loads(self.marker.read_text(encoding="utf-8"))
        self.write_marker({**content, "version": version, "tables": tables})

    def noted_database(self) -> str | None:
        """Return which database the folder belongs to where that is not the SQLite file in it, or None."""
        found = json.loads(self.marker.read_text(encoding="utf-8")).get("database")
        return None if found is None else str(found)

    def note_database(self, kind: str) -> None:
        """Record that the folder belongs to a database elsewhere.

        Raises:
            UnusableFolder: if it holds an SQLite database, which would no longer be used.
        """
        if self.database_file.exists() and self.database_file.stat().st_size:
            raise UnusableFolder(
                "{path} holds an SQLite database, which DATABASE_URL would leave behind: name another folder with "
                "DATA_DIR=…, or leave DATABASE_URL out",
                path=self.path,
            )
        if self.noted_database() != kind:
            content = json.loads(self.marker.read_text(encoding="utf-8"))
            self.write_marker({**content, "database": kind})

    @property
    def keys_are_elsewhere(self) -> bool:
        """Whether the keys of texts lie in a database of their own."""
        return bool(json.loads(self.marker.read_text(encoding="utf-8")).get("keys") == "postgresql")

    def note_keys_elsewhere(self) -> None:
        """Record that the keys of texts lie in a database of their own."""
        if not self.keys_are_elsewhere:
            content = json.loads(self.marker.read_text(encoding="utf-8"))
            self.write_marker({**content, "keys": "postgresql"})

    def forget_keys_elsewhere(self) -> None:
        """Record that the keys of texts lie in the folder, as in one that was restored from a copy."""
        content = json.loads(self.marker.read_text(encoding="utf-8"))
        if content.pop("keys", None) is not None:
            self.write_marker(content)

    def note_server(self, url: str) -> None:
        """Record that this process serves the folder at this address."""
        write_over(self.server, json.dumps({"url": url, "pid": os.getpid()}).encode())

    def forget_server(self) -> None:
        """Remove the record of a server."""
        self.server.unlink(missing_ok=True)

    def served_at(self) -> str | None:
        """Return the address of the server that has the folder open, or None."""
        try:
            found = json.loads(self.server.read_text(encoding="utf-8"))
            # Signal 0 only asks whether the process exists: a file left by a killed server counts for nothing.
            os.kill(int(found["pid"]), 0)
            return str(found["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_private(self, database: Path) -> None:
        """Create or restrict a database to mode 600, whatever the folder's mode and the umask.

        SQLite gives the files beside it (``-wal``, ``-shm``, ``-journal``) the mode of the database itself.
        """
        # Before SQLite creates it with the umask's mode: between creation and a later chmod others could open it.
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT, 0o600))
        for file in (database, *database.parent.glob(f"{database.name}-*")):
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)

    def write_secret(self, path: Path, content: bytes) -> None:
        """Write a file atomically, with mode 600."""
        write_over(path, content)
