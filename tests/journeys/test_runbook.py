"""The commands of docs/runbook.md, as they stand there: a cluster is copied, and restored to a moment."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from backend.cli.main import cli
from tests.helpers.nodes import free_port
from tests.helpers.postgres import USER, Postgres, programs, running_postgres, unprivileged

RUNBOOK = (Path(__file__).parents[2] / "docs/runbook.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return RUNBOOK.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def commands(heading: str, whose: str) -> str:
    """The commands under a heading that are somebody's."""
    found = re.findall(r"```sh\n# as (\w+)\n(.*?)```", section(heading), re.DOTALL)
    (block,) = [block for user, block in found if user == whose]
    return str(block)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that PostgreSQL's user can write in, with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="runbook-"))
    unprivileged(folder)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(script: str, environment: dict[str, str], **as_user: object) -> None:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**environment, "LC_ALL": "C"},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **as_user,  # type: ignore[call-overload]
    )
    assert ran.returncode == 0, ran.stdout


def store(server: Postgres, number: int) -> None:
    with server.connect("provenport") as connection:
        connection.execute("INSERT INTO record VALUES (%s)", [number])


@pytest.mark.skipif(programs() is None, reason="PostgreSQL's programs are not here: make postgres-check")
def test_copy_is_restored_to_a_moment(shared: Path) -> None:
    """What was stored before the copy and between copy and moment is there; what came after the moment is not."""
    import psycopg

    wal, port = shared / "wal", str(free_port())
    wal.mkdir()
    as_user = unprivileged(wal)
    archive = f"archive_command=test ! -f {wal}/%f && cp %p {wal}/%f"
    with running_postgres("wal_level=replica", "archive_mode=on", archive) as server:
        environment = {
            "PATH": f"{programs()}:{os.environ['PATH']}",
            "PGHOST": str(server.folder),
            "PGUSER": USER,
            "WAL": str(wal),
            "COPY": str(shared / "copy"),
            "RESTORED": str(shared / "restored"),
            "DRILL_PORT": port,
        }
        server.create("provenport")
        with server.connect("provenport") as connection:
            connection.execute(b"CREATE TABLE record (id integer)")
            # Started with it on the command line, which no copy holds; a copy with fewer does not recover.
            connection.execute(b"ALTER SYSTEM SET max_connections = 300")
        store(server, 1)
        run(commands("Backup", "postgres"), environment, **as_user)
        store(server, 2)
        with server.connect("provenport") as connection:
            (moment,) = connection.execute(b"SELECT clock_timestamp()::text").fetchone() or ("",)
        store(server, 3)
        with server.connect("provenport") as connection:
            (segment,) = connection.execute(b"SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
        run(f"for i in $(seq 600); do test -f {wal}/{segment} && exit; sleep 0.1; done; exit 1", environment)
        run(commands("Restore drill", "postgres"), {**environment, "MOMENT": str(moment)}, **as_user)
        try:
            with psycopg.connect(host=str(server.folder), port=port, user=USER, dbname="provenport") as restored:
                kept = restored.execute(b"SELECT id FROM record ORDER BY id").fetchall()
                # Promoted at the moment: until then a restored cluster takes nothing in.
                restored.execute(b"INSERT INTO record VALUES (4)")
        finally:
            run('pg_ctl stop --mode=immediate --pgdata "$RESTORED"', environment, **as_user)
    assert kept == [(1,), (2,)]


def test_standby_is_made_as_the_runbook_says() -> None:
    """The stress test that kills the primary uses the programs and settings that the runbook names."""
    told = " ".join(section("Standby").split())
    tried = (Path(__file__).parents[1] / "stress/standby.py").read_text(encoding="utf-8")
    for word in ("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "promote", "pg_reload_conf()"):
        assert word in told
        assert word in tried
    for word in ("target_session_attrs=read-write", "names = ''", "names = '*'"):
        assert word in told
        assert word in tried


def test_commands_of_the_runbook_exist() -> None:
    named = set(re.findall(r"provenport ([a-z][a-z-]*)(?: ([a-z][a-z-]+))?", RUNBOOK.replace("`\n`", " ")))
    assert len(named) > 5
    for name, sub in named:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        if isinstance(command, click.Group) and sub:
            assert command.get_command(click.Context(command), sub) is not None, f"{name} {sub}"
