"""The data folder: everything that one installation keeps, and how it is known again."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from backend.domain.errors import TraceabilityError
from backend.store.disk import write_over

FORMAT = 1
"""Raised whenever an older version could not use the folder any more."""


class UnusableFolder(TraceabilityError):
    """The data folder cannot be used as it is."""

    code = "unusable-folder"


@dataclass(frozen=True)
class DataFolder:
    """Where things lie in a data folder."""

    path: Path

    @classmethod
    def open(cls, path: Path, version: str) -> "DataFolder":
        """Make the folder, or check that this version can use it; raises UnusableFolder."""
        folder = cls(path)
        if folder.is_half_restored:
            raise UnusableFolder("a restore into {path} was cut short: run provenport restore again", path=path)
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = path / f".write-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
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
        """Where a copy lies while it is put back."""
        return self.path / ".restoring"

    @property
    def is_half_restored(self) -> bool:
        """Whether a restore was cut short: the marker comes to its place last."""
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
        """Replace the marker, all or nothing."""
        write_over(self.marker, (json.dumps(content, indent=2) + "\n").encode(), mode=0o666)

    @property
    def marker(self) -> Path:
        """Tells which format the folder has."""
        return self.path / "provenport.json"

    @property
    def database(self) -> str:
        """The database's URL."""
        return f"sqlite:///{self.database_file}"

    @property
    def database_file(self) -> Path:
        """Where it lies."""
        return self.path / "provenport.sqlite"

    @property
    def chain(self) -> Path:
        """The embedded chain."""
        return self.path / "chain.sqlite"

    @property
    def files(self) -> Path:
        """Attachments."""
        return self.path / "files"

    @property
    def simulations(self) -> Path:
        """What simulations left, a folder for each."""
        return self.path / "simulations"

    @property
    def master_key(self) -> Path:
        """Opens the sealed keys, unless PROVENPORT_MASTER_KEY does."""
        return self.path / "master.key"

    @property
    def data_keys(self) -> Path:
        """Open what records say; copied apart from the rest, and only the newest copy kept."""
        return self.path / "record.keys"

    @property
    def session_key(self) -> Path:
        """Signs sessions."""
        return self.path / "session.key"

    @property
    def ledger_accounts(self) -> Path:
        """The sealed keys of the accounts that write to the ledger."""
        return self.path / "ledger-accounts.sealed"

    @property
    def operator_keys(self) -> Path:
        """The sealed keys that state what the ledger held."""
        return self.path / "operator-keys.sealed"

    @property
    def deployment(self) -> Path:
        """Where the contracts stand."""
        return self.path / "deployment.json"

    @property
    def demo_credentials(self) -> Path:
        """The demonstration's users."""
        return self.path / "demo-credentials.json"

    @property
    def server(self) -> Path:
        """Where the server that has the folder open is reached; not part of a copy."""
        return self.path / ".server.json"

    def noted_version(self) -> str:
        """The version of Provenport that made the folder, or brought its tables on last."""
        return str(json.loads(self.marker.read_text(encoding="utf-8")).get("version", "?"))

    def noted_tables(self) -> str | None:
        """The revision of the tables, as it was noted last."""
        found = json.loads(self.marker.read_text(encoding="utf-8")).get("tables")
        return None if found is None else str(found)

    def note_version(self, version: str, tables: str) -> None:
        """Note which version brought the tables on, and to which revision."""
        content = json.loads(self.marker.read_text(encoding="utf-8"))
        self.write_marker({**content, "version": version, "tables": tables})

    def note_server(self, url: str) -> None:
        """Say that this process serves the folder at this address."""
        write_over(self.server, json.dumps({"url": url, "pid": os.getpid()}).encode())

    def forget_server(self) -> None:
        """Say that it does so no more."""
        self.server.unlink(missing_ok=True)

    def served_at(self) -> str | None:
        """The address of the server that has the folder open; None where none does, or none that said so."""
        try:
            found = json.loads(self.server.read_text(encoding="utf-8"))
            os.kill(int(found["pid"]), 0)
            return str(found["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep_private(self, database: Path) -> None:
        """Have a database that only its owner may read, whatever the folder's mode and the umask.

        SQLite gives the files beside it (``-wal``, ``-shm``, ``-journal``) the mode of the database itself.
        """
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT, 0o600))
        for file in (database, *database.parent.glob(f"{database.name}-*")):
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)

    def write_secret(self, path: Path, content: bytes) -> None:
        """Write a file that only its owner may read, all or nothing."""
        write_over(path, content)
