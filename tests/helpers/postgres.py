"""A PostgreSQL of the tests' own: started without rights or network, on a socket in a temporary folder, and stopped.

``make postgres-check`` sets TEST_DATABASE=postgresql: then every installation under test has a database in it.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine

if TYPE_CHECKING:  # the driver is imported where it is used: most tests need none
    import psycopg

USER = "provenport"
PATIENCE_SECONDS = 30
UNPRIVILEGED = ("postgres", "nobody")
"""PostgreSQL refuses to run as root: the first of these users there is runs it then."""
SETTINGS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=300")
"""Nothing survives the tests, so nothing needs to reach the disk."""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs (version 15 or newer), or None where there are none."""
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])):
        if int(found.parts[-3]) >= 15:
            return found.parent
    beside = shutil.which("initdb")
    return Path(beside).resolve().parent if beside and shutil.which("postgres") else None


class Postgres:
    """A running server, by the folder in which its socket lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        """The DATABASE_URL of a database."""
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def connect(self, name: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A connection that commits each statement by itself."""
        import psycopg

        return psycopg.connect(host=str(self.folder), user=USER, dbname=name, autocommit=True)

    def create(self, name: str, template: str = "template0") -> str:
        """Make a database as a copy of another one that nobody has open; its DATABASE_URL."""
        # Copied as files: the log that the other way writes costs more than it saves without fsync.
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever has it open."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement.encode())

    def has(self, name: str) -> bool:
        """Tell whether there is such a database."""
        with self.connect() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


@contextmanager
def running_postgres(*settings: str) -> Iterator[Postgres]:
    """Start a server with a new cluster, and stop it at the end."""
    found = programs()
    assert found is not None, "PostgreSQL's programs are not here (Debian: apt-get install postgresql)"
    folder = Path(tempfile.mkdtemp(prefix="pg-test-"))  # a short path: that of a socket has at most 107 letters
    try:
        as_user = unprivileged(folder)
        folder.chmod(0o711)
        cluster, log = folder / "cluster", folder / "log"
        made = [found / "initdb", "-D", cluster, "-U", USER, "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user)  # type: ignore[call-overload]
        options = [part for setting in (*SETTINGS, *settings) for part in ("-c", setting)]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [found / "postgres", "-D", cluster, "-k", folder, *options],
                stdout=output,
                stderr=output,
                cwd=folder,
                **as_user,  # type: ignore[call-overload]
            )
        try:
            _wait(Postgres(folder), server, log)
            yield Postgres(folder)
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing in it is needed any more
            server.wait(timeout=PATIENCE_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged(*folders: Path) -> dict[str, object]:
    """The arguments of ``subprocess`` by which PostgreSQL's programs may run here; the folders become its user's."""
    if os.geteuid() != 0:
        return {}
    user = next(name for name in UNPRIVILEGED if _exists(name))
    for folder in folders:
        shutil.chown(folder, user)
    return {"user": user, "extra_groups": []}


def _exists(user: str) -> bool:
    return subprocess.run(["id", user], capture_output=True, check=False).returncode == 0


def _wait(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)


def ours() -> Postgres | None:
    """The server on which this run's installations are, or None where they are on SQLite."""
    folder = os.environ.get("TEST_POSTGRES")
    return Postgres(Path(folder)) if folder else None


def in_its_words(statement: str, dialect: str) -> str:
    """A statement with bytes in SQLite's words, for this database."""
    if dialect != "postgresql":
        return statement
    statement = re.sub(r"CAST\((\w+) \|\| '(\w+)' AS BLOB\)", r"\1 || '\2'::bytea", statement)
    statement = re.sub(r"\bx'(\w*)'", r"decode('\1', 'hex')", statement)
    return re.sub(r"\bzeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", statement)


def stored_bytes(folder: Path, pattern: str) -> bytes:
    """All that an installation's database holds, as it lies there: its SQLite files, or each row of PostgreSQL."""
    if (server := ours()) is None:
        return b"".join(path.read_bytes() for path in folder.glob(pattern))
    with server.connect(name_for(folder)) as connection:
        tables = connection.execute(b"SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [row for (name,) in tables for row in connection.execute(f'SELECT t::text FROM "{name}" t'.encode())]
    # Bytes are told in hexadecimal digits.
    told = "\n".join(str(row) for (row,) in rows)
    return told.encode() + b"".join(bytes.fromhex(part) for part in re.findall(r"\\x((?:[0-9a-f]{2})+)", told))


def installation_at(folder: Path) -> dict[str, str]:
    """The environment that names an installation: its data folder, and its database where that lies elsewhere."""
    url = database_url(folder)
    return {"DATA_DIR": str(folder), **({} if url is None else {"DATABASE_URL": url})}


@contextmanager
def as_it_lies(folder: Path) -> Iterator[Connection]:
    """A connection to an installation's database that decrypts nothing; it commits at the end."""
    url = database_url(folder)
    plain = f"sqlite:///{folder / 'provenport.sqlite'}" if url is None else url.replace("://", "+psycopg://", 1)
    engine = create_engine(plain, connect_args={"timeout": 20} if url is None else {})
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def copy_of_database(folder: Path, to: Path) -> None:
    """On PostgreSQL, let ``to`` have a copy of a folder's database instead of its own. Nobody may have either open."""
    if (server := ours()) is not None:
        server.drop(name_for(to))
        server.create(name_for(to), name_for(folder))


def name_for(folder: Path) -> str:
    """The name of the database that belongs to a data folder."""
    return f"at_{sha256(str(folder).encode()).hexdigest()[:24]}"


def database_url(folder: Path, template: Path | None = None) -> str | None:
    """DATABASE_URL for a data folder, made at first use, as a copy of another folder's; None on SQLite."""
    server = ours()
    if server is None:
        return None
    name = name_for(folder)
    if not server.has(name):
        server.create(name, "template0" if template is None else name_for(template))
    return server.url(name)
